//! One connection of a sender: its hello, its batches, and the watermarks that go back.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use daemon::Shutdown;
use ingest::{LineJudge, Sink};
use segments::Position;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::link::{
    Batch, Decoded, Hello, LinkError, Marks, Message, Refused, Unpacker, choose_version,
};

use super::Link;
use crate::accept::Accept;
use crate::journal::Durability;
use crate::keeper::senders::{Connection, Taken};

/// How long the hello may take, and the TLS handshake before it.
const HELLO_MAX: Duration = Duration::from_secs(10);

/// How long this end is silent at most.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long the other end may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// How long a write may take: a sender that reads nothing is not there.
const WRITE_MAX: Duration = Duration::from_secs(20);

/// Room made for one read.
const READ_BYTES: usize = 256 << 10;

/// How long the last batches of a sender may take to be synced.
const LAST_SYNC_MAX: Duration = Duration::from_secs(5);

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the sender is through")]
    BySender,
    #[error("the sender has opened another connection")]
    Replaced,
    #[error("the node stops")]
    Stopping,
    #[error(transparent)]
    Version(#[from] Refused),
    #[error(transparent)]
    Refused(#[from] LinkError),
    #[error("{0}")]
    Order(String),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// The sending half of a connection.
struct Mouth<W> {
    stream: W,
    bytes: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> Mouth<W> {
    async fn say(&mut self, message: &Message<'_>) -> io::Result<()> {
        self.bytes.clear();
        message.encode(&mut self.bytes);
        let written = timeout(WRITE_MAX, self.stream.write_all(&self.bytes)).await;
        written.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The receiving half of a connection.
struct Ear<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Ear<R> {
    /// Reads more; `wanted` bytes are needed in all. False at the end of the stream.
    async fn read(&mut self, wanted: usize) -> io::Result<bool> {
        // As much as has come, not as much as a length says.
        self.buffer.reserve(wanted.saturating_sub(self.buffer.len()).clamp(1, READ_BYTES));
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

impl Link {
    /// Takes a connection through to its end.
    pub(super) async fn connection(&self, stream: TcpStream, peer: SocketAddr) -> Ended {
        if let Err(error) = daemon::listen::tune(&stream) {
            return error.into();
        }
        let Some(seal) = &self.seal else { return self.course(stream.into_split(), peer).await };
        let shaken = tokio::select! {
            shaken = timeout(HELLO_MAX, seal.acceptor().accept(stream)) => shaken,
            () = self.service.context.shutdown.wait() => return Ended::Stopping,
        };
        match shaken.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => self.course(tokio::io::split(stream), peer).await,
            Err(error) => Ended::Tls(error),
        }
    }

    /// All that is said on a connection, by its two halves.
    async fn course(
        &self,
        (reader, writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        peer: SocketAddr,
    ) -> Ended {
        let mut ear = Ear { stream: reader, buffer: BytesMut::new() };
        let mut mouth = Mouth { stream: writer, bytes: Vec::new() };
        let ended = match self.welcome(&mut ear, &mut mouth).await {
            Ok(connection) => self.talk(&mut ear, &mut mouth, &connection, peer).await,
            Err(ended) => ended,
        };
        if let Some(code) = ended.code() {
            let text = ended.to_string();
            // Whoever is gone does not hear it.
            drop(mouth.say(&Message::Error { code, text: &text }).await);
        }
        ended
    }

    /// Hears the hello and answers it, once it is known what former runs have taken.
    async fn welcome(
        &self,
        ear: &mut Ear<impl AsyncRead + Unpin>,
        mouth: &mut Mouth<impl AsyncWrite + Unpin>,
    ) -> Result<Connection, Ended> {
        let shutdown = &self.service.context.shutdown;
        let hello = tokio::select! {
            hello = timeout(HELLO_MAX, hello(ear)) => hello,
            () = shutdown.wait() => return Err(Ended::Stopping),
        };
        let hello = hello.unwrap_or_else(|_| Err(Ended::Lost(io::ErrorKind::TimedOut.into())))?;
        let version = choose_version(&hello.versions)?;
        let keeper = &self.service.sink.keeper;
        loop {
            tokio::select! {
                () = keeper.replayed() => break,
                () = tokio::time::sleep(ALIVE_INTERVAL) => mouth.say(&Message::Alive).await?,
                () = shutdown.wait() => return Err(Ended::Stopping),
            }
        }
        let connection = keeper.senders.connect(hello.sender, hello.last);
        let (received, marks) = connection.marks(self.places());
        tracing::info!(sender = %hello.name, received, "link opened");
        mouth.say(&Message::Welcome { version, received, marks, name: &self.name }).await?;
        Ok(connection)
    }

    /// How far the journal has come.
    fn places(&self) -> (Position, Position) {
        let journal = &self.service.sink.keeper.journal;
        (journal.written(), journal.synced())
    }

    /// Hears batches and says watermarks, until one of the two is over.
    async fn talk(
        &self,
        ear: &mut Ear<impl AsyncRead + Unpin>,
        mouth: &mut Mouth<impl AsyncWrite + Unpin>,
        connection: &Connection,
        peer: SocketAddr,
    ) -> Ended {
        let quiet = Shutdown::new();
        let hear = async {
            let judge = LineJudge::new(&self.service, peer.to_string(), &self.label);
            let ended = Hearing { link: self, connection, judge, unpacker: Unpacker::default() }
                .run(ear)
                .await;
            quiet.fire();
            ended
        };
        let (ended, told) = tokio::join!(hear, self.tell(mouth, connection, &quiet));
        match (ended, told) {
            (Ended::BySender, Ok(said)) => match self.say_last(mouth, connection, said).await {
                Ok(()) => Ended::BySender,
                Err(error) => error.into(),
            },
            (ended, _) => ended,
        }
    }

    /// Says each watermark that moves, until it shall be quiet; returns what was said last.
    async fn tell(
        &self,
        mouth: &mut Mouth<impl AsyncWrite + Unpin>,
        connection: &Connection,
        quiet: &Shutdown,
    ) -> io::Result<Marks> {
        let journal = &self.service.sink.keeper.journal;
        let (mut written, mut synced) = self.places();
        let (_, mut said) = connection.marks((written, synced));
        loop {
            tokio::select! {
                moved = journal.progress(written, synced) => match moved {
                    Ok(places) => (written, synced) = places,
                    // A journal that is closed does not move any more.
                    Err(_closed) => quiet.wait().await,
                },
                () = tokio::time::sleep(ALIVE_INTERVAL) => mouth.say(&Message::Alive).await?,
                () = quiet.wait() => return Ok(said),
            }
            let (_, marks) = connection.marks((written, synced));
            if marks != said {
                mouth.say(&Message::Marks(marks)).await?;
                said = marks;
            }
        }
    }

    /// Has what the sender has sent synced, and says so.
    async fn say_last(
        &self,
        mouth: &mut Mouth<impl AsyncWrite + Unpin>,
        connection: &Connection,
        said: Marks,
    ) -> io::Result<()> {
        if let Some(last) = connection.last_position() {
            let journal = &self.service.sink.keeper.journal;
            // In a journal that cannot be synced now, the sender finds its batches at the next hello.
            drop(timeout(LAST_SYNC_MAX, journal.wait(last, Durability::Synced)).await);
        }
        let (_, marks) = connection.marks(self.places());
        if marks != said {
            mouth.say(&Message::Marks(marks)).await?;
        }
        mouth.stream.shutdown().await
    }
}

/// Reads the hello.
async fn hello(ear: &mut Ear<impl AsyncRead + Unpin>) -> Result<Hello, Ended> {
    loop {
        match Hello::decode(&ear.buffer)? {
            Decoded::Whole(hello, bytes) => {
                ear.buffer.advance(bytes);
                return Ok(hello);
            }
            Decoded::Incomplete(wanted) => {
                if !ear.read(wanted).await? {
                    return Err(Ended::Lost(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        }
    }
}

/// Takes the batches of one connection.
struct Hearing<'a> {
    link: &'a Link,
    connection: &'a Connection,
    judge: LineJudge<Accept>,
    unpacker: Unpacker,
}

impl Hearing<'_> {
    async fn run(&mut self, ear: &mut Ear<impl AsyncRead + Unpin>) -> Ended {
        loop {
            let wanted = match self.take_all(&mut ear.buffer).await {
                Ok(wanted) => wanted,
                Err(ended) => return ended,
            };
            let held = ear.buffer.len();
            let read = self.until_over(timeout(SILENCE_MAX, ear.read(wanted))).await;
            self.link.metrics.bytes.add((ear.buffer.len() - held) as u64);
            match read {
                Ok(Ok(Ok(true))) => {}
                Ok(Ok(Ok(false))) if held == 0 => return Ended::BySender,
                Ok(Ok(Ok(false))) => return Ended::Lost(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(Err(error))) => return error.into(),
                Ok(Err(_silent)) => return Ended::Lost(io::ErrorKind::TimedOut.into()),
                Err(ended) => return ended,
            }
        }
    }

    /// Waits for `what`, unless the connection is over before.
    async fn until_over<T>(&self, what: impl Future<Output = T>) -> Result<T, Ended> {
        tokio::select! {
            done = what => Ok(done),
            () = self.connection.over.wait() => Err(Ended::Replaced),
            () = self.link.service.context.shutdown.wait() => Err(Ended::Stopping),
        }
    }

    /// Takes every whole message in the buffer; says how many bytes the next one has at least.
    async fn take_all(&mut self, buffer: &mut BytesMut) -> Result<usize, Ended> {
        loop {
            let bytes = match Message::decode(buffer)? {
                Decoded::Incomplete(wanted) => return Ok(wanted),
                Decoded::Whole(Message::Batch(batch), bytes) => {
                    self.until_over(self.link.service.sink.room()).await?;
                    self.batch(&batch)?;
                    bytes
                }
                Decoded::Whole(Message::Alive | Message::Unknown(_), bytes) => bytes,
                Decoded::Whole(Message::Error { text, .. }, _) => {
                    return Err(Ended::Order(format!("the sender says: {text}")));
                }
                Decoded::Whole(..) => {
                    return Err(Ended::Order("a message that only receivers send".to_owned()));
                }
            };
            buffer.advance(bytes);
        }
    }

    fn batch(&mut self, batch: &Batch<'_>) -> Result<(), Ended> {
        let Self { link, connection, judge, unpacker } = self;
        let lines = unpacker.lines(batch)?;
        let Batch { after, number, .. } = *batch;
        let apply = |mark| link.service.sink.take(&judge.points(lines), Some(mark));
        match connection.take(after, number, apply) {
            Taken::Applied => link.metrics.taken.inc(),
            Taken::Repeated => link.metrics.repeated.inc(),
            Taken::Overlaps => {
                let text = format!("batch {after} to {number} was taken in part before");
                return Err(Ended::Order(text));
            }
            Taken::Replaced => return Err(Ended::Replaced),
        }
        Ok(())
    }
}
