//! Connections, plain or sealed by TLS as the URL says.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use daemon::tls::client::TlsStream;
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::credentials::Credentials;

/// Opens connections.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    credentials: Credentials,
    /// For one handshake of TLS.
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(connect_timeout: Duration, credentials: Credentials) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(connect_timeout));
        tcp.set_nodelay(true);
        // It would refuse https, which is ours to do here.
        tcp.enforce_http(false);
        Self { tcp, credentials, timeout: connect_timeout }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let is_plain = uri.scheme() != Some(&Scheme::HTTPS);
        let address = uri.authority().map(ToString::to_string).unwrap_or_default();
        let connecting = self.tcp.call(uri);
        let (passport, timeout) = (self.credentials.passport(), self.timeout);
        Box::pin(async move {
            let tcp = connecting.await?;
            if is_plain {
                return Ok(Stream::Plain(tcp));
            }
            let passport = passport.ok_or("https needs `backend_tls_ca`")?;
            let shaken = passport.connect(&address, tcp.into_inner());
            let late = |_elapsed| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake");
            let sealed = tokio::time::timeout(timeout, shaken).await.map_err(late)??;
            Ok(Stream::Sealed(Box::new(TokioIo::new(sealed))))
        })
    }
}

/// A connection.
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Sealed(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Sealed(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Sealed(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Sealed(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Sealed(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }
}
