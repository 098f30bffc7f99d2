//! Render and find replies as graphite-web pickles or packs them: lists of dicts.

use super::content::{FindMatch, consolidation, series};
use super::error::ReplyError;
use crate::tree::{Value, Writer};
use metric::{SeriesData, Window};

pub(super) fn write_series(writer: &mut impl Writer, series: &SeriesData) {
    writer.begin_map(9);
    for (key, text) in [
        ("name", series.name.as_str()),
        ("pathExpression", &series.path_expression),
        ("consolidationFunc", series.consolidation.as_str()),
    ] {
        writer.text(key);
        writer.text(text);
    }
    for (key, number) in [
        ("start", series.start),
        ("end", series.stop),
        ("step", series.step),
        ("valuesPerPoint", 1),
    ] {
        writer.text(key);
        writer.int(number);
    }
    writer.text("xFilesFactor");
    writer.float(series.x_files_factor.into());
    writer.text("values");
    writer.begin_list(series.values.len());
    series.values.iter().for_each(|&value| writer.gap_or_float(value));
    writer.end_list();
    writer.end_map();
}

pub(super) fn read_series(reply: &Value<'_>) -> Result<Vec<SeriesData>, ReplyError> {
    entries(reply)?.iter().enumerate().map(|(at, entry)| one_series(entry, at)).collect()
}

fn one_series(entry: &Value<'_>, at: usize) -> Result<SeriesData, ReplyError> {
    let missing = |key| ReplyError::BadEntry { at, key };
    let text = |key| entry.get(key).and_then(Value::as_str);
    let int = |key| entry.get(key).and_then(Value::as_int).ok_or_else(|| missing(key));
    let name = text("name").ok_or_else(|| missing("name"))?.to_owned();
    let expression = text("pathExpression").unwrap_or_default().to_owned();
    let values = entry.get("values").and_then(Value::as_list);
    let value = |value: &Value<'_>| match value {
        Value::Null => Some(f64::NAN),
        other => other.as_float(),
    };
    let values: Option<Vec<f64>> = values.and_then(|values| values.iter().map(value).collect());
    let values = values.ok_or_else(|| missing("values"))?;
    let mut series = series(name, expression, (int("start")?, int("step")?), values)?;
    series.consolidation = consolidation(text("consolidationFunc").unwrap_or_default());
    let factor = entry.get("xFilesFactor").and_then(Value::as_float).unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, reason = "files hold it in 32 bits")]
    let factor = factor as f32;
    series.x_files_factor = factor;
    Ok(series)
}

/// Leaves carry the intervals that they cover, branches none.
pub(super) fn write_match(writer: &mut impl Writer, found: &FindMatch) {
    writer.begin_map(if found.is_leaf { 3 } else { 2 });
    writer.text("path");
    writer.text(&found.path);
    writer.text("is_leaf");
    writer.bool(found.is_leaf);
    if found.is_leaf {
        writer.text("intervals");
        writer.begin_list(found.intervals.len());
        for interval in &found.intervals {
            writer.begin_tuple(2);
            writer.int(interval.from);
            writer.int(interval.until);
            writer.end_tuple();
        }
        writer.end_list();
    }
    writer.end_map();
}

pub(super) fn read_matches(reply: &Value<'_>) -> Result<Vec<FindMatch>, ReplyError> {
    entries(reply)?.iter().enumerate().map(|(at, entry)| one_match(entry, at)).collect()
}

/// Old peers say `metric_path` and `isLeaf`, newer ones `path` and `is_leaf`.
fn one_match(entry: &Value<'_>, at: usize) -> Result<FindMatch, ReplyError> {
    let missing = |key| ReplyError::BadEntry { at, key };
    let path = entry.get("path").or_else(|| entry.get("metric_path")).and_then(Value::as_str);
    let is_leaf = entry.get("is_leaf").or_else(|| entry.get("isLeaf")).and_then(Value::as_bool);
    let interval = |pair: &Value<'_>| match pair.as_list()? {
        [from, until] => Some(Window::new(from.as_int()?, until.as_int()?)),
        _ => None,
    };
    let intervals = entry.get("intervals").and_then(Value::as_list).unwrap_or_default();
    let intervals: Option<_> = intervals.iter().map(interval).collect();
    Ok(FindMatch {
        path: path.ok_or_else(|| missing("path"))?.to_owned(),
        is_leaf: is_leaf.ok_or_else(|| missing("is_leaf"))?,
        intervals: intervals.ok_or_else(|| missing("intervals"))?,
    })
}

fn entries<'v, 'a>(reply: &'v Value<'a>) -> Result<&'v [Value<'a>], ReplyError> {
    reply.as_list().ok_or(ReplyError::BadEntry { at: 0, key: "list" })
}
