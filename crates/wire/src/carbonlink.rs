//! Carbonlink: graphite-web's questions about points that are not in a file yet.
//!
//! Requests and replies are pickled dicts in length-prefixed frames (see [`crate::framing`]).

use crate::RefusalReason;
use crate::framing::write_frame;
use crate::pickle::{Document, PickleError, Pickler};
use crate::tree::{Value, Writer as _};
use metric::Point;
use thiserror::Error;

/// Largest request accepted, prefix not counted.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// The first bytes of a reply with one series' points, as carbon's own picklers build it.
const DATAPOINTS: &[u8] = b"\x80\x02}U\ndatapoints]";

/// One request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// The unwritten points of one series.
    CacheQuery {
        /// Name of the series.
        metric: String,
    },
    /// The unwritten points of several series.
    CacheQueryBulk {
        /// Names of the series.
        metrics: Vec<String>,
    },
    /// One value of a file's header.
    GetMetadata {
        /// Name of the series.
        metric: String,
        /// Which value, as in `aggregationMethod`.
        key: String,
    },
    /// A new value for a file's header.
    SetMetadata {
        /// Name of the series.
        metric: String,
        /// Which value.
        key: String,
        /// The new value, as text.
        value: String,
    },
}

/// Why a request or reply was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CarbonlinkError {
    /// The frame is not a pickle of plain data.
    #[error("carbonlink frame: {0}")]
    Pickle(#[from] PickleError),
    /// A key is missing, or its value is not of the expected kind.
    #[error("carbonlink key {key:?} is missing or malformed")]
    BadKey {
        /// The key.
        key: &'static str,
    },
    /// A request type nobody defined.
    #[error("carbonlink request type {name:?} is unknown")]
    UnknownType {
        /// The type as sent.
        name: String,
    },
}

/// Decodes the body of one request frame.
///
/// # Errors
/// What [`write_error`] should tell the client before the connection is closed.
pub fn parse_request(frame: &[u8]) -> Result<Request, CarbonlinkError> {
    let document = Document::decode(frame)?;
    let request = document.to_value()?;
    let text = |key| text_at(&request, key);
    Ok(match text("type")?.as_str() {
        "cache-query" => Request::CacheQuery { metric: text("metric")? },
        "cache-query-bulk" => {
            let bad_key = CarbonlinkError::BadKey { key: "metrics" };
            let names = request.get("metrics").and_then(Value::as_list);
            let names = names.ok_or(bad_key.clone())?.iter();
            let names = names.map(|name| name.as_str().map(str::to_owned));
            Request::CacheQueryBulk { metrics: names.collect::<Option<_>>().ok_or(bad_key)? }
        }
        "get-metadata" => Request::GetMetadata { metric: text("metric")?, key: text("key")? },
        "set-metadata" => Request::SetMetadata {
            metric: text("metric")?,
            key: text("key")?,
            value: text("value")?,
        },
        name => return Err(CarbonlinkError::UnknownType { name: name.to_owned() }),
    })
}

fn text_at(request: &Value<'_>, key: &'static str) -> Result<String, CarbonlinkError> {
    let text = request.get(key).and_then(Value::as_str);
    text.map(str::to_owned).ok_or(CarbonlinkError::BadKey { key })
}

/// Appends the framed reply to a `cache-query`: `{"datapoints": [(timestamp, value), ...]}`.
///
/// # Errors
/// [`RefusalReason::FrameTooLong`], with `out` as it was.
pub fn write_datapoints(out: &mut Vec<u8>, points: &[Point]) -> Result<(), RefusalReason> {
    write_frame(out, |out| {
        out.extend_from_slice(DATAPOINTS);
        match points {
            [] => {}
            [only] => {
                write_point(out, *only);
                out.push(b'a');
            }
            many => {
                out.push(b'(');
                many.iter().for_each(|&point| write_point(out, point));
                out.push(b'e');
            }
        }
        out.extend_from_slice(b"s.");
    })
}

/// `(timestamp, value)` as two numbers and TUPLE2.
fn write_point(out: &mut Vec<u8>, point: Point) {
    let mut pickler = Pickler::resume(out);
    pickler.int(point.timestamp);
    pickler.float(point.value);
    out.push(0x86);
}

/// Appends the framed reply to a `cache-query-bulk`:
/// `{"datapointsByMetric": {name: [(timestamp, value), ...], ...}}`.
///
/// # Errors
/// [`RefusalReason::FrameTooLong`], with `out` as it was.
pub fn write_datapoints_by_metric(
    out: &mut Vec<u8>,
    series: &[(&str, Vec<Point>)],
) -> Result<(), RefusalReason> {
    write_dict(out, "datapointsByMetric", |pickler| {
        pickler.begin_map(series.len());
        for (name, points) in series {
            pickler.text(name);
            pickler.begin_list(points.len());
            for point in points {
                pickler.begin_tuple(2);
                pickler.int(point.timestamp);
                pickler.float(point.value);
                pickler.end_tuple();
            }
            pickler.end_list();
        }
        pickler.end_map();
    })
}

/// Appends the framed reply `{"error": message}`.
///
/// # Errors
/// [`RefusalReason::FrameTooLong`], with `out` as it was.
pub fn write_error(out: &mut Vec<u8>, message: &str) -> Result<(), RefusalReason> {
    write_dict(out, "error", |pickler| pickler.text(message))
}

/// Appends the framed reply to a `get-metadata`: `{"value": value}`.
///
/// # Errors
/// [`RefusalReason::FrameTooLong`], with `out` as it was.
pub fn write_metadata(out: &mut Vec<u8>, value: &Value<'_>) -> Result<(), RefusalReason> {
    write_dict(out, "value", |pickler| pickler.value(value))
}

fn write_dict(
    out: &mut Vec<u8>,
    key: &str,
    value: impl FnOnce(&mut Pickler<'_>),
) -> Result<(), RefusalReason> {
    write_frame(out, |out| {
        let mut pickler = Pickler::begin(out);
        pickler.begin_map(1);
        pickler.text(key);
        value(&mut pickler);
        pickler.end_map();
        pickler.finish();
    })
}

/// Decodes the body of a reply to a `cache-query`.
///
/// # Errors
/// When the reply is not one, or reports an error.
pub fn parse_datapoints(frame: &[u8]) -> Result<Vec<Point>, CarbonlinkError> {
    let bad_key = || CarbonlinkError::BadKey { key: "datapoints" };
    let document = Document::decode(frame)?;
    let reply = document.to_value()?;
    let points = reply.get("datapoints").and_then(Value::as_list).ok_or_else(bad_key)?;
    let point = |pair: &Value<'_>| match pair.as_list()? {
        [timestamp, value] => Some(Point::new(timestamp.as_int()?, value.as_float()?)),
        _ => None,
    };
    points.iter().map(|pair| point(pair).ok_or_else(bad_key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::FRAME_PREFIX_BYTES;
    use proptest::prelude::*;

    #[test]
    fn requests_are_read_whatever_the_protocol_and_key_order() {
        let metric = Request::CacheQuery { metric: "a.b".to_owned() };
        for frame in [
            &b"\x80\x02}(X\x04\x00\x00\x00typeX\x0b\x00\x00\x00cache-queryX\x06\x00\x00\x00metricX\x03\x00\x00\x00a.bu."[..],
            b"\x80\x02}q\x01(U\x06metricU\x03a.bU\x04typeU\x0bcache-queryu.",
            b"\x80\x04\x95\x25\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04type\x94\x8c\x0bcache-query\x94\x8c\x06metric\x94\x8c\x03a.b\x94u.",
        ] {
            assert_eq!(parse_request(frame), Ok(metric.clone()));
        }
        assert_eq!(
            parse_request(b"}(U\x04typeU\x10cache-query-bulkU\x07metrics](U\x01aU\x01beu."),
            Ok(Request::CacheQueryBulk { metrics: vec!["a".to_owned(), "b".to_owned()] })
        );
        assert_eq!(
            parse_request(b"}(U\x04typeU\x0cget-metadataU\x06metricU\x01aU\x03keyU\x01ku."),
            Ok(Request::GetMetadata { metric: "a".to_owned(), key: "k".to_owned() })
        );
    }

    #[test]
    fn requests_that_make_no_sense_name_the_fault() {
        assert_eq!(
            parse_request(b"}U\x04typeU\x03ohos."),
            Err(CarbonlinkError::UnknownType { name: "oho".to_owned() })
        );
        assert_eq!(
            parse_request(b"}U\x04typeU\x0bcache-querys."),
            Err(CarbonlinkError::BadKey { key: "metric" })
        );
        assert!(matches!(parse_request(b"cos\nsystem\n."), Err(CarbonlinkError::Pickle(_))));
    }

    #[test]
    fn replies_are_the_bytes_that_carbon_sends() {
        let mut out = Vec::new();
        write_datapoints(&mut out, &[]).unwrap();
        assert_eq!(out, b"\x00\x00\x00\x12\x80\x02}U\ndatapoints]s.");
        out.clear();
        write_datapoints(&mut out, &[Point::new(60, 1.0)]).unwrap();
        let body = b"\x80\x02}U\ndatapoints]J<\x00\x00\x00G?\xf0\x00\x00\x00\x00\x00\x00\x86as.";
        assert_eq!(out[FRAME_PREFIX_BYTES..], body[..]);
    }

    #[test]
    fn bulk_replies_hold_each_series_under_its_name() {
        let mut out = Vec::new();
        write_datapoints_by_metric(&mut out, &[("a", vec![Point::new(1, 2.0)]), ("b", vec![])])
            .unwrap();
        let document = Document::decode(&out[FRAME_PREFIX_BYTES..]).unwrap();
        let reply = document.to_value().unwrap();
        let by_metric = reply.get("datapointsByMetric").unwrap();
        assert_eq!(by_metric.get("a").unwrap().as_list().unwrap().len(), 1);
        assert_eq!(by_metric.get("b"), Some(&Value::List(vec![])));
    }

    proptest! {
        #[test]
        fn points_make_the_round_trip(
            points in prop::collection::vec((0..=u32::MAX, -1e300..1e300), 0..5),
        ) {
            let points: Vec<_> = points.iter().map(|&(t, v)| Point::new(t.into(), v)).collect();
            let mut out = Vec::new();
            write_datapoints(&mut out, &points).unwrap();
            prop_assert_eq!(parse_datapoints(&out[FRAME_PREFIX_BYTES..]), Ok(points));
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(parse_request(&bytes).is_err() || bytes.len() > 20);
        }
    }
}
