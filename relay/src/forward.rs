//! Forwarding: sets of nodes that get the same lines, a bounded queue and a sending task for each node.
//!
//! Nodes come and go while the relay runs: a node that stays keeps its queue and its connection.

mod batch;
mod link;
mod queue;
mod undelivered;

use std::sync::Arc;
use std::time::Duration;

use daemon::{Context, Counter, StartError};
use metric::map::Map;
use parking_lot::RwLock;
use tracing::{info, warn};

pub(crate) use batch::LineBatch;

use crate::config::{Config, Destination};
use queue::{NodeQueue, Room};
use undelivered::Undelivered;

/// How often a stopping relay looks whether its queues are empty.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// What part of the stop deadline is for sending; the rest is for keeping what is left.
const DRAIN_SHARE: f64 = 0.7;

/// A node of the forwarder. Numbers are not given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(usize);

/// Nodes that get the same lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SetId(usize);

/// All nodes, and the sets that were asked for.
#[derive(Debug)]
pub(crate) struct Forwarder {
    nodes: RwLock<Nodes>,
    room: Arc<Room>,
    undelivered: Option<Undelivered>,
    queue_bytes_max: usize,
    drain_max: Duration,
    waited: Counter,
    dropped: Counter,
    context: Context,
}

#[derive(Debug, Default)]
struct Nodes {
    /// By number; none where the node was removed.
    queues: Vec<Option<Arc<NodeQueue>>>,
    sets: Vec<Arc<[NodeId]>>,
    set_ids: Map<Arc<[NodeId]>, SetId>,
}

impl Nodes {
    fn living(&self) -> impl Iterator<Item = (NodeId, &Arc<NodeQueue>)> {
        let numbered = self.queues.iter().enumerate();
        numbered.filter_map(|(number, queue)| Some((NodeId(number), queue.as_ref()?)))
    }
}

impl Forwarder {
    /// A forwarder without nodes.
    ///
    /// # Errors
    /// When the folder of undelivered lines cannot be used.
    pub(crate) fn open(config: &Config, context: &Context) -> Result<Self, StartError> {
        let undelivered = config.log.as_deref().map(Undelivered::open).transpose()?;
        Ok(Self {
            nodes: RwLock::default(),
            room: Arc::default(),
            undelivered,
            queue_bytes_max: config.queue_bytes_max,
            drain_max: config.stop_deadline.mul_f64(DRAIN_SHARE),
            waited: context.metrics.counter("plumbago_relay_senders_waited_total"),
            dropped: context
                .metrics
                .counter_with("plumbago_relay_lines_dropped_total", &["undelivered_at_stop"]),
            context: context.clone(),
        })
    }

    /// The node's number. A node that is new gets a queue and a sending task, which begins with what
    /// the last stop left undelivered. To be called on the runtime.
    ///
    /// # Errors
    /// When what was left undelivered cannot be read.
    pub(crate) fn add(&self, destination: &Destination) -> Result<NodeId, StartError> {
        let mut nodes = self.nodes.write();
        let known = nodes.living().find(|(_, queue)| queue.destination() == destination);
        if let Some((node, _)) = known {
            return Ok(node);
        }
        let queue = Arc::new(NodeQueue::new(
            destination.clone(),
            self.queue_bytes_max,
            Arc::clone(&self.room),
            &self.context.metrics,
        ));
        if let Some(undelivered) = &self.undelivered {
            let left = undelivered.take(&destination.name)?;
            if !left.is_empty() {
                info!(
                    node = destination.name,
                    lines = left.lines(),
                    "lines of the last run queued"
                );
            }
            queue.push(Arc::new(left));
        }
        tokio::spawn(link::run(Arc::clone(&queue), self.context.clone()));
        nodes.queues.push(Some(queue));
        Ok(NodeId(nodes.queues.len() - 1))
    }

    /// Gives the node no more lines. What waits for it is still sent, then its connection ends.
    pub(crate) fn remove(&self, node: NodeId) {
        let queue = self.nodes.write().queues.get_mut(node.0).and_then(Option::take);
        if let Some(queue) = queue {
            queue.leave();
        }
    }

    /// The set of these nodes, the same number for the same nodes in the same order.
    pub(crate) fn set(&self, nodes: &[NodeId]) -> SetId {
        let mut state = self.nodes.write();
        if let Some(id) = state.set_ids.get(nodes) {
            return *id;
        }
        let (id, set) = (SetId(state.sets.len()), Arc::from(nodes));
        state.sets.push(Arc::clone(&set));
        state.set_ids.insert(set, id);
        id
    }

    /// Queues each batch for all nodes of its set; a node that was removed gets nothing.
    pub(crate) fn queue(&self, batches: Vec<(SetId, LineBatch)>) {
        let nodes = self.nodes.read();
        for (set, batch) in batches.into_iter().filter(|(_, batch)| !batch.is_empty()) {
            let batch = Arc::new(batch);
            for node in nodes.sets[set.0].iter() {
                if let Some(queue) = &nodes.queues[node.0] {
                    queue.push(Arc::clone(&batch));
                }
            }
        }
    }

    /// Resolves when no queue is full.
    pub(crate) async fn room(&self) {
        if !self.room.is_free() {
            self.waited.inc();
            self.room.wait().await;
        }
    }

    /// Sends what is queued for the nodes that answer, then keeps the rest for the next start.
    pub(crate) async fn drain(&self) {
        let queues: Vec<Arc<NodeQueue>> =
            self.nodes.read().living().map(|(_, queue)| Arc::clone(queue)).collect();
        let sent = tokio::time::timeout(self.drain_max, async {
            while queues.iter().any(|queue| queue.is_connected() && !queue.is_empty()) {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        });
        if sent.await.is_err() {
            warn!("not everything could be sent before the stop");
        }
        for queue in &queues {
            self.keep(queue);
        }
    }

    fn keep(&self, queue: &NodeQueue) {
        let rest = queue.take_all();
        let lines: u64 = rest.iter().map(|batch| batch.lines()).sum();
        if lines == 0 {
            return;
        }
        let node = queue.name();
        let kept = match &self.undelivered {
            Some(undelivered) => undelivered.keep(node, &rest),
            None => Err(std::io::Error::other("no folder `log` is set")),
        };
        match kept {
            Ok(()) => info!(node, lines, "undelivered lines kept for the next start"),
            Err(error) => {
                self.dropped.add(lines);
                warn!(node, lines, %error, "undelivered lines dropped");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use daemon::Values;
    use testkit::{ANY_PORT, LineSink, closed_address};

    use super::*;
    use crate::{METRICS, SETTINGS};

    fn destination(address: &str) -> Destination {
        Destination { name: address.to_owned(), addresses: vec![address.to_owned()] }
    }

    fn forwarder() -> Forwarder {
        let values = Values::defaults(SETTINGS).with("node", "h:1");
        let config = Config::from_values(&values).unwrap();
        Forwarder::open(&config, &Context::new("relay", METRICS)).unwrap()
    }

    fn lines(text: &str) -> LineBatch {
        LineBatch::from_bytes(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn nodes_come_and_go_and_one_that_stays_keeps_its_connection() {
        let (stays, goes) = (LineSink::start(ANY_PORT), LineSink::start(ANY_PORT));
        let forwarder = forwarder();
        let stay = destination(&stays.address().to_string());
        let node = forwarder.add(&stay).unwrap();
        let gone = forwarder.add(&destination(&goes.address().to_string())).unwrap();
        let both = forwarder.set(&[node, gone]);
        forwarder.queue(vec![(both, lines("a 1 1\n"))]);
        forwarder.remove(gone);
        assert_eq!(goes.wait_for(1).await, ["a 1 1"]);

        assert_eq!(forwarder.add(&stay).unwrap(), node, "the same number for the same node");
        assert_eq!(forwarder.set(&[node, gone]), both);
        forwarder.queue(vec![(both, lines("b 1 1\n"))]);
        assert_eq!(stays.wait_for(2).await, ["a 1 1", "b 1 1"]);
        assert_eq!(goes.lines(), ["a 1 1"]);
        let name = stays.address().to_string();
        let connects = forwarder.context.metrics.value("plumbago_relay_connects_total", &[&name]);
        assert_eq!(connects, Some(1.0));
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let sink = LineSink::start(ANY_PORT);
        let addresses = vec![closed_address(), sink.address().to_string()];
        let forwarder = forwarder();
        let node = forwarder.add(&Destination { name: "either".to_owned(), addresses }).unwrap();
        let set = forwarder.set(&[node]);
        forwarder.queue(vec![(set, lines("a 1 1\n"))]);
        assert_eq!(sink.wait_for(1).await, ["a 1 1"]);
    }
}
