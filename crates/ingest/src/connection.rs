//! One connection: greeted, then read until its end, while a protocol cuts the bytes into points.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wire::proxy;

use crate::door::Door;
use crate::frames::{Content, FrameIntake};
use crate::intake::Intake;
use crate::metrics::Closed;
use crate::point::Sink;
use crate::protocol::Protocol;
use crate::settings;
use crate::socket::{Peer, Socket};
use crate::stream::Stream;
use crate::unpack::Unpacked;

/// Where a connection's buffer starts: a whole longest line and then some.
const BUFFER_BYTES_MIN: usize = 32 * 1024;

/// Where it stops growing while lines keep completing: one batch is at most this many bytes.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Once the daemon stops, a connection that is silent for this long has been read to its end.
const DRAIN_QUIET: Duration = Duration::from_millis(20);

/// A sender that never pauses is read for this long after the stop signal.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// How long a closing connection may keep its descriptor while the sink cannot commit.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long a PROXY header, and a TLS handshake, may take.
const GREETING_MAX: Duration = Duration::from_secs(10);

/// How long the last bytes of a close may take.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// Takes an accepted connection through to its end.
pub(crate) async fn run<S: Sink>(door: &Door<S>, socket: Socket, peer: Peer) -> io::Result<()> {
    door.counters.connections.add(1.0);
    let ended = match greet(door, socket.clone(), peer).await {
        Ok((stream, peer)) => talk(door, &socket, stream, peer).await,
        Err(error) => Err(error),
    };
    door.counters.connections.add(-1.0);
    ended
}

/// The PROXY header and the handshake, in the order in which they come.
async fn greet<S: Sink>(
    door: &Door<S>,
    mut socket: Socket,
    mut peer: Peer,
) -> io::Result<(Stream, Peer)> {
    if door.settings.proxy_protocol {
        let named = timeout(GREETING_MAX, proxy_source(&mut socket)).await;
        let named = named.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
        let named = named.inspect_err(|_| door.counters.closed(Closed::ProxyHeader))?;
        peer = named.map_or(peer, Peer::At);
    }
    let Some(seal) = &door.seal else { return Ok((Stream::Plain(socket), peer)) };
    let shaken = timeout(GREETING_MAX, seal.acceptor().accept(socket)).await;
    let shaken = shaken.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
    let stream = shaken.inspect_err(|_| door.counters.closed(Closed::Tls))?;
    Ok((Stream::Tls(Box::new(stream)), peer))
}

async fn talk<S: Sink>(
    door: &Door<S>,
    socket: &Socket,
    mut stream: Stream,
    peer: Peer,
) -> io::Result<()> {
    let limits = &door.service.settings;
    let read = match door.settings.protocol {
        settings::Protocol::Http => {
            let (http, context) = (door.http.clone(), &door.service.context);
            let limits = daemon::http::Limits::default();
            let shutdown = &context.shutdown;
            daemon::http::serve_one(stream, peer.address(), http, shutdown, limits).await;
            return Ok(());
        }
        settings::Protocol::Line => {
            let source = door.source(peer.to_string());
            let intake = Intake::new(source, limits.line_bytes_max);
            unpack(door, socket, &mut stream, intake).await
        }
        framed => {
            let content = match framed {
                settings::Protocol::Protobuf => Content::Protobuf,
                _ => Content::Pickle,
            };
            let source = door.source(peer.to_string());
            let intake = FrameIntake::new(source, content, limits.frame_bytes_max);
            unpack(door, socket, &mut stream, intake).await
        }
    };
    read?;
    // A sender over TLS waits for this as others wait for the close.
    timeout(FAREWELL_MAX, stream.shutdown()).await.unwrap_or(Ok(()))
}

/// Reads a stream of one protocol, unpacked if need be, to its end.
async fn unpack<S: Sink>(
    door: &Door<S>,
    socket: &Socket,
    stream: &mut Stream,
    mut protocol: impl Protocol,
) -> io::Result<()> {
    let Some(compression) = door.settings.compression else {
        return read(door, socket, stream, &mut protocol).await;
    };
    let mut unpacked = Unpacked::new(stream, compression)?;
    let read = read(door, socket, &mut unpacked, &mut protocol).await;
    if unpacked.is_broken() {
        door.counters.closed(Closed::Unpacking);
    }
    read
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

/// Reads one connection to its end. After the stop signal, what the kernel has already taken in
/// is still read: its sender believes it delivered. `socket` is what `stream` is read from: its
/// close says that what was sent is kept, and is a reset, which says the opposite, where the sink
/// cannot keep it in time.
async fn read<S: Sink>(
    door: &Door<S>,
    socket: &Socket,
    stream: &mut (impl AsyncRead + Unpin),
    protocol: &mut impl Protocol,
) -> io::Result<()> {
    let service = &*door.service;
    let (clock, shutdown) = (&service.context.clock, &service.context.shutdown);
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES_MIN);
    let mut drain_end = None;
    let mut has_delivered = false;
    // Until its points are kept, whoever dies here must not seem to say that they are.
    socket.close_by_reset()?;
    loop {
        service.sink.room().await;
        let held = buffer.len();
        let read = match drain_end {
            None => tokio::select! {
                biased;
                read = stream.read_buf(&mut buffer) => read,
                () = shutdown.wait() => {
                    drain_end = Some(clock.monotonic() + DRAIN_MAX);
                    continue;
                }
                () = door.idle() => {
                    door.counters.closed(Closed::Idle);
                    Ok(0)
                }
            },
            Some(end) if clock.monotonic() < end => {
                let quiet = timeout(DRAIN_QUIET, stream.read_buf(&mut buffer)).await;
                quiet.unwrap_or(Ok(0))
            }
            Some(_) => Ok(0),
        };
        // What came before a broken end is as good as what comes before a sound one.
        let ended = !matches!(read, Ok(1..));
        let filled = buffer.len() == buffer.capacity();
        let taken = protocol.take(&buffer, &service.rules());
        has_delivered |= taken.bytes > 0;
        if ended || protocol.should_close() {
            protocol.end(&buffer[taken.bytes..]);
            read?;
            // Who sent nothing waits for nothing: its descriptor may be the one that is missing.
            if has_delivered {
                timeout(COMMIT_WAIT_MAX, door.service.sink.committed()).await?;
            }
            return socket.close_in_order();
        }
        door.pause(buffer.len() - held, taken.points).await;
        buffer.advance(taken.bytes);
        make_room(&mut buffer, filled);
    }
}

/// Leaves room for the next read; a buffer that the last read filled doubles, up to the limit. A
/// frame that is longer than that still gets room, as much as has arrived already.
fn make_room(buffer: &mut BytesMut, filled: bool) {
    let held = buffer.len();
    let wanted = if filled {
        (buffer.capacity() * 2).clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX)
    } else {
        BUFFER_BYTES_MIN
    };
    buffer.reserve(wanted.saturating_sub(held).max(BUFFER_BYTES_MIN));
}
