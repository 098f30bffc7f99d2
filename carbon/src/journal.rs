//! What was accepted and is not in its files yet, on disk: nothing that was promised is lost with the memory.
//!
//! Any thread hands in batches of [`Record`]s; they are encoded at once into a common buffer. One thread writes what all
//! have gathered every few milliseconds, another one syncs it every `sync_interval`. A batch gets a [`Position`]; the watermarks
//! [`segments::SegmentLog::written`] and [`segments::SegmentLog::synced`] tell how far the disk has come. The bytes: docs/formats/journal.md; the
//! promises: docs/operate/durability.md.

mod format;
mod points;
mod replay;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use daemon::{Clock, Counter};
pub use segments::{Durability, Position, SegmentInfo, SyncInterval};
use segments::{Kind, LogConfig, LogCounters, LogDisk, LogError, SegmentLog, Surroundings};

pub use self::replay::{Replay, ReplayReport};
use crate::series::SeriesId;

/// How the segments of a journal are told from others.
pub(crate) const KIND: Kind = Kind {
    name: "journal",
    magic: *b"PLUMJRNL",
    suffix: ".journal",
    thread: "carbon-journal",
    sync_thread: "carbon-jsync",
};

/// Series, seconds since 1970, value.
pub type Point = (SeriesId, u32, f64);

/// A batch that a sender has numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderMark {
    /// Who sent it.
    pub sender: u64,
    /// Its number with that sender.
    pub batch: u64,
}

/// One thing that the journal remembers. Texts are at most [`crate::series::NAME_BYTES_MAX`] bytes long.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Record<'a> {
    /// The id stands for the name from here on.
    Name {
        /// The id.
        id: SeriesId,
        /// The canonical name.
        name: &'a str,
    },
    /// Points in the order of arrival.
    Points(&'a [Point]),
    /// Points of a checkpoint: they belong before all others of their series that were read so far.
    EarlierPoints(&'a [Point]),
    /// All of this batch has been taken.
    Sender(SenderMark),
    /// The series was deleted.
    Tombstone(SeriesId),
    /// Hours in which a series was active.
    Activity {
        /// The series.
        id: SeriesId,
        /// The first one, hours since 1970.
        first_hour: u32,
        /// The last one.
        last_hour: u32,
    },
    /// The node may have missed points.
    Hole {
        /// From this second since 1970.
        from_s: i64,
        /// Up to and without this one.
        until_s: i64,
    },
    /// All of a source up to and without an offset has been taken.
    SourceOffset {
        /// Name of the source.
        source: &'a str,
        /// Its part.
        part: u32,
        /// The next that is wanted.
        offset: u64,
    },
    /// What frames up to `covered` held and no file had has been written again before this.
    Checkpoint {
        /// The last frame that is not needed any more.
        covered: Position,
    },
}

impl Record<'_> {
    /// The points that it brings, of either kind.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        match self {
            Self::Points(points) | Self::EarlierPoints(points) => points,
            _ => &[],
        }
    }
}

/// What the journal counts.
#[derive(Debug, Clone, Default)]
pub struct JournalCounters {
    /// What every log counts; its items are points, those of checkpoints not included.
    pub log: LogCounters,
    /// Records of unknown kinds, at start.
    pub records_unknown: Counter,
}

/// What a checkpoint adds to the buffer at once.
const CHECKPOINT_POINTS: usize = 4096;

/// The journal of a node: a log of [`Record`]s.
#[derive(Debug)]
pub struct Journal {
    log: SegmentLog,
}

impl Journal {
    /// Starts the journal in `folder`, and gives what former runs have left there; see [`SegmentLog::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(
        folder: &Path,
        config: LogConfig,
        disk: Arc<dyn LogDisk>,
        clock: Arc<dyn Clock>,
        counters: JournalCounters,
    ) -> Result<(Self, Replay), LogError> {
        let with = Surroundings { disk, clock, counters: counters.log };
        let (log, replay) = SegmentLog::open(folder, &KIND, config, with)?;
        Ok((Self { log }, Replay::new(replay, counters.records_unknown)))
    }

    /// Takes a batch in; it never waits for the disk. All of it is in one frame unless it is huge.
    pub fn append(&self, records: &[Record<'_>]) -> Position {
        self.log.append(records.iter().copied())
    }

    /// Writes waiting points again, so that all segments up to `covered` can be released when the returned position is
    /// synced. `tails` gives each series that has points at or before `covered` which are in no file, with all of those
    /// points in their order; later ones may follow. Slows down when the disk does not keep up.
    ///
    /// # Errors
    /// When the journal is closed or stalled; nothing may be released then.
    pub fn checkpoint<P: AsRef<[(u32, f64)]>>(
        &self,
        covered: Position,
        tails: impl IntoIterator<Item = (SeriesId, P)>,
    ) -> Result<Position, LogError> {
        let mut points: Vec<Point> = Vec::with_capacity(CHECKPOINT_POINTS);
        for (id, tail) in tails {
            let tail = tail.as_ref();
            points.extend(tail.iter().map(|&(timestamp, value)| (id, timestamp, value)));
            if points.len() >= CHECKPOINT_POINTS {
                self.append_when_room(&points)?;
                points.clear();
            }
        }
        if !points.is_empty() {
            self.append_when_room(&points)?;
        }
        Ok(self.append(&[Record::Checkpoint { covered }]))
    }

    fn append_when_room(&self, points: &[Point]) -> Result<(), LogError> {
        self.log.room_blocking()?;
        self.append(&[Record::EarlierPoints(points)]);
        Ok(())
    }
}

impl Deref for Journal {
    type Target = SegmentLog;

    fn deref(&self) -> &SegmentLog {
        &self.log
    }
}

#[cfg(test)]
mod tests;
