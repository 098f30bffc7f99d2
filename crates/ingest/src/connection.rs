//! One connection: read, let a protocol cut the bytes into points, until the end.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use wire::line::Rules;

use crate::door::Door;
use crate::metrics::Closed;
use crate::point::Sink;
use crate::socket::Socket;

/// Where a connection's buffer starts: a whole longest line and then some.
const BUFFER_BYTES_MIN: usize = 32 * 1024;

/// Where it stops growing while lines keep completing: one batch is at most this many bytes.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// What one look at a buffer took from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Bytes that are done with.
    pub(crate) bytes: usize,
    /// Points read, handed on or refused.
    pub(crate) points: u64,
}

/// How a connection's bytes become points.
pub(crate) trait Protocol: Send {
    /// Hands on what is complete in `buffer`.
    fn take(&mut self, buffer: &[u8], rules: &Rules) -> Taken;

    /// Whether the stream cannot be understood any further.
    fn should_close(&self) -> bool;

    /// Accounts for the bytes that a closing stream leaves behind.
    fn end(&mut self, rest: &[u8]);
}

/// Once the daemon stops, a connection that is silent for this long has been read to its end.
const DRAIN_QUIET: Duration = Duration::from_millis(20);

/// A sender that never pauses is read for this long after the stop signal.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// How long a closing connection may keep its descriptor while the sink cannot commit.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(30);

/// Reads one connection to its end. After the stop signal, what the kernel has already taken in
/// is still read: its sender believes it delivered. `socket` is what `stream` is read from: its
/// close says that what was sent is kept, and is a reset, which says the opposite, where the sink
/// cannot keep it in time.
pub(crate) async fn serve<S: Sink>(
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
