//! Sockets that accept: bound with the right options, and with clear words when that fails.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener};

use crate::settings::parse_address;

/// Connections the kernel holds for us between two accepts.
const BACKLOG: i32 = 4096;
/// A peer that vanished without a word is noticed after this and three unanswered probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Someone else listens there.
    #[error("address {address} is taken by another program (setting `{setting}`)")]
    Taken {
        /// The setting that names the address.
        setting: String,
        /// The address.
        address: String,
    },
    /// No host of that name, no right to the port, no such interface.
    #[error("address {address} cannot be listened on (setting `{setting}`): {source}")]
    Refused {
        /// The setting that names the address.
        setting: String,
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ListenError {
    fn new(setting: &str, address: impl Into<String>, source: io::Error) -> Self {
        let (setting, address) = (setting.to_owned(), address.into());
        match source.kind() {
            ErrorKind::AddrInUse => Self::Taken { setting, address },
            _ => Self::Refused { setting, address, source },
        }
    }
}

/// Resolves `HOST:PORT`; the first address wins.
///
/// # Errors
/// When it is no address or no such host is known.
pub fn resolve(address: &str) -> io::Result<SocketAddr> {
    let (host, port) = parse_address(address)
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "expected HOST:PORT"))?;
    (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the host has no address"))
}

/// Listens for TCP connections on `address`, which came from `setting`. Call on the runtime.
///
/// # Errors
/// In words that name the setting.
pub fn tcp(setting: &str, address: &str) -> Result<TcpListener, ListenError> {
    tcp_shared(setting, address, false)
}

/// The same; with `share` other processes may listen there too (`SO_REUSEPORT`).
///
/// # Errors
/// In words that name the setting.
pub fn tcp_shared(setting: &str, address: &str, share: bool) -> Result<TcpListener, ListenError> {
    let bind = || {
        let socket = bound(resolve(address)?, Type::STREAM, Protocol::TCP, |socket| {
            socket.set_reuse_port(share)?;
            // A restart must not wait for the connections of the run before.
            socket.set_reuse_address(true)
        })?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map_err(|source| ListenError::new(setting, address, source))
}

/// Receives UDP on `address`, with a kernel buffer of `buffer_bytes` (the system may give less).
/// Call on the runtime.
///
/// # Errors
/// In words that name the setting.
pub fn udp(setting: &str, address: &str, buffer_bytes: usize) -> Result<UdpSocket, ListenError> {
    udp_shared(setting, address, buffer_bytes, false)
}

/// The same; with `share` other processes may receive there too (`SO_REUSEPORT`).
///
/// # Errors
/// In words that name the setting.
pub fn udp_shared(
    setting: &str,
    address: &str,
    buffer_bytes: usize,
    share: bool,
) -> Result<UdpSocket, ListenError> {
    let bind = || {
        let socket = bound(resolve(address)?, Type::DGRAM, Protocol::UDP, |socket| {
            socket.set_reuse_port(share)?;
            socket.set_recv_buffer_size(buffer_bytes)
        })?;
        UdpSocket::from_std(socket.into())
    };
    bind().map_err(|source| ListenError::new(setting, address, source))
}

fn bound(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    prepare(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Listens on a unix socket; a socket file that nobody answers at is replaced. Call on the
/// runtime.
///
/// # Errors
/// In words that name the setting.
pub fn unix(setting: &str, path: &Path) -> Result<UnixListener, ListenError> {
    let bind = || {
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
        if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        UnixListener::bind(path)
    };
    bind().map_err(|source| ListenError::new(setting, path.to_string_lossy(), source))
}

/// How many connections the process may hold at a time when `wanted` are asked for: never more
/// than half of its descriptors, because files, journals and its own connections need the rest.
#[must_use]
pub fn connections_max(wanted: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(usize::MAX, |limit| usize::try_from(limit / 2).unwrap_or(usize::MAX));
    wanted.min(half)
}

/// Sets what every accepted connection needs: no delay for small writes, and probes that find
/// out when the peer is gone.
///
/// # Errors
/// When the connection is gone already.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// A unix socket's file, removed when the listener's owner goes.
#[derive(Debug)]
pub struct SocketFile(pub PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already, and a stale one is replaced at the next start.
        drop(std::fs::remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_setting() {
        let first = tcp("line", "127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = tcp("line", &address).unwrap_err();
        let wanted = format!("address {address} is taken by another program (setting `line`)");
        assert_eq!(error.to_string(), wanted);
        assert!(udp("line", &address, 1 << 20).is_ok(), "UDP has its own ports");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused_in_words() {
        let error = tcp("read", "192.0.2.1:0").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("address 192.0.2.1:0 cannot be listened on (setting `read`)"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line.sock");
        drop(unix("unix", &path).unwrap());
        let live = unix("unix", &path).unwrap();
        assert!(matches!(unix("unix", &path), Err(ListenError::Taken { .. })));
        drop((live, SocketFile(path.clone())));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn an_accepted_connection_is_tuned() {
        let listener = tcp("line", "127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.unwrap();
        tune(&stream).unwrap();
        assert!(stream.nodelay().unwrap() && SockRef::from(&stream).keepalive().unwrap());
    }
}
