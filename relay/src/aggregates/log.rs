//! What the aggregates were given, on disk, so that a restart rebuilds their open windows. The
//! bytes: docs/formats/window-log.md.
//!
//! It is a log of its own beside the relay's: that one holds lines that some node still needs,
//! this one points that some window still needs, and the two never go at the same time.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Context, Counter, Gauge, StartError};
use metric::Point;
use parking_lot::Mutex;
use segments::{
    Kind, LogConfig, LogCounters, Position, RealDisk, Record, Replay, SegmentLog, Surroundings,
};

use super::Contribution;

const KIND: Kind = Kind {
    name: "window log",
    magic: *b"PLUMWNDW",
    suffix: ".windows",
    thread: "window-log",
    sync_thread: "window-log-sync",
};

/// The only kind of record so far.
const POINTS: u8 = 1;

/// A longer batch is cut.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// Small, because a segment goes only as a whole.
const SEGMENT_BYTES: u64 = 16 << 20;

/// The number of the first segment of a new log.
const FIRST_SEGMENT: u64 = 1;

/// How often it is noted how far the log has come.
const MARK_INTERVAL_S: i64 = 10;

/// Points of one batch for one aggregate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    /// Which aggregate.
    pub(super) key: u64,
    /// When they came, in seconds since 1970.
    pub(super) received: i64,
    pub(super) points: &'a [&'a Contribution],
}

impl Given<'_> {
    fn bytes(&self) -> usize {
        self.points.iter().map(|point| ENTRY_BYTES + point.output.len()).sum()
    }
}

/// What an entry has besides its name: time, value and the name's length.
const ENTRY_BYTES: usize = 4 + 8 + 2;

impl Record for Given<'_> {
    fn kind(&self) -> u8 {
        POINTS
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.key.to_le_bytes());
        into.extend_from_slice(&self.received.to_le_bytes());
        for Contribution { output, point, .. } in self.points {
            // A point that was counted has a time of 32 bits, and names end at 16 KiB.
            let time = u32::try_from(point.timestamp).unwrap_or_default();
            let length = u16::try_from(output.len()).unwrap_or_default();
            into.extend_from_slice(&time.to_le_bytes());
            into.extend_from_slice(&point.value.to_le_bytes());
            into.extend_from_slice(&length.to_le_bytes());
            into.extend_from_slice(&output.as_bytes()[..usize::from(length)]);
        }
    }

    fn items(&self) -> u64 {
        self.points.len() as u64
    }

    fn in_pieces(self, each: &mut dyn FnMut(Self)) {
        if self.bytes() <= PIECE_BYTES_MAX || self.points.len() < 2 {
            return each(self);
        }
        let (first, second) = self.points.split_at(self.points.len() / 2);
        Self { points: first, ..self }.in_pieces(each);
        Self { points: second, ..self }.in_pieces(each);
    }
}

/// A record as it is read back.
#[derive(Debug, PartialEq)]
pub(super) struct Found<'a> {
    pub(super) key: u64,
    pub(super) received: i64,
    pub(super) points: Vec<(&'a str, Point)>,
}

/// The records of a frame; what makes no sense, or is of a newer program, is left out.
fn found_in(body: &[u8]) -> impl Iterator<Item = Found<'_>> {
    segments::records(body).filter_map(|record| {
        let (kind, fields) = record.ok()?;
        (kind == POINTS).then(|| decode(fields)).flatten()
    })
}

fn decode(fields: &[u8]) -> Option<Found<'_>> {
    let (key, rest) = fields.split_first_chunk()?;
    let (received, mut rest) = rest.split_first_chunk()?;
    let mut points = Vec::new();
    while !rest.is_empty() {
        let (time, after) = rest.split_first_chunk()?;
        let (value, after) = after.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (name, after) = after.split_at_checked(length)?;
        let time = i64::from(u32::from_le_bytes(*time));
        let point = Point::new(time, f64::from_le_bytes(*value));
        points.push((str::from_utf8(name).ok()?, point));
        rest = after;
    }
    let (key, received) = (u64::from_le_bytes(*key), i64::from_le_bytes(*received));
    Some(Found { key, received, points })
}

/// The log.
#[derive(Debug)]
pub(crate) struct WindowLog {
    segments: SegmentLog,
    replay: Mutex<Option<Replay>>,
    bytes_max: u64,
    /// When the log had come to which place, oldest first.
    marks: Mutex<VecDeque<(i64, Position)>>,
    bytes: Gauge,
    replayed: Counter,
    skipped: Counter,
}

impl WindowLog {
    /// Opens the log in its folder.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub(crate) fn open(
        folder: &Path,
        bytes_max: u64,
        context: &Context,
    ) -> Result<Self, StartError> {
        let counter = |what: &str| {
            context.metrics.counter(&format!("plumbago_relay_window_log_{what}_total"))
        };
        let counters = LogCounters {
            write_errors: counter("write_errors"),
            sync_errors: counter("sync_errors"),
            frames_damaged: counter("frames_damaged"),
            torn_bytes: counter("torn_bytes"),
            ..LogCounters::default()
        };
        let clock = Arc::clone(&context.clock);
        let with = Surroundings { disk: Arc::new(RealDisk), clock, counters };
        let config = LogConfig { segment_bytes: SEGMENT_BYTES, ..LogConfig::default() };
        let (segments, replay) =
            SegmentLog::open(folder, &KIND, config, with).map_err(StartError::other)?;
        Ok(Self {
            segments,
            replay: Mutex::new(Some(replay)),
            bytes_max,
            marks: Mutex::default(),
            bytes: context.metrics.gauge("plumbago_relay_window_log_bytes"),
            replayed: counter("points_replayed"),
            skipped: counter("points_skipped"),
        })
    }

    /// Hands out what former runs have left, in the order in which it came. Only the first call
    /// finds anything.
    pub(super) fn read_back(&self, mut found: impl FnMut(Found<'_>)) {
        let Some(mut replay) = self.replay.lock().take() else { return };
        let mut marks = self.marks.lock();
        while replay.step(&mut |at, body| {
            for record in found_in(body) {
                mark(&mut marks, record.received, at);
                self.replayed.add(record.points.len() as u64);
                found(record);
            }
        }) {}
    }

    /// Whether nothing was ever let go of: the oldest segment is the first.
    pub(super) fn is_whole(&self) -> bool {
        self.segments.segments().first().is_none_or(|oldest| oldest.number == FIRST_SEGMENT)
    }

    /// Keeps points. A disk that takes nothing does not stop the relay: they are left out, counted.
    pub(super) fn append(&self, given: Given<'_>) {
        if !self.segments.has_room() {
            return self.skipped.add(given.items());
        }
        let position = self.segments.append([given]);
        mark(&mut self.marks.lock(), given.received, position);
    }

    /// Lets go of what no window needs that is open at `now`, and of what is too much.
    pub(super) fn release(&self, now: i64, horizon: Duration) {
        let needed = now.saturating_sub(i64::try_from(horizon.as_secs()).unwrap_or(i64::MAX));
        let mut marks = self.marks.lock();
        // A mark's time is that of the first point behind the mark before it.
        while let Some((_, next)) = marks.get(1).filter(|(time, _)| *time < needed) {
            self.segments.release(*next);
            marks.pop_front();
        }
        drop(marks);
        let mut segments = self.segments.segments();
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        segments.reverse();
        while bytes > self.bytes_max
            && let Some(oldest) = segments.pop().filter(|oldest| !oldest.open)
        {
            self.segments.release(oldest.last);
            bytes -= oldest.bytes;
        }
        self.bytes.set(bytes as f64);
    }

    /// Writes what is left.
    pub(crate) fn close(&self) {
        if let Err(error) = self.segments.close() {
            tracing::warn!(%error, "points of open windows are not in their log");
        }
    }

    /// Returns once all that was kept so far survives the death of the process.
    pub(crate) async fn committed(&self) {
        if let Err(error) = self.segments.wait_written(self.segments.appended()).await {
            tracing::warn!(%error, "points of open windows may not be in their log");
        }
    }
}

/// Notes that the log has come to `position`, unless that was noted lately.
fn mark(marks: &mut VecDeque<(i64, Position)>, time: i64, position: Position) {
    let is_late = marks.back().is_none_or(|(last, _)| time >= last + MARK_INTERVAL_S);
    if is_late {
        marks.push_back((time, position));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(given: Given<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        given.in_pieces(&mut |piece| {
            let mut fields = Vec::new();
            piece.encode(&mut fields);
            body.push(POINTS);
            body.extend_from_slice(&(fields.len() as u32).to_le_bytes());
            body.extend_from_slice(&fields);
        });
        body
    }

    fn contribution(output: &str, time: u32, value: f64) -> Contribution {
        let point = Point::new(i64::from(time), value);
        Contribution { aggregate: 0, output: output.to_owned(), point }
    }

    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let point = contribution("a.b", 6, 1.0);
        let recorded = [
            1, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 128, 7, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 240, 63, 3, 0, b'a', b'.', b'b',
        ];
        let given = Given { key: (1 << 63) + 1, received: 7, points: &[&point] };
        assert_eq!(body(given), recorded);
    }

    #[test]
    fn a_long_batch_is_cut_into_records_that_fit() {
        let all: Vec<Contribution> =
            (0..40_000).map(|time| contribution("some.rather.long.name", time, 0.5)).collect();
        let points: Vec<&Contribution> = all.iter().collect();
        let body = body(Given { key: 1, received: 2, points: &points });
        let found: Vec<Found<'_>> = found_in(&body).collect();
        assert!(found.len() > 4);
        let times: Vec<i64> = found
            .iter()
            .flat_map(|record| record.points.iter().map(|(_, point)| point.timestamp))
            .collect();
        assert!(times.into_iter().eq(0..40_000));
    }

    proptest! {
        #[test]
        fn points_come_back(
            points in prop::collection::vec(("[a-z.]{0,30}", any::<u32>(), any::<f64>()), 0..20),
            key: u64,
            received: i64,
        ) {
            let all: Vec<Contribution> = points
                .iter()
                .map(|(name, time, value)| contribution(name, *time, *value))
                .collect();
            let points: Vec<&Contribution> = all.iter().collect();
            let body = body(Given { key, received, points: &points });
            let found: Vec<Found<'_>> = found_in(&body).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!((found[0].key, found[0].received), (key, received));
            for ((name, point), given) in found[0].points.iter().zip(&all) {
                prop_assert_eq!(*name, &given.output);
                prop_assert_eq!(point.timestamp, given.point.timestamp);
                prop_assert_eq!(point.value.to_bits(), given.point.value.to_bits());
            }
            prop_assert_eq!(found[0].points.len(), all.len());
        }

        #[test]
        fn any_bytes_are_read_without_harm(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let points: usize = found_in(&body).map(|record| record.points.len()).sum();
            prop_assert!(points <= body.len());
        }
    }
}
