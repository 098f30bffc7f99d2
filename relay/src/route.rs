//! From a batch of points to one batch of lines for each owner.

use std::sync::Arc;

use ingest::{Point, Sink};
use ring::Ring;

use crate::forward::{Forwarder, LineBatch};

/// Places each point by the ring and queues it for its owners.
#[derive(Debug)]
pub(crate) struct Router {
    ring: Ring,
    forwarder: Arc<Forwarder>,
}

impl Router {
    /// A router over the nodes of `forwarder`, which are in the ring's order.
    pub(crate) fn new(ring: Ring, forwarder: Arc<Forwarder>) -> Self {
        Self { ring, forwarder }
    }
}

impl Sink for Router {
    fn accept(&self, points: &[Point<'_>]) {
        let mut batches: Vec<LineBatch> = Vec::new();
        batches.resize_with(self.forwarder.nodes(), LineBatch::default);
        for point in points {
            for node in &self.ring.owners(point.name.as_bytes()) {
                batches[usize::from(node)].push(point);
            }
        }
        self.forwarder.queue(batches);
    }

    async fn room(&self) {
        self.forwarder.room().await;
    }
}
