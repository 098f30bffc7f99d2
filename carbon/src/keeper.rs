//! What joins journal and engine: a point is in both or in neither, and a segment of the journal goes when the files
//! have what it holds.
//!
//! A batch is journalled with the names of all its series that might not survive otherwise, so that every frame can be
//! understood without the ones before. Files are written long after; docs/operate/durability.md says what survives what.

pub(crate) mod birth;
pub(crate) mod holes;
mod release;
mod replay;
pub(crate) mod senders;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::{Context, Counter, Shutdown};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use self::birth::Born;
use self::holes::{Hole, Holes};
use self::release::Release;
use self::replay::Replaying;
use self::senders::Senders;
use crate::engine::{
    Engine, FlushReport, Incoming, JournalPosition, MergeError, Merged, ReadError, WriteAhead,
};
use crate::index::ScanReport;
use crate::journal::{Durability, Journal, Point, Position, Record, Replay, SenderMark};
use crate::queue::{SeriesCommand, SeriesOutcome};
use crate::series::SeriesId;

/// What a disk syncs in a second at least, of scattered blocks.
const SYNC_BYTES_PER_SECOND: u64 = 32 << 20;

/// How journal and engine work together.
#[derive(Debug, Clone, Copy)]
pub struct KeeperConfig {
    /// What a sender that waits for the close of its connection is told.
    pub ack: Durability,
    /// Bytes of the journal at which senders wait.
    pub journal_bytes_max: u64,
    /// How long reading the journal may take at the next start.
    pub replay_budget: Duration,
}

/// What the keeper counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeeperCounters {
    /// Points that came back from the journal.
    pub(crate) replayed: Counter,
    /// Of these, points that a newer one had overtaken.
    pub(crate) superseded: Counter,
    /// Of these, points of series that were deleted since.
    pub(crate) of_deleted: Counter,
    /// Of these, points whose series the journal does not name.
    pub(crate) nameless: Counter,
    /// Times that the files could not be synced.
    pub(crate) sync_errors: Counter,
    /// Series that were written before their time, so that the journal stays short.
    pub(crate) hurried: Counter,
    /// Times that waiting points were written to the journal again, so that older segments can go.
    pub(crate) checkpoints: Counter,
}

/// Why series were not deleted, or not all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DeleteError {
    /// What former runs have left is still being read, and might bring them back.
    #[error("the journal is still being read; try again")]
    Replaying,
    /// The disk refused.
    #[error("{0}")]
    File(#[from] ReadError),
    /// The journal did not take the tombstone.
    #[error("journal: {0}")]
    Journal(#[from] segments::LogError),
}

/// Journal and engine.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) engine: Arc<Engine>,
    pub(crate) journal: Journal,
    pub(crate) counters: KeeperCounters,
    pub(crate) holes: Arc<Holes>,
    pub(crate) born: Arc<Born>,
    pub(crate) senders: Senders,
    config: KeeperConfig,
    /// Shared while a batch goes to journal and engine; alone where both must be seen at one moment.
    gate: RwLock<()>,
    /// What came in while former runs are still being read: no older point may overrule it.
    newcomers: Mutex<HashSet<(SeriesId, u32)>>,
    is_replaying: AtomicBool,
    /// Fires when what former runs have left has been read.
    replayed: Shutdown,
    /// The journal is as large as it may be.
    is_full: AtomicBool,
    room_again: Notify,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Keeper {
    pub(crate) fn new(
        engine: Arc<Engine>,
        journal: Journal,
        (holes, born): (Holes, Born),
        config: KeeperConfig,
        counters: KeeperCounters,
    ) -> Self {
        Self {
            senders: Senders::open(engine.index_folder()),
            engine,
            journal,
            counters,
            holes: Arc::new(holes),
            born: Arc::new(born),
            config,
            gate: RwLock::default(),
            newcomers: Mutex::default(),
            is_replaying: AtomicBool::new(true),
            replayed: Shutdown::new(),
            is_full: AtomicBool::new(false),
            room_again: Notify::new(),
            threads: Mutex::default(),
        }
    }

    /// Starts to read what former runs have left, and to let go of what is in files. Points may come at once.
    pub(crate) fn start(self: &Arc<Self>, replay: Replay, context: &Context) -> io::Result<()> {
        self.engine.write_after(Arc::downgrade(self));
        let mut replaying = Replaying::new(Arc::clone(self), replay, context);
        let mut threads = self.threads.lock();
        if replaying.is_short() {
            replaying.run();
        } else {
            context.ready.unset("reading the journal");
            threads.push(daemon::threads::spawn("carbon-replay", move || replaying.run())?);
        }
        let mut release = Release::new(Arc::downgrade(self), context);
        threads.push(daemon::threads::spawn("carbon-release", move || release.run())?);
        Ok(())
    }

    /// Takes points in: names become ids, and each point goes to the journal and to the engine, with the mark of their
    /// sender, if it numbers its batches. Returns in `ids` which of the names are series, and where in the journal it all is,
    /// unless it is nothing.
    pub(crate) fn accept(
        &self,
        names: &[&str],
        points: impl Iterator<Item = (u32, f64)>,
        mark: Option<SenderMark>,
        ids: &mut Vec<Option<SeriesId>>,
    ) -> Option<Position> {
        let _shared = self.gate.read();
        self.engine.resolve(names, ids);
        let with_ids = ids.iter().zip(points);
        let points: Vec<Point> = with_ids
            .filter_map(|(id, (timestamp, value))| id.map(|id| (id, timestamp, value)))
            .collect();
        if points.is_empty() && mark.is_none() {
            return None;
        }
        let safe_end = self.engine.table().safe_end();
        let unsafe_names = ids.iter().zip(names);
        let unsafe_names =
            unsafe_names.filter_map(|(id, name)| id.filter(|id| *id >= safe_end).zip(Some(*name)));
        let mut unsafe_names: Vec<(SeriesId, &str)> = unsafe_names.collect();
        unsafe_names.sort_unstable();
        unsafe_names.dedup();
        let mut records: Vec<Record<'_>> =
            unsafe_names.into_iter().map(|(id, name)| Record::Name { id, name }).collect();
        records.push(Record::Points(&points));
        records.extend(mark.map(Record::Sender));
        let position = self.journal.append(&records);
        if self.is_replaying.load(Ordering::Relaxed) {
            self.newcomers.lock().extend(points.iter().map(|&(id, timestamp, _)| (id, timestamp)));
        }
        self.engine.append_at(&points, self.segment_of(position));
        Some(position)
    }

    /// Returns once it is known what former runs have taken.
    pub(crate) async fn replayed(&self) {
        self.replayed.wait().await;
    }

    /// Whether there is a series of this name.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.engine.table().get(name).is_some()
    }

    fn segment_of(&self, position: Position) -> JournalPosition {
        JournalPosition(u32::try_from(self.journal.segment_of(position)).unwrap_or(u32::MAX))
    }

    /// Whether more points may come now.
    pub(crate) fn has_room(&self) -> bool {
        self.engine.has_room() && self.journal.has_room() && !self.is_full.load(Ordering::Relaxed)
    }

    /// Returns once more points may come.
    pub(crate) async fn wait_for_room(&self) {
        while !self.has_room() {
            let again = self.room_again.notified();
            if self.is_full.load(Ordering::Relaxed) {
                again.await;
            }
            self.engine.wait_for_room().await;
            // A journal that is closed has no room again; whoever waits is about to be stopped.
            if self.journal.room().await.is_err() {
                return;
            }
        }
    }

    /// Returns once all that was accepted is as safe as `ack` says.
    pub(crate) async fn committed(&self) {
        let position = self.journal.appended();
        if let Err(error) = self.journal.wait(position, self.config.ack).await {
            tracing::warn!(%error, "a sender is told nothing");
        }
    }

    /// Size of the journal in bytes.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.journal.segments().iter().map(|segment| segment.bytes).sum()
    }

    /// Walks the tree of files; see [`Engine::scan`]. A series that is gone does not come back from the journal.
    pub(crate) fn scan(&self, keep_going: &mut dyn FnMut() -> bool) -> ScanReport {
        let report = self.engine.scan(keep_going);
        let gone = report.forgotten.iter().map(|&id| Record::Tombstone(id));
        let gone: Vec<Record<'_>> = gone.collect();
        if !gone.is_empty() {
            self.journal.append(&gone);
        }
        report
    }

    /// Deletes series by name: files, waiting points, names. Neither the journal nor a later start brings them back.
    /// Returns how many of the names there were.
    pub(crate) fn delete(&self, names: &[String]) -> Result<usize, DeleteError> {
        self.end_series(names, |id| {
            self.engine
                .execute(id, SeriesCommand::Delete)
                .map(|outcome| outcome == SeriesOutcome::Deleted(true))
        })
    }

    /// The same, but keeps the files in `folder`.
    pub(crate) fn put_away(&self, names: &[String], folder: &Path) -> Result<usize, DeleteError> {
        self.end_series(names, |id| self.engine.put_away(id, folder))
    }

    fn end_series(
        &self,
        names: &[String],
        end: impl Fn(SeriesId) -> Result<bool, ReadError>,
    ) -> Result<usize, DeleteError> {
        if self.is_replaying.load(Ordering::Relaxed) {
            return Err(DeleteError::Replaying);
        }
        let mut ended = 0;
        for name in names {
            // Alone: no point may come between the end of a series and its tombstone.
            let _alone = self.gate.write();
            let Some(id) = self.engine.table().get(name) else { continue };
            if end(id)? {
                self.journal.append(&[Record::Tombstone(id)]);
                ended += 1;
            }
        }
        if ended > 0 {
            self.journal.wait_blocking(self.journal.appended(), self.config.ack)?;
        }
        Ok(ended)
    }

    /// Merges another node's file of a series, which becomes one if it is none; see [`Engine::merge`].
    pub(crate) fn merge(
        &self,
        name: &str,
        file: Vec<u8>,
        from: Option<i64>,
        now: i64,
    ) -> Result<Merged, MergeError> {
        let incoming = Incoming::read(file, now)?;
        self.born.note_points(|| now);
        let id = {
            let _shared = self.gate.read();
            let id = self.engine.adopt(name, &incoming).ok_or(MergeError::Limit)?;
            if id >= self.engine.table().safe_end() {
                self.journal.append(&[Record::Name { id, name }]);
            }
            id
        };
        self.engine.merge(id, incoming, from)
    }

    /// Whether what former runs have left is still being read.
    pub(crate) fn is_replaying(&self) -> bool {
        self.is_replaying.load(Ordering::Relaxed)
    }

    /// Takes note of whether the node takes points at this second. A hole that has ended is journalled, and is in its
    /// file before the journal forgets it.
    fn beat(&self, now_s: i64) {
        self.born.save();
        if self.is_replaying.load(Ordering::Relaxed) {
            return;
        }
        let takes_points = self.has_room() && !self.journal.is_stalled();
        if let Some(Hole { from_s, until_s }) = self.holes.beat(now_s, takes_points) {
            tracing::warn!(from_s, until_s, "points of this time may be missing");
            self.journal.append(&[Record::Hole { from_s, until_s }]);
        }
        self.holes.save(false);
    }

    /// Writes all that waits, for as long as `flush_time`; what cannot be written by then stays in the journal. So does
    /// all of it if the files could hardly be synced within `sync_time`: a sync cannot be broken off, and the next start
    /// reads the journal within its budget.
    pub(crate) fn stop(&self, flush_time: Duration, sync_time: Duration) -> FlushReport {
        for thread in self.threads.lock().drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread of the journal had panicked");
            }
        }
        if let Err(error) = self.journal.wait_blocking(self.journal.appended(), Durability::Written)
        {
            tracing::error!(%error, "journal");
        }
        // A life shorter than a beat has not written it down yet.
        self.born.save();
        let report = self.engine.stop(flush_time);
        if let Err(error) = self.journal.close() {
            tracing::error!(%error, "journal");
        }
        let first = self.engine.oldest_position().map_or(u64::MAX, |first| first.0.into());
        let is_noted = self.holes.save(true) && self.senders.save(self.journal.synced());
        if is_noted && self.syncs_within(sync_time) && self.sync_files() {
            self.engine.end_cleanly(&report);
            self.journal.release_before(first);
        }
        report
    }

    fn syncs_within(&self, time: Duration) -> bool {
        let bytes = self.engine.unsynced_bytes().unwrap_or(0);
        let in_time = bytes / SYNC_BYTES_PER_SECOND <= time.as_secs();
        if !in_time {
            tracing::info!(bytes, "the disk is behind; the next start reads the journal");
        }
        in_time
    }

    fn sync_files(&self) -> bool {
        let synced = self.engine.sync_files();
        if let Err(error) = &synced {
            self.counters.sync_errors.inc();
            tracing::error!(%error, "files cannot be synced; the journal keeps their points");
        }
        synced.is_ok()
    }
}

impl WriteAhead for Weak<Keeper> {
    fn wait_synced(&self) {
        let Some(keeper) = self.upgrade() else { return };
        let all = keeper.journal.appended();
        if let Err(error) = keeper.journal.wait_blocking(all, Durability::Synced) {
            // Files make room for a journal that has none: they do not wait for it.
            tracing::debug!(%error, "files are written before the journal");
        }
    }
}

#[cfg(test)]
mod tests;
