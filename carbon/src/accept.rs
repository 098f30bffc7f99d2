//! Takes the batches of the listeners over: names become ids, points wait in the engine.

use std::future::Future;
use std::sync::Arc;

use daemon::Counter;
use ingest::{Point, Refusals, Sink};

use crate::engine::Engine;

/// Label of points whose series may not be created.
pub(crate) const SERIES_LIMIT: &str = "series_limit";

/// Where all points of the node come in.
#[derive(Debug)]
pub(crate) struct Accept {
    pub(crate) engine: Arc<Engine>,
    /// Keeps a sample of what is refused.
    pub(crate) refusals: Arc<Refusals>,
    /// Points of names beyond the limit on series.
    pub(crate) over_limit: Counter,
    /// Reads that had to wait for room.
    pub(crate) waited: Counter,
}

impl Sink for Accept {
    fn accept(&self, points: &[Point<'_>]) {
        let names: Vec<&str> = points.iter().map(|point| &*point.name).collect();
        let mut ids = Vec::new();
        self.engine.resolve(&names, &mut ids);
        let mut taken = Vec::with_capacity(points.len());
        for (point, id) in points.iter().zip(ids) {
            if let Some(id) = id {
                taken.push((id, point.timestamp, point.value));
            } else {
                self.over_limit.inc();
                self.refusals.keep(SERIES_LIMIT, "", point.name.as_bytes());
            }
        }
        self.engine.append(&taken);
    }

    fn room(&self) -> impl Future<Output = ()> + Send {
        if !self.engine.has_room() {
            self.waited.inc();
        }
        self.engine.wait_for_room()
    }
}
