//! JSON as Python's `json.dumps` prints it, and the list of series that Grafana reads.

use std::io;

use metric::tags::NAME_KEY;
use query::Series;
use serde::Serialize;
use serde_json::json;
use serde_json::ser::{Formatter, Serializer};
use wire::number::{push_integer, push_python_repr};

use super::SeriesWriter;

/// Blanks after commas and colons, and nothing but ASCII.
struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() {
            return out.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(out, "{character}")?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// Appends a value.
pub(crate) fn push(out: &mut Vec<u8>, value: &impl Serialize) {
    let mut serializer = Serializer::with_formatter(out, Python);
    value.serialize(&mut serializer).expect("texts, numbers and lists in memory always print");
}

/// A value as text.
pub(crate) fn text(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value);
    out
}

/// Appends a number; null for what JSON has no number for. Go reads none that is too large, so that
/// Grafana would lose the whole panel over graphite-web's `1e9999`.
pub(super) fn push_number(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        push_python_repr(out, value);
    } else {
        out.extend_from_slice(b"null");
    }
}

fn push_seconds(out: &mut Vec<u8>, seconds: i64) {
    if seconds < 0 {
        out.push(b'-');
    }
    push_integer(out, seconds.unsigned_abs());
}

/// `[{"target": …, "tags": …, "datapoints": [[value, seconds], …]}, …]`.
pub(super) struct JsonWriter {
    no_null_points: bool,
    meta: Option<String>,
    written: usize,
}

impl JsonWriter {
    pub(super) fn new(no_null_points: bool, meta: Option<String>) -> Self {
        Self { no_null_points, meta, written: 0 }
    }
}

impl SeriesWriter for JsonWriter {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(meta) = &self.meta {
            out.extend_from_slice(b"{\"version\": \"v0.1\", \"meta\": ");
            out.extend_from_slice(meta.as_bytes());
            out.extend_from_slice(b", \"series\": ");
        }
        out.push(b'[');
    }

    fn series(&mut self, series: &Series, out: &mut Vec<u8>) {
        let points = series.points();
        if self.no_null_points && points.iter().all(|value| value.is_nan()) {
            return;
        }
        if self.written > 0 {
            out.extend_from_slice(b", ");
        }
        self.written += 1;
        out.extend_from_slice(b"{\"target\": ");
        push(out, &series.name);
        out.extend_from_slice(b", \"tags\": ");
        push(out, &Ordered(series));
        out.extend_from_slice(b", \"datapoints\": [");
        let mut is_first = true;
        for (value, seconds) in points.iter().zip(series.times()) {
            if self.no_null_points && value.is_nan() {
                continue;
            }
            out.extend_from_slice(if is_first { b"[" } else { b", [" });
            is_first = false;
            push_number(out, *value);
            out.extend_from_slice(b", ");
            push_seconds(out, seconds);
            out.push(b']');
        }
        out.push(b']');
        if self.meta.is_some() {
            out.extend_from_slice(b", \"meta\": ");
            push(out, &series_meta(series));
        }
        out.push(b'}');
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.meta.is_some() { b"]}" } else { b"]" });
    }
}

/// Tags as graphite-web orders them: those that stand in the name, the name, and then what functions
/// added.
struct Ordered<'a>(&'a Series);

impl Serialize for Ordered<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = |(key, value): &(&String, &String)| match key.as_str() {
            NAME_KEY => 1,
            key if self.0.name.contains(&format!(";{key}={value}")) => 0,
            _ => 2,
        };
        let mut tags: Vec<_> = self.0.tags.iter().collect();
        tags.sort_by_key(place);
        serializer.collect_map(tags)
    }
}

/// What is known of one series, under the keys that Grafana reads; older versions of it read the
/// second spelling of two of them.
fn series_meta(series: &Series) -> serde_json::Value {
    let merged = if series.values_per_point > 1 { series.values_per_point } else { 0 };
    let consolidator = if merged > 0 { series.consolidation.as_str() } else { "None" };
    json!([{
        "archive-interval": series.step,
        "aggnum-rc": merged,
        "consolidator-rc": consolidator,
        "consolidate-rc": consolidator,
        "count": 1,
    }])
}
