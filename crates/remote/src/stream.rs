//! Series of one endpoint, whole or handed on while they arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::IntoIter;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use metric::SeriesData;
use wire::pb_v3::{Folded, Hole, Meta};
use wire::reply::RenderDecoder;

use crate::deadline::{Deadline, in_time};
use crate::endpoint::Endpoint;
use crate::error::{RemoteError, RemoteErrorKind as Kind, causes};

/// Of what times points may be missing: `from-until`, in seconds since 1970, the end not included.
const HOLES_HEADER: HeaderName = HeaderName::from_static("x-plumbago-holes");

/// Says that series come in the order of the targets, and of their names for each.
const ORDER_HEADER: HeaderName = HeaderName::from_static("x-plumbago-order");

/// Series as one endpoint holds them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchReply {
    /// The series, in the order sent.
    pub series: Vec<SeriesData>,
    /// How complete the reply is, if the other side says so.
    pub meta: Option<Meta>,
    /// What a fold came to, if one was asked for and the other side can fold.
    pub folded: Option<Folded>,
}

/// Bytes of replies, counted while they arrive.
pub type Received = Arc<AtomicU64>;

/// A reply of which only what has just come is held.
#[derive(Debug)]
pub struct FetchStream {
    endpoint: Endpoint,
    holes: Vec<Hole>,
    is_ordered: bool,
    /// What has come.
    series: IntoIter<SeriesData>,
    /// What is to come; none once all is there.
    rest: Option<Rest>,
    meta: Option<Meta>,
}

#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) body: Incoming,
    pub(crate) decoder: RenderDecoder,
    pub(crate) deadline: Deadline,
    pub(crate) received: Received,
}

impl FetchStream {
    pub(crate) fn new(
        endpoint: Endpoint,
        head: &HeaderMap,
        come: FetchReply,
        rest: Option<Rest>,
    ) -> Self {
        let holes = head.get(HOLES_HEADER).and_then(|text| text.to_str().ok());
        let is_ordered = head.get(ORDER_HEADER).is_some_and(|order| order == "name");
        Self {
            endpoint,
            holes: holes.map(holes_of).unwrap_or_default(),
            is_ordered,
            series: come.series.into_iter(),
            rest,
            meta: come.meta,
        }
    }

    /// When the other side may have missed points.
    #[must_use]
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Whether series come in the order of the targets, and of the bytes of their names for each.
    #[must_use]
    pub const fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    /// How complete the reply is, if the other side says so; it does at the end.
    #[must_use]
    pub const fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// The next series, if it is there already.
    pub fn come(&mut self) -> Option<SeriesData> {
        self.series.next()
    }

    /// The next series; none at the end.
    ///
    /// # Errors
    /// When the reply breaks off, is not readable, is too large or late.
    pub async fn next(&mut self) -> Result<Option<SeriesData>, RemoteError> {
        loop {
            if let Some(series) = self.come() {
                return Ok(Some(series));
            }
            if self.rest.is_none() {
                return Ok(None);
            }
            let more = self.more().await;
            more.map_err(|kind| RemoteError { endpoint: self.endpoint.clone(), kind })?;
        }
    }

    /// Takes in the next bytes, or the end.
    async fn more(&mut self) -> Result<(), Kind> {
        let Some(rest) = &mut self.rest else { return Ok(()) };
        if let Some(bytes) = in_time(&rest.deadline, next_bytes(&mut rest.body)).await? {
            rest.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            rest.decoder.push(&bytes)?;
            self.series = shown(rest.decoder.take_series(), &rest.deadline).into_iter();
            return Ok(());
        }
        let Some(rest) = self.rest.take() else { return Ok(()) };
        let last = rest.decoder.finish()?;
        self.series = shown(last.series, &rest.deadline).into_iter();
        self.meta = last.meta;
        Ok(())
    }
}

/// What may be shown to who asks: peers do not know of the header that says so.
pub(crate) fn shown(mut series: Vec<SeriesData>, deadline: &Deadline) -> Vec<SeriesData> {
    series.retain(|series| deadline.waiting().within.holds(&series.name));
    series
}

async fn next_bytes(body: &mut Incoming) -> Result<Option<Bytes>, Kind> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Kind::Broken(causes(&error)))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// What cannot be read is left out: the header is an addition.
fn holes_of(text: &str) -> Vec<Hole> {
    let hole = |text: &str| {
        let (from, until) = text.trim().split_once('-')?;
        Some(Hole { from_s: from.parse().ok()?, until_s: until.parse().ok()? })
    };
    text.split(',').filter_map(hole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_read_as_nodes_write_them() {
        let hole = |from_s, until_s| Hole { from_s, until_s };
        assert_eq!(holes_of("60-120,300-360"), [hole(60, 120), hole(300, 360)]);
        assert_eq!(holes_of("x, 60-120,-5"), [hole(60, 120)]);
    }
}
