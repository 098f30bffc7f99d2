//! One listener: what it allows its connections, and what they share.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use daemon::StartError;
use daemon::tls::Seal;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bucket::Bucket;
use crate::metrics::ListenerCounters;
use crate::point::Sink;
use crate::service::Service;
use crate::settings::ListenerSettings;
use crate::source::Source;

/// One listener and what its connections share.
pub(crate) struct Door<S> {
    pub(crate) service: Arc<Service<S>>,
    pub(crate) counters: ListenerCounters,
    pub(crate) settings: ListenerSettings,
    pub(crate) seal: Option<Arc<Seal>>,
    places: Option<Arc<Semaphore>>,
    bytes: Option<Mutex<Bucket>>,
    points: Option<Mutex<Bucket>>,
    pub(crate) http: Router,
}

impl<S: Sink> Door<S> {
    /// A listener; `http` answers requests, where they come.
    pub(crate) fn new(
        service: Arc<Service<S>>,
        settings: ListenerSettings,
        counters: ListenerCounters,
        http: Router,
    ) -> Result<Self, StartError> {
        let seal = settings.tls.as_ref().map(Seal::new).transpose();
        let seal = seal.map_err(|error| StartError::io("TLS of a listener", error.into()))?;
        let now = service.context.clock.monotonic();
        let bucket = |count: Option<u64>| {
            count.map(|count| Mutex::new(Bucket::new(count, Duration::from_secs(1), now)))
        };
        Ok(Self {
            counters,
            seal: seal.map(Arc::new),
            places: settings.connections_max.map(|max| Arc::new(Semaphore::new(max))),
            bytes: bucket(settings.bytes_per_second_max),
            points: bucket(settings.lines_per_second_max),
            settings,
            service,
            http,
        })
    }

    /// What its handshakes need, if it speaks TLS.
    pub(crate) fn seal(&self) -> Option<Arc<Seal>> {
        self.seal.clone()
    }

    /// A place among this listener's own connections; none where they are all taken.
    pub(crate) fn place(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.places {
            None => Some(None),
            Some(places) => Arc::clone(places).try_acquire_owned().ok().map(Some),
        }
    }

    /// What judges the points of one sender.
    pub(crate) fn source(&self, peer: String) -> Source<S> {
        self.service.source(peer, self.counters.points.clone())
    }

    /// Resolves when a connection that says nothing has said nothing for too long.
    pub(crate) async fn idle(&self) {
        match self.settings.idle_timeout {
            Some(idle) => tokio::time::sleep(idle).await,
            None => std::future::pending().await,
        }
    }

    /// Counts what was read, and waits until the listener's limits allow more.
    pub(crate) async fn pause(&self, bytes: usize, points: u64) {
        self.counters.bytes.add(bytes as u64);
        let now = self.service.context.clock.monotonic();
        let spend = |bucket: &Option<Mutex<Bucket>>, units| {
            bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.lock().spend(units, now))
        };
        let wait = spend(&self.bytes, bytes as u64).max(spend(&self.points, points));
        if wait.is_zero() {
            return;
        }
        self.counters.pauses.inc();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.service.context.shutdown.wait() => {}
        }
    }
}
