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

/// Sends the node's lines for as long as the process lives.
pub(crate) async fn run(queue: Arc<NodeQueue>, context: Context) {
    let mut recent = Recent::default();
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        match connect(queue.address()).await {
            Ok(stream) => {
                pause = RETRY_PAUSE_MIN;
                queue.metrics.connects.inc();
                queue.set_connected(true);
                info!(node = queue.name(), "connected");
                queue.resend(recent.take(context.clock.monotonic()));
                let ended = send(&queue, stream, &mut recent, &context).await;
                queue.set_connected(false);
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

/// Host names are resolved again for every connection.
async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    daemon::listen::tune(&stream)?;
    Ok(stream)
}

/// Sends until the connection ends, and says why it did.
async fn send(
    queue: &NodeQueue,
    stream: TcpStream,
    recent: &mut Recent,
    context: &Context,
) -> io::Error {
    let (mut reader, mut writer) = stream.into_split();
    loop {
        let batches = tokio::select! {
            batches = queue.take() => batches,
            ended = end_of(&mut reader) => return ended,
        };
        let sent = tokio::select! {
            sent = write_all(&mut writer, &batches) => sent,
            ended = end_of(&mut reader) => Err(ended),
        };
        if let Err(error) = sent {
            queue.put_back(batches);
            return error;
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
    batches: &[LineBatch],
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
    batches: VecDeque<(Duration, LineBatch)>,
    bytes: usize,
}

impl Recent {
    /// Remembers batches sent at `now`, and forgets what the node must have read.
    fn add(&mut self, batches: Vec<LineBatch>, now: Duration) {
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

    /// Everything that may be unread at `now`, oldest first.
    fn take(&mut self, now: Duration) -> Vec<LineBatch> {
        self.bytes = 0;
        self.batches
            .drain(..)
            .filter(|(sent, _)| now.saturating_sub(*sent) <= UNREAD_AGE_MAX)
            .map(|(_, batch)| batch)
            .collect()
    }
}
