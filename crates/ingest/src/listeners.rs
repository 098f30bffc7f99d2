//! The open ports: accept loops, connection limits, and the drain at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Clock, Running, Shutdown, StartError};
use metric::Limits;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;
use wire::line::Rules;

use crate::connection::{self, Protocol};
use crate::intake::{Intake, Source};
use crate::pickle::PickleIntake;
use crate::point::Sink;
use crate::refusals::Refusals;
use crate::settings::Settings;
use crate::udp;

/// How long an accept loop rests when the system has no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Receive buffer asked of the kernel for UDP: what a second of bursts may need.
const DATAGRAM_BUFFER_BYTES: usize = 8 << 20;

/// How often the system may choose a port that turns out to be half taken.
const CHOICES_MAX: u32 = 16;

/// What every connection of a daemon shares.
#[derive(Debug)]
pub struct Service<S> {
    /// Takes the points over.
    pub sink: Arc<S>,
    /// Counts what is read and keeps what is refused.
    pub refusals: Arc<Refusals>,
    /// Where `-1` gets its time.
    pub clock: Arc<dyn Clock>,
    /// Ends the listeners.
    pub shutdown: Shutdown,
    /// What a name may hold.
    pub limits: Limits,
    /// What is accepted.
    pub settings: Settings,
}

impl<S: Sink> Service<S> {
    /// The rules for lines at this moment.
    pub(crate) fn rules(&self) -> Rules {
        let future_s_max = i64::try_from(self.settings.future_max.as_secs()).unwrap_or(i64::MAX);
        Rules { future_s_max, ..Rules::at(self.clock.now_unix_seconds()) }
    }

    /// What judges the points of one sender.
    pub(crate) fn source(&self, peer: String) -> Source<S> {
        Source {
            sink: Arc::clone(&self.sink),
            refusals: Arc::clone(&self.refusals),
            limits: self.limits,
            peer,
        }
    }
}

/// The listeners of one daemon. They stop when the service's shutdown fires.
#[derive(Debug)]
pub struct Listeners<S> {
    service: Arc<Service<S>>,
    places: Arc<Semaphore>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl<S: Sink> Listeners<S> {
    /// No port is open yet.
    #[must_use]
    pub fn new(service: Service<S>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(daemon::listen::connections_max(
                service.settings.connections_max,
            ))),
            service: Arc::new(service),
            tasks: Arc::new(Mutex::new(JoinSet::new())),
        }
    }

    /// Opens the ports of the settings `line` (TCP and UDP) and `pickle`, and adds the stage that
    /// waits for their connections at a stop.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub fn open(
        self,
        running: &mut Running,
        line: &[String],
        pickle: &[String],
    ) -> Result<(), StartError> {
        for address in line {
            let (tcp, udp, bound) = both_protocols(address)?;
            self.lines(tcp);
            self.datagrams(udp);
            running.add_address("line", bound);
        }
        for address in pickle {
            let tcp = daemon::listen::tcp("pickle", address)?;
            running.add_address("pickle", bound_to(&tcp, "pickle")?);
            self.pickles(tcp);
        }
        running.add_stage("listeners", async move { self.drained().await });
        Ok(())
    }

    /// Takes carbon lines from the connections of `listener`.
    pub fn lines(&self, listener: TcpListener) {
        self.accept(listener, |service, peer| {
            Intake::new(service.source(peer), service.settings.line_bytes_max)
        });
    }

    /// Takes carbon lines from the datagrams of `socket`.
    pub fn datagrams(&self, socket: UdpSocket) {
        self.tasks.lock().spawn(udp::serve(Arc::clone(&self.service), socket));
    }

    /// Takes pickle frames from the connections of `listener`.
    pub fn pickles(&self, listener: TcpListener) {
        self.accept(listener, |service, peer| {
            PickleIntake::new(service.source(peer), service.settings.frame_bytes_max)
        });
    }

    /// Waits until every connection has been read to its end. Call it after the shutdown fired.
    pub async fn drained(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *self.tasks.lock());
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }

    /// Runs the accept loop of one listener; each connection is a task of its own.
    fn accept<P: Protocol + 'static>(
        &self,
        listener: TcpListener,
        protocol: impl Fn(&Service<S>, String) -> P + Send + 'static,
    ) {
        let (service, places) = (Arc::clone(&self.service), Arc::clone(&self.places));
        let tasks = Arc::clone(&self.tasks);
        self.tasks.lock().spawn(async move {
            while let Some((stream, peer)) =
                next(&listener, &service.shutdown, &*service.clock).await
            {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    daemon::warn_limited!(service.clock, %peer, "refused: too many connections");
                    continue;
                };
                let protocol = protocol(&service, peer.to_string());
                let connection = connection::serve(Arc::clone(&service), stream, protocol);
                let mut tasks = tasks.lock();
                while tasks.try_join_next().is_some() {}
                tasks.spawn(async move {
                    let ended = connection.await;
                    drop(place);
                    debug!(%peer, ?ended, "connection ended");
                });
            }
        });
    }
}

/// Listens on one port over TCP and UDP. Where the system chooses the port, it chooses for TCP; if
/// another program has that number for UDP, it chooses again.
fn both_protocols(address: &str) -> Result<(TcpListener, UdpSocket, SocketAddr), StartError> {
    let mut tries_left = if address.ends_with(":0") { CHOICES_MAX } else { 1 };
    loop {
        let tcp = daemon::listen::tcp("line", address)?;
        let bound = bound_to(&tcp, "line")?;
        tries_left -= 1;
        match daemon::listen::udp("line", &bound.to_string(), DATAGRAM_BUFFER_BYTES) {
            Ok(udp) => return Ok((tcp, udp, bound)),
            Err(error) if tries_left == 0 => return Err(error.into()),
            Err(_taken) => {}
        }
    }
}

fn bound_to(listener: &TcpListener, setting: &str) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::io(format!("binding `{setting}`"), error))
}

/// The next connection, or `None` once the shutdown has fired and the backlog is empty: a peer
/// whose connection the kernel completed counts on being read.
async fn next(
    listener: &TcpListener,
    shutdown: &Shutdown,
    clock: &dyn Clock,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = shutdown.wait() => return None,
        };
        match accepted {
            Ok((stream, peer)) => match daemon::listen::tune(&stream) {
                Ok(()) => return Some((stream, peer)),
                Err(error) => debug!(%peer, %error, "connection gone before it was read"),
            },
            Err(error) => {
                daemon::warn_limited!(clock, %error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
