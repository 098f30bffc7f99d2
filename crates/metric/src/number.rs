//! Doubles as text, digit for digit as Python prints them: graphite-web's raw, csv and JSON
//! replies, and the numbers in its series names, are made of this.

/// Python switches to an exponent below 10^-4 ...
const PLAIN_EXPONENT_MIN: i32 = -4;
/// ... and from 10^16 on.
const PLAIN_EXPONENT_MAX: i32 = 16;

/// Each bit after the point makes the exact value 0.7 digits longer: with more of them it has
/// more than the 18 digits that a tie may have.
const TIE_FRACTION_BITS_MAX: i32 = 26;

/// Any two decimals of fewer digits are two different doubles.
const TIE_DIGITS_MIN: usize = 15;

/// The text of `repr(value)`: `3.0`, `0.0001`, `1e-05`, `1e+16`, `inf`, `nan`.
#[must_use]
pub fn python_repr(value: f64) -> String {
    let mut text = Vec::with_capacity(24);
    push_python_repr(&mut text, value);
    String::from_utf8(text).expect("digits and letters are ASCII")
}

/// Appends what [`python_repr`] returns.
pub fn push_python_repr(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        return out.extend_from_slice(b"inf");
    }
    if push_short(out, magnitude) {
        return;
    }
    let decimal = Decimal::shortest(magnitude);
    if (PLAIN_EXPONENT_MIN..PLAIN_EXPONENT_MAX).contains(&decimal.exponent) {
        decimal.push_plain(out);
    } else {
        decimal.push_scientific(out);
    }
}

/// Decimals that are tried one after the other, with the powers of ten that they need.
const SHORT_SCALES: [f64; 5] = [1.0, 10.0, 100.0, 1e3, 1e4];

/// Most numbers that are measured have few digits. Two decimals of fewer than 16 digits are two
/// different doubles, so one of them that divides out to this number is its shortest text.
fn push_short(out: &mut Vec<u8>, magnitude: f64) -> bool {
    for (decimals, scale) in SHORT_SCALES.iter().enumerate() {
        let scaled = magnitude * scale;
        if scaled >= SHORT_MAX {
            return false;
        }
        let digits = (scaled + 0.5) as u64;
        if digits as f64 / scale == magnitude {
            let scale = *scale as u64;
            // Below 10^-4 Python writes an exponent.
            push_integer(out, digits / scale);
            out.push(b'.');
            push_decimals(out, digits % scale, decimals.max(1));
            return true;
        }
    }
    false
}

/// 10^15: beyond it texts may be longer than what tells two doubles apart.
const SHORT_MAX: f64 = 1e15;

/// Appends a whole number.
pub fn push_integer(out: &mut Vec<u8>, number: u64) {
    push_decimals(out, number, 1);
}

/// `00`, `01` and so on to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut at = 0;
    while at < pairs.len() {
        // Both fit into a byte.
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
};

/// A whole number with zeros before it up to so many digits, at most 20.
fn push_decimals(out: &mut Vec<u8>, mut number: u64, digits_min: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while number >= 10 {
        first -= 2;
        digits[first..first + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number > 0 {
        first -= 1;
        digits[first] += number as u8;
    }
    out.extend_from_slice(&digits[first.min(digits.len() - digits_min)..]);
}

/// Most digits of the shortest text of a double, and some to spare.
const DIGITS_MAX: usize = 20;

/// The digits of a number from the first that is not 0 to the last, and the power of ten of the
/// first.
struct Decimal {
    digits: [u8; DIGITS_MAX],
    length: usize,
    exponent: i32,
}

impl Decimal {
    /// The fewest digits that read back to `magnitude`, and of those the nearest.
    ///
    /// Where two are equally near, Python takes the even one and others may take the larger. Rust's
    /// form of a given length is half-even, so it decides, if it reads back at all. Such a tie needs
    /// an exact value one digit longer than its text, which below 15 digits cannot be.
    fn shortest(magnitude: f64) -> Self {
        let shortest = Self::read(zmij::Buffer::new().format_finite(magnitude));
        if shortest.length < TIE_DIGITS_MIN || fraction_bits(magnitude) > TIE_FRACTION_BITS_MAX {
            return shortest;
        }
        let nearest = format!("{magnitude:.*e}", shortest.length - 1);
        if nearest.parse() == Ok(magnitude) { Self::read(&nearest) } else { shortest }
    }

    /// Of `12.5`, `0.00125`, `1.25e-7` and the like.
    fn read(text: &str) -> Self {
        let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
        let power: i32 = power.parse().expect("an exponent is a small integer");
        let whole = mantissa.find('.').unwrap_or(mantissa.len());
        let written = mantissa.bytes().filter(u8::is_ascii_digit);
        let zeros = written.clone().take_while(|digit| *digit == b'0').count();
        let (mut digits, mut length) = ([b'0'; DIGITS_MAX], 0);
        for (place, digit) in digits.iter_mut().zip(written.skip(zeros)).enumerate() {
            *digit.0 = digit.1;
            if digit.1 != b'0' {
                length = place + 1;
            }
        }
        let first = i32::try_from(whole).unwrap_or(0) - 1 - i32::try_from(zeros).unwrap_or(0);
        Self { digits, length, exponent: first + power }
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// `d.ddde+dd`.
    fn push_scientific(&self, out: &mut Vec<u8>) {
        let (first, rest) = self.digits().split_at(self.length.min(1));
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if self.exponent < 0 { b"e-" } else { b"e+" });
        push_decimals(out, self.exponent.unsigned_abs().into(), 2);
    }

    /// Written out, with a digit on both sides of the point.
    fn push_plain(&self, out: &mut Vec<u8>) {
        let digits = self.digits();
        let Ok(whole) = usize::try_from(self.exponent) else {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', self.exponent.unsigned_abs() as usize - 1));
            return out.extend_from_slice(digits);
        };
        let (head, tail) = digits.split_at((whole + 1).min(digits.len()));
        out.extend_from_slice(head);
        out.extend(std::iter::repeat_n(b'0', whole + 1 - head.len()));
        out.push(b'.');
        out.extend_from_slice(if tail.is_empty() { b"0" } else { tail });
    }
}

/// How many bits stand after the point, 0 for whole numbers.
fn fraction_bits(magnitude: f64) -> i32 {
    let bits = magnitude.to_bits();
    let exponent = i32::try_from(bits >> 52).expect("eleven bits");
    let mantissa = bits & ((1 << 52) - 1);
    let zeros = i32::try_from(mantissa.trailing_zeros().min(52)).expect("at most 52");
    1075 - exponent.max(1) - zeros
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_print_as_python_prints_them() {
        for (value, text) in [
            (3.0, "3.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-9, "1.5e-09"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (-904_169_666_483_526.0 - 0.25, "-904169666483526.2"),
            (97_691_119_162_302.0 + 0.625, "97691119162302.62"),
            (1e22, "1e+22"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-f64::NAN, "nan"),
        ] {
            assert_eq!(python_repr(value), text);
        }
    }

    /// Without any of the shortcuts for usual numbers.
    fn the_long_way(value: f64) -> String {
        let shortest = format!("{value:e}");
        let digits = shortest.bytes().take_while(|&b| b != b'e').filter(u8::is_ascii_digit).count();
        let nearest = format!("{value:.*e}", digits - 1);
        let text = if nearest.parse() == Ok(value) { nearest } else { shortest };
        let (mantissa, exponent) = text.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        if !(PLAIN_EXPONENT_MIN..PLAIN_EXPONENT_MAX).contains(&exponent) {
            let sign = if exponent < 0 { '-' } else { '+' };
            return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
        }
        // As many places after the point as the digits reach, at least one.
        let digits = i32::try_from(mantissa.bytes().filter(u8::is_ascii_digit).count()).unwrap();
        let places = usize::try_from(digits - 1 - exponent).unwrap_or(0).max(1);
        format!("{:.places$}", text.parse::<f64>().unwrap())
    }

    proptest! {
        #[test]
        fn few_digits_print_as_they_do_the_long_way(
            digits in 0u64..2_000_000_000_000_000,
            decimals in 0i32..7,
        ) {
            let value = digits as f64 / 10f64.powi(decimals);
            prop_assert_eq!(python_repr(value), the_long_way(value));
        }

        #[test]
        fn ties_and_halves_print_as_they_do_the_long_way(
            mantissa in 1u64..(1 << 53),
            fraction_bits in 0i32..40,
        ) {
            let value = mantissa as f64 / 2f64.powi(fraction_bits);
            prop_assert_eq!(python_repr(value), the_long_way(value));
        }

        #[test]
        fn the_text_reads_back_to_the_same_bits(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(python_repr(value).parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
