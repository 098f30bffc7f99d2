//! From the bytes of one sender to batches of points.

use std::sync::Arc;

use metric::{Limits, canonicalise};
use wire::RefusalReason;
use wire::framing::LineFramer;
use wire::line::{self, Rules};

use crate::connection::Protocol;
use crate::point::{Point, Sink};
use crate::refusals::Refusals;

/// One sender: where its points go and how they are judged.
#[derive(Debug)]
pub(crate) struct Source<S> {
    /// Takes the points over.
    pub(crate) sink: Arc<S>,
    /// Counts what is read and keeps what is refused.
    pub(crate) refusals: Arc<Refusals>,
    /// What a name may hold.
    pub(crate) limits: Limits,
    /// The sender's address, for the list of refused lines.
    pub(crate) peer: String,
}

/// Turns a stream of lines into batches; one for each connection, so that a cut line of one
/// sender never meets the bytes of another.
#[derive(Debug)]
pub(crate) struct Intake<S> {
    source: Source<S>,
    framer: LineFramer,
}

impl<S: Sink> Intake<S> {
    /// An intake for a new connection.
    pub(crate) fn new(source: Source<S>, line_bytes_max: usize) -> Self {
        Self { source, framer: LineFramer::new(line_bytes_max) }
    }

    /// The last line of a carrier whose end ends a line, such as a datagram.
    pub(crate) fn take_rest(&mut self, rest: &[u8], rules: &Rules) {
        if let Some(line) = self.framer.last_line(rest) {
            let mut batch = Batch::new(&self.source);
            batch.line(line, rules);
            batch.finish();
        }
    }
}

impl<S: Sink> Protocol for Intake<S> {
    /// Hands every complete line to the sink as one batch.
    fn take(&mut self, buffer: &[u8], rules: &Rules) -> usize {
        let mut batch = Batch::new(&self.source);
        let mut lines = self.framer.lines(buffer);
        for line in lines.by_ref() {
            match line {
                Ok(line) => batch.line(line, rules),
                Err(reason) => batch.refuse(reason, &[]),
            }
        }
        let consumed = lines.consumed();
        batch.finish();
        consumed
    }

    fn should_close(&self) -> bool {
        self.framer.should_close()
    }

    /// Counts an unfinished last line as refused: it may have been cut anywhere, so it is not
    /// trusted even where it reads like a point.
    fn end(&mut self, rest: &[u8]) {
        if let Some(line) = self.framer.last_line(rest) {
            let mut batch = Batch::new(&self.source);
            batch.refuse(RefusalReason::IncompleteLine, line);
            batch.finish();
        }
    }
}

/// The points of one read.
pub(crate) struct Batch<'s, 'b, S> {
    source: &'s Source<S>,
    points: Vec<Point<'b>>,
    received: u64,
}

impl<'s, 'b, S: Sink> Batch<'s, 'b, S> {
    pub(crate) fn new(source: &'s Source<S>) -> Self {
        Self { source, points: Vec::new(), received: 0 }
    }

    /// Adds a line, or counts why not.
    fn line(&mut self, text: &'b [u8], rules: &Rules) {
        match line::parse(text, rules) {
            Ok(None) => {}
            Ok(Some(parsed)) => {
                let text = text.trim_ascii();
                let verbatim = is_plain(&text[parsed.name.len()..]).then_some(text);
                self.point(parsed.name, parsed.value, parsed.timestamp, verbatim);
            }
            Err(reason) => self.refuse(reason, text),
        }
    }

    /// Adds a point under its raw name, or counts why not.
    pub(crate) fn point(
        &mut self,
        raw_name: &'b [u8],
        value: f64,
        timestamp: i64,
        line: Option<&'b [u8]>,
    ) {
        let shown = line.unwrap_or(raw_name);
        let name = match canonicalise(raw_name, &self.source.limits) {
            Ok(name) => name,
            Err(error) => return self.refuse(error.into(), shown),
        };
        let Ok(timestamp) = u32::try_from(timestamp) else {
            return self.refuse(RefusalReason::TooFarFuture, shown);
        };
        let unchanged = matches!(name, std::borrow::Cow::Borrowed(_));
        self.received += 1;
        self.points.push(Point { name, value, timestamp, line: line.filter(|_| unchanged) });
    }

    /// Counts something that is no point.
    pub(crate) fn refuse(&mut self, reason: RefusalReason, line: &[u8]) {
        self.received += 1;
        self.source.refusals.refuse(reason, &self.source.peer, line);
    }

    /// Hands the batch over.
    pub(crate) fn finish(self) {
        self.source.refusals.received(self.received);
        if !self.points.is_empty() {
            self.source.sink.accept(&self.points);
        }
    }
}

/// Whether what follows the name is one space, the value, one space and a whole absolute time:
/// a line that every carbon takes, and means the same at any moment.
fn is_plain(rest: &[u8]) -> bool {
    let mut fields = rest.split(|byte| *byte == b' ');
    let (before, value, time) = (fields.next(), fields.next(), fields.next());
    before == Some(b"")
        && value.is_some_and(|value| !value.is_empty() && !value.contains(&b'\t'))
        && time.is_some_and(|time| !time.is_empty() && time.iter().all(u8::is_ascii_digit))
        && fields.next().is_none()
}
