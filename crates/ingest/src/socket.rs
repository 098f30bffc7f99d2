//! A connected stream, TCP or unix, that is read through layers while its owner keeps a hand on it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// One end of a connection; clones are the same end.
#[derive(Debug, Clone)]
pub(crate) enum Socket {
    /// Over TCP.
    Tcp(Arc<TcpStream>),
    /// Through a socket file.
    Unix(Arc<UnixStream>),
}

impl Socket {
    /// From now on a close is a reset, which tells a waiting sender that its points may be lost;
    /// also the one that the kernel makes when the process dies. A unix socket knows no resets.
    pub(crate) fn close_by_reset(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_zero_linger(),
            Self::Unix(_) => Ok(()),
        }
    }

    /// From now on a close is a close.
    pub(crate) fn close_in_order(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => socket2::SockRef::from(&**stream).set_linger(None),
            Self::Unix(_) => Ok(()),
        }
    }
}

/// Runs one attempt on whichever stream it is, again after every false alarm of the poller.
macro_rules! attempt {
    ($self:ident, $ready:ident, $cx:ident, $stream:ident => $attempt:expr) => {
        match &*$self {
            Self::Tcp($stream) => loop {
                ready!($stream.$ready($cx))?;
                match $attempt {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => break Poll::Ready(done),
                }
            },
            Self::Unix($stream) => loop {
                ready!($stream.$ready($cx))?;
                match $attempt {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => break Poll::Ready(done),
                }
            },
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        attempt!(self, poll_read_ready, cx, stream => stream.try_read_buf(buffer).map(drop))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        attempt!(self, poll_write_ready, cx, stream => stream.try_write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = std::net::Shutdown::Write;
        Poll::Ready(match &*self {
            Self::Tcp(stream) => socket2::SockRef::from(&**stream).shutdown(end),
            Self::Unix(stream) => socket2::SockRef::from(&**stream).shutdown(end),
        })
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// An address; of the sender itself, if a balancer told it.
    At(SocketAddr),
    /// A process on this machine, through a socket file.
    Local,
}

impl Peer {
    /// The address, or that of no one.
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            Self::At(address) => address,
            Self::Local => (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}
