//! Forwarding: a bounded queue and a sending task for each node.

mod batch;
mod link;
mod queue;
mod undelivered;

use std::sync::Arc;
use std::time::Duration;

use daemon::{Context, Counter, StartError};
use tracing::{info, warn};

pub(crate) use batch::LineBatch;

use crate::config::Config;
use queue::{NodeQueue, Room};
use undelivered::Undelivered;

/// How often a stopping relay looks whether its queues are empty.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// What part of the stop deadline is for sending; the rest is for keeping what is left.
const DRAIN_SHARE: f64 = 0.7;

/// All nodes' queues, in the ring's order.
#[derive(Debug)]
pub(crate) struct Forwarder {
    queues: Vec<Arc<NodeQueue>>,
    room: Arc<Room>,
    undelivered: Option<Undelivered>,
    drain_max: Duration,
    waited: Counter,
    dropped: Counter,
}

impl Forwarder {
    /// Starts a sending task for each node, first with what the last stop left undelivered.
    ///
    /// # Errors
    /// When the folder of undelivered lines cannot be used.
    pub(crate) fn open(config: &Config, context: &Context) -> Result<Self, StartError> {
        let room = Arc::new(Room::default());
        let undelivered = match &config.log {
            Some(folder) => Some(Undelivered::open(folder)?),
            None => None,
        };
        let mut queues = Vec::with_capacity(config.nodes.len());
        for node in &config.nodes {
            let queue = Arc::new(NodeQueue::new(
                node.clone(),
                config.queue_bytes_max,
                Arc::clone(&room),
                &context.metrics,
            ));
            if let Some(undelivered) = &undelivered {
                let left = undelivered.take(&node.name)?;
                if !left.is_empty() {
                    info!(node = node.name, lines = left.lines(), "lines of the last run queued");
                }
                queue.push(left);
            }
            tokio::spawn(link::run(Arc::clone(&queue), context.clone()));
            queues.push(queue);
        }
        Ok(Self {
            queues,
            room,
            undelivered,
            drain_max: config.stop_deadline.mul_f64(DRAIN_SHARE),
            waited: context.metrics.counter("plumbago_relay_senders_waited_total"),
            dropped: context
                .metrics
                .counter_with("plumbago_relay_lines_dropped_total", &["undelivered_at_stop"]),
        })
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> usize {
        self.queues.len()
    }

    /// Queues one batch for each node, in the ring's order.
    pub(crate) fn queue(&self, batches: Vec<LineBatch>) {
        for (queue, batch) in self.queues.iter().zip(batches) {
            queue.push(batch);
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
        let sent = tokio::time::timeout(self.drain_max, async {
            while self.queues.iter().any(|queue| queue.is_connected() && !queue.is_empty()) {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        });
        if sent.await.is_err() {
            warn!("not everything could be sent before the stop");
        }
        for queue in &self.queues {
            self.keep(queue);
        }
    }

    fn keep(&self, queue: &NodeQueue) {
        let rest = queue.take_all();
        let lines: u64 = rest.iter().map(LineBatch::lines).sum();
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
