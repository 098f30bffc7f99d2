//! The sending task's part for a node that takes the acknowledged link: hello, batches, and the watermarks that come back.
//!
//! The node says what it has and what of that is safe; the relay lets go of nothing else. After a reconnect it goes on behind
//! what the node has. The bytes: docs/formats/link.md.

mod ear;
mod flight;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use segments::Position;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use wire::link::{Hello, Marks, Message, Packing, pack, plain_head};

use self::ear::{Ear, Heard};
use self::flight::Flight;
use super::lines::{UNREAD_BYTES_MAX, UNREAD_IN_MEMORY_BYTES_MAX, write_all};
use super::node::Node;
use super::stream::Taken;

/// How long this end is silent at most.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// A node that has said nothing for so many of these intervals is not there.
const SILENT_TICKS_MAX: u32 = 4;

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long the node may take to make the last batches safe once the relay has closed its half.
const LAST_MARKS_MAX: Duration = Duration::from_secs(1);

/// Sends until nothing more is to be sent, or until `back`, whose result is returned; an error says why the connection ended
/// before.
pub(super) async fn send<T>(
    node: &Node,
    stream: TcpStream,
    address: &str,
    back: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    let Some(passport) = node.passport() else {
        return over(node, stream.into_split(), back).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_MAX, passport.connect(address, stream)) => shaken,
        () = node.closed() => return Ok(None),
    };
    let stream = shaken.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))?;
    over(node, tokio::io::split(stream), back).await
}

/// Sends over the two halves of a connection.
async fn over<T>(
    node: &Node,
    (reader, mut writer): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    back: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    let mut ticks = interval(ALIVE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (ear, flight) = (Ear::new(reader), Flight::default());
    let mut talk = Talk { node, ear, flight, after: 0, ticks, silent_ticks: 0 };
    let ended = talk.run(&mut writer, back).await;
    // What the node has of it, it says at the next hello.
    let (lines, bytes) = talk.flight.amount();
    node.rewind(lines, bytes);
    ended
}

/// A connection but for its writing half.
struct Talk<'a, R> {
    node: &'a Node,
    ear: Ear<R>,
    /// What was sent and is not synced by the node.
    flight: Flight,
    /// The node has all up to here, or gets it before what comes next.
    after: u64,
    ticks: Interval,
    silent_ticks: u32,
}

/// What happened while there was nothing to send.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Heard,
    Tick,
}

impl<R: AsyncRead + Unpin> Talk<'_, R> {
    async fn run<T>(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        back: impl Future<Output = T>,
    ) -> io::Result<Option<T>> {
        let node = self.node;
        let (received, marks) = tokio::select! {
            welcome = self.greet(writer) => welcome?,
            () = node.closed() => return Ok(None),
        };
        if !self.pass_over(received).await {
            return Ok(None);
        }
        self.confirm(marks);
        let bytes_max = if node.has_log() { UNREAD_BYTES_MAX } else { UNREAD_IN_MEMORY_BYTES_MAX };
        let mut back = pin!(back);
        // What the node says does not end a reading of the log that has begun for it.
        let mut next = pin!(node.next(None));
        let other = loop {
            let may_send = self.flight.amount().1 < bytes_max;
            let taken = tokio::select! {
                taken = &mut next, if may_send => taken,
                event = self.event() => {
                    if event? == Event::Tick {
                        self.say(writer, &Message::Alive).await?;
                    }
                    continue;
                }
                other = &mut back => break Some(other),
            };
            let Some(taken) = taken else { break None };
            self.give(writer, &taken).await?;
            next.set(node.next(None));
        };
        writer.shutdown().await?;
        // What is not confirmed by then is asked for at the next hello.
        drop(timeout(LAST_MARKS_MAX, self.hear_all()).await);
        Ok(other)
    }

    /// Says hello; returns what the node has, and what of that is safe.
    async fn greet(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<(u64, Marks)> {
        let mut hello = Vec::new();
        Hello::new(self.node.sender, self.node.last().0, self.node.name()).encode(&mut hello);
        writer.write_all(&hello).await?;
        loop {
            tokio::select! {
                heard = self.ear.hear() => match heard? {
                    Heard::Welcome(received, marks) => return Ok((received, marks)),
                    _not_yet => self.silent_ticks = 0,
                },
                _ = self.ticks.tick() => self.count_silence()?,
            }
        }
    }

    /// Takes what the node has already out of the stream; false when the relay ends.
    async fn pass_over(&mut self, received: u64) -> bool {
        let received = Position(received);
        self.after = self.node.sent().0;
        while self.after < received.0 {
            let Some(taken) = self.node.next(Some(received)).await else { return false };
            self.node.passed_over(&taken);
            self.given(&taken);
        }
        true
    }

    /// Sends what was taken, as one batch.
    async fn give(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        taken: &Taken,
    ) -> io::Result<()> {
        if taken.lines > 0 {
            let (after, number) = (self.after, taken.up_to.0);
            let lines = u32::try_from(taken.lines).unwrap_or(u32::MAX);
            let pieces = taken.batches.iter().map(|batch| batch.as_bytes());
            let (mut head, mut bytes) = (Vec::new(), Vec::with_capacity(taken.batches.len() + 1));
            if self.node.packing() == Packing::None {
                head.extend_from_slice(&plain_head(after, number, lines, pieces.clone()));
                bytes.push(&*head);
                bytes.extend(pieces);
            } else {
                let whole: Vec<u8> = pieces.flatten().copied().collect();
                pack(after, number, lines, &whole, self.node.packing(), &mut head);
                bytes.push(&*head);
            }
            self.hear_while(write_all(writer, &bytes)).await?;
            self.node.delivered(taken);
        }
        self.given(taken);
        Ok(())
    }

    /// The node has this, or gets it before anything else.
    fn given(&mut self, taken: &Taken) {
        self.flight.add(taken);
        self.after = taken.up_to.0;
        if self.flight.is_empty() {
            self.node.done(taken.up_to);
        }
    }

    async fn say(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        message: &Message<'_>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.hear_while(writer.write_all(&bytes)).await
    }

    /// Listens while something is being written: a node that has no room still says what is safe.
    async fn hear_while(
        &mut self,
        writing: impl Future<Output = io::Result<()>>,
    ) -> io::Result<()> {
        let mut writing = pin!(writing);
        loop {
            tokio::select! {
                written = &mut writing => return written,
                event = self.event() => {
                    event?;
                }
            }
        }
    }

    async fn hear_all(&mut self) -> io::Result<()> {
        while !self.flight.is_empty() {
            self.event().await?;
        }
        Ok(())
    }

    /// The next thing that the node says, or that it says nothing.
    async fn event(&mut self) -> io::Result<Event> {
        tokio::select! {
            heard = self.ear.hear() => {
                self.silent_ticks = 0;
                if let Heard::Marks(marks) = heard? {
                    self.confirm(marks);
                }
                Ok(Event::Heard)
            }
            _ = self.ticks.tick() => {
                self.count_silence()?;
                Ok(Event::Tick)
            }
        }
    }

    /// The node's watermarks have moved: the relay needs nothing of what is synced.
    fn confirm(&mut self, marks: Marks) {
        let passed = self.flight.pass(marks);
        self.node.metrics.link_written.add(passed.written);
        self.node.metrics.link_synced.add(passed.synced);
        if let Some(up_to) = passed.up_to {
            self.node.done(up_to);
        }
    }

    fn count_silence(&mut self) -> io::Result<()> {
        self.silent_ticks += 1;
        if self.silent_ticks > SILENT_TICKS_MAX {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the node says nothing"));
        }
        Ok(())
    }
}
