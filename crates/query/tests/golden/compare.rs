//! When an answer counts as the recorded one.

use std::sync::LazyLock;

use plumbago_query::{EvalError, Series};
use regex::Regex;
use serde_json::{Map, Value};

use crate::case::{Accepted, Case};

/// Values may differ by this share of their size.
const TOLERANCE: f64 = 1e-9;
/// Where a sum cancels, or a name holds a computed number.
const TOLERANCE_LOOSE: f64 = 1e-6;

/// `None` if the answer is the wanted one, else the first difference.
pub(crate) fn difference(
    case: &Case,
    wanted: &Accepted,
    answer: &Result<Vec<Series>, EvalError>,
) -> Option<String> {
    match (wanted, answer) {
        (Accepted::Any, _) | (Accepted::Refused, Err(_)) => None,
        (Accepted::Refused, Ok(_)) => Some("should be refused".to_owned()),
        (Accepted::Series(_), Err(e)) => Some(format!("refused: {e}")),
        (Accepted::Series(wanted), Ok(series)) => lists(case, wanted, series),
    }
}

fn lists(case: &Case, wanted: &[Value], series: &[Series]) -> Option<String> {
    let no_nulls = case.param("noNullPoints").is_some();
    let mut shown: Vec<(&Series, Vec<(f64, i64)>)> = Vec::new();
    for s in series {
        let mut points = s.datapoints();
        if no_nulls {
            points.retain(|(value, _)| !value.is_nan());
        }
        if !(no_nulls && points.is_empty()) {
            shown.push((s, points));
        }
    }
    if wanted.len() != shown.len() {
        let names: Vec<_> = shown.iter().map(|(s, _)| &s.name).take(4).collect();
        return Some(format!("want {} series, got {} {names:?}", wanted.len(), shown.len()));
    }
    let pairs = wanted.iter().zip(&shown).enumerate();
    pairs
        .filter_map(|(i, (w, (s, points)))| {
            let why = names(case, w, s).or_else(|| values(case, w, points))?;
            Some(format!("series {i} {why}"))
        })
        .next()
}

fn names(case: &Case, wanted: &Value, series: &Series) -> Option<String> {
    let target = wanted["target"].as_str().unwrap_or_default();
    let embeds = case.has_quirk("name-embeds-float");
    if target != series.name && !(embeds && close_text(target, &series.name, TOLERANCE_LOOSE)) {
        return Some(format!("target: want {target:?} got {:?}", series.name));
    }
    let loose = embeds || case.has_quirk("ill-conditioned");
    let tolerance = if loose { TOLERANCE_LOOSE } else { TOLERANCE };
    let wanted = wanted["tags"].as_object().cloned().unwrap_or_default();
    let skip = |tag: &str| tag == "name" && case.has_quirk("loose-name-tag");
    (!same_tags(&wanted, series, tolerance, skip))
        .then(|| format!("tags: want {wanted:?} got {:?}", series.tags))
}

fn same_tags(
    wanted: &Map<String, Value>,
    series: &Series,
    tolerance: f64,
    skip: impl Fn(&str) -> bool,
) -> bool {
    let known = |tag: &String| skip(tag) || wanted.contains_key(tag);
    series.tags.keys().all(known)
        && wanted.iter().filter(|(tag, _)| !skip(tag)).all(|(tag, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            series.tags.get(tag).is_some_and(|got| same_tag(&value, got, tolerance))
        })
}

fn same_tag(wanted: &str, got: &str, tolerance: f64) -> bool {
    let is_bool = matches!(wanted.to_lowercase().as_str(), "true" | "false");
    let number = |text: &str| text.parse::<f64>().ok();
    (is_bool && wanted.eq_ignore_ascii_case(got))
        || close_text(wanted, got, tolerance)
        || number(wanted).is_some_and(|w| number(got) == Some(w))
}

fn values(case: &Case, wanted: &Value, points: &[(f64, i64)]) -> Option<String> {
    let values: Vec<f64> = wanted["values"].as_array()?.iter().map(number).collect();
    if values.len() != points.len() {
        return Some(format!("points: want {} got {}", values.len(), points.len()));
    }
    let loose = case.has_quirk("ill-conditioned");
    let largest = values.iter().filter(|v| !v.is_nan()).fold(0.0, |a: f64, v| a.max(v.abs()));
    let (tolerance, scale) =
        if loose { (TOLERANCE_LOOSE, largest * 1e-3) } else { (TOLERANCE, 0.0) };
    for (i, (want, (got, time))) in values.iter().zip(points).enumerate() {
        let at = time_of(wanted, i);
        if at != *time && !case.has_quirk("loose-start") {
            return Some(format!("point {i} time: want {at} got {time}"));
        }
        if !close(*want, *got, scale, tolerance) {
            return Some(format!("point {i} value: want {want} got {got}"));
        }
    }
    None
}

fn time_of(wanted: &Value, i: usize) -> i64 {
    if let Some(times) = wanted["timestamps"].as_array() {
        return times[i].as_i64().unwrap();
    }
    let step = wanted["step"].as_i64().unwrap_or(0);
    wanted["start"].as_i64().unwrap_or(0) + i64::try_from(i).unwrap() * step
}

/// NaN for null; infinities are recorded as texts.
fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap_or(f64::NAN),
    }
}

fn close(a: f64, b: f64, scale: f64, tolerance: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a.is_infinite() || b.is_infinite() {
        return a == b;
    }
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(scale)
}

/// Texts are equal but for the numbers in them, which are close.
fn close_text(a: &str, b: &str, tolerance: f64) -> bool {
    if a == b {
        return true;
    }
    let ((rest_a, numbers_a), (rest_b, numbers_b)) = (split_numbers(a), split_numbers(b));
    rest_a == rest_b
        && numbers_a.iter().zip(&numbers_b).all(|(x, y)| {
            let digits =
                |t: &str| t.trim_start_matches(['+', '-']).bytes().all(|c| c.is_ascii_digit());
            if digits(x) && digits(y) {
                return x == y;
            }
            match (x.parse(), y.parse()) {
                (Ok(x), Ok(y)) => close(x, y, 0.0, tolerance),
                _ => false,
            }
        })
}

/// What is left of a text without its numbers, and these.
fn split_numbers(text: &str) -> (String, Vec<&str>) {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf(?:inity)?|nan)").unwrap()
    });
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let (mut rest, mut numbers, mut at) = (String::new(), Vec::new(), 0);
    while let Some(c) = text[at..].chars().next() {
        let free = !text[..at].ends_with(part_of_word);
        let found = NUMBER
            .find(&text[at..])
            .filter(|m| free && !text[at + m.end()..].starts_with(part_of_word));
        if let Some(number) = found {
            numbers.push(number.as_str());
            rest.push('\0');
            at += number.end();
        } else {
            rest.push(c);
            at += c.len_utf8();
        }
    }
    (rest, numbers)
}
