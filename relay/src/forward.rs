//! Forwarding: sets of nodes that get the same lines, and a sending task for each node.
//!
//! All batches go through one stream: into the log, if there is one, and to the nodes from memory. A node that memory cannot
//! feed any more, because it is slow, away or just back, is fed from the log. Nodes come and go while the relay runs: a node that
//! stays keeps its place and its connection.

mod batch;
mod connect;
mod drops;
mod former;
mod hub;
mod keeper;
mod lines;
mod link;
mod node;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::tls::TlsError;
use daemon::tls::client::Passport;
use daemon::{Context, Counter, StartError};
use metric::map::Map;
use parking_lot::RwLock;
use segments::{Durability, Position};
use serde_json::json;
use tracing::{info, warn};

pub(crate) use batch::LineBatch;

use crate::clusters::Destination;
use crate::config::Config;
use crate::log::{Found, RelayLog, Replayer, SavedPlace};
use drops::{DropReason, Drops};
use former::FormerFiles;
use hub::{Hub, Set};
use node::Node;
use stream::Stream;

/// How often a stopping relay looks whether all is sent.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// What part of the stop deadline is for sending.
const DRAIN_SHARE: f64 = 0.7;
/// With a log, what is not sent by then is sent by the next run.
const DRAIN_WITH_LOG_MAX: Duration = Duration::from_secs(2);
/// How long all tasks of a stopping relay may take to end.
const TASKS_END_MAX: Duration = Duration::from_secs(2);

/// Most bytes that nodes see as one: what a batch of the acknowledged link takes is bounded by it.
const PUSH_BYTES_MAX: usize = 2 << 20;

/// A node of the forwarder. Numbers are not given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(usize);

/// Nodes that get the same lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SetId(usize);

/// All nodes, and the sets that were asked for.
#[derive(Debug)]
pub(crate) struct Forwarder {
    hub: Arc<Hub>,
    nodes: RwLock<Nodes>,
    former_files: Option<FormerFiles>,
    drops: Drops,
    has_begun: AtomicBool,
    drain_max: Duration,
    waited: Counter,
    context: Context,
}

#[derive(Debug, Default)]
struct Nodes {
    /// By number; none where the node was removed.
    nodes: Vec<Option<Arc<Node>>>,
    /// Removed, but something may still wait for them.
    leaving: Vec<Arc<Node>>,
    sets: Vec<Set>,
    set_ids: Map<Arc<[NodeId]>, SetId>,
}

impl Nodes {
    fn living(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().flatten()
    }
}

impl Forwarder {
    /// A forwarder without nodes. What former runs have left is counted meanwhile.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub(crate) fn open(config: &Config, context: &Context) -> Result<Arc<Self>, StartError> {
        let hub = Arc::new(open_hub(config, context)?);
        let drain_max = config.stop_deadline.mul_f64(DRAIN_SHARE);
        let drain_max =
            if hub.log.is_some() { drain_max.min(DRAIN_WITH_LOG_MAX) } else { drain_max };
        let forwarder = Arc::new(Self {
            hub,
            nodes: RwLock::default(),
            former_files: config.log.as_ref().map(|log| FormerFiles::new(&log.folder)),
            drops: Drops::new(&context.metrics),
            has_begun: AtomicBool::new(false),
            drain_max,
            waited: context.metrics.counter("plumbago_relay_senders_waited_total"),
            context: context.clone(),
        });
        if let Some((log, _)) = &forwarder.hub.log {
            publish(log, context);
        }
        Ok(forwarder)
    }

    /// Says that the first nodes have been added, and no line has come yet: from now on their places are kept on disk, and
    /// what former runs have left for them is counted.
    ///
    /// # Errors
    /// When there is no thread to be had, or what an older version has left cannot be read.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<(), StartError> {
        let Some((log, _)) = &self.hub.log else { return Ok(()) };
        self.has_begun.store(true, Ordering::Release);
        keeper::save_all_places(self);
        for node in self.all_nodes() {
            self.take_former_file(&node)?;
        }
        let started = |error| StartError::io("threads of `log`", error);
        let keeping = Arc::downgrade(self);
        daemon::threads::spawn("relay-keep", move || keeper::run(&keeping)).map_err(started)?;
        let (log, forwarder) = (Arc::clone(log), Arc::downgrade(self));
        let lines_found = self.context.metrics.counter("plumbago_relay_log_lines_found_total");
        let mut removed: BTreeMap<u64, u64> = BTreeMap::new();
        let count = move || {
            log.count_former(&mut |found| {
                let Some(forwarder) = forwarder.upgrade() else { return };
                lines_found.add(found.lines);
                if !forwarder.found(&found) {
                    *removed.entry(found.key).or_default() += found.lines;
                }
            });
            let Some(forwarder) = forwarder.upgrade() else { return };
            for (key, lines) in removed {
                let name = log.name_of(key).unwrap_or_else(|| format!("{key:016x}"));
                forwarder.drops.count(&name, DropReason::NodeRemoved, lines);
            }
        };
        daemon::threads::spawn("relay-count", count).map(drop).map_err(started)
    }

    /// The node's number. A node that is new gets a sending task, which goes on where the last run was with it. To be
    /// called on the runtime.
    ///
    /// # Errors
    /// When what an older version left undelivered cannot be read.
    pub(crate) fn add(&self, destination: &Destination) -> Result<NodeId, StartError> {
        let mut nodes = self.nodes.write();
        if let Some(known) = nodes.living().find(|node| node.destination == *destination) {
            return Ok(known.id);
        }
        let id = self.hub.change(|stream| {
            // Behind it lines may still come to positions that were given already.
            let end = self.hub.visible(stream);
            let at_end = SavedPlace { done: end, kept_until: None };
            let log = self.hub.log.as_ref();
            let place = log.map_or(at_end, |(log, _)| log.take_place(&destination.name, end));
            stream.add(place.done, place.kept_until)
        });
        let node = Arc::new(Node::new(id, destination, &self.hub, &self.context.metrics));
        debug_assert_eq!(nodes.nodes.len(), id.0, "stream and forwarder number nodes alike");
        nodes.nodes.push(Some(Arc::clone(&node)));
        drop(nodes);
        if self.has_begun.load(Ordering::Acquire) {
            // Lines for it may come at once, and must find it after a death.
            keeper::save_all_places(self);
            self.take_former_file(&node)?;
        }
        *node.task.lock() =
            Some(tokio::spawn(connect::run(Arc::clone(&node), self.context.clone())));
        Ok(id)
    }

    /// Queues what a version without a log has left in a file, then deletes the file.
    fn take_former_file(&self, node: &Node) -> Result<(), StartError> {
        let Some(files) = &self.former_files else { return Ok(()) };
        let Some(left) = files.read(node.name())? else { return Ok(()) };
        info!(node = node.name(), lines = left.lines(), "lines of a former version queued");
        let set = self.set(&[node.id]);
        self.queue(vec![(set, left)]);
        if let Some((log, _)) = &self.hub.log {
            let last = log.segments.appended();
            log.segments.wait_blocking(last, Durability::Written).map_err(StartError::other)?;
        }
        files.remove(node.name())
    }

    /// Reads the files for TLS again.
    ///
    /// # Errors
    /// Files that cannot be used: they change nothing.
    pub(crate) fn renew_tls(&self) -> Result<(), TlsError> {
        self.hub.passport.as_ref().map_or(Ok(()), Passport::renew)
    }

    /// Gives the node no more lines. What waits for it is still sent, then its connection ends.
    pub(crate) fn remove(&self, node: NodeId) {
        let mut nodes = self.nodes.write();
        if let Some(node) = nodes.nodes.get_mut(node.0).and_then(Option::take) {
            node.leave();
            nodes.leaving.retain(|node| self.hub.stream.lock().place(node.id).is_some());
            nodes.leaving.push(node);
        }
    }

    /// All nodes, those included that are leaving.
    fn all_nodes(&self) -> Vec<Arc<Node>> {
        let nodes = self.nodes.read();
        nodes.living().chain(&nodes.leaving).cloned().collect()
    }

    /// The set of these nodes, the same number for the same nodes in the same order.
    pub(crate) fn set(&self, nodes: &[NodeId]) -> SetId {
        let mut state = self.nodes.write();
        if let Some(id) = state.set_ids.get(nodes) {
            return *id;
        }
        let key = |node: &NodeId| state.nodes.get(node.0)?.as_ref().map(|node| node.key);
        let keys = nodes.iter().filter_map(key).collect();
        let (id, nodes) = (SetId(state.sets.len()), Arc::<[NodeId]>::from(nodes));
        state.sets.push(Set { nodes: Arc::clone(&nodes), keys });
        state.set_ids.insert(nodes, id);
        id
    }

    /// Queues each batch for all nodes of its set; a node that was removed gets nothing.
    pub(crate) fn queue(&self, batches: Vec<(SetId, LineBatch)>) {
        let nodes = self.nodes.read();
        let batches = batches.into_iter().filter(|(_, batch)| !batch.is_empty());
        let mut together: Vec<(&Set, Arc<LineBatch>)> = Vec::new();
        let mut bytes = 0;
        for (set, batch) in batches {
            for piece in batch.in_pieces(PUSH_BYTES_MAX) {
                if bytes > 0 && bytes + piece.as_bytes().len() > PUSH_BYTES_MAX {
                    self.push(&nodes, &together);
                    together.clear();
                    bytes = 0;
                }
                bytes += piece.as_bytes().len();
                together.push((&nodes.sets[set.0], Arc::new(piece)));
            }
        }
        if !together.is_empty() {
            self.push(&nodes, &together);
        }
    }

    fn push(&self, nodes: &Nodes, batches: &[(&Set, Arc<LineBatch>)]) {
        for (id, lines) in self.hub.push(batches) {
            if let Some(Some(node)) = nodes.nodes.get(id.0) {
                self.drops.count(node.name(), DropReason::LogFullNewest, lines);
            }
        }
    }

    /// Resolves when there is room for more.
    pub(crate) async fn room(&self) {
        self.hub.room(|| self.waited.inc()).await;
    }

    /// Resolves when all that was queued so far survives the death of the relay. Without a log that is at once.
    pub(crate) async fn committed(&self) {
        if let Some((log, _)) = &self.hub.log {
            log.committed().await;
        }
    }

    /// What waits for each node, as JSON.
    pub(crate) fn backlog(&self) -> serde_json::Value {
        let one = |node: &Arc<Node>| {
            let backlog = self.hub.backlog(node.id);
            let (newest, done) = self.hub.newest_and_done(node.id);
            json!({
                "node": node.name(),
                "connected": node.is_connected(),
                "lines": backlog.lines.max(0),
                "bytes": backlog.bytes.max(0),
                "newest": newest.0,
                "done": done.0,
            })
        };
        self.all_nodes().iter().map(one).collect()
    }

    /// Lines of a former run wait for the node with this key; false if there is none.
    fn found(&self, found: &Found) -> bool {
        let nodes = self.nodes.read();
        let node = nodes.living().find(|node| node.key == found.key).map(|node| node.id);
        if let Some(id) = node {
            self.hub.change(|stream| stream.waiting(id, found.lines, found.bytes));
        }
        node.is_some()
    }

    /// Sends what it can to the nodes that answer; the log, if there is one, keeps the rest for the next start.
    pub(crate) async fn drain(&self) {
        if let Some((log, _)) = &self.hub.log {
            log.segments.want(log.segments.appended(), Durability::Written);
        }
        let nodes = self.all_nodes();
        let waits = |node: &Arc<Node>| node.is_connected() && self.hub.backlog(node.id).lines > 0;
        let sent = tokio::time::timeout(self.drain_max, async {
            while nodes.iter().any(waits) {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        });
        if sent.await.is_err() {
            warn!("not everything could be sent before the stop");
        }
        self.hub.closing.fire();
        let tasks: Vec<_> = nodes.iter().filter_map(|node| node.task.lock().take()).collect();
        let ended = tokio::time::timeout(TASKS_END_MAX, async {
            for task in tasks {
                // A panic in a task was logged where it happened.
                drop(task.await);
            }
        });
        // One that writes to a node which does not read ends with the process.
        drop(ended.await);
        match &self.hub.log {
            Some(_) => self.close_log().await,
            None => self.count_undelivered(&nodes),
        }
        self.drops.log(self.context.clock.monotonic());
    }

    fn count_undelivered(&self, nodes: &[Arc<Node>]) {
        for node in nodes {
            let lines = u64::try_from(self.hub.backlog(node.id).lines).unwrap_or(0);
            self.drops.count(node.name(), DropReason::UndeliveredAtStop, lines);
        }
    }

    /// Writes what is left on a thread: it may take the disk's time.
    async fn close_log(&self) {
        let (sender, closed) = tokio::sync::oneshot::channel();
        let hub = Arc::clone(&self.hub);
        let close = move || {
            let Some((log, replayer)) = &hub.log else { return };
            replayer.stop();
            // Nobody waits any more if the stop took too long.
            drop(sender.send(log.segments.close()));
        };
        if let Err(error) = daemon::threads::spawn("relay-stop", close) {
            tracing::error!(%error, "no thread to close the log");
        }
        if let Ok(Err(error)) = closed.await {
            tracing::error!(%error, "the relay's log");
        }
        keeper::last_turn(self);
    }
}

fn open_hub(config: &Config, context: &Context) -> Result<Hub, StartError> {
    let Some(settings) = &config.log else {
        let stream = Stream::new(Position(0), false);
        let hub = Hub::new(None, stream, config.queue_bytes_max, context);
        return hub.with_link(&config.link);
    };
    let log = Arc::new(RelayLog::open(settings, context)?);
    let pressed = Arc::new(AtomicBool::new(false));
    let is_pressed = {
        let pressed = Arc::clone(&pressed);
        move || pressed.load(Ordering::Relaxed)
    };
    let replayer = Replayer::start(Arc::clone(&log), Arc::clone(&context.clock), is_pressed)
        .map_err(|error| StartError::io("threads of `log`", error))?;
    let stream = Stream::new(log.segments.appended(), true);
    let log = Some((log, replayer));
    let hub = Hub::new(log, stream, settings.memory_bytes_max, context);
    Ok(hub.with_link(&config.link)?.with_pressed(pressed))
}

/// Numbers of the log. They do not keep it alive: the registry outlives the daemon.
fn publish(log: &Arc<RelayLog>, context: &Context) {
    let gauge = |name, read: fn(&RelayLog) -> f64| {
        let log = Arc::downgrade(log);
        let read = move || log.upgrade().map_or(0.0, |log| read(&log));
        context.metrics.callback(name, &[], read);
    };
    gauge("plumbago_relay_log_bytes", |log| log.bytes() as f64);
    gauge("plumbago_relay_log_segments", |log| log.segments.segments().len() as f64);
    gauge("plumbago_relay_log_unsynced_bytes", |log| log.segments.held_bytes() as f64);
}

#[cfg(test)]
mod tests;
