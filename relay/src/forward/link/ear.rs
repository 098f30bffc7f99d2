//! What a node says on the link.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use wire::link::{Decoded, Marks, Message};

/// Room made for one read: a node says little.
const READ_BYTES: usize = 4 << 10;

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Ear<R> {
    stream: R,
    buffer: BytesMut,
}

/// One thing that a node said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// What it has, and what of that is safe.
    Welcome(u64, Marks),
    /// What is safe now.
    Marks(Marks),
    /// That it is there.
    Alive,
}

impl<R: AsyncRead + Unpin> Ear<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next thing that the node says. Nothing is lost if the caller stops waiting.
    ///
    /// # Errors
    /// The end of the connection, with the node's reason if it gave one.
    pub(super) async fn hear(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(heard) = self.decode()? {
                return Ok(heard);
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the node"));
            }
        }
    }

    fn decode(&mut self) -> io::Result<Option<Heard>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let (heard, bytes) = match Message::decode(&self.buffer).map_err(invalid)? {
            Decoded::Incomplete(_) => return Ok(None),
            Decoded::Whole(message, bytes) => (Self::meaning(&message)?, bytes),
        };
        self.buffer.advance(bytes);
        Ok(Some(heard))
    }

    fn meaning(message: &Message<'_>) -> io::Result<Heard> {
        Ok(match *message {
            Message::Welcome { received, marks, .. } => Heard::Welcome(received, marks),
            Message::Marks(marks) => Heard::Marks(marks),
            Message::Error { text, .. } => {
                return Err(io::Error::other(format!("the node says: {text}")));
            }
            _ => Heard::Alive,
        })
    }
}
