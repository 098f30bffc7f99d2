//! The open ports: accept loops, connection limits, and the drain at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use daemon::listen::{ListenError, SocketFile};
use daemon::tls::{Seal, TlsError};
use daemon::{Clock, Running, Shutdown, StartError};
use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;

use crate::door::Door;
use crate::http::Http;
use crate::metrics::{Closed, ListenerCounters};
use crate::point::Sink;
use crate::ramp::Ramp;
use crate::service::Service;
use crate::settings::{ListenerSettings, Place, Protocol};
use crate::socket::{Peer, Socket};
use crate::{connection, http, udp};

/// How long an accept loop rests when the system has no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Receive buffer asked of the kernel for UDP: what a second of bursts may need.
const DATAGRAM_BUFFER_BYTES: usize = 8 << 20;

/// How often the system may choose a port that turns out to be half taken.
const CHOICES_MAX: u32 = 16;

/// The listeners of one daemon. They stop when the service's shutdown fires.
pub struct Listeners<S> {
    service: Arc<Service<S>>,
    http: Arc<Http<S>>,
    ramp: Arc<Ramp>,
    places: Arc<Semaphore>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    seals: Mutex<Vec<Arc<Seal>>>,
}

impl<S: Sink> Listeners<S> {
    /// No port is open yet.
    #[must_use]
    pub fn new(service: Arc<Service<S>>) -> Self {
        let connections_max = daemon::listen::connections_max(service.settings.connections_max);
        Self {
            places: Arc::new(Semaphore::new(connections_max)),
            http: Arc::new(Http::new(Arc::clone(&service))),
            ramp: Arc::new(Ramp::new(service.settings.health_ramp)),
            service,
            tasks: Arc::new(Mutex::new(JoinSet::new())),
            seals: Mutex::default(),
        }
    }

    /// Opens every listener of the settings, and adds what reads certificates again at a reload and the stage that waits
    /// for connections at a stop. Gives the routes for the daemon's admin listener.
    ///
    /// # Errors
    /// An address that cannot be listened on, or files for TLS that cannot be used.
    pub fn open(self, running: &mut Running) -> Result<Router, StartError> {
        for settings in &self.service.settings.listeners {
            if let Some(bound) = self.listen(settings)? {
                running.add_address(settings.setting, bound);
            }
        }
        let seals = std::mem::take(&mut *self.seals.lock());
        running.on_reload(move |values| {
            let fault = |error: TlsError| vec![values.fault("listener", error.to_string())];
            seals.iter().try_for_each(|seal| seal.renew().map_err(fault))
        });
        let health = http::health(self.service.context.clone(), Arc::clone(&self.ramp));
        let routes = crate::admin::routes(Arc::clone(&self.service.refusals)).merge(health);
        running.add_stage("listeners", async move { self.drained().await });
        Ok(routes)
    }

    /// Opens one listener; gives its port, if it has one.
    fn listen(&self, settings: &ListenerSettings) -> Result<Option<SocketAddr>, StartError> {
        let (setting, share) = (settings.setting, settings.reuse_port);
        match &settings.place {
            Place::Tcp(address) => {
                let tcp = daemon::listen::tcp_shared(setting, address, share)?;
                let bound = bound_to(&tcp, setting)?;
                self.accept(settings, Listener::Tcp(tcp), &bound.to_string())?;
                Ok(Some(bound))
            }
            Place::Udp(address) => {
                let udp = udp_socket(setting, address, share)?;
                let bound = udp.local_addr();
                let bound = bound.map_err(|error| StartError::io("binding a listener", error))?;
                self.datagrams(settings, udp, bound)?;
                Ok(Some(bound))
            }
            Place::TcpAndUdp(address) => {
                let (tcp, udp, bound) = both_protocols(setting, address)?;
                self.accept(settings, Listener::Tcp(tcp), &bound.to_string())?;
                self.datagrams(settings, udp, bound)?;
                Ok(Some(bound))
            }
            Place::Unix(path) => {
                let unix = daemon::listen::unix(setting, path)?;
                let listener = Listener::Unix(unix, SocketFile(path.clone()));
                self.accept(settings, listener, &settings.place.to_string())?;
                Ok(None)
            }
        }
    }

    /// Takes carbon lines from the datagrams of a socket.
    fn datagrams(
        &self,
        settings: &ListenerSettings,
        socket: UdpSocket,
        bound: SocketAddr,
    ) -> Result<(), StartError> {
        let door = self.door(settings, &format!("udp:{bound}"))?;
        self.tasks.lock().spawn(udp::serve(Arc::new(door), socket));
        Ok(())
    }

    /// Waits until every connection has been read to its end, once the shutdown has fired.
    async fn drained(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *self.tasks.lock());
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }

    fn door(&self, settings: &ListenerSettings, name: &str) -> Result<Door<S>, StartError> {
        let counters = ListenerCounters::new(&self.service.context.metrics, name);
        let router = match settings.protocol {
            Protocol::Http => http::router(&self.http, Arc::clone(&self.ramp), &counters.points),
            _ => Router::new(),
        };
        Door::new(Arc::clone(&self.service), settings.clone(), counters, router)
    }

    /// Runs the accept loop of one listener; each connection is a task of its own.
    fn accept(
        &self,
        settings: &ListenerSettings,
        listener: Listener,
        name: &str,
    ) -> Result<(), StartError> {
        let door = Arc::new(self.door(settings, name)?);
        self.seals.lock().extend(door.seal());
        let (places, tasks) = (Arc::clone(&self.places), Arc::clone(&self.tasks));
        self.tasks.lock().spawn(async move {
            let context = &door.service.context;
            while let Some((socket, peer)) = listener.next(&context.shutdown, &*context.clock).await
            {
                let place = Arc::clone(&places).try_acquire_owned().ok().zip(door.place());
                let Some(place) = place else {
                    door.counters.closed(Closed::TooMany);
                    daemon::warn_limited!(context.clock, %peer, "refused: too many connections");
                    continue;
                };
                let door = Arc::clone(&door);
                let mut tasks = tasks.lock();
                while tasks.try_join_next().is_some() {}
                tasks.spawn(async move {
                    let ended = connection::run(&door, socket, peer).await;
                    drop(place);
                    debug!(%peer, ?ended, "connection ended");
                });
            }
        });
        Ok(())
    }
}

/// What connections come from.
enum Listener {
    Tcp(TcpListener),
    /// With its file, which goes with it.
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// The next connection, or `None` once the shutdown has fired and the backlog is empty: a peer
    /// whose connection the kernel completed counts on being read.
    async fn next(&self, shutdown: &Shutdown, clock: &dyn Clock) -> Option<(Socket, Peer)> {
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = self.accept() => accepted,
                () = shutdown.wait() => return None,
            };
            match accepted {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    daemon::warn_limited!(clock, %error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn accept(&self) -> std::io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => loop {
                let (stream, peer) = listener.accept().await?;
                match daemon::listen::tune(&stream) {
                    Ok(()) => return Ok((Socket::Tcp(Arc::new(stream)), Peer::At(peer))),
                    Err(error) => debug!(%peer, %error, "connection gone before it was read"),
                }
            },
            Self::Unix(listener, _file) => {
                let (stream, _nameless) = listener.accept().await?;
                Ok((Socket::Unix(Arc::new(stream)), Peer::Local))
            }
        }
    }
}

/// Listens on one port over TCP and UDP. Where the system chooses the port, it chooses for TCP; if
/// another program has that number for UDP, it chooses again.
fn both_protocols(
    setting: &str,
    address: &str,
) -> Result<(TcpListener, UdpSocket, SocketAddr), StartError> {
    let mut tries_left = if address.ends_with(":0") { CHOICES_MAX } else { 1 };
    loop {
        let tcp = daemon::listen::tcp(setting, address)?;
        let bound = bound_to(&tcp, setting)?;
        tries_left -= 1;
        match udp_socket(setting, &bound.to_string(), false) {
            Ok(udp) => return Ok((tcp, udp, bound)),
            Err(error) if tries_left == 0 => return Err(error.into()),
            Err(_taken) => {}
        }
    }
}

fn udp_socket(setting: &str, address: &str, share: bool) -> Result<UdpSocket, ListenError> {
    daemon::listen::udp_shared(setting, address, DATAGRAM_BUFFER_BYTES, share)
}

fn bound_to(listener: &TcpListener, setting: &str) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::io(format!("binding `{setting}`"), error))
}
