//! The acknowledged link: relays that number their batches come in here, and are told what is safe. The bytes:
//! docs/formats/link.md.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::tls::Seal;
use daemon::{Counter, Gauge};
use ingest::Service;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::link::{Code, LinkError};

use crate::accept::Accept;
use connection::Ended;

/// Most connections at a time: each sender has one, and one that is about to end.
const CONNECTIONS_MAX: usize = 1024;

/// How long an accept loop rests when the system has no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Link {
    service: Arc<Service<Accept>>,
    /// How the node calls itself.
    name: String,
    /// What the numbers of this listener are called by.
    label: String,
    /// Where it speaks TLS.
    seal: Option<Arc<Seal>>,
    metrics: LinkMetrics,
}

#[derive(Debug)]
struct LinkMetrics {
    connections: Gauge,
    bytes: Counter,
    taken: Counter,
    repeated: Counter,
}

impl Link {
    /// The link of the node of this name, with what its handshakes need if it speaks TLS.
    pub(crate) fn new(
        service: Arc<Service<Accept>>,
        (name, seal): (&str, Option<Arc<Seal>>),
        listener: &TcpListener,
    ) -> Self {
        let address = listener.local_addr().map(|address| address.to_string());
        let label = format!("link:{}", address.unwrap_or_default());
        let registry = &service.context.metrics;
        let metrics = LinkMetrics {
            connections: registry.gauge_with(ingest::metrics::CONNECTIONS.name, &[&label]),
            bytes: registry.counter_with(ingest::metrics::BYTES.name, &[&label]),
            taken: registry.counter("plumbago_carbon_link_batches_total"),
            repeated: registry.counter("plumbago_carbon_link_batches_repeated_total"),
        };
        Self { service, name: name.to_owned(), label, seal, metrics }
    }

    /// Serves connections until the stop.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let link = Arc::new(self);
        let shutdown = &link.service.context.shutdown;
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.wait() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection of the link failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let link = Arc::clone(&link);
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                link.metrics.connections.add(1.0);
                let ended = link.connection(stream, peer).await;
                link.metrics.connections.add(-1.0);
                link.report(peer, &ended);
                drop(place);
            });
        }
        while connections.join_next().await.is_some() {}
    }

    /// Counts and logs the end of a connection that should not have ended so.
    fn report(&self, peer: SocketAddr, ended: &Ended) {
        let reason = match ended {
            Ended::Tls(_) => "tls",
            Ended::Refused(LinkError::NoHello) => "hello",
            Ended::Version(_) => "version",
            Ended::Refused(_) => "damaged",
            Ended::Order(_) => "order",
            _ => return,
        };
        let context = &self.service.context;
        let counter = context.metrics.counter_with("plumbago_carbon_link_refused_total", &[reason]);
        counter.inc();
        daemon::warn_limited!(context.clock, %peer, cause = %ended, "link refused");
    }
}

impl Ended {
    /// What the sender is told.
    fn code(&self) -> Option<Code> {
        match self {
            Self::Version(_) => Some(Code::Version),
            Self::Refused(LinkError::NoHello) | Self::BySender | Self::Lost(_) | Self::Tls(_) => {
                None
            }
            Self::Refused(_) => Some(Code::Damaged),
            Self::Order(_) => Some(Code::Order),
            Self::Replaced => Some(Code::Replaced),
            Self::Stopping => Some(Code::Stopping),
        }
    }
}
