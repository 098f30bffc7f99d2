//! When each series was active, by id.

use std::sync::atomic::{AtomicU32, Ordering};

use super::tree::NONE;
use crate::series::{Column, SeriesId};

/// First and last hour of one series; a last hour of 0 means that neither is known.
#[derive(Debug)]
struct Span {
    first: AtomicU32,
    last: AtomicU32,
}

impl Span {
    fn unknown() -> Self {
        Self { first: AtomicU32::new(NONE), last: AtomicU32::new(0) }
    }
}

/// The hours of all series.
#[derive(Debug, Default)]
pub(super) struct Hours {
    spans: Column<Span, 4096>,
}

impl Hours {
    /// First and last hour, if known.
    pub(super) fn of(&self, id: SeriesId) -> Option<(u32, u32)> {
        let span = self.spans.get(id.0 as usize)?;
        let last = span.last.load(Ordering::Relaxed);
        (last != 0).then(|| (span.first.load(Ordering::Relaxed), last))
    }

    /// Makes room for all ids below `id_end`.
    pub(super) fn reach(&mut self, id_end: u32) {
        if let Some(last) = id_end.checked_sub(1) {
            self.spans.reach(last as usize, Span::unknown);
        }
    }

    /// Begins anew: nothing is known, or this hour.
    pub(super) fn begin(&mut self, id: SeriesId, hour: Option<u32>) {
        self.reach(id.0.saturating_add(1));
        if let Some(span) = self.spans.get_mut(id.0 as usize) {
            *span = Span::unknown();
            if let Some(hour) = hour {
                (span.first, span.last) = (AtomicU32::new(hour), AtomicU32::new(hour));
            }
        }
    }

    /// Adds an hour; says whether it is the latest so far.
    pub(super) fn touch(&self, id: SeriesId, hour: u32) -> bool {
        let Some(span) = self.spans.get(id.0 as usize) else { return false };
        if span.first.load(Ordering::Relaxed) > hour {
            span.first.fetch_min(hour, Ordering::Relaxed);
        }
        span.last.load(Ordering::Relaxed) < hour
            && span.last.fetch_max(hour, Ordering::Relaxed) < hour
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.spans.memory_bytes()
    }
}
