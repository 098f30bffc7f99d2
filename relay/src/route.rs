//! From a batch of points to one batch of lines for each set of owners.

use std::sync::Arc;

use ingest::{Point, Sink};
use metric::map::Map;
use parking_lot::RwLock;
use ring::Ring;

use crate::forward::{Forwarder, LineBatch, NodeId, SetId};

/// Places each point by the ring and queues it for its owners.
#[derive(Debug)]
pub(crate) struct Router {
    ring: Ring,
    /// The forwarder's numbers of the ring's nodes.
    nodes: Vec<NodeId>,
    sets: RwLock<Sets>,
    forwarder: Arc<Forwarder>,
}

/// The sets of owners that were met so far.
#[derive(Debug, Default)]
struct Sets {
    places: Map<Box<[u16]>, usize>,
    ids: Vec<SetId>,
}

impl Router {
    /// A router over `nodes`, which are in the ring's order.
    pub(crate) fn new(ring: Ring, nodes: Vec<NodeId>, forwarder: Arc<Forwarder>) -> Self {
        Self { ring, nodes, sets: RwLock::default(), forwarder }
    }

    /// Where the batch for these owners stands.
    fn place(&self, owners: &[u16]) -> usize {
        if let Some(place) = self.sets.read().places.get(owners) {
            return *place;
        }
        let nodes: Vec<NodeId> = owners.iter().map(|&node| self.nodes[usize::from(node)]).collect();
        let id = self.forwarder.set(&nodes);
        let mut sets = self.sets.write();
        let next = sets.ids.len();
        let place = *sets.places.entry(owners.into()).or_insert(next);
        if place == next {
            sets.ids.push(id);
        }
        place
    }
}

impl Sink for Router {
    fn accept(&self, points: &[Point<'_>]) {
        let mut batches: Vec<LineBatch> = Vec::new();
        for point in points {
            let place = self.place(&self.ring.owners(point.name.as_bytes()));
            if place >= batches.len() {
                batches.resize_with(place + 1, LineBatch::default);
            }
            batches[place].push(point);
        }
        let ids = self.sets.read().ids[..batches.len()].to_vec();
        self.forwarder.queue(ids.into_iter().zip(batches).collect());
    }

    async fn room(&self) {
        self.forwarder.room().await;
    }
}
