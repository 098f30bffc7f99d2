//! Numbers and names as the commands read and print them.

use std::path::Path;

use ::whisper::{Method, Now, Retention, parse_retentions};

/// Significant digits of `dump`: more than any double needs to be told from its neighbours.
const DUMP_DIGITS: i32 = 35;
/// Significant digits of C's `%g`.
const SHORT_DIGITS: i32 = 6;

/// A path on one line.
pub(super) fn name(path: &Path) -> String {
    crate::invocation::printable(&path.to_string_lossy())
}

/// Seconds since 1970, negative before, a fraction cut off.
pub(super) fn time(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let fraction = || text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    text.parse()
        .ok()
        .or_else(|| fraction().map(|seconds| seconds as i64))
        .ok_or_else(|| format!("{text:?} is not a time"))
}

/// Any number a double holds, `NaN` and `Infinity` included.
pub(super) fn value(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_not| format!("{text:?} is not a value"))
}

/// `TIME:VALUE`, where the time may be `N` for now.
pub(super) fn point(text: &str, now: Now) -> Result<(i64, f64), String> {
    let (at, number) =
        text.split_once(':').ok_or_else(|| format!("{text:?} is not a point TIME:VALUE"))?;
    let at = if at.trim() == "N" { now.truncate() } else { time(at)? };
    Ok((at, value(number)?))
}

/// Retentions, each argument one or a comma list of them.
pub(super) fn retentions(texts: &[String]) -> Result<Vec<Retention>, String> {
    let mut all = Vec::new();
    for text in texts {
        all.extend(parse_retentions(text).map_err(|error| error.to_string())?);
    }
    Ok(all)
}

/// An aggregation method's name.
pub(super) fn method(text: &str) -> Result<Method, String> {
    let names = || Method::all().map(Method::name).collect::<Vec<_>>().join(", ");
    Method::from_name(text)
        .ok_or_else(|| format!("unknown aggregation method {text:?}, expected one of {}", names()))
}

/// An xFilesFactor; its range is the library's to check.
pub(super) fn factor(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_not| format!("xFilesFactor {text:?} is not a number"))
}

/// A size as `whisper-create.py --estimate` prints it.
pub(super) fn byte_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KB", "MB", "GB"];
    let mut size = bytes as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 1024.0 && units.len() > 0 {
        size /= 1024.0;
        unit = units.next();
    }
    format!("{size:.3}{}", unit.copied().unwrap_or_default())
}

/// A value in JSON: null for none, words for what JSON has no number for.
pub(super) fn json(value: Option<f64>) -> serde_json::Value {
    match value {
        None => serde_json::Value::Null,
        Some(value) if value.is_nan() => "NaN".into(),
        Some(value) if value == f64::INFINITY => "Infinity".into(),
        Some(value) if value == f64::NEG_INFINITY => "-Infinity".into(),
        Some(value) => value.into(),
    }
}

/// The shortest digits that give the value back, as Python writes them.
pub(super) fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => with_exponent(digits, exponent.parse().unwrap_or(0)),
    }
}

/// Six decimals, as `whisper-fetch.py` prints a value.
pub(super) fn decimals(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { not_finite(value) }
}

/// Up to 35 significant digits, as `whisper-dump.py` prints a value: C's `%.35g`.
pub(super) fn dump_digits(value: f64) -> String {
    significant(value, DUMP_DIGITS)
}

/// Six significant digits, as `whisper-dump.py` prints a factor: C's `%g`.
pub(super) fn short_digits(value: f64) -> String {
    significant(value, SHORT_DIGITS)
}

/// So many significant digits without trailing zeros.
fn significant(value: f64, digits_max: i32) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let places = usize::try_from(digits_max - 1).unwrap_or(0);
    let text = format!("{value:.places$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits_max).contains(&exponent) {
        let places = usize::try_from(digits_max - 1 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.places$}")).to_owned();
    }
    with_exponent(trimmed(digits), exponent)
}

fn trimmed(digits: &str) -> &str {
    if !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.')
}

/// C's exponent: a sign and at least two digits.
fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn not_finite(value: f64) -> String {
    let word = if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_be_negative_and_are_cut_towards_zero() {
        assert_eq!(time("-60"), Ok(-60));
        assert_eq!(time("1700000000.9"), Ok(1_700_000_000));
        assert_eq!(time("-0.5"), Ok(0));
        assert!(time("nan").is_err() && time("now").is_err());
    }

    #[test]
    fn points_take_any_value() {
        let point = |text| point(text, 7.into());
        assert_eq!(point("60:-1e300"), Ok((60, -1e300)));
        assert_eq!(point("-60.5:-Infinity"), Ok((-60, f64::NEG_INFINITY)));
        assert_eq!(point("N:1"), Ok((7, 1.0)));
        assert!(point("60:1:2").is_err() && point("60").is_err());
    }

    #[test]
    fn sizes_stop_at_gigabytes() {
        assert_eq!(byte_size(1_023), "1023.000bytes");
        assert_eq!(byte_size(17_308), "16.902KB");
        assert_eq!(byte_size(5 << 42), "20480.000GB");
    }

    #[test]
    fn numbers_print_as_python_and_c_do() {
        assert_eq!(shortest(1e16), "1e+16");
        assert_eq!(shortest(1e-5), "1e-05");
        assert_eq!(shortest(-0.0), "-0.0");
        assert_eq!(decimals(0.1), "0.100000");
        assert_eq!(dump_digits(0.5), "0.5");
        assert_eq!(dump_digits(-3.0), "-3");
        assert_eq!(dump_digits(0.1), "0.1000000000000000055511151231257827");
        assert_eq!(dump_digits(5e-324), "4.9406564584124654417656879286822137e-324");
        assert_eq!(dump_digits(0.0), "0");
        assert_eq!(short_digits(f64::from(0.1_f32)), "0.1");
        assert_eq!(short_digits(1.0 / 3.0), "0.333333");
    }
}
