//! What a request turned out to hold: points, and what was rejected with the reason.

use wire::RefusalReason;
use wire::line::Rules;

use super::refusal::Refusal;
use crate::point::{Point, Sink};
use crate::refusals::Refusals;
use crate::source::Source;

/// How many rejected items an answer names; the rest is only counted.
const NAMED_MAX: usize = 100;

/// What one request may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct CollectLimits {
    pub(super) points_max: usize,
    /// Memory for the points, with the names that were built for them.
    pub(super) bytes_max: usize,
    pub(super) line_bytes_max: usize,
}

/// One rejected item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RejectedItem {
    /// Its place in the request, from zero.
    pub(super) item: usize,
    pub(super) reason: RefusalReason,
    /// The start of it, where it has a text of its own.
    text: Vec<u8>,
}

/// What has been read of one request.
#[derive(Debug)]
pub(super) struct Collected<'b> {
    pub(super) limits: CollectLimits,
    pub(super) points: Vec<Point<'b>>,
    /// Where each point stood in the request.
    items: Vec<usize>,
    pub(super) named: Vec<RejectedItem>,
    counts: [u64; RefusalReason::ALL.len()],
    next_item: usize,
    bytes: usize,
}

impl<'b> Collected<'b> {
    /// Nothing has been read yet.
    pub(super) fn new(limits: CollectLimits) -> Self {
        Self {
            limits,
            points: Vec::new(),
            items: Vec::new(),
            named: Vec::new(),
            counts: [0; RefusalReason::ALL.len()],
            next_item: 0,
            bytes: 0,
        }
    }

    /// Takes the next item up.
    pub(super) fn add(&mut self, item: Result<Point<'b>, RefusalReason>) -> Result<(), Refusal> {
        self.add_or(item, &[])
    }

    /// Takes a line up; a blank one is nothing.
    pub(super) fn add_line<S: Sink>(
        &mut self,
        line: Result<&'b [u8], RefusalReason>,
        source: &Source<S>,
        rules: &Rules,
    ) -> Result<(), Refusal> {
        let text = line.unwrap_or_default();
        match line.and_then(|text| source.line(text, None, rules)).transpose() {
            Some(item) => self.add_or(item, text),
            None => Ok(()),
        }
    }

    fn add_or(
        &mut self,
        item: Result<Point<'b>, RefusalReason>,
        text: &[u8],
    ) -> Result<(), Refusal> {
        if self.next_item >= self.limits.points_max {
            return Err(Refusal::TooManyPoints(self.limits.points_max));
        }
        match item {
            Ok(point) => {
                let built = if point.line.is_some() { 0 } else { point.name.len() };
                self.bytes += size_of::<Point<'_>>() + size_of::<usize>() + built;
                if self.bytes > self.limits.bytes_max {
                    return Err(Refusal::TooLong(self.limits.bytes_max));
                }
                self.points.push(point);
                self.items.push(self.next_item);
            }
            // What follows a broken frame cannot be told from noise, nor can what came before.
            Err(reason @ RefusalReason::BadFrame) => {
                return Err(Refusal::Malformed(reason.to_string()));
            }
            Err(reason) => self.reject(self.next_item, reason, text),
        }
        self.next_item += 1;
        Ok(())
    }

    fn reject(&mut self, item: usize, reason: RefusalReason, text: &[u8]) {
        self.counts[reason.index()] += 1;
        if self.named.len() < NAMED_MAX {
            let text = text[..text.len().min(crate::refusals::SAMPLE_BYTES_MAX)].to_vec();
            self.named.push(RejectedItem { item, reason, text });
        }
    }

    /// Rejects the points that `keep` does not want.
    pub(super) fn retain(
        &mut self,
        reason: RefusalReason,
        mut keep: impl FnMut(&Point<'_>) -> bool,
    ) {
        let points = std::mem::take(&mut self.points);
        let items = std::mem::take(&mut self.items);
        for (point, item) in points.into_iter().zip(items) {
            if keep(&point) {
                self.points.push(point);
                self.items.push(item);
            } else {
                self.reject(item, reason, point.name.as_bytes());
            }
        }
    }

    /// Points and rejected items together.
    pub(super) fn received(&self) -> u64 {
        self.next_item as u64
    }

    /// Rejected items.
    pub(super) fn rejected(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many were rejected for one reason.
    pub(super) fn rejected_for(&self, reason: RefusalReason) -> u64 {
        self.counts[reason.index()]
    }

    /// Bytes that this request holds in memory besides its body.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Counts what was read and rejected, now that the request is not refused as a whole.
    pub(super) fn count(&self, refusals: &Refusals, peer: &str) {
        refusals.received(self.received());
        let refused_ahead = self.rejected_for(RefusalReason::TooFarFuture);
        refusals.look_at_times(&self.points, refused_ahead);
        let mut unnamed = self.counts;
        for rejected in &self.named {
            unnamed[rejected.reason.index()] -= 1;
            refusals.refuse(rejected.reason, peer, &rejected.text);
        }
        for reason in RefusalReason::ALL {
            refusals.count(reason, unnamed[reason.index()]);
        }
    }
}
