//! The sending task of one node: connect, send, reconnect.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use daemon::Context;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::info;

use super::batch::LineBatch;
use super::queue::NodeQueue;

/// A node that does not take a connection by then is tried again later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The first pause after a failed connection; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause: a node that is back waits at most this long for its lines.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a node's kernel may hold unread when the node dies. That much is sent again.
const UNREAD_BYTES_MAX: usize = 8 << 20;

/// A node that lives reads what is older than this.
const UNREAD_AGE_MAX: Duration = Duration::from_secs(30);

/// Sends the node's lines until it is over: removed, and sent all that waited for it.
pub(crate) async fn run(queue: Arc<NodeQueue>, context: Context) {
    let mut recent = Recent::default();
    let mut pause = RETRY_PAUSE_MIN;
    while !queue.is_over() {
        match connect(&queue.destination().addresses).await {
            Ok(stream) => {
                pause = RETRY_PAUSE_MIN;
                queue.metrics.connects.inc();
                queue.set_connected(true);
                info!(node = queue.name(), "connected");
                queue.resend(recent.take());
                let ended = send(&queue, stream, &mut recent, &context).await;
                queue.set_connected(false);
                let Some(ended) = ended else {
                    info!(node = queue.name(), "left");
                    return;
                };
                daemon::warn_limited!(context.clock, node = queue.name(), cause = %ended, "connection lost");
            }
            Err(error) => {
                queue.metrics.connect_failures.inc();
                daemon::warn_limited!(context.clock, node = queue.name(), %error, "not connected");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
}

/// The first address that takes a connection. Host names are resolved again for every connection.
async fn connect(addresses: &[String]) -> io::Result<TcpStream> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let connected = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match connected.and_then(|stream| daemon::listen::tune(&stream).map(|()| stream)) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Sends until the connection ends, and says why it did; nothing if the node is over.
async fn send(
    queue: &NodeQueue,
    stream: TcpStream,
    recent: &mut Recent,
    context: &Context,
) -> Option<io::Error> {
    let (mut reader, mut writer) = stream.into_split();
    loop {
        let batches = tokio::select! {
            batches = queue.take() => batches,
            ended = end_of(&mut reader) => return Some(ended),
        };
        if batches.is_empty() {
            return None;
        }
        let sent = tokio::select! {
            sent = write_all(&mut writer, &batches) => sent,
            ended = end_of(&mut reader) => Err(ended),
        };
        if let Err(error) = sent {
            queue.put_back(batches);
            return Some(error);
        }
        queue.done(&batches);
        recent.add(batches, context.clock.monotonic());
    }
}

/// Resolves when the node closes; whatever it says before is not part of the protocol.
async fn end_of(reader: &mut (impl AsyncRead + Unpin)) -> io::Error {
    let mut scrap = [0; 512];
    loop {
        match reader.read(&mut scrap).await {
            Ok(0) => return io::Error::new(io::ErrorKind::ConnectionReset, "closed by the node"),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    batches: &[Arc<LineBatch>],
) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        batches.iter().map(|batch| IoSlice::new(batch.as_bytes())).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        let written = writer.write_vectored(left).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, written);
    }
    Ok(())
}

/// What was sent lately, for a node that dies with unread bytes in its kernel's buffer.
#[derive(Debug, Default)]
struct Recent {
    batches: VecDeque<(Duration, Arc<LineBatch>)>,
    bytes: usize,
}

impl Recent {
    /// Remembers batches sent at `now`, and forgets what the node must have read.
    fn add(&mut self, batches: Vec<Arc<LineBatch>>, now: Duration) {
        for batch in batches {
            self.bytes += batch.as_bytes().len();
            self.batches.push_back((now, batch));
        }
        while let Some((sent, oldest)) = self.batches.front() {
            let length = oldest.as_bytes().len();
            let is_old = now.saturating_sub(*sent) > UNREAD_AGE_MAX;
            if !is_old && self.bytes - length < UNREAD_BYTES_MAX {
                break;
            }
            self.bytes -= length;
            self.batches.pop_front();
        }
    }

    /// Everything that may have been unread when the connection ended, oldest first. How long ago
    /// that was does not matter: a node that was away for an hour never read it in the meantime.
    fn take(&mut self) -> Vec<Arc<LineBatch>> {
        self.bytes = 0;
        self.batches.drain(..).map(|(_, batch)| batch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(line: &str) -> Arc<LineBatch> {
        Arc::new(LineBatch::from_bytes(line.as_bytes().to_vec()))
    }

    fn texts(batches: &[Arc<LineBatch>]) -> Vec<&[u8]> {
        batches.iter().map(|batch| batch.as_bytes()).collect()
    }

    #[test]
    fn what_was_sent_just_before_the_end_is_resent_however_long_the_node_is_away() {
        let mut recent = Recent::default();
        recent.add(vec![batch("read 1 1\n")], Duration::ZERO);
        let late = UNREAD_AGE_MAX + Duration::from_secs(1);
        recent.add(vec![batch("a 1 1\n"), batch("b 1 1\n")], late);
        assert_eq!(texts(&recent.take()), [b"a 1 1\n", b"b 1 1\n"]);
        assert!(recent.take().is_empty(), "once");
        assert_eq!(recent.bytes, 0);
    }

    #[test]
    fn what_is_kept_for_resending_is_bounded_in_bytes() {
        let mut recent = Recent::default();
        let line = format!("{} 1 1\n", "x".repeat(UNREAD_BYTES_MAX / 4));
        for _ in 0..20 {
            recent.add(vec![batch(&line)], Duration::ZERO);
        }
        assert!(recent.bytes <= UNREAD_BYTES_MAX + line.len());
        assert_eq!(recent.take().len(), 4);
    }
}
