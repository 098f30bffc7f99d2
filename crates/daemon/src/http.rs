//! An HTTP server for an axum router (HTTP/1, or HTTP/2 where a port is meant for it), with limits on what a stranger can hold, a graceful stop
//! and a 500 in place of a panic.

mod lanes;
mod received;

pub use lanes::Lanes;
pub use received::received;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_service::Service;
use tracing::{debug, error};

use crate::context::Shutdown;
use crate::listen;
use crate::threads::panic_text;
use crate::tls::Seal;

/// What one client, and all together, may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a client may take to send its request's head, and to begin the next one.
    pub header_timeout: Duration,
    /// Bytes of a request's head; the buffer of one connection.
    pub header_bytes_max: usize,
    /// Open connections; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// How long requests under way may take after the stop signal.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            header_bytes_max: 64 * 1024,
            connections_max: 4096,
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// A port for requests, and what its handshakes need if it speaks TLS.
#[derive(Debug)]
pub struct HttpListener {
    /// The port.
    pub tcp: TcpListener,
    /// Its certificate.
    pub seal: Option<Arc<Seal>>,
    /// What is spoken there.
    pub version: Version,
    /// Where its connections are served.
    pub lanes: Lanes,
}

impl HttpListener {
    /// The same with its connections on lanes.
    #[must_use]
    pub fn on(self, lanes: Lanes) -> Self {
        Self { lanes, ..self }
    }
}

/// The version of HTTP that a port speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// What browsers, agents and dashboards speak.
    #[default]
    Http1,
    /// What gRPC speaks: many requests share one connection, and replies end with trailers.
    Http2,
}

/// A client of HTTP/2 that has vanished is noticed by an unanswered ping.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Requests under way on one connection of HTTP/2; a client waits with more.
const STREAMS_MAX: u32 = 100;

impl From<TcpListener> for HttpListener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, seal: None, version: Version::default(), lanes: Lanes::default() }
    }
}

/// Serves `router` until `shutdown` fires and requests under way have been answered. Handlers may
/// extract `ConnectInfo<SocketAddr>`. Limits on bodies are the routes' (`DefaultBodyLimit`).
pub async fn serve(
    listener: impl Into<HttpListener>,
    router: Router,
    shutdown: Shutdown,
    limits: Limits,
) {
    let HttpListener { tcp: listener, seal, version, lanes } = listener.into();
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("nobody closes it");
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = shutdown.wait() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: the listener is sound, others will close.
                error!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (Ok(peer), Ok(())) = (stream.peer_addr(), listen::tune(&stream)) else { continue };
        let (router, watcher, shutdown) = (router.clone(), graceful.watcher(), shutdown.clone());
        let acceptor = seal.as_ref().map(|seal| match version {
            Version::Http1 => seal.acceptor(),
            Version::Http2 => seal.acceptor_for(b"h2"),
        });
        let client = Client { peer, router, version, limits };
        lanes.spawn(stream, move |stream| async move {
            let ended = match acceptor {
                None => client.serve(stream, watcher).await,
                Some(acceptor) => {
                    let shaken = tokio::select! {
                        shaken = timeout(limits.header_timeout, acceptor.accept(stream)) => shaken,
                        () = shutdown.wait() => return,
                    };
                    let Ok(Ok(stream)) = shaken else {
                        return debug!(%peer, "TLS handshake failed");
                    };
                    client.serve(stream, watcher).await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    if timeout(limits.stop_timeout, graceful.shutdown()).await.is_err() {
        error!("requests under way were cut off by the stop");
    }
}

/// Who has connected, and what he finds.
struct Client {
    peer: SocketAddr,
    router: Router,
    version: Version,
    limits: Limits,
}

impl Client {
    async fn serve<I>(self, stream: I, watcher: Watcher) -> hyper::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { peer, router, version, limits } = self;
        if version == Version::Http1 {
            return watcher.watch(connection(stream, peer, router, limits)).await;
        }
        let asked = Arc::new(AtomicBool::new(false));
        let silence = {
            let asked = Arc::clone(&asked);
            async move {
                tokio::time::sleep(limits.header_timeout).await;
                if asked.load(Relaxed) {
                    std::future::pending::<()>().await;
                }
            }
        };
        let service = service_fn(move |request| {
            asked.store(true, Relaxed);
            answer(request, peer, router.clone())
        });
        let heads_max = u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_header_list_size(heads_max)
            .max_concurrent_streams(STREAMS_MAX);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            ended = watcher.watch(connection) => ended,
            () = silence => Ok(()),
        }
    }
}

/// Serves the requests of one connection, for listeners that accept by themselves; `peer` is what
/// handlers extract. After the stop signal the request under way is still answered.
pub async fn serve_one<I>(
    stream: I,
    peer: SocketAddr,
    router: Router,
    shutdown: &Shutdown,
    limits: Limits,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = pin!(connection(stream, peer, router, limits));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.wait() => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.stop_timeout, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended early");
    }
}

type Connection<I, S> = http1::Connection<TokioIo<I>, S>;

fn connection<I>(
    stream: I,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
) -> Connection<
    I,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send> + Send,
>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, peer, router.clone()));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // hyper wants at least this much for one connection.
        .max_buf_size(limits.header_bytes_max.max(8192))
        // A client that closes wants no answer any more: its request is cancelled, down to the files.
        .half_close(false);
    builder.serve_connection(TokioIo::new(stream), service)
}

fn answer(
    mut request: hyper::Request<Incoming>,
    peer: SocketAddr,
    mut router: Router,
) -> CatchPanic<impl Future<Output = Result<Response, Infallible>> + Send> {
    request.extensions_mut().insert(ConnectInfo(peer));
    let path = request.uri().path().to_owned();
    CatchPanic { answer: Box::pin(router.call(request)), path }
}

/// Answers 500 with a number that also stands in the log, where the handler panics.
struct CatchPanic<F> {
    answer: Pin<Box<F>>,
    path: String,
}

static PANICS: AtomicU64 = AtomicU64::new(0);

impl<F: Future<Output = Result<Response, Infallible>>> Future for CatchPanic<F> {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        // The future is not polled again after a panic, so broken state inside it is never seen.
        let polled = catch_unwind(AssertUnwindSafe(|| self.answer.as_mut().poll(task)));
        polled.unwrap_or_else(|payload| {
            let id = PANICS.fetch_add(1, Relaxed) + 1;
            error!(id, path = self.path, "request panicked: {}", panic_text(payload.as_ref()));
            let text = format!("internal error {id}; the log of this server says more\n");
            Poll::Ready(Ok((StatusCode::INTERNAL_SERVER_ERROR, text).into_response()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    fn start(router: Router, limits: Limits) -> (SocketAddr, Shutdown, JoinHandle<()>) {
        let listener = listen::tcp("listen", "127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let task = tokio::spawn(serve(listener, router, shutdown.clone(), limits));
        (address, shutdown, task)
    }

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_panic_is_a_500_and_the_server_goes_on() {
        let router =
            Router::new()
                .route(
                    "/bad",
                    get(|| async {
                        if true {
                            panic!("wanted by the test")
                        }
                    }),
                )
                .route(
                    "/peer",
                    get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                        peer.ip().to_string()
                    }),
                );
        let (address, shutdown, task) = start(router, Limits::default());
        let bad = exchange(address, "GET /bad HTTP/1.0\r\n\r\n").await;
        assert!(bad.starts_with("HTTP/1.0 500") && bad.contains("internal error"), "{bad}");
        let good = exchange(address, "GET /peer HTTP/1.0\r\n\r\n").await;
        assert!(good.ends_with("\r\n\r\n127.0.0.1"), "{good}");
        shutdown.fire();
        task.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "the port is free again");
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_after_the_stop_signal() {
        let gate = Shutdown::new();
        let started = Shutdown::new();
        let router = {
            let (gate, started) = (gate.clone(), started.clone());
            Router::new().route(
                "/slow",
                get(move || async move {
                    started.fire();
                    gate.wait().await;
                    "done"
                }),
            )
        };
        let (address, shutdown, task) = start(router, Limits::default());
        let client = tokio::spawn(async move {
            exchange(address, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await
        });
        started.wait().await;
        shutdown.fire();
        gate.fire();
        assert!(client.await.unwrap().ends_with("done"));
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_head_beyond_the_limit_or_too_slow_ends_the_connection() {
        let limits = Limits {
            header_timeout: Duration::from_millis(20),
            header_bytes_max: 8192,
            ..Limits::default()
        };
        let (address, _shutdown, _task) = start(Router::new(), limits);
        let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        assert!(exchange(address, &large).await.starts_with("HTTP/1.1 431"));
        // Ends only because the server closes it.
        exchange(address, "GET / HTTP/1.1\r\nX:").await;
    }

    #[tokio::test]
    async fn clients_that_say_nothing_do_not_delay_the_stop() {
        let hour = Duration::from_secs(3600);
        let limits = Limits { header_timeout: hour, stop_timeout: hour, ..Limits::default() };
        let router = Router::new().route("/", get(|| async { "here" }));
        let (address, shutdown, task) = start(router, limits);
        let silent = TcpStream::connect(address).await.unwrap();
        let mut kept = TcpStream::connect(address).await.unwrap();
        kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut byte = [0; 1];
        kept.read_exact(&mut byte).await.unwrap();
        shutdown.fire();
        let stopped = timeout(Duration::from_secs(20), task).await;
        stopped.expect("the stop waits for idle clients").unwrap();
        drop((silent, kept));
    }
}
