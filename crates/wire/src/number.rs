//! Doubles as text, digit for digit as Python prints them: graphite-web's raw, csv and JSON
//! replies, and the numbers in its series names, are made of this.

use std::fmt::Write as _;

/// Python switches to an exponent below 10^-4 ...
const PLAIN_EXPONENT_MIN: i32 = -4;
/// ... and from 10^16 on.
const PLAIN_EXPONENT_MAX: i32 = 16;

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
    let scientific = format!("{magnitude:e}");
    let (digits, exponent) = scientific.split_once('e').expect("`{:e}` prints an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` prints a small integer exponent");
    if (PLAIN_EXPONENT_MIN..PLAIN_EXPONENT_MAX).contains(&exponent) {
        push_plain(out, magnitude);
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs())
            .expect("a String takes any text");
    }
}

fn push_plain(out: &mut String, magnitude: f64) {
    let start = out.len();
    write!(out, "{magnitude}").expect("a String takes any text");
    if !out[start..].contains('.') {
        out.push_str(".0");
    }
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

    proptest! {
        #[test]
        fn the_text_reads_back_to_the_same_bits(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(python_repr(value).parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
