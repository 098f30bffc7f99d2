//! The store of one node: takes points by series, keeps them until they are in Whisper files, reads both as one.
//!
//! This is the seam. Whoever accepts points or answers queries knows [`Engine`] and nothing of what is behind it: how
//! points wait, when and in which order they are written, how a read joins file and waiting points.

mod archives;
mod budget;
mod disk;
mod drift;
mod flush;
mod headers;
mod hours;
mod image;
mod moves;
mod open_files;
mod patched;
mod pending;
mod prefixed;
mod quotas;
mod read;
mod recovery;
mod reshape;
mod salvage;
mod settle;
mod sums;
mod write;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::{Clock, Counter};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use self::budget::Budget;
pub use self::disk::{Disk, DiskFile, FileMark, FreeSpace, OpenFile, RealDisk};
pub use self::drift::{DriftReport, Drifted};
pub use self::flush::{FlushReport, FlushScope};
use self::headers::Headers;
pub use self::image::Image;
use self::moves::Merges;
pub(crate) use self::moves::{Incoming, MergeError, Merged};
pub use self::open_files::OpenFiles;
pub use self::pending::JournalPosition;
use self::pending::Pending;
pub use self::quotas::QuotaUse;
use self::quotas::Quotas;
pub use self::read::ReadError;
pub(crate) use self::read::Reading;
use self::recovery::Recovery;
pub(crate) use self::reshape::Reshaped;
use self::sums::Sums;
use crate::index::{Index, NameIndex, ScanReport, hour_of};
use crate::queue::{SeriesCommand, SeriesOutcome, Turns};
use crate::series::{LoadReport, SeriesError, SeriesId, SeriesTable};

/// What kind of file a new series gets.
pub trait FileSpecs: Send + Sync + std::fmt::Debug {
    /// Archives, method and factor of the file of this name.
    fn spec_for(&self, name: &str) -> whisper::Spec;
}

/// How the engine is to behave.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Root of the tree of Whisper files.
    pub whisper: PathBuf,
    /// Folder of the names log.
    pub index: PathBuf,
    /// Where files go that cannot be read.
    pub aside: PathBuf,
    /// Threads that write; 0 for none, then only [`Engine::flush`] writes.
    pub writer_threads: usize,
    /// Age at which a waiting point is written; sooner where the finest archive is short, or memory is.
    pub write_age_s: u32,
    /// How far the first rollups in the files may be behind the points. Reads do not wait for them.
    pub first_rollup_s: u32,
    /// How far all coarser ones may be behind.
    pub next_rollups_s: u32,
    /// Number of waiting points at which a series is written before its time.
    pub series_points_due: usize,
    /// Most updates of files in a second; 0 for no limit.
    pub updates_per_second_max: u32,
    /// Most new files in a minute; 0 for no limit. What is over it waits.
    pub creates_per_minute_max: u32,
    /// Waiting points at which senders are slowed down.
    pub pending_points_max: usize,
    /// Bytes of waiting points at which senders are slowed down.
    pub pending_bytes_max: usize,
    /// Most series; names beyond it are refused.
    pub series_max: usize,
    /// Free bytes below which no file is created.
    pub free_bytes_min: u64,
    /// Free inodes below which no file is created.
    pub free_files_min: u64,
    /// How often new names are made to survive a power cut.
    pub names_sync_interval: Duration,
}

impl EngineConfig {
    /// The defaults, with everything under one folder.
    #[must_use]
    pub fn under(data: &std::path::Path) -> Self {
        Self {
            whisper: data.join("whisper"),
            index: data.join("index"),
            aside: data.join("aside"),
            writer_threads: 2,
            write_age_s: 3_600,
            first_rollup_s: 3_600,
            next_rollups_s: 86_400,
            series_points_due: 1024,
            updates_per_second_max: 0,
            creates_per_minute_max: 0,
            pending_points_max: usize::MAX,
            pending_bytes_max: 1 << 30,
            series_max: usize::MAX,
            free_bytes_min: 256 << 20,
            free_files_min: 1_000,
            names_sync_interval: Duration::from_secs(1),
        }
    }
}

/// What the engine counts. Each point that was appended ends in one of written, superseded and dropped.
#[derive(Debug, Clone, Default)]
pub struct EngineCounters {
    /// Points that are in a file.
    pub points_written: Counter,
    /// Points that another one of the same series and timestamp replaced before they were written.
    pub points_superseded: Counter,
    /// Points dropped because they are older than every archive of their file.
    pub points_too_old: Counter,
    /// Points dropped because their series was deleted.
    pub points_of_deleted: Counter,
    /// Updates of files.
    pub updates: Counter,
    /// Updates that had to read the file, because points came late.
    pub updates_late: Counter,
    /// Files that were read so that later updates need not: after a start, a late point, or a change by others.
    pub files_learned: Counter,
    /// Files created.
    pub creates: Counter,
    /// Times that a new file had to wait for the budget or for free space.
    pub creates_delayed: Counter,
    /// Writes that failed and will be tried again.
    pub write_errors: Counter,
    /// Unreadable files set aside.
    pub files_set_aside: Counter,
    /// Points taken over from them.
    pub points_salvaged: Counter,
    /// Names that could not be written to the names log yet.
    pub names_errors: Counter,
}

/// Where points are made safe before they go to their files.
pub trait WriteAhead: std::fmt::Debug + Send + Sync {
    /// Returns when all points that were appended to the engine so far are on disk there, or cannot be.
    fn wait_synced(&self);
}

/// What the engine works with: the disk, the time, the kinds of files, the counters.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What kind of file a new series gets.
    pub specs: Arc<dyn FileSpecs>,
    /// What is counted.
    pub counters: EngineCounters,
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The names log.
    #[error(transparent)]
    Names(#[from] SeriesError),
    /// A folder or a thread.
    #[error("{what}: {source}")]
    System {
        /// What was to be made.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The store of one node.
#[derive(Debug)]
pub struct Engine {
    store: Arc<Store>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    load: LoadReport,
}

/// What the threads share.
#[derive(Debug)]
struct Store {
    config: EngineConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    specs: Arc<dyn FileSpecs>,
    counters: EngineCounters,
    table: Arc<SeriesTable>,
    index: Arc<dyn Index>,
    pending: Pending,
    headers: Headers,
    recovery: Recovery,
    turns: Turns,
    quotas: Quotas,
    merges: Merges,
    sums: Sums,
    updates: Budget,
    creates: Budget,
    /// Whether the disk has room for new files.
    may_create: AtomicBool,
    room_again: Notify,
    stopping: AtomicBool,
    asleep: Mutex<()>,
    wake: Condvar,
    journal: OnceLock<Box<dyn WriteAhead>>,
}

impl Engine {
    /// Reads the names log, fills the index and starts the writers.
    ///
    /// # Errors
    /// Folders that cannot be made, a names log that cannot be read or written. Damage in it is no error: see [`Engine::load_report`].
    pub fn open(config: EngineConfig, with: Surroundings) -> Result<Self, OpenError> {
        let system = |what: String| move |source| OpenError::System { what, source };
        for folder in [&config.whisper, &config.index, &config.aside] {
            let what = format!("folder {}", folder.display());
            std::fs::create_dir_all(folder).map_err(system(what))?;
        }
        let (table, load) = SeriesTable::open(&config.index.join("names.log"))?;
        let table = Arc::new(table);
        let recovery = Recovery::begin(&config.index, table.id_end());
        let recovery = recovery.map_err(system("mark of an unclean stop".to_owned()))?;
        let now = with.clock.monotonic();
        let creates_per_second = f64::from(config.creates_per_minute_max) / 60.0;
        let store = Arc::new(Store {
            disk: with.disk,
            clock: with.clock,
            specs: with.specs,
            counters: with.counters,
            index: Arc::new(NameIndex::new(Arc::clone(&table))),
            table,
            pending: Pending::new(config.series_points_due, config.write_age_s),
            headers: Headers::default(),
            recovery,
            turns: Turns::new(),
            quotas: Quotas::default(),
            merges: Merges::default(),
            sums: Sums::default(),
            updates: Budget::new(config.updates_per_second_max.into(), Duration::from_secs(1), now),
            creates: Budget::new(creates_per_second, Duration::from_secs(60), now),
            may_create: AtomicBool::new(true),
            room_again: Notify::new(),
            stopping: AtomicBool::new(false),
            asleep: Mutex::new(()),
            wake: Condvar::new(),
            journal: OnceLock::new(),
            config,
        });
        // A node that died had known more than it had written.
        let extra_hours = u32::from(store.recovery.concerns(SeriesId(0)));
        hours::load(&store.config.index, &*store.index, extra_hours);
        store.look_at_free_space();
        let threads = writer::start(&store).map_err(system("writer threads".to_owned()))?;
        Ok(Self { store, threads: Mutex::new(threads), load })
    }

    /// What reading the names log found.
    #[must_use]
    pub fn load_report(&self) -> &LoadReport {
        &self.load
    }

    /// Root of the tree of Whisper files.
    #[must_use]
    pub fn whisper_folder(&self) -> &std::path::Path {
        &self.store.config.whisper
    }

    /// Folder of the names log.
    #[must_use]
    pub fn index_folder(&self) -> &std::path::Path {
        &self.store.config.index
    }

    /// Names and ids.
    #[must_use]
    pub fn table(&self) -> &Arc<SeriesTable> {
        &self.store.table
    }

    /// Searches of names.
    #[must_use]
    pub fn index(&self) -> &Arc<dyn Index> {
        &self.store.index
    }

    /// Ids of the canonical names of points, in their order; new names get ids and can be found when this returns.
    /// `None` for a name that is refused: the node has all the series it may have, a quota is used up, or the name is
    /// longer than any may be.
    pub fn resolve(&self, names: &[&str], ids: &mut Vec<Option<SeriesId>>) {
        let limit = self.store.config.series_max;
        let hour = self.this_hour();
        if self.store.quotas.is_empty() {
            self.resolve_up_to(names, limit, hour, ids);
            return;
        }
        self.store.count_points(names);
        self.resolve_up_to(names, 0, hour, ids);
        let mut one = Vec::new();
        for (name, id) in names.iter().zip(ids).filter(|(_, id)| id.is_none()) {
            *id = self.store.table.get(name);
            if id.is_some() || self.store.is_over_quota(name) {
                continue;
            }
            if self.resolve_up_to(&[name], limit, hour, &mut one) > 0 {
                self.store.count_new_series(name);
            }
            *id = one[0];
        }
    }

    /// Puts quotas in force.
    pub fn set_quotas(&self, quotas: &schema::Quotas) {
        self.store.set_quotas(quotas.all());
    }

    /// All quotas and what they have used.
    #[must_use]
    pub fn quota_uses(&self) -> Vec<QuotaUse> {
        self.store.quota_uses()
    }

    /// Whether a series of this name is refused, if it is new, because a quota is used up.
    #[must_use]
    pub fn is_over_quota(&self, name: &str) -> bool {
        !self.store.quotas.is_empty()
            && self.store.table.get(name).is_none()
            && self.store.is_over_quota(name)
    }

    fn this_hour(&self) -> u32 {
        hour_of(self.store.clock.now_unix_seconds())
    }

    /// Returns how many of the names are new; these are taken to be active in `hour`.
    fn resolve_up_to(
        &self,
        names: &[&str],
        limit: usize,
        hour: u32,
        ids: &mut Vec<Option<SeriesId>>,
    ) -> usize {
        let store = &self.store;
        let mut fresh = Vec::new();
        store.table.resolve(names, limit, ids, &mut fresh);
        if fresh.is_empty() {
            return 0;
        }
        let count = fresh.len();
        for id in fresh {
            store.table.with_name(id, str::to_owned).inspect(|name| {
                store.index.insert(id, name, Some(hour));
            });
        }
        count
    }

    /// The id of a name from the journal, which the node has accepted before, whatever the limit is now.
    pub fn resolve_again(&self, name: &str) -> Option<SeriesId> {
        let mut ids = Vec::new();
        self.resolve_up_to(&[name], usize::MAX, self.this_hour(), &mut ids);
        ids.pop().flatten()
    }

    /// Takes points in. They wait in memory until they are written; none is dropped silently.
    pub fn append(&self, points: &[(SeriesId, u32, f64)]) {
        self.append_at(points, JournalPosition::default());
    }

    /// Takes points in that the journal has at `position`.
    pub fn append_at(&self, points: &[(SeriesId, u32, f64)], position: JournalPosition) {
        let store = &self.store;
        store.pending.append(points, position, store.now_s(), |id, timestamp| {
            store.index.touch(id, hour_of(timestamp.into()));
        });
        store.sums.note(points);
        if store.is_pressed() {
            store.wake.notify_all();
        }
    }

    /// Tells that the journal will give back points that came since `seconds`; files may have some of them.
    pub fn expect_again(&self, seconds: i64) {
        self.store.recovery.expect_since(seconds);
    }

    /// Where the journal has the oldest point that is in no file yet; the journal is needed from there on.
    #[must_use]
    pub fn oldest_position(&self) -> Option<JournalPosition> {
        self.store.pending.oldest_position()
    }

    /// Writes the series whose oldest waiting points the journal has before `position`.
    pub fn flush_before(&self, position: JournalPosition) -> FlushReport {
        self.store.flush_before(position)
    }

    /// The series whose oldest waiting points the journal has before `position`, and how many points they hold in all.
    #[must_use]
    pub fn waiting_before(&self, position: JournalPosition) -> (Vec<SeriesId>, usize) {
        let series = self.store.pending.before(position);
        let points = self.store.pending.points_of(&series);
        (series, points)
    }

    /// The journal has all that waits in `series` a second time, at `position` or after it.
    pub fn journalled_again(&self, series: &[SeriesId], position: JournalPosition) {
        self.store.pending.move_to(series, position);
    }

    /// Makes all names that there are survive the loss of power; false if the disk refuses.
    #[must_use]
    pub fn sync_names(&self) -> bool {
        self.store.commit_names(true)
    }

    /// Makes all that has been written to files survive the loss of power.
    ///
    /// # Errors
    /// What the disk says; nobody may rely on the files then.
    pub fn sync_files(&self) -> std::io::Result<()> {
        self.store.disk.sync(&self.store.config.whisper)
    }

    /// What that may have to write first, files of all programs included; none if it is not known.
    #[must_use]
    pub fn unsynced_bytes(&self) -> Option<u64> {
        self.store.disk.unsynced_bytes()
    }

    /// Whether more points may come now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.store.has_room()
    }

    /// Returns once more points may come.
    pub async fn wait_for_room(&self) {
        loop {
            let again = self.store.room_again.notified();
            if self.store.has_room() {
                return;
            }
            self.store.wake.notify_all();
            again.await;
        }
    }

    /// Waiting points of a series in the order of arrival, those included that are being written right now.
    #[must_use]
    pub fn pending(&self, id: SeriesId) -> Vec<(u32, f64)> {
        self.store.pending.of(id)
    }

    /// Number of points that wait.
    #[must_use]
    pub fn pending_points(&self) -> usize {
        self.store.pending.points()
    }

    /// Number of series that have points waiting.
    #[must_use]
    pub fn pending_series(&self) -> usize {
        self.store.pending.series()
    }

    /// Bytes that waiting points take.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.store.pending.bytes()
    }

    /// Bytes of what is known of the files so that they need not be read.
    #[must_use]
    pub fn known_bytes(&self) -> usize {
        self.store.pending.archive_bytes()
    }

    /// Series whose rollups are computed and not all in their files.
    #[must_use]
    pub fn rollups_owed(&self) -> usize {
        self.store.pending.owed()
    }

    /// From now on points are written when `journal` has them on disk. A node has one journal: a second one changes
    /// nothing.
    pub fn write_after(&self, journal: impl WriteAhead + 'static) {
        drop(self.store.journal.set(Box::new(journal)));
    }

    /// Does one thing to one series, alone.
    ///
    /// # Errors
    /// What the disk refused.
    pub fn execute(
        &self,
        id: SeriesId,
        command: SeriesCommand,
    ) -> Result<SeriesOutcome, ReadError> {
        match command {
            SeriesCommand::Append => {
                let (creates, rollups) = (write::Creates::Free, write::Rollups::All);
                self.store.secure(&[id]);
                let points = self.store.write(id, creates, rollups).points();
                let points_left = self.store.pending.of(id).len();
                Ok(SeriesOutcome::Appended { points, points_left })
            }
            SeriesCommand::Delete => self.remove(id).map(SeriesOutcome::Deleted),
            SeriesCommand::Snapshot => self.store.snapshot(id).map(SeriesOutcome::Snapshot),
        }
    }

    /// Deletes a series: its file, what waits, its place in the index and its name. False if there was none.
    ///
    /// # Errors
    /// A file that could not be deleted; nothing has changed then.
    pub fn remove(&self, id: SeriesId) -> Result<bool, ReadError> {
        let store = &self.store;
        let _turn = store.turns.take(id);
        let Some(path) = store.path(id) else { return Ok(false) };
        match store.disk.remove(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(ReadError::file(path, source.into()));
            }
            _removed => {}
        }
        Ok(store.forget(id))
    }

    /// Walks the tree of files, slowly: `keep_going` is asked before every folder and may wait. Names of files that were
    /// copied in become known; series whose file is gone and that have no waiting points are forgotten.
    pub fn scan(&self, keep_going: &mut dyn FnMut() -> bool) -> ScanReport {
        let store = &self.store;
        let (table, index) = (&store.table, &*store.index);
        let mut report = crate::index::scan(&store.config.whisper, table, index, keep_going);
        // A tree that is empty or cannot be read whole is more likely away than deleted.
        if report.complete && report.unreadable == 0 && report.files > 0 {
            let missing = report.missing.iter().copied();
            report.forgotten = missing.filter(|&id| store.forget_if_gone(id)).collect();
        }
        report
    }

    /// Stops the writers, then writes everything until done or `deadline` has passed; the report says what is left.
    pub fn stop(&self, deadline: Duration) -> FlushReport {
        self.halt();
        let end = self.store.clock.monotonic().saturating_add(deadline);
        let report = self.store.flush(FlushScope::All, end);
        self.store.commit_names(true);
        self.store.save_hours();
        report
    }

    /// Notes that the next start has nothing to make good, if that is so: whoever has stopped the engine and synced its files
    /// says it.
    pub fn end_cleanly(&self, report: &FlushReport) {
        let store = &self.store;
        if report.failed == 0 && store.pending.owed() == 0 && store.unsettled().is_empty() {
            store.recovery.end_cleanly();
        }
    }

    fn halt(&self) {
        self.store.stopping.store(true, Ordering::Relaxed);
        // Whoever is about to sleep has either seen it or is asleep by now.
        drop(self.store.asleep.lock());
        self.store.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a writer thread had panicked");
            }
        }
    }

    /// Writes what waits in `scope` and returns when that is done.
    pub fn flush(&self, scope: FlushScope<'_>) -> FlushReport {
        self.store.commit_names(false);
        self.store.look_at_free_space();
        self.store.flush(scope, Duration::MAX)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Store {
    fn now_s(&self) -> u32 {
        u32::try_from(self.clock.monotonic().as_secs()).unwrap_or(u32::MAX)
    }

    fn has_room(&self) -> bool {
        self.pending.points() < self.config.pending_points_max
            && self.pending.bytes() < self.config.pending_bytes_max
    }

    /// Whether so much waits that everything is due.
    fn is_pressed(&self) -> bool {
        self.pending.points() > self.config.pending_points_max / 2
            || self.pending.bytes() > self.config.pending_bytes_max / 2
    }

    fn path(&self, id: SeriesId) -> Option<PathBuf> {
        self.table.with_name(id, |name| self.path_of(name))
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.config.whisper.join(metric::path::whisper_path(name))
    }

    /// Drops what waits for a series, its place in the index and its name. False if there was none.
    fn forget(&self, id: SeriesId) -> bool {
        self.counters.points_of_deleted.add(self.pending.discard(id) as u64);
        self.sums.drop_one(id);
        self.index.remove(id);
        self.table.remove(id)
    }

    fn forget_if_gone(&self, id: SeriesId) -> bool {
        let _turn = self.turns.take(id);
        let Some(path) = self.path(id) else { return false };
        let gone = self.pending.of(id).is_empty() && !path.exists();
        if gone {
            self.sums.drop_one(id);
            self.index.remove(id);
            self.table.remove(id);
        }
        gone
    }

    /// False if the disk refuses; the names are tried again.
    fn commit_names(&self, sync: bool) -> bool {
        let committed = self.table.commit(sync);
        if let Err(error) = &committed {
            self.counters.names_errors.inc();
            daemon::warn_limited!(self.clock, %error, "names log cannot be written, will try again");
        }
        committed.is_ok()
    }

    fn save_hours(&self) {
        let saved = hours::save(&self.config.index, &*self.index, self.table.id_end());
        if let Err(error) = saved {
            tracing::warn!(%error, "activity hours cannot be written, will try again");
        }
    }

    fn look_at_free_space(&self) {
        let EngineConfig { whisper, free_bytes_min, free_files_min, .. } = &self.config;
        // A disk that does not say is taken to have room: the create itself will tell.
        let enough = self
            .disk
            .free_space(whisper)
            .map_or(true, |free| free.bytes >= *free_bytes_min && free.files >= *free_files_min);
        if self.may_create.swap(enough, Ordering::Relaxed) != enough {
            tracing::warn!(may_create = enough, "free space crossed its floor");
        }
    }
}

#[cfg(test)]
mod tests;
