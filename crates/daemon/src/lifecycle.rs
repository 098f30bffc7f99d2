//! A running daemon: its addresses, its ordered stop, its reload.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::context::Context;
use crate::listen::ListenError;
use crate::settings::{Fault, Values};

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings that fit each on its own but not together.
    #[error("{}", join(.0))]
    Settings(Vec<Fault>),
    /// A port is taken or an address is not this machine's.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file, folder or thread.
    #[error("{what}: {source}")]
    Io {
        /// What was being done to what, such as `opening the journal in /var/lib/…`.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anything else a daemon refuses to start for.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl StartError {
    /// An I/O error with what was being done.
    #[must_use]
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// Any error of the daemon's own, or a text.
    #[must_use]
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

fn join(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

type Stage = Pin<Box<dyn Future<Output = ()> + Send>>;
type Reload = Box<dyn Fn(&Values) -> Result<(), Vec<Fault>> + Send + Sync>;

/// A daemon that has started. Dropping it does not stop it; [`Running::stop`] does.
pub struct Running {
    /// What it runs in.
    pub context: Context,
    addresses: Vec<(&'static str, SocketAddr)>,
    stages: Vec<(&'static str, Stage)>,
    reloads: Vec<Reload>,
}

impl Running {
    /// Nothing runs yet; the daemon adds its addresses and stop stages.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, addresses: Vec::new(), stages: Vec::new(), reloads: Vec::new() }
    }

    /// Notes an address that was bound, under the name of its setting.
    pub fn add_address(&mut self, setting: &'static str, address: SocketAddr) {
        self.addresses.push((setting, address));
    }

    /// Adds a step of the ordered stop: the steps run one after the other, in the order added, and
    /// only after [`crate::Shutdown`] has fired. Receivers come first, what they feed comes later.
    pub fn add_stage(
        &mut self,
        name: &'static str,
        stage: impl Future<Output = ()> + Send + 'static,
    ) {
        self.stages.push((name, Box::pin(stage)));
    }

    /// Adds what SIGHUP does with the settings as they are now, after what was added before.
    pub fn on_reload(
        &mut self,
        reload: impl Fn(&Values) -> Result<(), Vec<Fault>> + Send + Sync + 'static,
    ) {
        self.reloads.push(Box::new(reload));
    }

    /// The address bound for this setting, with the port the system chose.
    #[must_use]
    pub fn address(&self, setting: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| *name == setting).map(|(_, address)| *address)
    }

    /// All addresses, in the order bound.
    #[must_use]
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Applies new settings to what runs, up to the first part that finds a fault in them.
    ///
    /// # Errors
    /// The faults for which the daemon keeps its old settings.
    pub fn reload(&self, values: &Values) -> Result<(), Vec<Fault>> {
        self.reloads.iter().try_for_each(|reload| reload(values))
    }

    /// Stops in order; the stages together may take `deadline`.
    ///
    /// # Errors
    /// The names of the stages that had not ended by then; what they did is cut off.
    pub async fn stop(self, deadline: Duration) -> Result<(), StopError> {
        self.context.ready.unset("stopping");
        self.context.shutdown.fire();
        let mut late = Vec::new();
        let mut deadline = pin!(sleep(deadline));
        for (name, stage) in self.stages {
            tokio::select! {
                biased;
                () = stage => {}
                () = &mut deadline => {
                    warn!(stage = name, "not ended by the stop deadline");
                    late.push(name);
                }
            }
        }
        if late.is_empty() { Ok(()) } else { Err(StopError { late }) }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<&str> = self.stages.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Running")
            .field("addresses", &self.addresses)
            .field("stages", &stages)
            .finish_non_exhaustive()
    }
}

/// The stop took longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("not ended by the stop deadline: {}", late.join(", "))]
pub struct StopError {
    /// The stages that were cut off.
    pub late: Vec<&'static str>,
}

/// What the outside asks of a running daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Stop,
    Reload,
}

/// The signals a daemon listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal, or the stop a part of the daemon asked for itself.
    pub(crate) async fn next(&mut self, context: &Context) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => info!("SIGINT: stopping"),
            _ = self.hangup.recv() => return Request::Reload,
            () = context.shutdown.wait() => info!("stopping as asked from inside"),
        }
        Request::Stop
    }

    /// Returns at the next request to stop: the user has lost patience.
    pub(crate) async fn stop_again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    #[tokio::test]
    async fn stages_run_in_order_and_after_the_signal() {
        let context = Context::new("test", &[]);
        let mut running = Running::new(context.clone());
        let order = Arc::new(Mutex::new(Vec::new()));
        for name in ["listeners", "journal"] {
            let (order, shutdown) = (Arc::clone(&order), context.shutdown.clone());
            running.add_stage(name, async move { order.lock().push((name, shutdown.is_fired())) });
        }
        running.stop(Duration::from_secs(60)).await.unwrap();
        assert_eq!(*order.lock(), [("listeners", true), ("journal", true)]);
        assert_eq!(context.ready.waiting_for().as_deref(), Some("stopping"));
    }

    #[tokio::test]
    async fn a_stage_past_the_deadline_is_named_and_cut_off() {
        let mut running = Running::new(Context::new("test", &[]));
        running.add_stage("stuck", std::future::pending());
        running.add_stage("idle", std::future::ready(()));
        running.add_stage("stuck too", std::future::pending());
        let error = running.stop(Duration::ZERO).await.unwrap_err();
        assert_eq!(error.late, ["stuck", "stuck too"]);
    }

    #[test]
    fn reload_hands_faults_back() {
        let mut running = Running::new(Context::new("test", &[]));
        let values = Values::defaults(&[]);
        assert_eq!(running.reload(&values), Ok(()));
        running.on_reload(|values| Err(vec![values.fault("log_level", "odd")]));
        assert_eq!(
            running.reload(&values).unwrap_err()[0].to_string(),
            "default: `log_level`: odd"
        );
    }
}
