//! The queue of one node, and the room that all queues share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use daemon::{Counter, Gauge, Registry};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::batch::LineBatch;
use crate::config::Destination;

/// How many batches one vectored write takes.
const SEND_BATCHES_MAX: usize = 64;

/// Says whether some queue is full: senders wait while one is.
#[derive(Debug, Default)]
pub(crate) struct Room {
    full_queues: AtomicUsize,
    freed: Notify,
}

impl Room {
    /// Whether no queue is full.
    pub(crate) fn is_free(&self) -> bool {
        self.full_queues.load(Ordering::Acquire) == 0
    }

    /// Resolves when no queue is full.
    pub(crate) async fn wait(&self) {
        loop {
            let freed = self.freed.notified();
            if self.is_free() {
                return;
            }
            freed.await;
        }
    }

    fn fill(&self) {
        self.full_queues.fetch_add(1, Ordering::AcqRel);
    }

    fn free(&self) {
        if self.full_queues.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.freed.notify_waiters();
        }
    }
}

/// What the numbers of one node are called.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    pub(crate) sent: Counter,
    pub(crate) resent: Counter,
    pub(crate) connects: Counter,
    pub(crate) connect_failures: Counter,
    backlog_lines: Gauge,
    backlog_bytes: Gauge,
}

impl NodeMetrics {
    fn new(registry: &Registry, node: &str) -> Self {
        let counter = |name| registry.counter_with(name, &[node]);
        let gauge = |name| registry.gauge_with(name, &[node]);
        Self {
            sent: counter("plumbago_relay_lines_sent_total"),
            resent: counter("plumbago_relay_lines_resent_total"),
            connects: counter("plumbago_relay_connects_total"),
            connect_failures: counter("plumbago_relay_connect_failures_total"),
            backlog_lines: gauge("plumbago_relay_backlog_lines"),
            backlog_bytes: gauge("plumbago_relay_backlog_bytes"),
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Arc<LineBatch>>,
    /// Taken by the sender and not yet done with.
    sending: usize,
    bytes: usize,
    lines: u64,
    full: bool,
}

/// Lines that wait for one node.
#[derive(Debug)]
pub(crate) struct NodeQueue {
    destination: Destination,
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    filled: Notify,
    room: Arc<Room>,
    connected: AtomicBool,
    leaving: AtomicBool,
    pub(crate) metrics: NodeMetrics,
}

impl NodeQueue {
    /// An empty queue.
    pub(crate) fn new(
        destination: Destination,
        bytes_max: usize,
        room: Arc<Room>,
        registry: &Registry,
    ) -> Self {
        Self {
            metrics: NodeMetrics::new(registry, &destination.name),
            destination,
            bytes_max,
            waiting: Mutex::new(Waiting::default()),
            filled: Notify::new(),
            room,
            connected: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.destination.name
    }

    pub(crate) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// No more lines come for the node; [`NodeQueue::is_over`] once none wait.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    /// Whether nothing is left to do for the node.
    pub(crate) fn is_over(&self) -> bool {
        self.leaving.load(Ordering::Acquire) && self.is_empty()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    /// Whether nothing waits and nothing is being sent.
    pub(crate) fn is_empty(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.batches.is_empty() && waiting.sending == 0
    }

    /// Adds a batch. It always fits: a full queue is for listeners to wait for, before they read.
    pub(crate) fn push(&self, batch: Arc<LineBatch>) {
        if batch.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        waiting.bytes += batch.as_bytes().len();
        waiting.lines += batch.lines();
        waiting.batches.push_back(batch);
        self.account(&mut waiting);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits for lines and takes some; they stay accounted for until they are `done` or put back.
    /// Takes none when the node is over.
    pub(crate) async fn take(&self) -> Vec<Arc<LineBatch>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut waiting = self.waiting.lock();
                let count = waiting.batches.len().min(SEND_BATCHES_MAX);
                if count > 0 || self.leaving.load(Ordering::Acquire) {
                    waiting.sending = count;
                    return waiting.batches.drain(..count).collect();
                }
            }
            filled.await;
        }
    }

    /// The batches that were taken have been sent.
    pub(crate) fn done(&self, batches: &[Arc<LineBatch>]) {
        let mut waiting = self.waiting.lock();
        waiting.sending = 0;
        waiting.bytes -= bytes_of(batches);
        waiting.lines -= lines_of(batches);
        self.account(&mut waiting);
        self.metrics.sent.add(lines_of(batches));
    }

    /// The batches that were taken could not all be sent: they are first in line again.
    pub(crate) fn put_back(&self, batches: Vec<Arc<LineBatch>>) {
        let mut waiting = self.waiting.lock();
        waiting.sending = 0;
        for batch in batches.into_iter().rev() {
            waiting.batches.push_front(batch);
        }
        self.filled.notify_one();
    }

    /// Batches that were sent before go to the front once more.
    pub(crate) fn resend(&self, batches: Vec<Arc<LineBatch>>) {
        let mut waiting = self.waiting.lock();
        waiting.bytes += bytes_of(&batches);
        waiting.lines += lines_of(&batches);
        self.metrics.resent.add(lines_of(&batches));
        for batch in batches.into_iter().rev() {
            waiting.batches.push_front(batch);
        }
        self.account(&mut waiting);
    }

    /// Empties the queue.
    pub(crate) fn take_all(&self) -> Vec<Arc<LineBatch>> {
        let mut waiting = self.waiting.lock();
        let batches: Vec<Arc<LineBatch>> = waiting.batches.drain(..).collect();
        waiting.bytes -= bytes_of(&batches);
        waiting.lines -= lines_of(&batches);
        self.account(&mut waiting);
        batches
    }

    /// Publishes the backlog and tells the room when the queue becomes full or has space again.
    fn account(&self, waiting: &mut Waiting) {
        self.metrics.backlog_bytes.set(waiting.bytes as f64);
        self.metrics.backlog_lines.set(waiting.lines as f64);
        let full = waiting.bytes >= self.bytes_max;
        if full != waiting.full {
            waiting.full = full;
            if full { self.room.fill() } else { self.room.free() }
        }
    }
}

fn bytes_of(batches: &[Arc<LineBatch>]) -> usize {
    batches.iter().map(|batch| batch.as_bytes().len()).sum()
}

fn lines_of(batches: &[Arc<LineBatch>]) -> u64 {
    batches.iter().map(|batch| batch.lines()).sum()
}
