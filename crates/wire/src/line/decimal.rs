//! Decimal text to numbers and back, with the common shapes on a short path.

use bytes::BufMut;

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Above this, an integer may have no double of its own.
const EXACT_INTEGER_MAX: u64 = 1 << 53;

/// Nineteen digits always fit 64 bits.
const DIGITS_MAX: usize = 19;

/// `[-]digits[.digits]` when one division gives the correctly rounded double; else `None`.
///
/// Both operands are exact (mantissa up to 2^53, power of ten up to 10^22), and IEEE division
/// rounds once, so the result is the same as a full decimal parser's.
pub(super) fn exact(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut point = None;
    for (at, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if byte == b'.' && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    let fraction_digits = point.map_or(0, |at| digits.len() - 1 - at);
    let digit_count = digits.len() - usize::from(point.is_some());
    if digit_count == 0 || mantissa > EXACT_INTEGER_MAX {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "the mantissa is at most 2^53")]
    let magnitude = mantissa as f64 / POWERS[fraction_digits];
    Some(if negative { -magnitude } else { magnitude })
}

/// Any decimal or scientific text, `nan` and `inf` included; hex and underscores are `None`.
pub(super) fn any(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A run of at most nineteen digits.
pub(super) fn unsigned(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > DIGITS_MAX {
        return None;
    }
    let mut value = 0_u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// The value as an integer if it is one within ±2^53; negative zero keeps its sign elsewhere.
pub(super) fn small_integer(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if !(-LIMIT..=LIMIT).contains(&value) || (value == 0.0 && value.is_sign_negative()) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let integer = value as i64;
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53")]
    let back = integer as f64;
    (back == value).then_some(integer)
}

/// Appends an integer in decimal digits.
pub(super) fn put_integer(out: &mut impl BufMut, integer: i64) {
    // 19 digits and a sign.
    let mut text = [0_u8; 20];
    let mut at = text.len();
    let mut rest = integer.unsigned_abs();
    loop {
        at -= 1;
        text[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if integer < 0 {
        at -= 1;
        text[at] = b'-';
    }
    out.put_slice(&text[at..]);
}
