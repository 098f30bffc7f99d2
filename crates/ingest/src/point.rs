//! A validated point, and what takes it over.

use std::borrow::Cow;
use std::future::Future;

/// One validated point under its canonical name.
#[derive(Debug, Clone, PartialEq)]
pub struct Point<'a> {
    /// Canonical name: cleaned dots, sorted tags.
    pub name: Cow<'a, str>,
    /// The value, finite.
    pub value: f64,
    /// Seconds since 1970.
    pub timestamp: u32,
    /// The line as it was received, without its newline, when it may be forwarded as it stands:
    /// the name was canonical and the timestamp was absolute.
    pub line: Option<&'a [u8]>,
}

impl Point<'_> {
    /// The same point, which borrows nothing; it will be printed anew where it is forwarded.
    pub(crate) fn into_owned(self) -> Point<'static> {
        Point { name: Cow::Owned(self.name.into_owned()), line: None, ..self }
    }
}

/// What takes points over: the relay's router, the storage node's engine.
pub trait Sink: Send + Sync + 'static {
    /// Takes over every point of one batch. Whatever the sink cannot keep it counts by reason
    /// itself; to the listener the batch is done.
    fn accept(&self, points: &[Point<'_>]);

    /// Resolves as soon as the sink has room for another batch. Listeners wait here before they
    /// read, so that a full sink slows its senders instead of dropping points.
    fn room(&self) -> impl Future<Output = ()> + Send;

    /// Resolves once all that was accepted so far is as safe as the daemon promises. A listener
    /// waits here before it closes a stream that its sender has ended: a sender that waits for the
    /// close has its answer.
    fn committed(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Whether a series of this name exists already; none from a sink that cannot know.
    fn holds(&self, name: &str) -> Option<bool> {
        let _unknown = name;
        None
    }
}
