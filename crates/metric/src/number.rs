//! Doubles as text, digit for digit as Python prints them: graphite-web's raw, csv and JSON
//! replies, and the numbers in its series names, are made of this.

use std::fmt::Write as _;

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
    let mut text = String::with_capacity(24);
    push_python_repr(&mut text, value);
    text
}

/// Appends what [`python_repr`] returns.
pub fn push_python_repr(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("nan");
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        return out.push_str("inf");
    }
    if push_short(out, magnitude) {
        return;
    }
    let scientific = shortest(magnitude);
    let (digits, exponent) = scientific.split_once('e').expect("`{:e}` prints an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` prints a small integer exponent");
    if (PLAIN_EXPONENT_MIN..PLAIN_EXPONENT_MAX).contains(&exponent) {
        push_plain(out, digits, exponent);
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs())
            .expect("a String takes any text");
    }
}

/// Decimals that are tried one after the other, with the powers of ten that they need.
const SHORT_SCALES: [f64; 5] = [1.0, 10.0, 100.0, 1e3, 1e4];

/// Most numbers that are measured have few digits. Two decimals of fewer than 16 digits are two
/// different doubles, so one of them that divides out to this number is its shortest text.
fn push_short(out: &mut String, magnitude: f64) -> bool {
    for (decimals, scale) in SHORT_SCALES.iter().enumerate() {
        let scaled = (magnitude * scale).round();
        if scaled >= SHORT_MAX {
            return false;
        }
        if scaled / scale == magnitude {
            let (digits, scale) = (scaled as u64, *scale as u64);
            // Below 10^-4 Python writes an exponent.
            push_integer(out, digits / scale);
            out.push('.');
            push_decimals(out, digits % scale, decimals.max(1));
            return true;
        }
    }
    false
}

/// 10^15: beyond it texts may be longer than what tells two doubles apart.
const SHORT_MAX: f64 = 1e15;

/// Appends a whole number.
pub fn push_integer(out: &mut String, number: u64) {
    push_decimals(out, number, 1);
}

/// A whole number with zeros before it up to so many digits.
fn push_decimals(out: &mut String, mut number: u64, digits_min: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while number > 0 || digits.len() - first < digits_min {
        first -= 1;
        // One digit fits into a byte.
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.push_str(std::str::from_utf8(&digits[first..]).expect("digits are ASCII"));
}

/// The fewest digits that read back to `magnitude`, and of those the nearest, in `{:e}` form.
///
/// Where two are equally near, Python takes the even one and Rust's shortest form the larger.
/// Rust's form of a given length is half-even too, so it decides, if it reads back at all. Such a
/// tie needs an exact value one digit longer than its text, which below 15 digits cannot be.
fn shortest(magnitude: f64) -> String {
    let shortest = format!("{magnitude:e}");
    let digits = shortest.bytes().take_while(|&b| b != b'e').filter(u8::is_ascii_digit).count();
    if digits < TIE_DIGITS_MIN || fraction_bits(magnitude) > TIE_FRACTION_BITS_MAX {
        return shortest;
    }
    let nearest = format!("{magnitude:.*e}", digits - 1);
    if nearest.parse() == Ok(magnitude) { nearest } else { shortest }
}

/// How many bits stand after the point, 0 for whole numbers.
fn fraction_bits(magnitude: f64) -> i32 {
    let bits = magnitude.to_bits();
    let exponent = i32::try_from(bits >> 52).expect("eleven bits");
    let mantissa = bits & ((1 << 52) - 1);
    let zeros = i32::try_from(mantissa.trailing_zeros().min(52)).expect("at most 52");
    1075 - exponent.max(1) - zeros
}

/// `d.ddd` times ten to the exponent, written out.
fn push_plain(out: &mut String, digits: &str, exponent: i32) {
    let (first, rest) = digits.split_at(1);
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let Ok(whole) = usize::try_from(exponent) else {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
        out.push_str(first);
        return out.push_str(rest);
    };
    out.push_str(first);
    let (head, tail) = rest.split_at(whole.min(rest.len()));
    out.push_str(head);
    out.extend(std::iter::repeat_n('0', whole - head.len()));
    out.push('.');
    out.push_str(if tail.is_empty() { "0" } else { tail });
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
        let (digits, exponent) = text.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        let mut out = String::new();
        if (PLAIN_EXPONENT_MIN..PLAIN_EXPONENT_MAX).contains(&exponent) {
            push_plain(&mut out, digits, exponent);
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs()).unwrap();
        }
        out
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
