//! What a render answers in: one row per format, and the body that is written while it is sent.

mod csv;
mod dygraph;
pub(crate) mod image;
pub(crate) mod json;
mod peers;
mod raw;
mod rickshaw;

use axum::body::Body;
use daemon::pieces::Source;
use jiff::tz::TimeZone;
use metric::Window;
use query::Series;

use crate::pieces::{self, Wrapping};

/// A format of `/render`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
    Raw,
    Pickle,
    Msgpack,
    V2,
    V3,
    Dygraph,
    Rickshaw,
}

/// Everything that is known of a format.
struct Row {
    format: Format,
    names: &'static [&'static str],
    content_type: &'static str,
    /// About what one point takes; refuses replies over the limit before they are begun.
    point_bytes: u64,
    /// Whether the name stands in every point's line.
    name_per_point: bool,
}

const fn row(
    format: Format,
    names: &'static [&'static str],
    content_type: &'static str,
    point_bytes: u64,
) -> Row {
    Row { format, names, content_type, point_bytes, name_per_point: matches!(format, Format::Csv) }
}

const FORMATS: &[Row] = &[
    row(Format::Json, &["json"], "application/json", 28),
    row(Format::Csv, &["csv"], "text/csv", 40),
    row(Format::Raw, &["raw"], "text/plain; charset=utf-8", 16),
    row(Format::Pickle, &["pickle"], "application/pickle", 9),
    row(Format::Msgpack, &["msgpack"], "application/x-msgpack", 9),
    row(Format::V2, &["protobuf", "protobuf3", "carbonapi_v2_pb"], "application/x-protobuf", 9),
    row(Format::V3, &["carbonapi_v3_pb"], "application/x-carbonapi-v3-pb", 9),
    row(Format::Dygraph, &["dygraph"], "application/json", 20),
    row(Format::Rickshaw, &["rickshaw"], "application/json", 36),
];

impl Format {
    /// The format that a `format=` parameter names.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        FORMATS.iter().find(|row| row.names.contains(&name)).map(|row| row.format)
    }

    /// The first name of every format.
    pub(crate) fn names() -> String {
        FORMATS.iter().map(|row| row.names[0]).collect::<Vec<_>>().join(", ")
    }

    /// The content type of a body.
    pub(crate) fn content_type(self) -> &'static str {
        self.row().content_type
    }

    /// About how many bytes these series will take.
    pub(crate) fn bytes_estimated(self, series: &[Series]) -> u64 {
        let row = self.row();
        let size = |s: &Series| {
            let points = (s.values.len() / s.values_per_point.max(1)) as u64;
            let name = s.name.len() as u64;
            let names = if row.name_per_point { name.saturating_mul(points) } else { name };
            points.saturating_mul(row.point_bytes).saturating_add(names)
        };
        series.iter().map(size).fold(0, u64::saturating_add)
    }

    /// Whether `jsonp` and `pretty` mean something to it.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Dygraph | Self::Rickshaw)
    }

    fn row(self) -> &'static Row {
        FORMATS.iter().find(|row| row.format == self).expect("every format has its row")
    }
}

/// How an answer is to be written.
#[derive(Debug)]
pub(crate) struct Options {
    /// The window asked for.
    pub(crate) window: Window,
    /// Zone of the times in csv.
    pub(crate) zone: TimeZone,
    /// Leaves nulls out, and series of nothing but nulls.
    pub(crate) no_null_points: bool,
    /// What is put round it, if it is JSON.
    pub(crate) wrapping: Wrapping,
    /// What is known of the request, as JSON; wraps the series.
    pub(crate) meta: Option<String>,
}

/// Writes the series of an answer one after the other.
trait SeriesWriter: Send {
    /// What stands before the first series.
    fn begin(&mut self, out: &mut Vec<u8>);
    /// One series.
    fn series(&mut self, series: &Series, out: &mut Vec<u8>);
    /// What stands after the last.
    fn end(&mut self, out: &mut Vec<u8>);
}

/// The body of an answer.
pub(crate) fn body(format: Format, series: Vec<Series>, options: Options) -> Body {
    let Options { window, zone, no_null_points, wrapping, meta } = options;
    let count = series.len();
    let peers = |format| peers::writer(format, window, count);
    let writer: Box<dyn SeriesWriter> = match format {
        Format::Json => Box::new(json::JsonWriter::new(no_null_points, meta)),
        Format::Csv => Box::new(csv::CsvWriter::new(zone)),
        Format::Raw => Box::new(raw::RawWriter),
        Format::Rickshaw => Box::new(rickshaw::RickshawWriter::default()),
        Format::Dygraph => Box::new(dygraph::DygraphWriter::default()),
        Format::Pickle => peers(wire::reply::Format::Pickle),
        Format::Msgpack => peers(wire::reply::Format::Msgpack),
        Format::V2 => peers(wire::reply::Format::V2),
        Format::V3 => peers(wire::reply::Format::V3),
    };
    let wrapping = if format.is_json() { wrapping } else { Wrapping::default() };
    pieces::body(List { series: series.into_iter(), writer, begun: false }, wrapping)
}

/// The series that are still to be written.
struct List {
    series: std::vec::IntoIter<Series>,
    writer: Box<dyn SeriesWriter>,
    begun: bool,
}

impl Source for List {
    fn write_more(&mut self, out: &mut Vec<u8>) -> bool {
        if !std::mem::replace(&mut self.begun, true) {
            self.writer.begin(out);
        }
        match self.series.next() {
            Some(series) => {
                self.writer.series(&series, out);
                true
            }
            None => {
                self.writer.end(out);
                false
            }
        }
    }
}
