//! A log on disk: batches of records in checksummed frames, in segment files that are written by one thread.
//!
//! Any thread hands in batches of [`Record`]s; they are encoded at once into a common buffer. One thread writes what all
//! have gathered every few milliseconds, another one syncs it every `sync_interval`. A batch gets a [`Position`]; the watermarks
//! [`SegmentLog::written`] and [`SegmentLog::synced`] tell how far the disk has come. After a death [`Replay`] gives back what
//! the segments hold. The bytes of headers and frames: docs/formats/journal.md; a [`Kind`] tells one sort of log from another.
//!
//! What this crate is not: it does not know what the records mean.
#![forbid(unsafe_code)]

mod buffer;
mod committer;
mod disk;
mod files;
mod frame;
mod reader;
mod replay;
mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
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

use crate::buffer::Buffer;
pub use crate::committer::Committer;
pub use crate::disk::{LogDisk, LogFile, RealDisk};
use crate::files::Files;
pub use crate::files::{SegmentInfo, path_of};
pub use crate::frame::{HEADER_BYTES, Senseless, records};
pub use crate::reader::{LogReader, ReadStep};
pub use crate::replay::{Replay, ReplayReport};
use crate::syncer::Syncer;
pub use crate::watermarks::Durability;
use crate::watermarks::Watermarks;

/// What tells one sort of log from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What it is called in messages.
    pub name: &'static str,
    /// The first bytes of each segment.
    pub magic: [u8; 8],
    /// What the names of segments end in.
    pub suffix: &'static str,
    /// Name of the thread that writes.
    pub thread: &'static str,
    /// Name of the thread that syncs.
    pub sync_thread: &'static str,
}

/// One thing that a log remembers; it has at most [`RECORD_BYTES_MAX`] when it is encoded.
pub trait Record: Copy {
    /// What sort of record it is.
    fn kind(&self) -> u8;

    /// Appends its fields.
    fn encode(&self, into: &mut Vec<u8>);

    /// How many of what the log counts it brings.
    fn items(&self) -> u64 {
        0
    }

    /// Hands it to `each` in pieces that are not too long for a frame.
    fn in_pieces(self, each: &mut dyn FnMut(Self)) {
        each(self);
    }
}

/// Longest record: with one more of them a frame that is nearly full keeps its limit.
pub const RECORD_BYTES_MAX: usize = 480 << 10;

/// A place in a log: the number of a frame. Positions only grow, over restarts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// How often the log is made to survive a power cut.
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
    type Err = LogError;

    /// `always`, `never`, or a number with `ms` or `s`.
    fn from_str(text: &str) -> Result<Self, LogError> {
        let unknown = || LogError::SyncInterval { text: text.to_owned() };
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

/// How a log is to behave.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// How long a batch may wait for others before it is written.
    pub commit_interval: Duration,
    /// Bytes at which it waits no longer.
    pub commit_bytes: usize,
    /// How often the disk is told to keep what was written.
    pub sync_interval: SyncInterval,
    /// Size at which a segment ends.
    pub segment_bytes: u64,
    /// Bytes not written or not synced at which [`SegmentLog::has_room`] says no.
    pub buffer_bytes_max: usize,
    /// All positions are beyond, whatever the clock and the segments say: for a caller who remembers some.
    pub after: Position,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_millis(10),
            commit_bytes: 256 << 10,
            sync_interval: SyncInterval::Every(Duration::from_millis(100)),
            segment_bytes: 64 << 20,
            buffer_bytes_max: 64 << 20,
            after: Position(0),
        }
    }
}

/// What a log counts.
#[derive(Debug, Clone, Default)]
pub struct LogCounters {
    /// Items handed in; see [`Record::items`].
    pub items_appended: Counter,
    /// Items in frames that have been written.
    pub items_written: Counter,
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
}

/// What a log cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The folder or the thread: the log could not start.
    #[error("{log} {}: {source}", folder.display())]
    Start {
        /// What the log is called.
        log: &'static str,
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing can be written at the moment.
    #[error("the log cannot be written at the moment")]
    Stalled,
    /// The log was closed first.
    #[error("the log is closed")]
    Closed,
    /// Closing left something in memory that could not be written.
    #[error("{bytes} bytes of the log could not be written")]
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

/// A log that is being written. Dropping it writes and syncs what is left.
#[derive(Debug)]
pub struct SegmentLog {
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
    files: Files,
    kind: &'static Kind,
    disk: Arc<dyn LogDisk>,
    clock: Arc<dyn Clock>,
    config: LogConfig,
    counters: LogCounters,
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

/// What a log works with.
#[derive(Debug)]
pub struct Surroundings {
    /// Where its segments lie.
    pub disk: Arc<dyn LogDisk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What it counts.
    pub counters: LogCounters,
}

impl SegmentLog {
    /// Starts the log in `folder`, and gives what former runs have left there. Batches may be appended at once,
    /// while that is still being read.
    ///
    /// # Errors
    /// A folder that cannot be made or listed, or no thread. Damage is no error: see [`ReplayReport`].
    pub fn open(
        folder: &Path,
        kind: &'static Kind,
        config: LogConfig,
        with: Surroundings,
    ) -> Result<(Self, Replay), LogError> {
        let (log, replay, committer) = Self::open_without_thread(folder, kind, config, with)?;
        let started =
            |source| LogError::Start { log: kind.name, folder: folder.to_owned(), source };
        let committer = committer.with_syncer(Syncer::start(&log.shared).map_err(started)?);
        let thread = daemon::threads::spawn(kind.thread, move || committer.run());
        *log.thread.lock() = Some(thread.map_err(started)?);
        Ok((log, replay))
    }

    /// As [`SegmentLog::open`], but nothing is written until the caller has the committer do it: for simulations.
    ///
    /// # Errors
    /// As there.
    pub fn open_without_thread(
        folder: &Path,
        kind: &'static Kind,
        config: LogConfig,
        with: Surroundings,
    ) -> Result<(Self, Replay, Committer), LogError> {
        let Surroundings { disk, clock, counters } = with;
        let found = files::find(folder, kind, &*disk, &*clock, &counters);
        let found = found.map_err(|source| LogError::Start {
            log: kind.name,
            folder: folder.to_owned(),
            source,
        })?;
        let first = found.next_frame.max(config.after.0 + 1);
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
            files: Files::new(folder, kind, &found),
            kind,
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
    pub fn append<R: Record>(&self, records: impl IntoIterator<Item = R>) -> Position {
        let shared = &self.shared;
        let mut inbox = shared.inbox.lock();
        let bytes_before = inbox.buffer.len();
        if bytes_before == 0 {
            inbox.since = shared.clock.monotonic();
        }
        let items_before = inbox.buffer.items();
        let position = inbox.buffer.append(records);
        shared.counters.items_appended.add(inbox.buffer.items() - items_before);
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

    /// All up to here survives the loss of power; with [`SyncInterval::Never`] the same as [`SegmentLog::written`].
    #[must_use]
    pub fn synced(&self) -> Position {
        self.shared.watermarks.reached(Durability::Synced)
    }

    /// The committer has taken all up to here; unless the disk refuses, it is [`SegmentLog::written`] in a moment.
    #[must_use]
    pub fn taken(&self) -> Position {
        self.shared.watermarks.taken()
    }

    /// Returns when [`SegmentLog::taken`] is beyond `position`.
    ///
    /// # Errors
    /// When the log is closed before.
    pub async fn taken_beyond(&self, position: Position) -> Result<(), LogError> {
        let watermarks = &self.shared.watermarks;
        let look = || {
            let closed = watermarks.is_closed();
            if watermarks.taken() > position {
                return Some(Ok(()));
            }
            closed.then_some(Err(LogError::Closed))
        };
        watermarks.until(look).await
    }

    /// Returns when the disk has come further than `written` and `synced`, with how far it is now.
    ///
    /// # Errors
    /// When the log is closed before.
    pub async fn progress(
        &self,
        written: Position,
        synced: Position,
    ) -> Result<(Position, Position), LogError> {
        let watermarks = &self.shared.watermarks;
        let look = || {
            let closed = watermarks.is_closed();
            let now = (self.written(), self.synced());
            if now != (written, synced) {
                return Some(Ok(now));
            }
            closed.then_some(Err(LogError::Closed))
        };
        watermarks.until(look).await
    }

    /// Makes what former runs have left survive the loss of power as well: the death of a process may have come before
    /// its syncs. It waits for the disk, so it belongs on a thread.
    ///
    /// # Errors
    /// What the disk said.
    pub fn sync_former(&self) -> io::Result<()> {
        let Shared { files, disk, .. } = &*self.shared;
        let ended = files.list().into_iter().filter(|info| !info.open);
        for info in ended {
            match disk.sync(&files.path_of(info.number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _synced_or_gone => {}
            }
        }
        disk.sync_folder(files.folder())
    }

    /// Nobody needs what is at or before `position` any more, though it may stay: it is not synced for its own sake,
    /// and what the disk has refused so far is not written, but counts as if it were.
    pub fn spare(&self, position: Position) {
        self.shared.watermarks.raise_needless(position);
    }

    /// A reader of what has been written and comes after `position`. It reads files, so it belongs on a thread.
    #[must_use]
    pub fn read_after(&self, position: Position) -> LogReader {
        LogReader::new(Arc::clone(&self.shared), position)
    }

    /// Wakes the committer and returns when `position` is as safe as wanted.
    ///
    /// # Errors
    /// When the log is closed before. While the disk refuses, it waits.
    pub async fn wait(&self, position: Position, durability: Durability) -> Result<(), LogError> {
        self.shared.want(position, durability);
        let watermarks = &self.shared.watermarks;
        watermarks.until(|| watermarks.state_of(position, durability)).await
    }

    /// [`SegmentLog::wait`] for [`Durability::Written`].
    ///
    /// # Errors
    /// As there.
    pub async fn wait_written(&self, position: Position) -> Result<(), LogError> {
        self.wait(position, Durability::Written).await
    }

    /// [`SegmentLog::wait`] for [`Durability::Synced`].
    ///
    /// # Errors
    /// As there.
    pub async fn wait_synced(&self, position: Position) -> Result<(), LogError> {
        self.wait(position, Durability::Synced).await
    }

    /// [`SegmentLog::wait`] for OS threads; gives up when nothing can be written.
    ///
    /// # Errors
    /// When the log is closed or stalled.
    pub fn wait_blocking(
        &self,
        position: Position,
        durability: Durability,
    ) -> Result<(), LogError> {
        self.shared.want(position, durability);
        let watermarks = &self.shared.watermarks;
        watermarks.until_blocking(|| match watermarks.state_of(position, durability) {
            None if watermarks.is_stalled() => Some(Err(LogError::Stalled)),
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
    /// When the log is closed before.
    pub async fn room(&self) -> Result<(), LogError> {
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
        self.shared.files.list()
    }

    /// Deletes the oldest segments as long as all they hold is at or before `position`: the caller knows that this is in
    /// files, and that those are synced. The segment that is being written stays, and so do those that are not replayed yet.
    /// Returns how many went.
    pub fn release(&self, position: Position) -> usize {
        let Shared { files, disk, counters, .. } = &*self.shared;
        files.release(|info| info.last <= position, &**disk, counters)
    }

    /// As [`SegmentLog::release`], for a caller who keeps numbers of segments: all before `segment` go.
    pub fn release_before(&self, segment: u64) -> usize {
        let Shared { files, disk, counters, .. } = &*self.shared;
        files.release(|info| info.number < segment, &**disk, counters)
    }

    /// Deletes every segment that `agree` lets go, wherever it stands, except as [`SegmentLog::release`] says.
    pub fn release_where(&self, agree: impl Fn(&SegmentInfo) -> bool) -> usize {
        let Shared { files, disk, counters, .. } = &*self.shared;
        files.release_where(agree, &**disk, counters)
    }

    /// The number of the segment that has or will have what is at `position`, or a lower one: where no waiting point has a
    /// number below N, segments below N are not needed.
    #[must_use]
    pub fn segment_of(&self, position: Position) -> u64 {
        self.shared.files.of(position)
    }

    /// Ends the segment that is being written, so that it can be released once its points are in files.
    /// Takes effect with the next write.
    pub fn rotate(&self) {
        self.shared.files.want_rotation();
    }

    /// Wakes the committer as [`SegmentLog::wait`] does, without waiting.
    pub fn want(&self, position: Position, durability: Durability) {
        self.shared.want(position, durability);
    }

    /// For OS threads: returns when there is room; gives up when nothing can be written.
    ///
    /// # Errors
    /// When the log is closed or stalled.
    pub fn room_blocking(&self) -> Result<(), LogError> {
        let shared = &self.shared;
        shared.watermarks.until_blocking(|| match shared.room_state() {
            None if shared.watermarks.is_stalled() => Some(Err(LogError::Stalled)),
            state => state,
        })
    }

    /// Writes and syncs what is left, and ends the thread; every segment can be released then. What is appended later
    /// stays in memory.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn close(&self) -> Result<(), LogError> {
        self.shared.inbox.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("a log's thread had panicked");
        }
        self.shared.watermarks.close();
        match self.held_bytes() {
            0 => {
                self.shared.files.end_all();
                Ok(())
            }
            bytes => Err(LogError::LeftBehind { bytes }),
        }
    }
}

impl Drop for SegmentLog {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, log = self.shared.kind.name, "log not closed in order");
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

    /// For waiting: done when there is room, over when the log is.
    fn room_state(&self) -> Option<Result<(), LogError>> {
        if self.has_room() {
            return Some(Ok(()));
        }
        self.watermarks.is_closed().then_some(Err(LogError::Closed))
    }
}
