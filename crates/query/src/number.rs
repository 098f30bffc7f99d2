//! Numbers as Python prints them, because series names and tags hold them.

pub use metric::number::python_repr;

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// C's `%g`: six significant digits, no trailing zeros.
pub fn format_g(value: f64) -> String {
    const DIGITS: i32 = 6;
    if value.is_nan() || value.is_infinite() {
        return python_repr(value);
    }
    let text = format!("{value:.*e}", DIGITS as usize - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
        return trim_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    with_exponent(trim_zeros(mantissa), exponent)
}

/// Go's `%g` of the fewest digits, as carbonapi's names hold it: an exponent from 10^6 on.
pub fn format_go_g(value: f64) -> String {
    /// Exponents from which on Go writes one.
    const EXPONENTS: std::ops::Range<i32> = -4..6;
    let exact = format!("{value:e}");
    let (mantissa, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let exponent = exponent.parse().unwrap_or(0);
    if EXPONENTS.contains(&exponent) || !value.is_finite() {
        return value.to_string();
    }
    with_exponent(mantissa, exponent)
}

/// C's `%.Ne`.
pub fn format_e(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return python_repr(value);
    }
    let text = format!("{value:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(mantissa, exponent.parse().unwrap_or(0))
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Python's `round(value, digits)`: half to even on the exact binary value.
pub fn python_round(value: f64, digits: i32) -> f64 {
    if !value.is_finite() {
        return value;
    }
    match usize::try_from(digits) {
        Ok(decimals) if decimals > 400 => value,
        Ok(decimals) => round_without_text(value, digits)
            .unwrap_or_else(|| format!("{value:.decimals$}").parse().unwrap_or(value)),
        Err(_) if digits < -308 => 0.0 * value,
        Err(_) => round_left_of_point(value, digits),
    }
}

/// The common case of rounding after the point, many times faster than through text. `None` near a tie,
/// where only the exact digits decide: Rust prints these correctly rounded, as Python does.
fn round_without_text(value: f64, digits: i32) -> Option<f64> {
    /// Powers of ten that are exact in binary.
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    /// Whole numbers below this are exact, with bits to spare for telling a tie.
    const SCALED_MAX: f64 = (1u64 << 50) as f64;
    let power = *POWERS.get(usize::try_from(digits).ok()?)?;
    let scaled = value * power;
    // Through whole numbers: one instruction each way, where `trunc` and `round` are calls.
    let whole = scaled as i64;
    let rest = (scaled - whole as f64).abs();
    let sure = scaled.abs() < SCALED_MAX && (rest - 0.5).abs() > scaled.abs() * 1e-15;
    let away = i64::from(rest > 0.5) * if scaled < 0.0 { -1 } else { 1 };
    // Both operands are exact, so that the quotient is the double nearest to the decimal number.
    sure.then(|| ((whole.wrapping_add(away)) as f64).copysign(scaled) / power)
}

/// Rounds to tens, hundreds, ...: on the decimal digits, since 10^k divides badly in binary.
fn round_left_of_point(value: f64, digits: i32) -> f64 {
    let exact = format!("{value:e}");
    let exponent: i32 = exact.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let kept = exponent + digits;
    if kept < -1 {
        return 0.0 * value;
    }
    if kept == -1 {
        // Below half of the last place it is nothing, above it is one whole; a tie goes to even, 0.
        let half = 5.0 * 10f64.powi(-digits - 1);
        let one = 10f64.powi(-digits).copysign(value);
        return if value.abs() > half { one } else { 0.0 * value };
    }
    let significant = usize::try_from(kept).unwrap_or(0);
    format!("{value:.significant$e}").parse().unwrap_or(value)
}

/// Reads a number as Python's `float()` does: blanks around it, underscores between digits, `inf`,
/// `nan` in any case.
pub fn python_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let ok_underscores = !text.contains('_')
        || (!text.starts_with('_') && !text.ends_with('_') && !text.contains("__"));
    if !ok_underscores {
        return None;
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repr_is_python_s() {
        for (v, text) in [
            (2.0, "2.0"),
            (1e-9, "1e-09"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(python_repr(v), text);
        }
    }

    #[test]
    fn go_s_g_has_an_exponent_early() {
        for (v, text) in [
            (2.0, "2"),
            (-0.5, "-0.5"),
            (123456.0, "123456"),
            (1234567.0, "1.234567e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (33.3333333, "33.3333333"),
        ] {
            assert_eq!(format_go_g(v), text);
        }
    }

    #[test]
    fn percent_g_is_c_s() {
        for (v, text) in [
            (2.0, "2"),
            (0.5, "0.5"),
            (1234567.0, "1.23457e+06"),
            (100000.0, "100000"),
            (999999.5, "1e+06"),
            (0.0001, "0.0001"),
            (0.00001234, "1.234e-05"),
            (-0.0, "-0"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(format_g(v), text);
        }
    }

    #[test]
    fn rounding_is_half_to_even_on_the_binary_value() {
        for (v, digits, rounded) in [
            (0.5, 0, 0.0),
            (1.5, 0, 2.0),
            (2.675, 2, 2.67),
            (25.0, -1, 20.0),
            (35.0, -1, 40.0),
            (5.0, -1, 0.0),
            (6.0, -1, 10.0),
            (449.0, -3, 0.0),
            (501.0, -3, 1000.0),
            (1234.5, -2, 1200.0),
        ] {
            assert_eq!(python_round(v, digits), rounded, "{v} {digits}");
        }
    }

    #[test]
    fn rounding_without_text_gives_the_digits_of_the_text() {
        let mut state = 1u64;
        for i in 0..20_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = 10f64.powi(i32::try_from(i % 24).unwrap() - 9);
            let fine = ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * size;
            let tie = (fine * 1000.0).round() / 1000.0 + 0.0005;
            for (v, digits) in [(fine, 6), (fine, 0), (tie, 3), (-tie, 3), (fine, 15)] {
                let decimals = usize::try_from(digits).unwrap();
                let text: f64 = format!("{v:.decimals$}").parse().unwrap();
                assert_eq!(python_round(v, digits).to_bits(), text.to_bits(), "{v} {digits}");
            }
        }
    }
}
