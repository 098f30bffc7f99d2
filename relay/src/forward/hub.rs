//! Stream and log together: batches go into both in one order, and whoever waits for room or lines is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::tls::client::Passport;
use daemon::{Clock, Context, Shutdown, StartError};
use parking_lot::Mutex;
use segments::Position;
use tokio::sync::Notify;
use wire::link::Packing;

use super::NodeId;
use super::batch::LineBatch;
use super::stream::{Backlog, Stream};
use crate::config::LinkSettings;
use crate::log::{Lines, RelayLog, Replayer, random};

/// How long senders are held up for nodes that memory is about to let go of: time enough for one that merely breathes.
const PATIENCE: Duration = Duration::from_millis(50);
/// What is kept of the memory's limit when nodes are let go of, so that the next time is not soon.
const KEPT_SHARE: usize = 2;

/// The nodes of a set, and what stands for them in the log.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) nodes: Arc<[NodeId]>,
    pub(super) keys: Box<[u64]>,
}

/// What the forwarder's tasks share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) stream: Mutex<Stream>,
    pub(super) log: Option<(Arc<RelayLog>, Replayer)>,
    /// By what storage nodes know the numbers of this relay.
    pub(super) identity: u64,
    /// How lines are packed on the acknowledged link.
    pub(super) packing: Packing,
    /// Where the acknowledged link speaks TLS.
    pub(super) passport: Option<Passport>,
    memory_bytes_max: usize,
    /// Live traffic needs what replaying could have.
    pressed: Arc<AtomicBool>,
    /// The log is full, and a node's lines must not go.
    log_is_full: AtomicBool,
    /// Lines were added. Only without a log: it has its own word for that.
    pushed: Notify,
    /// Memory or log may have room again.
    freed: Notify,
    /// Fires when the relay is to stop: what listeners have is still taken.
    stopping: Shutdown,
    /// Fires when no more lines come and none are sent.
    pub(super) closing: Shutdown,
    pub(super) clock: Arc<dyn Clock>,
}

impl Hub {
    pub(super) fn new(
        log: Option<(Arc<RelayLog>, Replayer)>,
        stream: Stream,
        memory_bytes_max: usize,
        context: &Context,
    ) -> Self {
        let identity = log.as_ref().map_or_else(random, |(log, _)| log.identity);
        Self {
            stream: Mutex::new(stream),
            log,
            identity,
            packing: Packing::None,
            passport: None,
            memory_bytes_max,
            pressed: Arc::default(),
            log_is_full: AtomicBool::new(false),
            pushed: Notify::new(),
            freed: Notify::new(),
            stopping: context.shutdown.clone(),
            closing: Shutdown::new(),
            clock: Arc::clone(&context.clock),
        }
    }

    /// Speaks the acknowledged link as the settings say.
    ///
    /// # Errors
    /// Files for TLS that cannot be used.
    pub(super) fn with_link(mut self, link: &LinkSettings) -> Result<Self, StartError> {
        let passport = link.tls.as_ref().map(Passport::new).transpose();
        self.passport =
            passport.map_err(|error| StartError::io("TLS of the link", error.into()))?;
        self.packing = link.packing;
        Ok(self)
    }

    /// Says by `pressed` when live traffic needs what replaying could have.
    pub(super) fn with_pressed(mut self, pressed: Arc<AtomicBool>) -> Self {
        self.pressed = pressed;
        self
    }

    /// Adds batches; the log and all nodes see them in the same order. Returns the lines that were not kept for a node
    /// whose log is full, by node.
    pub(super) fn push(&self, batches: &[(&Set, Arc<LineBatch>)]) -> Vec<(NodeId, u64)> {
        let mut refused = Vec::new();
        let mut stream = self.stream.lock();
        let position = match &self.log {
            Some((log, _)) => log.append(
                batches
                    .iter()
                    .map(|(set, batch)| Lines::new(&set.keys, batch.lines(), batch.as_bytes())),
            ),
            None => Position(stream.last().0 + 1),
        };
        for (set, batch) in batches {
            let nodes = stream.push(position, &set.nodes, batch);
            refused.extend(nodes.into_iter().map(|node| (node, batch.lines())));
        }
        self.pressed.store(stream.bytes() > self.memory_bytes_max / 2, Ordering::Relaxed);
        drop(stream);
        if self.log.is_none() {
            self.pushed.notify_waiters();
        }
        refused
    }

    /// Changes the stream; who waits for room is woken if there is some afterwards.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Stream) -> T) -> T {
        let mut stream = self.stream.lock();
        let was_full = stream.bytes() > self.memory_bytes_max;
        let changed = change(&mut stream);
        let is_full = stream.bytes() > self.memory_bytes_max;
        self.pressed.store(stream.bytes() > self.memory_bytes_max / 2, Ordering::Relaxed);
        drop(stream);
        if was_full && !is_full {
            self.freed.notify_waiters();
        }
        changed
    }

    /// Nodes may be sent all up to here.
    pub(super) fn visible(&self, stream: &Stream) -> Position {
        match &self.log {
            Some((log, _)) => log.segments.taken(),
            None => stream.last(),
        }
    }

    /// Returns once nodes may be sent something behind `position`, perhaps.
    pub(super) async fn visible_beyond(&self, position: Position) {
        let Some((log, _)) = &self.log else {
            let mut pushed = std::pin::pin!(self.pushed.notified());
            pushed.as_mut().enable();
            if self.stream.lock().last() <= position {
                pushed.await;
            }
            return;
        };
        if log.segments.taken_beyond(position).await.is_err() {
            // A log that is closed has no more to come.
            self.closing.wait().await;
        }
    }

    /// Returns once the log can be read behind `position`.
    pub(super) async fn written_beyond(&self, position: Position) {
        let Some((log, _)) = &self.log else { return };
        if log.segments.wait_written(Position(position.0 + 1)).await.is_err() {
            self.closing.wait().await;
        }
    }

    pub(super) fn set_log_full(&self, full: bool) {
        self.log_is_full.store(full, Ordering::Release);
        if !full {
            self.freed.notify_waiters();
        }
    }

    fn has_room(&self) -> bool {
        let log_has_room = self.log.as_ref().is_none_or(|(log, _)| log.segments.has_room());
        log_has_room
            && !self.log_is_full.load(Ordering::Acquire)
            && self.stream.lock().bytes() <= self.memory_bytes_max
    }

    /// Returns once there is room for more; `on_wait` is called if there is none at first.
    pub(super) async fn room(&self, on_wait: impl FnOnce()) {
        if self.has_room() {
            return;
        }
        on_wait();
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.has_room() || self.stopping.is_fired() {
                return;
            }
            tokio::select! {
                () = freed => {}
                () = self.stopping.wait() => {}
                () = tokio::time::sleep(PATIENCE) => self.let_laggards_go(),
            }
        }
    }

    /// Has the nodes that hold most memory fed from the log, if memory is full.
    fn let_laggards_go(&self) {
        let (bytes_max, kept) = (self.memory_bytes_max, self.memory_bytes_max / KEPT_SHARE);
        self.change(|stream| {
            if stream.bytes() > bytes_max {
                stream.detach_laggards(kept);
            }
        });
    }

    pub(super) fn backlog(&self, node: NodeId) -> Backlog {
        self.stream.lock().backlog(node)
    }

    /// The newest position, and up to which one the node never wants anything again.
    pub(super) fn newest_and_done(&self, node: NodeId) -> (Position, Position) {
        let stream = self.stream.lock();
        (stream.last(), stream.place(node).map_or(stream.last(), |place| place.done))
    }
}
