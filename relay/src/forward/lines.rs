//! The sending task's part for a node that takes plain carbon lines.
//!
//! Such a node confirms nothing while the connection lives. What was sent lately counts as unread, and is sent again on the
//! next connection; at a stop, the node's close of the connection says that it has read all.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use daemon::Context;
use segments::Position;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::batch::LineBatch;
use super::node::Node;
use super::stream::Taken;

/// What a node's kernel may hold unread when the node dies. That much is sent again, out of the log.
pub(super) const UNREAD_BYTES_MAX: usize = 64 << 20;

/// The same where there is no log: it is kept in memory.
pub(super) const UNREAD_IN_MEMORY_BYTES_MAX: usize = 8 << 20;

/// A node that lives reads what is older than this.
const UNREAD_AGE_MAX: Duration = Duration::from_secs(30);

/// How often the age is looked at while nothing is sent.
const AGE_POLL: Duration = Duration::from_secs(1);

/// How long a node may take to close the connection after the relay has closed its half.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Slices of one vectored write; more are not taken by the system.
const SLICES_MAX: usize = 256;

/// Sends until nothing more is to be sent, or until `back`, whose result is returned; an error says why the connection ended
/// before.
pub(super) async fn send<T>(
    node: &Node,
    stream: TcpStream,
    back: impl Future<Output = T>,
    context: &Context,
) -> io::Result<Option<T>> {
    let (mut reader, mut writer) = stream.into_split();
    let bytes_max = if node.has_log() { UNREAD_BYTES_MAX } else { UNREAD_IN_MEMORY_BYTES_MAX };
    let mut unread = Unread { bytes_max, ..Unread::default() };
    let mut back = std::pin::pin!(back);
    let sent = loop {
        let taken = tokio::select! {
            taken = node.next(None) => taken,
            ended = end_of(&mut reader) => break Err(ended),
            other = &mut back => break Ok(Some(other)),
            () = tokio::time::sleep(AGE_POLL), if !unread.is_empty() => {
                node.done(unread.confirm(context.clock.monotonic()));
                continue;
            }
        };
        let Some(taken) = taken else { break Ok(None) };
        if taken.batches.is_empty() && unread.is_empty() {
            node.done(taken.up_to);
            continue;
        }
        let sent = tokio::select! {
            sent = write_batches(&mut writer, &taken.batches) => sent,
            ended = end_of(&mut reader) => Err(ended),
        };
        if let Err(error) = sent {
            break Err(error);
        }
        node.delivered(&taken);
        unread.add(&taken, context.clock.monotonic());
        node.done(unread.confirm(context.clock.monotonic()));
    };
    if sent.is_ok() && is_closed_by(&mut reader, &mut writer).await {
        node.done(unread.last);
    } else {
        let (lines, bytes) = unread.amount();
        node.rewind(lines, bytes);
    }
    sent
}

/// Closes our half and waits for the node to close its own: it has read all then.
async fn is_closed_by(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> bool {
    if writer.shutdown().await.is_err() {
        return false;
    }
    let end = tokio::time::timeout(CLOSE_WAIT, end_of(reader)).await;
    end.is_ok_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Resolves when the node closes; whatever it says before is not part of the protocol.
async fn end_of(reader: &mut (impl AsyncRead + Unpin)) -> io::Error {
    let mut scrap = [0; 512];
    loop {
        match reader.read(&mut scrap).await {
            Ok(0) => return io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the node"),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

async fn write_batches(
    writer: &mut (impl AsyncWrite + Unpin),
    batches: &[Arc<LineBatch>],
) -> io::Result<()> {
    let pieces: Vec<&[u8]> = batches.iter().map(|batch| batch.as_bytes()).collect();
    write_all(writer, &pieces).await
}

/// Writes all pieces, one behind the other.
pub(super) async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    pieces: &[&[u8]],
) -> io::Result<()> {
    for pieces in pieces.chunks(SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            let written = writer.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
    }
    Ok(())
}

/// What was sent lately, for a node that dies with unread bytes in its kernel's buffer.
#[derive(Debug, Default)]
struct Unread {
    bytes_max: usize,
    sent: VecDeque<Sent>,
    bytes: usize,
    /// The node has all up to here, if it has read it.
    last: Position,
    confirmed: Position,
}

#[derive(Debug)]
struct Sent {
    at: Duration,
    up_to: Position,
    lines: u64,
    bytes: usize,
}

impl Unread {
    fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Remembers what was sent at `now`.
    fn add(&mut self, taken: &Taken, now: Duration) {
        let Taken { up_to, lines, bytes, .. } = *taken;
        self.last = up_to;
        if let Some(newest) = self.sent.back_mut().filter(|_| lines == 0) {
            newest.up_to = up_to;
            return;
        }
        self.bytes += bytes;
        self.sent.push_back(Sent { at: now, up_to, lines, bytes });
    }

    /// Forgets what the node must have read by `now`, and returns up to where that goes.
    fn confirm(&mut self, now: Duration) -> Position {
        while let Some(oldest) = self.sent.front() {
            let is_old = now.saturating_sub(oldest.at) > UNREAD_AGE_MAX;
            if !is_old && self.bytes - oldest.bytes < self.bytes_max {
                break;
            }
            self.bytes -= oldest.bytes;
            self.confirmed = oldest.up_to;
            self.sent.pop_front();
        }
        self.confirmed
    }

    /// Lines and bytes that may be unread.
    fn amount(&self) -> (u64, usize) {
        (self.sent.iter().map(|sent| sent.lines).sum(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(up_to: u64, bytes: usize) -> Taken {
        Taken { up_to: Position(up_to), lines: 1, bytes, ..Taken::default() }
    }

    #[test]
    fn what_was_sent_just_before_the_end_is_unread_however_long_the_node_is_away() {
        let mut unread = Unread { bytes_max: 1_000, ..Unread::default() };
        unread.add(&taken(1, 10), Duration::ZERO);
        let late = UNREAD_AGE_MAX + Duration::from_secs(1);
        unread.add(&taken(2, 10), late);
        assert_eq!(unread.confirm(late), Position(1));
        assert_eq!((unread.amount(), unread.last), ((1, 10), Position(2)));
    }

    #[test]
    fn what_counts_as_unread_is_bounded_in_bytes() {
        let mut unread = Unread { bytes_max: 1_000, ..Unread::default() };
        for number in 0..20 {
            unread.add(&taken(number, 250), Duration::ZERO);
            unread.confirm(Duration::ZERO);
        }
        assert_eq!(unread.confirm(Duration::ZERO), Position(15));
        assert_eq!(unread.amount(), (4, 1_000));
    }
}
