//! The threads that write: which series, when, in which order.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Store;
use super::pending::SHARDS;
use super::write::{Creates, Written};
use crate::series::SeriesId;

/// How often a writer looks for what is due when nobody wakes it.
const ROUND_INTERVAL: Duration = Duration::from_millis(250);

/// How often new names go to the log.
const NAMES_INTERVAL: Duration = Duration::from_millis(100);

/// How often the file system is asked for its free space.
const FREE_SPACE_INTERVAL: Duration = Duration::from_secs(1);

/// Series that a writer takes at once and puts in order before it writes them.
const ROUND_SERIES_MAX: usize = 4096;

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
        let mut stopping = self.stopping.lock();
        if !*stopping {
            self.wake.wait_for(&mut stopping, interval);
        }
        !*stopping
    }

    fn keep_names(&self) {
        let (mut synced, mut looked) = (Duration::ZERO, Duration::ZERO);
        while self.sleep(NAMES_INTERVAL) {
            let now = self.clock.monotonic();
            let sync = now.saturating_sub(synced) >= self.config.names_sync_interval;
            self.commit_names(sync);
            synced = if sync { now } else { synced };
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
        let mut due = Vec::new();
        loop {
            let store = &self.store;
            let permits = store.updates.take(ROUND_SERIES_MAX, store.clock.monotonic());
            self.take_due(permits, &mut due);
            self.store.updates.give_back(permits - due.len());
            if due.is_empty() {
                return;
            }
            // Files are created in the order of ids, so this is close to the order of inodes.
            due.sort_unstable();
            for id in due.drain(..) {
                if *self.store.stopping.lock() {
                    return;
                }
                self.write(id, Creates::Budgeted);
            }
        }
    }

    fn take_due(&mut self, limit: usize, due: &mut Vec<SeriesId>) {
        let store = &self.store;
        let until_s = if store.is_pressed() {
            i64::MAX
        } else {
            i64::from(store.now_s()) - i64::from(store.config.write_age_s)
        };
        for _ in 0..self.shards.len() {
            if due.len() >= limit {
                return;
            }
            store.pending.take_due(self.shards[0], until_s, limit - due.len(), due);
            // The next round begins with the shard after the last one looked at.
            self.shards.rotate_left(1);
        }
    }

    fn create_delayed(&mut self) {
        if self.delayed.is_empty() || !self.store.may_create.load(Ordering::Relaxed) {
            return;
        }
        let permits = self.store.creates.take(self.delayed.len(), self.store.clock.monotonic());
        for id in self.delayed.drain(..permits).collect::<Vec<_>>() {
            self.write(id, Creates::Free);
        }
    }

    fn try_again(&mut self) {
        let now = self.store.clock.monotonic();
        while let Some(&first) = self.retries.first() {
            if first.0 > now {
                return;
            }
            self.retries.remove(&first);
            self.write(first.1, Creates::Budgeted);
        }
    }

    fn write(&mut self, id: SeriesId, creates: Creates) {
        match self.store.write(id, creates) {
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
