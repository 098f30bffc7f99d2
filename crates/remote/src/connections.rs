//! What a client may use, and the connections that it keeps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use wire::reply::Caps;

use crate::connector::Connector;
use crate::credentials::Credentials;

/// What one client may use.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Unused connections that are kept.
    pub idle_connections_max: usize,
    /// What one reply may cost.
    pub reply: Caps,
    /// What the other side is shown.
    pub credentials: Credentials,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            idle_connections_max: 32,
            reply: Caps { bytes_max: 256 << 20, items_max: 1_000_000 },
            credentials: Credentials::default(),
        }
    }
}

/// A client with the connections that it keeps.
type Kept = HyperClient<Connector, Full<Bytes>>;

/// Connections that are kept, for each runtime its own: one that another runtime waits on would have to wake that one for every
/// reply, and would die with it.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    settings: ClientSettings,
    /// Few: a runtime for each lane of each server of this process.
    kept: Arc<Mutex<Vec<(Id, Kept)>>>,
}

impl Connections {
    pub(crate) fn new(settings: &ClientSettings) -> Self {
        Self { settings: settings.clone(), kept: Arc::default() }
    }

    /// Those of the runtime that this is called on.
    pub(crate) fn here(&self) -> Kept {
        let runtime = Handle::current().id();
        let mut kept = self.kept.lock();
        if let Some((_, here)) = kept.iter().find(|(id, _)| *id == runtime) {
            return here.clone();
        }
        let here = self.none_yet();
        kept.push((runtime, here.clone()));
        here
    }

    fn none_yet(&self) -> Kept {
        let (timeout, credentials) = (self.settings.connect_timeout, &self.settings.credentials);
        let connector = Connector::new(timeout, credentials.clone());
        HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.settings.idle_timeout)
            .pool_max_idle_per_host(self.settings.idle_connections_max)
            .build(connector)
    }
}
