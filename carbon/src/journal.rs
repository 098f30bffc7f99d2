//! What was accepted and is not in its files yet, on disk: nothing that was promised is lost with the memory.
//!
//! Any thread hands in batches of [`Record`]s; they are encoded at once into a common buffer. One thread writes what all
//! have gathered every few milliseconds, another one syncs it every `sync_interval`. A batch gets a [`Position`]; the watermarks
//! [`Journal::written`] and [`Journal::synced`] tell how far the disk has come. The bytes: docs/formats/journal.md; the
//! promises: docs/operate/durability.md.

mod buffer;
mod committer;
mod disk;
mod format;
mod points;
mod replay;
mod segments;
mod syncer;
mod watermarks;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::{Clock, Counter, Gauge};
use parking_lot::{Condvar, Mutex};

use self::buffer::Buffer;
use self::committer::Committer;
pub use self::disk::{JournalDisk, JournalFile, RealJournalDisk};
pub use self::replay::{Replay, ReplayReport};
pub use self::segments::SegmentInfo;
use self::segments::Segments;
use self::syncer::Syncer;
pub use self::watermarks::Durability;
use self::watermarks::Watermarks;
use crate::series::SeriesId;

/// Series, seconds since 1970, value.
pub type Point = (SeriesId, u32, f64);

/// A place in the journal: the number of a frame. Positions only grow, over restarts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

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

/// How often the journal is made to survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncInterval {
    /// After every write.
    Always,
    /// This long after the first write that is not synced.
    Every(Duration),
    /// When the kernel likes.
    Never,
}

impl FromStr for SyncInterval {
    type Err = JournalError;

    /// `always`, `never`, or a number with `ms` or `s`.
    fn from_str(text: &str) -> Result<Self, JournalError> {
        let unknown = || JournalError::SyncInterval { text: text.to_owned() };
        let number = |digits: &str| digits.parse::<u32>().or(Err(unknown())).map(u64::from);
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ if text.ends_with("ms") => {
                number(&text[..text.len() - 2]).map(|ms| Self::Every(Duration::from_millis(ms)))
            }
            _ => {
                let digits = text.strip_suffix('s').ok_or_else(unknown)?;
                number(digits).map(|seconds| Self::Every(Duration::from_secs(seconds)))
            }
        }
    }
}

/// How the journal is to behave.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// How long a batch may wait for others before it is written.
    pub commit_interval: Duration,
    /// Bytes at which it waits no longer.
    pub commit_bytes: usize,
    /// How often the disk is told to keep what was written.
    pub sync_interval: SyncInterval,
    /// Size at which a segment ends.
    pub segment_bytes: u64,
    /// Bytes not written or not synced at which [`Journal::has_room`] says no.
    pub buffer_bytes_max: usize,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_millis(10),
            commit_bytes: 256 << 10,
            sync_interval: SyncInterval::Every(Duration::from_millis(100)),
            segment_bytes: 64 << 20,
            buffer_bytes_max: 64 << 20,
        }
    }
}

/// What the journal counts.
#[derive(Debug, Clone, Default)]
pub struct JournalCounters {
    /// Points handed in, those of checkpoints not included.
    pub points_appended: Counter,
    /// Points in frames that have been written.
    pub points_written: Counter,
    /// Bytes written, headers and repeated frames included.
    pub bytes_written: Counter,
    /// Bytes deleted with their segments.
    pub bytes_released: Counter,
    /// Writes.
    pub writes: Counter,
    /// Calls of fdatasync that succeeded.
    pub syncs: Counter,
    /// Writes or creations of segments that failed.
    pub write_errors: Counter,
    /// Calls of fdatasync that failed.
    pub sync_errors: Counter,
    /// 1 while nothing can be written.
    pub stalled: Gauge,
    /// 1 since an fdatasync has failed: the disk wants looking at.
    pub alarm: Gauge,
    /// Frames and stretches that did not check, at start.
    pub frames_damaged: Counter,
    /// Bytes cut off at the end, at start.
    pub torn_bytes: Counter,
    /// Files set aside or unreadable, at start.
    pub files_unusable: Counter,
    /// Records of unknown kinds, at start.
    pub records_unknown: Counter,
}

/// What the journal cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The folder or the thread: the journal could not start.
    #[error("journal {}: {source}", folder.display())]
    Start {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing can be written at the moment.
    #[error("the journal cannot be written at the moment")]
    Stalled,
    /// The journal was closed first.
    #[error("the journal is closed")]
    Closed,
    /// Closing left something in memory that could not be written.
    #[error("{bytes} bytes of the journal could not be written")]
    LeftBehind {
        /// How much.
        bytes: usize,
    },
    /// Not a value of the setting.
    #[error("sync_interval {text:?} is none of always, never, 100ms, 1s")]
    SyncInterval {
        /// The value.
        text: String,
    },
}

/// What a checkpoint adds to the buffer at once.
const CHECKPOINT_POINTS: usize = 4096;

/// The journal of a node. Dropping it writes and syncs what is left.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What senders and committer share.
#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    /// Wakes the committer.
    work: Condvar,
    watermarks: Watermarks,
    segments: Segments,
    disk: Arc<dyn JournalDisk>,
    clock: Arc<dyn Clock>,
    config: JournalConfig,
    counters: JournalCounters,
}

#[derive(Debug)]
struct Inbox {
    buffer: Buffer,
    /// When the first batch in the buffer came.
    since: Duration,
    written_wanted: u64,
    synced_wanted: u64,
    /// What the sync that went on beside the writing has come to.
    sync_done: Option<io::Result<()>>,
    closing: bool,
}

impl Journal {
    /// Starts the journal in `folder`, and gives what former runs have left there. Batches may be appended at once,
    /// while that is still being read.
    ///
    /// # Errors
    /// A folder that cannot be made or listed, or no thread. Damage is no error: see [`ReplayReport`].
    pub fn open(
        folder: &Path,
        config: JournalConfig,
        disk: Arc<dyn JournalDisk>,
        clock: Arc<dyn Clock>,
        counters: JournalCounters,
    ) -> Result<(Self, Replay), JournalError> {
        let (journal, replay, committer) =
            Self::open_without_thread(folder, config, disk, clock, counters)?;
        let started = |source| JournalError::Start { folder: folder.to_owned(), source };
        let committer = committer.with_syncer(Syncer::start(&journal.shared).map_err(started)?);
        let thread = daemon::threads::spawn("carbon-journal", move || committer.run());
        *journal.thread.lock() = Some(thread.map_err(started)?);
        Ok((journal, replay))
    }

    fn open_without_thread(
        folder: &Path,
        config: JournalConfig,
        disk: Arc<dyn JournalDisk>,
        clock: Arc<dyn Clock>,
        counters: JournalCounters,
    ) -> Result<(Self, Replay, Committer), JournalError> {
        let found = segments::find(folder, &*disk, &*clock, &counters);
        let found =
            found.map_err(|source| JournalError::Start { folder: folder.to_owned(), source })?;
        let first = found.next_frame;
        let inbox = Inbox {
            buffer: Buffer::new(first),
            since: Duration::ZERO,
            written_wanted: 0,
            synced_wanted: 0,
            sync_done: None,
            closing: false,
        };
        let shared = Arc::new(Shared {
            inbox: Mutex::new(inbox),
            work: Condvar::new(),
            watermarks: Watermarks::new(Position(first - 1)),
            segments: Segments::new(folder, &found),
            disk,
            clock,
            config,
            counters,
        });
        let committer = Committer::new(Arc::clone(&shared), found.next_segment);
        let replay = Replay::new(Arc::clone(&shared), found.files);
        Ok((Self { shared, thread: Mutex::default() }, replay, committer))
    }

    /// Takes a batch in; it never waits for the disk. All of it is in one frame unless it is huge.
    pub fn append(&self, records: &[Record<'_>]) -> Position {
        let shared = &self.shared;
        let points = |record: &Record<'_>| match record {
            Record::Points(points) => points.len() as u64,
            _ => 0,
        };
        shared.counters.points_appended.add(records.iter().map(points).sum());
        let mut inbox = shared.inbox.lock();
        let bytes_before = inbox.buffer.len();
        if bytes_before == 0 {
            inbox.since = shared.clock.monotonic();
        }
        let position = inbox.buffer.append(records);
        let bytes = inbox.buffer.len();
        shared.watermarks.add_held(bytes - bytes_before);
        drop(inbox);
        let commit_bytes = shared.config.commit_bytes;
        if bytes_before == 0 || (bytes_before < commit_bytes && bytes >= commit_bytes) {
            shared.work.notify_one();
        }
        Position(position)
    }

    /// The position of the newest batch.
    #[must_use]
    pub fn appended(&self) -> Position {
        Position(self.shared.inbox.lock().buffer.last())
    }

    /// All up to here survives the death of the process.
    #[must_use]
    pub fn written(&self) -> Position {
        self.shared.watermarks.reached(Durability::Written)
    }

    /// All up to here survives the loss of power; with [`SyncInterval::Never`] the same as [`Journal::written`].
    #[must_use]
    pub fn synced(&self) -> Position {
        self.shared.watermarks.reached(Durability::Synced)
    }

    /// Wakes the committer and returns when `position` is as safe as wanted.
    ///
    /// # Errors
    /// When the journal is closed before. While the disk refuses, it waits.
    pub async fn wait(
        &self,
        position: Position,
        durability: Durability,
    ) -> Result<(), JournalError> {
        self.shared.want(position, durability);
        let watermarks = &self.shared.watermarks;
        watermarks.until(|| watermarks.state_of(position, durability)).await
    }

    /// [`Journal::wait`] for [`Durability::Written`].
    ///
    /// # Errors
    /// As there.
    pub async fn wait_written(&self, position: Position) -> Result<(), JournalError> {
        self.wait(position, Durability::Written).await
    }

    /// [`Journal::wait`] for [`Durability::Synced`].
    ///
    /// # Errors
    /// As there.
    pub async fn wait_synced(&self, position: Position) -> Result<(), JournalError> {
        self.wait(position, Durability::Synced).await
    }

    /// [`Journal::wait`] for OS threads; gives up when nothing can be written.
    ///
    /// # Errors
    /// When the journal is closed or stalled.
    pub fn wait_blocking(
        &self,
        position: Position,
        durability: Durability,
    ) -> Result<(), JournalError> {
        self.shared.want(position, durability);
        let watermarks = &self.shared.watermarks;
        watermarks.until_blocking(|| match watermarks.state_of(position, durability) {
            None if watermarks.is_stalled() => Some(Err(JournalError::Stalled)),
            state => state,
        })
    }

    /// Whether senders may go on: little waits for the disk.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.has_room()
    }

    /// Returns when senders may go on.
    ///
    /// # Errors
    /// When the journal is closed before.
    pub async fn room(&self) -> Result<(), JournalError> {
        let shared = &self.shared;
        shared.watermarks.until(|| shared.room_state()).await
    }

    /// Whether the disk takes nothing at the moment. Batches are still taken, into memory.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.shared.watermarks.is_stalled()
    }

    /// Bytes in memory that are not written or not synced yet.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.shared.watermarks.held()
    }

    /// All segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.segments.list()
    }

    /// Deletes the oldest segments as long as all they hold is at or before `position`: the caller knows that this is in
    /// files, and that those are synced. The segment that is being written stays, and so do those that are not replayed yet.
    /// Returns how many went.
    pub fn release(&self, position: Position) -> usize {
        let Shared { segments, disk, counters, .. } = &*self.shared;
        segments.release(|info| info.last <= position, &**disk, counters)
    }

    /// As [`Journal::release`], for a caller who keeps numbers of segments: all before `segment` go.
    pub fn release_before(&self, segment: u64) -> usize {
        let Shared { segments, disk, counters, .. } = &*self.shared;
        segments.release(|info| info.number < segment, &**disk, counters)
    }

    /// The number of the segment that has or will have what is at `position`, or a lower one: where no waiting point has a
    /// number below N, segments below N are not needed.
    #[must_use]
    pub fn segment_of(&self, position: Position) -> u64 {
        self.shared.segments.of(position)
    }

    /// Ends the segment that is being written, so that it can be released once its points are in files.
    /// Takes effect with the next write.
    pub fn rotate(&self) {
        self.shared.segments.want_rotation();
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
    ) -> Result<Position, JournalError> {
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

    fn append_when_room(&self, points: &[Point]) -> Result<(), JournalError> {
        let shared = &self.shared;
        shared.watermarks.until_blocking(|| match shared.room_state() {
            None if shared.watermarks.is_stalled() => Some(Err(JournalError::Stalled)),
            state => state,
        })?;
        self.append(&[Record::EarlierPoints(points)]);
        Ok(())
    }

    /// Writes and syncs what is left, and ends the thread; every segment can be released then. What is appended later
    /// stays in memory.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn close(&self) -> Result<(), JournalError> {
        self.shared.inbox.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread had panicked");
        }
        self.shared.watermarks.close();
        match self.held_bytes() {
            0 => {
                self.shared.segments.end_all();
                Ok(())
            }
            bytes => Err(JournalError::LeftBehind { bytes }),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "journal");
        }
    }
}

impl Shared {
    fn want(&self, position: Position, durability: Durability) {
        if self.watermarks.reached(durability) >= position {
            return;
        }
        let mut inbox = self.inbox.lock();
        // A position that does not exist would keep the committer busy for nothing.
        let position = position.0.min(inbox.buffer.last());
        let wanted = match durability {
            Durability::Written => &mut inbox.written_wanted,
            Durability::Synced => &mut inbox.synced_wanted,
        };
        *wanted = position.max(*wanted);
        drop(inbox);
        self.work.notify_one();
    }

    fn has_room(&self) -> bool {
        self.watermarks.held() < self.config.buffer_bytes_max
    }

    /// For waiting: done when there is room, over when the journal is.
    fn room_state(&self) -> Option<Result<(), JournalError>> {
        if self.has_room() {
            return Some(Ok(()));
        }
        self.watermarks.is_closed().then_some(Err(JournalError::Closed))
    }
}

#[cfg(test)]
mod tests;
