//! One TCP connection: read, let a protocol cut the bytes into points, until the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::line::Rules;

use crate::listeners::Service;
use crate::point::Sink;

/// Where a connection's buffer starts: a whole longest line and then some.
const BUFFER_BYTES_MIN: usize = 32 * 1024;

/// Where it stops growing while lines keep completing: one batch is at most this many bytes.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// How a connection's bytes become points.
pub(crate) trait Protocol: Send {
    /// Hands on what is complete in `buffer` and returns how many bytes are done with.
    fn take(&mut self, buffer: &[u8], rules: &Rules) -> usize;

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
/// is still read: its sender believes it delivered.
pub(crate) async fn serve<S: Sink>(
    service: Arc<Service<S>>,
    mut stream: TcpStream,
    mut protocol: impl Protocol,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES_MIN);
    let mut drain_end = None;
    let mut has_delivered = false;
    loop {
        service.sink.room().await;
        let read = match drain_end {
            None => tokio::select! {
                biased;
                read = stream.read_buf(&mut buffer) => read?,
                () = service.shutdown.wait() => {
                    drain_end = Some(service.clock.monotonic() + DRAIN_MAX);
                    continue;
                }
            },
            Some(end) if service.clock.monotonic() < end => {
                let quiet = timeout(DRAIN_QUIET, stream.read_buf(&mut buffer)).await;
                quiet.unwrap_or(Ok(0))?
            }
            Some(_) => 0,
        };
        let filled = buffer.len() == buffer.capacity();
        let consumed = protocol.take(&buffer, &service.rules());
        has_delivered |= consumed > 0;
        if read == 0 || protocol.should_close() {
            protocol.end(&buffer[consumed..]);
            // Who sent nothing waits for nothing: its descriptor may be the one that is missing.
            return if has_delivered { confirm(&service, &stream).await } else { Ok(()) };
        }
        buffer.advance(consumed);
        make_room(&mut buffer, filled);
    }
}

/// Lets the close say that what was sent is kept. Where the sink cannot keep it in time, the close
/// is a reset, which says the opposite.
async fn confirm<S: Sink>(service: &Service<S>, stream: &TcpStream) -> io::Result<()> {
    match timeout(COMMIT_WAIT_MAX, service.sink.committed()).await {
        Ok(()) => Ok(()),
        Err(_late) => stream.set_zero_linger(),
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
