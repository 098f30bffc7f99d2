//! What a request may hold: one row for each kind of payload and for each way of packing it.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use wire::framing::LineFramer;
use wire::line::Rules;
use wire::measurements::Measurements;
use wire::pickle::Document;
use wire::{carbonpb, remote_write};

use super::collect::Collected;
use super::refusal::Refusal;
use crate::point::{Point, Sink};
use crate::source::Source;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    Json,
    Lines,
    Pickle,
    Protobuf,
    RemoteWrite,
}

/// What a path takes: by the type that a request names, or one payload only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) path: &'static str,
    types: &'static [(&'static str, Payload)],
}

/// Every path that takes points. The first type of each row also stands for a request that names
/// none, and for what curl says when it is told nothing.
pub(super) const PATHS: &[Path] = &[
    Path {
        path: "/",
        types: &[
            ("text/plain", Payload::Lines),
            ("application/json", Payload::Json),
            ("application/python-pickle", Payload::Pickle),
            ("application/pickle", Payload::Pickle),
            ("application/protobuf", Payload::Protobuf),
            ("application/x-protobuf", Payload::Protobuf),
        ],
    },
    Path { path: "/v1/measurements", types: &[("application/json", Payload::Json)] },
    Path { path: "/api/v1/write", types: &[("application/x-protobuf", Payload::RemoteWrite)] },
];

/// What curl names where nobody told it a type.
const UNTOLD_TYPE: &str = "application/x-www-form-urlencoded";

/// The second version of remote write has another message under the same type.
const REMOTE_WRITE_PROTO: &str = "prometheus.WriteRequest";

impl Path {
    /// The payload of a request to this path.
    pub(super) fn payload(&self, headers: &HeaderMap) -> Result<Payload, Refusal> {
        let named = headers.get(CONTENT_TYPE).map_or(Ok(""), |value| value.to_str());
        let named = named.unwrap_or("\u{fffd}");
        let (kind, parameters) = named.split_once(';').unwrap_or((named, ""));
        let kind = kind.trim().to_ascii_lowercase();
        let (first, payload) = self.types[0];
        let found = match &*kind {
            "" | UNTOLD_TYPE => Some(payload),
            _ => self.types.iter().find(|(name, _)| *name == kind).map(|(_, payload)| *payload),
        };
        let proto = parameters.split(';').find_map(|pair| pair.trim().strip_prefix("proto="));
        let is_other_proto =
            proto.is_some_and(|proto| proto.trim_matches('"') != REMOTE_WRITE_PROTO);
        match found {
            Some(Payload::RemoteWrite) if is_other_proto => {
                Err(Refusal::Type(format!("{first};proto={REMOTE_WRITE_PROTO}")))
            }
            Some(payload) => Ok(payload),
            None => {
                let names: Vec<&str> = self.types.iter().map(|(name, _)| *name).collect();
                Err(Refusal::Type(names.join(", ")))
            }
        }
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
    /// One block, as remote write has it, not the framed kind.
    Snappy,
}

/// Every packing, as Content-Encoding names it.
const PACKINGS: &[(&str, Packing)] = &[
    ("identity", Packing::Plain),
    ("gzip", Packing::Gzip),
    ("x-gzip", Packing::Gzip),
    ("zstd", Packing::Zstd),
    ("snappy", Packing::Snappy),
];

impl Packing {
    /// The packing of a request.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(named) = headers.get(CONTENT_ENCODING) else { return Ok(Self::Plain) };
        let named = named.as_bytes();
        let found = PACKINGS.iter().find(|(name, _)| named.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, packing)| *packing).ok_or(Refusal::Encoding)
    }
}

/// Reads a whole body into points and refusals.
pub(super) fn read<'b, S: Sink>(
    payload: Payload,
    body: &'b [u8],
    source: &Source<S>,
    rules: &Rules,
    collected: &mut Collected<'b>,
) -> Result<(), Refusal> {
    let malformed = |error: &dyn std::fmt::Display| Refusal::Malformed(error.to_string());
    match payload {
        Payload::Lines => lines(body, source, rules, collected),
        Payload::Json => Measurements::read(body)
            .map_err(|error| malformed(&error))?
            .points(rules)
            .try_for_each(|point| collected.add(point.and_then(|raw| source.named_point(raw)))),
        Payload::RemoteWrite => remote_write::points(body, rules)
            .try_for_each(|point| collected.add(point.and_then(|raw| source.named_point(raw)))),
        Payload::Protobuf => carbonpb::points(body, rules)
            .try_for_each(|point| collected.add(point.and_then(|raw| source.point(&raw)))),
        Payload::Pickle => {
            let document = Document::decode(body).map_err(|error| malformed(&error))?;
            // Its texts live as long as the document.
            let owned = |raw| source.point(&raw).map(Point::into_owned);
            document.points(rules).try_for_each(|point| collected.add(point.and_then(owned)))
        }
    }
}

fn lines<'b, S: Sink>(
    body: &'b [u8],
    source: &Source<S>,
    rules: &Rules,
    collected: &mut Collected<'b>,
) -> Result<(), Refusal> {
    let mut framer = LineFramer::new(collected.limits.line_bytes_max);
    let mut lines = framer.lines(body);
    for line in lines.by_ref() {
        collected.add_line(line, source, rules)?;
    }
    let consumed = lines.consumed();
    match framer.last_line(&body[consumed..]) {
        Some(last) => collected.add_line(Ok(last), source, rules),
        None => Ok(()),
    }
}
