//! What a running daemon is given: clock, metrics, the stop signal, readiness.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::{Clock, System};
use crate::metrics::{Metric, Registry};

/// Everything a part of a daemon may need from the outside; cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// The daemon's short name, `relay`.
    pub name: &'static str,
    /// The version that `/health` shows.
    pub version: &'static str,
    /// The only source of time.
    pub clock: Arc<dyn Clock>,
    /// The daemon's numbers.
    pub metrics: Arc<Registry>,
    /// Fires when the daemon is to stop.
    pub shutdown: Shutdown,
    /// What `/ready` answers.
    pub ready: Ready,
    /// What `/health` shows besides name and version, such as the ring's fingerprint.
    pub facts: Facts,
}

impl Context {
    /// A context on the machine's clock, with a registry of `metrics`.
    #[must_use]
    pub fn new(name: &'static str, metrics: &'static [Metric]) -> Self {
        Self {
            name,
            version: env!("CARGO_PKG_VERSION"),
            clock: Arc::new(System::new()),
            metrics: Arc::new(Registry::new(metrics)),
            shutdown: Shutdown::new(),
            ready: Ready::default(),
            facts: Facts::default(),
        }
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// A signal that fires once and stays fired; clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    fired: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    /// A signal that has not fired.
    #[must_use]
    pub fn new() -> Self {
        Self { fired: Arc::new(watch::Sender::new(false)) }
    }

    /// Asks everyone who waits to stop.
    pub fn fire(&self) {
        self.fired.send_replace(true);
    }

    /// Whether it has fired; for loops of OS threads.
    #[must_use]
    pub fn is_fired(&self) -> bool {
        *self.fired.borrow()
    }

    /// Returns once it has fired.
    pub async fn wait(&self) {
        let mut receiver = self.fired.subscribe();
        // The sender lives in self, so the only way out is the signal.
        receiver.wait_for(|fired| *fired).await.expect("the sender outlives this borrow");
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the daemon is ready to serve, and if not, why.
#[derive(Debug, Clone)]
pub struct Ready {
    waiting_for: Arc<Mutex<Option<String>>>,
}

impl Ready {
    /// From now on `/ready` answers 200.
    pub fn set(&self) {
        *self.waiting_for.lock() = None;
    }

    /// From now on `/ready` answers 503 with this reason.
    pub fn unset(&self, reason: impl Into<String>) {
        *self.waiting_for.lock() = Some(reason.into());
    }

    /// Why the daemon is not ready; none when it is.
    #[must_use]
    pub fn waiting_for(&self) -> Option<String> {
        self.waiting_for.lock().clone()
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self { waiting_for: Arc::new(Mutex::new(Some("starting".to_owned()))) }
    }
}

/// Names and texts that `/health` shows; a reload may replace them.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    facts: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Facts {
    /// Sets or replaces one fact.
    pub fn set(&self, name: &'static str, text: impl Into<String>) {
        self.facts.lock().insert(name, text.into());
    }

    /// All facts, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, String> {
        self.facts.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_reaches_clones_made_before_and_waits_begun_after() {
        let shutdown = Shutdown::new();
        let clone = shutdown.clone();
        assert!(!clone.is_fired());
        shutdown.fire();
        clone.wait().await;
        assert!(clone.is_fired());
    }

    #[test]
    fn a_daemon_is_not_ready_until_it_says_so() {
        let ready = Ready::default();
        assert_eq!(ready.waiting_for().as_deref(), Some("starting"));
        ready.set();
        assert_eq!(ready.waiting_for(), None);
    }
}
