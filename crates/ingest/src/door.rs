//! One listener at work: what its connections go through before and while they are read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use daemon::StartError;
use daemon::tls::Seal;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wire::proxy;

use crate::bucket::Bucket;
use crate::connection::{self, Protocol};
use crate::frames::{Content, FrameIntake};
use crate::intake::{Intake, Source};
use crate::listeners::Service;
use crate::metrics::{Closed, ListenerCounters};
use crate::point::Sink;
use crate::settings::{self, ListenerSettings};
use crate::socket::{Peer, Socket};
use crate::stream::Stream;
use crate::unpack::Unpacked;

/// How long a PROXY header, and a TLS handshake, may take.
const GREETING_MAX: Duration = Duration::from_secs(10);

/// How long the last bytes of a close may take.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// One listener and what its connections share.
pub(crate) struct Door<S> {
    pub(crate) service: Arc<Service<S>>,
    pub(crate) counters: ListenerCounters,
    settings: ListenerSettings,
    seal: Option<Arc<Seal>>,
    places: Option<Arc<Semaphore>>,
    bytes: Option<Mutex<Bucket>>,
    points: Option<Mutex<Bucket>>,
    http: Router,
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

    /// Takes an accepted connection through to its end.
    pub(crate) async fn connection(&self, socket: Socket, peer: Peer) -> io::Result<()> {
        self.counters.connections.add(1.0);
        let ended = match self.greet(socket.clone(), peer).await {
            Ok((stream, peer)) => self.talk(&socket, stream, peer).await,
            Err(error) => Err(error),
        };
        self.counters.connections.add(-1.0);
        ended
    }

    /// The PROXY header and the handshake, in the order in which they come.
    async fn greet(&self, mut socket: Socket, mut peer: Peer) -> io::Result<(Stream, Peer)> {
        if self.settings.proxy_protocol {
            let named = timeout(GREETING_MAX, proxy_source(&mut socket)).await;
            let named = named.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
            let named = named.inspect_err(|_| self.counters.closed(Closed::ProxyHeader))?;
            peer = named.map_or(peer, Peer::At);
        }
        let Some(seal) = &self.seal else { return Ok((Stream::Plain(socket), peer)) };
        let shaken = timeout(GREETING_MAX, seal.acceptor().accept(socket)).await;
        let shaken = shaken.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
        let stream = shaken.inspect_err(|_| self.counters.closed(Closed::Tls))?;
        Ok((Stream::Tls(Box::new(stream)), peer))
    }

    async fn talk(&self, socket: &Socket, mut stream: Stream, peer: Peer) -> io::Result<()> {
        let limits = &self.service.settings;
        let read = match self.settings.protocol {
            settings::Protocol::Http => {
                let (http, context) = (self.http.clone(), &self.service.context);
                let limits = daemon::http::Limits::default();
                let shutdown = &context.shutdown;
                daemon::http::serve_one(stream, peer.address(), http, shutdown, limits).await;
                return Ok(());
            }
            settings::Protocol::Line => {
                let source = self.source(peer.to_string());
                let intake = Intake::new(source, limits.line_bytes_max);
                self.read(socket, &mut stream, intake).await
            }
            framed => {
                let content = match framed {
                    settings::Protocol::Protobuf => Content::Protobuf,
                    _ => Content::Pickle,
                };
                let source = self.source(peer.to_string());
                let intake = FrameIntake::new(source, content, limits.frame_bytes_max);
                self.read(socket, &mut stream, intake).await
            }
        };
        read?;
        // A sender over TLS waits for this as others wait for the close.
        timeout(FAREWELL_MAX, stream.shutdown()).await.unwrap_or(Ok(()))
    }

    /// Reads a stream of one protocol, unpacked if need be, to its end.
    async fn read(
        &self,
        socket: &Socket,
        stream: &mut Stream,
        mut protocol: impl Protocol,
    ) -> io::Result<()> {
        let Some(compression) = self.settings.compression else {
            return connection::serve(self, socket, stream, &mut protocol).await;
        };
        let mut unpacked = Unpacked::new(stream, compression)?;
        let read = connection::serve(self, socket, &mut unpacked, &mut protocol).await;
        if unpacked.is_broken() {
            self.counters.closed(Closed::Unpacking);
        }
        read
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

/// Reads the header that a balancer puts in front of a connection.
async fn proxy_source(socket: &mut Socket) -> io::Result<Option<std::net::SocketAddr>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut fixed = [0; proxy::FIXED_BYTES];
    socket.read_exact(&mut fixed).await?;
    let head = proxy::Head::read(&fixed).map_err(invalid)?;
    let mut rest = [0; proxy::REST_BYTES_MAX];
    let rest = &mut rest[..head.rest_bytes];
    socket.read_exact(rest).await?;
    head.source(rest).map_err(invalid)
}
