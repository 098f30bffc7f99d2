//! One node as its sending task and the forwarder see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daemon::tls::client::Passport;
use daemon::{Counter, Registry};
use parking_lot::Mutex;
use segments::Position;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use wire::link::Packing;

use super::NodeId;
use super::hub::Hub;
use super::stream::{Next, Taken};
use crate::clusters::Destination;
use crate::log::key_of;

const BACKLOG_LINES: &str = "plumbago_relay_backlog_lines";
const BACKLOG_BYTES: &str = "plumbago_relay_backlog_bytes";

/// What the numbers of one node are called.
#[derive(Debug)]
pub(super) struct NodeMetrics {
    pub(super) sent: Counter,
    pub(super) resent: Counter,
    pub(super) connects: Counter,
    pub(super) connect_failures: Counter,
    pub(super) link_written: Counter,
    pub(super) link_synced: Counter,
    link_known: Counter,
}

impl NodeMetrics {
    fn new(registry: &Registry, node: &str) -> Self {
        let counter = |name| registry.counter_with(name, &[node]);
        Self {
            sent: counter("plumbago_relay_lines_sent_total"),
            resent: counter("plumbago_relay_lines_resent_total"),
            connects: counter("plumbago_relay_connects_total"),
            connect_failures: counter("plumbago_relay_connect_failures_total"),
            link_written: counter("plumbago_relay_link_lines_written_total"),
            link_synced: counter("plumbago_relay_link_lines_synced_total"),
            link_known: counter("plumbago_relay_link_lines_known_total"),
        }
    }
}

/// A node with its place in the stream.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) destination: Destination,
    pub(super) key: u64,
    /// What the node calls this relay and its place for it, on the acknowledged link.
    pub(super) sender: u64,
    pub(super) metrics: NodeMetrics,
    pub(super) task: Mutex<Option<JoinHandle<()>>>,
    hub: Arc<Hub>,
    connected: AtomicBool,
    leaving: AtomicBool,
    left: Notify,
}

impl Node {
    pub(super) fn new(
        id: NodeId,
        destination: &Destination,
        hub: &Arc<Hub>,
        registry: &Registry,
    ) -> Self {
        let name = destination.name.as_str();
        let gauge = |metric, read: fn(&Hub, NodeId) -> i64| {
            let hub = Arc::downgrade(hub);
            let read = move || hub.upgrade().map_or(0, |hub| read(&hub, id)).max(0) as f64;
            registry.callback(metric, &[name], read);
        };
        gauge(BACKLOG_LINES, |hub, id| hub.backlog(id).lines);
        gauge(BACKLOG_BYTES, |hub, id| hub.backlog(id).bytes);
        Self {
            id,
            destination: destination.clone(),
            key: key_of(name),
            sender: key_of(&format!("{:016x} {name}", hub.identity)),
            metrics: NodeMetrics::new(registry, name),
            task: Mutex::default(),
            hub: Arc::clone(hub),
            connected: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            left: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.destination.name
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    /// No more lines come for the node: its task ends once none wait.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.left.notify_one();
    }

    /// Whether the node was removed and nothing waits for it.
    pub(super) fn is_over(&self) -> bool {
        self.leaving.load(Ordering::Acquire) && self.hub.backlog(self.id).lines <= 0
    }

    /// Waits for lines and takes some, none behind `until`; none once the relay ends or the node is over. Without batches it
    /// only says how far the node has come.
    pub(super) async fn next(&self, until: Option<Position>) -> Option<Taken> {
        let sooner = |position: Position| until.map_or(position, |until| until.min(position));
        loop {
            let next = self.hub.change(|stream| {
                let visible = self.hub.visible(stream);
                stream.next(self.id, sooner(visible))
            });
            let taken = match next {
                Next::Taken(taken) => Some(taken),
                Next::FromLog(after, kept) => {
                    self.read_back(after, kept.map(sooner).or(until)).await
                }
                Next::Nothing(after) => {
                    if self.hub.closing.is_fired() || self.is_over() {
                        return None;
                    }
                    tokio::select! {
                        () = self.hub.visible_beyond(after) => {}
                        () = self.left.notified() => {}
                        () = self.hub.closing.wait() => {}
                    }
                    None
                }
            };
            if taken.is_some() {
                return taken;
            }
            if self.hub.closing.is_fired() {
                return None;
            }
        }
    }

    async fn read_back(&self, after: Position, until: Option<Position>) -> Option<Taken> {
        let (_, replayer) = self.hub.log.as_ref()?;
        let read = tokio::select! {
            read = replayer.read(self.key, after, until) => read?,
            () = self.hub.closing.wait() => return None,
        };
        let (up_to, lines, bytes) = (read.up_to, read.batch.lines(), read.batch.as_bytes().len());
        self.hub.change(|stream| stream.sent_from_log(self.id, up_to, read.at_end));
        if up_to == after {
            // The log is about to be written further, unless the disk refuses.
            tokio::select! {
                () = self.hub.written_beyond(after) => {}
                () = self.left.notified() => {}
                () = self.hub.closing.wait() => {}
            }
            return None;
        }
        let batches = if lines == 0 { Vec::new() } else { vec![Arc::new(read.batch)] };
        Some(Taken { batches, up_to, lines, bytes })
    }

    /// Whether lines can be read back when they are wanted again.
    pub(super) fn has_log(&self) -> bool {
        self.hub.log.is_some()
    }

    /// The position of the newest lines of all nodes.
    pub(super) fn last(&self) -> Position {
        self.hub.stream.lock().last()
    }

    /// All up to here was handed out.
    pub(super) fn sent(&self) -> Position {
        self.hub.stream.lock().place(self.id).map_or(Position(0), |place| place.sent)
    }

    /// How lines are packed on the acknowledged link.
    pub(super) fn packing(&self) -> Packing {
        self.hub.packing
    }

    /// The node has these already.
    pub(super) fn passed_over(&self, taken: &Taken) {
        self.metrics.link_known.add(taken.lines);
        self.hub.change(|stream| stream.delivered(self.id, taken.lines, taken.bytes));
    }

    /// What the acknowledged link's handshakes need, where it speaks TLS.
    pub(super) fn passport(&self) -> Option<&Passport> {
        self.hub.passport.as_ref()
    }

    /// Lines have gone out.
    pub(super) fn delivered(&self, taken: &Taken) {
        self.metrics.sent.add(taken.lines);
        self.hub.change(|stream| stream.delivered(self.id, taken.lines, taken.bytes));
    }

    /// The node never needs what is at or before this position again.
    pub(super) fn done(&self, up_to: Position) {
        self.hub.change(|stream| stream.done(self.id, up_to));
    }

    /// The connection is gone; of what went out, that much may not have been read and waits again.
    pub(super) fn rewind(&self, lines: u64, bytes: usize) {
        self.metrics.resent.add(lines);
        self.hub.change(|stream| {
            stream.rewind(self.id);
            stream.waiting(self.id, lines, bytes);
        });
    }

    /// Returns when nothing more is to be sent.
    pub(super) async fn closed(&self) {
        loop {
            if self.is_over() {
                return;
            }
            tokio::select! {
                () = self.hub.closing.wait() => return,
                () = self.left.notified() => {}
            }
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.hub.closing.is_fired()
    }

    /// Takes the node out of the stream and its gauges out of the metrics.
    pub(super) fn forget(&self, registry: &Registry) {
        self.hub.change(|stream| stream.remove(self.id));
        registry.remove(BACKLOG_LINES, &[self.name()]);
        registry.remove(BACKLOG_BYTES, &[self.name()]);
    }
}
