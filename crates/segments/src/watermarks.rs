//! How far the disk has come, for all who wait for it: tasks and OS threads.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::{LogError, Position};

/// How safe something is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives the death of the process.
    Written,
    /// It survives the loss of power.
    Synced,
}

#[derive(Debug)]
pub(crate) struct Watermarks {
    written: AtomicU64,
    synced: AtomicU64,
    /// What the committer has taken, whether or not the disk took it.
    taken: AtomicU64,
    /// What need not be kept safe any more.
    needless: AtomicU64,
    /// Bytes in memory that are not synced.
    held: AtomicUsize,
    stalled: AtomicBool,
    closed: AtomicBool,
    /// Taken by whoever is about to wait on a thread, so that no change slips through between look and wait.
    turn: Mutex<()>,
    changed: Condvar,
    changed_for_tasks: Notify,
}

impl Watermarks {
    pub(crate) fn new(at: Position) -> Self {
        Self {
            written: AtomicU64::new(at.0),
            synced: AtomicU64::new(at.0),
            taken: AtomicU64::new(at.0),
            needless: AtomicU64::new(0),
            held: AtomicUsize::new(0),
            stalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            turn: Mutex::default(),
            changed: Condvar::new(),
            changed_for_tasks: Notify::new(),
        }
    }

    pub(crate) fn reached(&self, durability: Durability) -> Position {
        let mark = match durability {
            Durability::Written => &self.written,
            Durability::Synced => &self.synced,
        };
        Position(mark.load(Ordering::Acquire))
    }

    pub(crate) fn raise(&self, written: u64, synced: u64) {
        self.written.fetch_max(written, Ordering::Release);
        self.synced.fetch_max(synced, Ordering::Release);
    }

    pub(crate) fn taken(&self) -> Position {
        Position(self.taken.load(Ordering::Acquire))
    }

    pub(crate) fn raise_taken(&self, taken: u64) {
        self.taken.fetch_max(taken, Ordering::Release);
    }

    pub(crate) fn needless(&self) -> u64 {
        self.needless.load(Ordering::Relaxed)
    }

    pub(crate) fn raise_needless(&self, position: Position) {
        self.needless.fetch_max(position.0, Ordering::Relaxed);
    }

    pub(crate) fn add_held(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub_held(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Release);
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.tell();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Wakes all who wait; to be called after changes.
    pub(crate) fn tell(&self) {
        drop(self.turn.lock());
        self.changed.notify_all();
        self.changed_for_tasks.notify_waiters();
    }

    /// For waiting: done when `position` is safe, over when the log is.
    pub(crate) fn state_of(
        &self,
        position: Position,
        durability: Durability,
    ) -> Option<Result<(), LogError>> {
        // In this order: what is reached when the log closes counts as reached.
        let closed = self.is_closed();
        if self.reached(durability) >= position {
            return Some(Ok(()));
        }
        closed.then_some(Err(LogError::Closed))
    }

    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed_for_tasks.notified());
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }

    pub(crate) fn until_blocking<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut turn = self.turn.lock();
        loop {
            if let Some(found) = look() {
                return found;
            }
            self.changed.wait(&mut turn);
        }
    }
}
