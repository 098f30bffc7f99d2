//! Answers about what the node has: the index finds, named threads read, limits hold.
//!
//! Nothing here knows HTTP: requests come in understood, answers go out as values or as bytes of a wire format.

pub(crate) mod details;
mod fault;
pub(crate) mod find;
pub(crate) mod fold;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod render;
pub(crate) mod tags;
pub(crate) mod usage;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use daemon::threads::{Pool, PoolError};
use daemon::{Clock, Counter, Registry};
use metric::Within;
use parking_lot::RwLock;

pub(crate) use self::fault::ReadFault;
use crate::config::ReadLimits;
use crate::engine::Engine;
use crate::keeper::holes::Holes;
use crate::placement::Placement;

/// So many series are read at once.
const SMALL_SERIES: usize = 8;

/// What reading counts besides requests.
#[derive(Debug)]
pub(crate) struct ReadCounters {
    pub(crate) series: Counter,
    pub(crate) points: Counter,
    pub(crate) visited: Counter,
    pub(crate) pruned: Counter,
    pub(crate) unreadable: Counter,
}

impl ReadCounters {
    fn new(registry: &Registry) -> Self {
        Self {
            series: registry.counter("plumbago_carbon_series_read_total"),
            points: registry.counter("plumbago_carbon_points_read_total"),
            visited: registry.counter("plumbago_carbon_index_nodes_visited_total"),
            pruned: registry.counter("plumbago_carbon_series_pruned_total"),
            unreadable: registry.counter("plumbago_carbon_series_unreadable_total"),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// The moment, on the clock that never goes back, at which he stops waiting.
    until: Duration,
    /// The names that he may see.
    pub(crate) within: Within,
}

impl Asker {
    /// How long the asker still waits.
    fn left(&self, reader: &Reader) -> Duration {
        self.until.saturating_sub(reader.clock.monotonic())
    }

    fn check(&self, reader: &Reader) -> Result<(), ReadFault> {
        if self.left(reader).is_zero() { Err(ReadFault::Late) } else { Ok(()) }
    }
}

/// Everything that answering takes.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: ReadLimits,
    pub(crate) counters: ReadCounters,
    /// The ring that this node belongs to.
    placement: RwLock<Option<Arc<Placement>>>,
    /// What the node calls itself.
    pub(crate) name: String,
    /// Of what time points may be missing.
    pub(crate) holes: Arc<Holes>,
    pool: Pool,
}

impl Reader {
    pub(crate) fn new(
        engine: Arc<Engine>,
        (clock, registry): (Arc<dyn Clock>, &Registry),
        limits: ReadLimits,
        (name, placement, holes): (String, Option<Placement>, Arc<Holes>),
    ) -> io::Result<Self> {
        let pool = Pool::nice("carbon-read", limits.threads, limits.queue_max, limits.niceness)?;
        let counters = ReadCounters::new(registry);
        let placement = RwLock::new(placement.map(Arc::new));
        Ok(Self { engine, clock, limits, counters, placement, name, holes, pool })
    }

    /// The ring that answers name, by which a zipper sees whether it places names as the node does; 0
    /// for none.
    pub(crate) fn ring_fingerprint(&self) -> u64 {
        self.placement().map_or(0, |placement| placement.fingerprint().as_u64())
    }

    /// The ring that this node belongs to.
    pub(crate) fn placement(&self) -> Option<Arc<Placement>> {
        self.placement.read().clone()
    }

    /// The node belongs to this ring from now on.
    pub(crate) fn follow_ring(&self, placement: Option<Placement>) {
        *self.placement.write() = placement.map(Arc::new);
    }

    /// Somebody who waits so long, or as long as the settings allow, and may see these names.
    pub(crate) fn asker(&self, waits: Option<Duration>, within: Within) -> Asker {
        let allowed = waits.unwrap_or(self.limits.request_timeout);
        Asker { until: self.clock.monotonic().saturating_add(allowed), within }
    }

    /// Runs a job about so many series. A small one is done at once by who asks, the server's own threads, as handing it over
    /// costs more than it does.
    pub(crate) async fn run_sized<T: Send + 'static>(
        &self,
        asker: &Asker,
        series: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadFault> {
        if series > SMALL_SERIES {
            return self.run(asker, job).await;
        }
        asker.check(self)?;
        Ok(job())
    }

    /// Runs `job` on one of the reading threads. Once nobody waits for it any more it is not begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        asker: &Asker,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadFault> {
        asker.check(self)?;
        let left = asker.left(self);
        let waiting = Arc::new(());
        let asked = Arc::downgrade(&waiting);
        let ran = self.pool.run(move || (asked.strong_count() > 0).then(job));
        let ran = tokio::time::timeout(left, ran).await;
        drop(waiting);
        match ran {
            Ok(Ok(Some(result))) => Ok(result),
            Ok(Err(PoolError::Full)) => Err(ReadFault::Busy),
            Ok(_) => Err(ReadFault::Lost),
            Err(_elapsed) => Err(ReadFault::Late),
        }
    }
}
