//! The threads that write: which series, when, in which order.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Store;
use super::pending::{Due, SHARDS};
use super::write::{Creates, Rollups, Written};
use crate::series::SeriesId;

/// How often a writer looks for what is due when nobody wakes it.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// How often the activity of all series is written down; a start after a death takes it to be so much older.
const HOURS_INTERVAL: Duration = Duration::from_secs(3_600);

/// How often it is counted anew what the quotas have used.
const QUOTAS_INTERVAL: Duration = Duration::from_secs(600);

/// How often new names go to the log. The journal has them until they are synced there.
const NAMES_INTERVAL: Duration = Duration::from_secs(1);

/// How often the file system is asked for its free space.
const FREE_SPACE_INTERVAL: Duration = Duration::from_secs(1);

/// Series that a writer takes at once and puts in order before it writes them.
const ROUND_SERIES_MAX: usize = 4096;

/// Series of a node that died before this start that are looked after in one round.
const RECOVER_SERIES: usize = 512;

/// Wait after the first failure; it doubles with each further one.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);

/// Doublings of the wait after failures.
const BACK_OFF_DOUBLINGS_MAX: u8 = 6;

/// Starts the writers and the thread that keeps the names log; none if no writers are wanted.
pub(super) fn start(store: &Arc<Store>) -> io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for number in 0..store.config.writer_threads {
        let mut writer = Writer::new(Arc::clone(store), number);
        threads.push(daemon::threads::spawn(&format!("carbon-writer-{number}"), move || {
            while writer.store.sleep(ROUND_INTERVAL) {
                writer.round();
            }
        })?);
    }
    if store.config.writer_threads > 0 {
        let store = Arc::clone(store);
        threads.push(daemon::threads::spawn("carbon-names", move || store.keep_names())?);
    }
    Ok(threads)
}

impl Store {
    /// Waits to be woken, at most for `interval`; false when it is time to stop.
    fn sleep(&self, interval: Duration) -> bool {
        let mut asleep = self.asleep.lock();
        let stopping = || self.stopping.load(Ordering::Relaxed);
        if !stopping() {
            self.wake.wait_for(&mut asleep, interval);
        }
        !stopping()
    }

    /// Finds out how old the points of a series may get before they must be written, by the file it is to have.
    fn ask_for_age(&self, id: SeriesId) {
        let spec = self.table.with_name(id, |name| self.specs.spec_for(name));
        let header = spec.and_then(|spec| spec.header().ok());
        let age_s = header.map_or(self.config.write_age_s, |header| self.age_s(&header));
        self.pending.set_age(id, age_s);
    }

    fn keep_names(&self) {
        let (mut synced, mut looked) = (Duration::ZERO, Duration::ZERO);
        let mut hours_saved = self.clock.monotonic();
        let mut quotas_counted = hours_saved;
        while self.sleep(NAMES_INTERVAL) {
            let now = self.clock.monotonic();
            let sync = now.saturating_sub(synced) >= self.config.names_sync_interval;
            self.commit_names(sync);
            synced = if sync { now } else { synced };
            if now.saturating_sub(hours_saved) >= HOURS_INTERVAL {
                self.save_hours();
                hours_saved = now;
            }
            if now.saturating_sub(quotas_counted) >= QUOTAS_INTERVAL {
                self.count_quotas();
                quotas_counted = now;
            }
            if now.saturating_sub(looked) >= FREE_SPACE_INTERVAL {
                self.look_at_free_space();
                looked = now;
            }
        }
    }
}

/// One writer: it looks after a part of the shards of waiting points.
#[derive(Debug)]
pub(super) struct Writer {
    store: Arc<Store>,
    shards: Vec<usize>,
    /// Series whose files may not be created yet, in the order in which they asked.
    delayed: VecDeque<SeriesId>,
    /// Series whose last write failed, by the time of the next attempt.
    retries: BTreeSet<(Duration, SeriesId)>,
}

impl Writer {
    pub(super) fn new(store: Arc<Store>, number: usize) -> Self {
        let writers = store.config.writer_threads.max(1);
        let shards = (0..SHARDS).filter(|shard| shard % writers == number).collect();
        Self { store, shards, delayed: VecDeque::new(), retries: BTreeSet::new() }
    }

    /// Writes all that is due now, as far as the budgets reach.
    pub(super) fn round(&mut self) {
        self.create_delayed();
        self.try_again();
        self.recover();
        let mut due = Due::default();
        loop {
            let store = &self.store;
            let permits = store.updates.take(ROUND_SERIES_MAX, store.clock.monotonic());
            self.take_due(permits, &mut due);
            self.store.updates.give_back(permits - due.series.len());
            if due.series.is_empty() && due.unknown.is_empty() {
                return;
            }
            // Neighbouring inodes share a block of the disk.
            due.series.sort_unstable();
            for id in due.unknown.drain(..) {
                self.store.ask_for_age(id);
            }
            let ids: Vec<SeriesId> = due.series.drain(..).map(|(_inode, id)| id).collect();
            self.write_all(&ids, Creates::Budgeted);
            if self.store.stopping.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn write_all(&mut self, ids: &[SeriesId], creates: Creates) {
        self.store.secure(ids);
        for &id in ids {
            if self.store.stopping.load(Ordering::Relaxed) {
                return;
            }
            self.write(id, creates);
        }
    }

    fn take_due(&mut self, limit: usize, due: &mut Due) {
        let store = &self.store;
        let (now_s, pressed) = (store.now_s(), store.is_pressed());
        for _ in 0..self.shards.len() {
            let room = limit.saturating_sub(due.series.len());
            if room == 0 {
                return;
            }
            store.pending.take_due(self.shards[0], now_s, pressed, room, due);
            // The next round begins with the shard after the last one looked at.
            self.shards.rotate_left(1);
        }
    }

    /// Looks after a few of the series of a node that died: rollups may be missing in their files.
    fn recover(&mut self) {
        if self.store.recovery.is_over() || self.store.is_pressed() {
            return;
        }
        let store = &self.store;
        let permits = store.updates.take(RECOVER_SERIES, store.clock.monotonic());
        let ids = store.recovery.take(permits).map(SeriesId);
        let is_open = |id: &SeriesId| store.table.is_living(*id) && !store.pending.is_settled(*id);
        let ids: Vec<SeriesId> = ids.filter(is_open).collect();
        self.write_all(&ids, Creates::Budgeted);
    }

    fn create_delayed(&mut self) {
        if self.delayed.is_empty() || !self.store.may_create.load(Ordering::Relaxed) {
            return;
        }
        let permits = self.store.creates.take(self.delayed.len(), self.store.clock.monotonic());
        let ids: Vec<SeriesId> = self.delayed.drain(..permits).collect();
        self.write_all(&ids, Creates::Free);
    }

    fn try_again(&mut self) {
        let now = self.store.clock.monotonic();
        let later = self.retries.split_off(&(now, SeriesId(u32::MAX)));
        let due = std::mem::replace(&mut self.retries, later);
        let ids: Vec<SeriesId> = due.into_iter().map(|(_time, id)| id).collect();
        self.write_all(&ids, Creates::Budgeted);
    }

    fn write(&mut self, id: SeriesId, creates: Creates) {
        match self.store.write(id, creates, Rollups::Due) {
            Written::Nothing | Written::Points(_) => {}
            Written::Delayed => self.delayed.push_back(id),
            Written::Failed(failures) => {
                let doublings = failures.saturating_sub(1).min(BACK_OFF_DOUBLINGS_MAX);
                let wait = BACK_OFF_MIN * (1 << doublings);
                self.retries.insert((self.store.clock.monotonic().saturating_add(wait), id));
            }
        }
    }
}
