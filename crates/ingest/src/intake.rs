//! From the bytes of one sender to batches of points.

use std::sync::Arc;

use wire::RefusalReason;
use wire::framing::LineFramer;
use wire::line::{self, Rules};

use crate::point::{Point, Sink};
use crate::protocol::{Protocol, Taken};
use crate::service::Service;
use crate::source::Source;

/// Bytes of a line to reckon with when making room for a batch.
const LINE_BYTES_USUAL: usize = 40;

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

    /// Takes the last line of a carrier whose end ends a line, such as a datagram; says how many
    /// points it was.
    pub(crate) fn take_rest(&mut self, rest: &[u8], rules: &Rules) -> u64 {
        let mut batch = Batch::new(&self.source);
        if let Some(line) = self.framer.last_line(rest) {
            batch.line(line, None, rules);
        }
        batch.finish()
    }
}

impl<S: Sink> Intake<S> {
    /// The complete lines of a buffer, and how many bytes they are.
    fn batch<'s, 'b>(&'s mut self, buffer: &'b [u8], rules: &Rules) -> (Batch<'s, 'b, S>, usize) {
        let mut batch = Batch::new(&self.source);
        batch.points.reserve(buffer.len() / LINE_BYTES_USUAL);
        let text = readable_start(buffer);
        let mut lines = self.framer.lines(buffer);
        while let Some(line) = lines.next() {
            match line {
                Ok(line) => {
                    let end = lines.consumed() - 1;
                    batch.line(line, text.get(end - line.len()..end), rules);
                }
                Err(reason) => batch.refuse(reason, &[]),
            }
        }
        let bytes = lines.consumed();
        (batch, bytes)
    }
}

impl<S: Sink> Protocol for Intake<S> {
    /// Hands every complete line to the sink as one batch.
    fn take(&mut self, buffer: &[u8], rules: &Rules) -> Taken {
        let (batch, bytes) = self.batch(buffer, rules);
        Taken { bytes, points: batch.finish() }
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

/// Judges lines that come by no port of this crate: those of the link between our own parts.
#[derive(Debug)]
pub struct LineJudge<S> {
    service: Arc<Service<S>>,
    intake: Intake<S>,
}

impl<S: Sink> LineJudge<S> {
    /// For the lines of one peer; they are counted as those of the listener `listener`.
    #[must_use]
    pub fn new(service: &Arc<Service<S>>, peer: String, listener: &str) -> Self {
        let metrics = &service.context.metrics;
        let points = metrics.counter_with(crate::metrics::POINTS.name, &[listener]);
        let intake = Intake::new(service.source(peer, points), service.settings.line_bytes_max);
        Self { service: Arc::clone(service), intake }
    }

    /// The points of whole lines. What is refused is counted and kept; what is taken counts as received.
    pub fn points<'b>(&mut self, lines: &'b [u8]) -> Vec<Point<'b>> {
        // No line goes on from one batch to the next.
        self.intake.framer.last_line(&[]);
        let (mut batch, bytes) = self.intake.batch(lines, &self.service.rules());
        if let Some(cut) = lines.get(bytes..).filter(|cut| !cut.is_empty()) {
            batch.refuse(RefusalReason::IncompleteLine, cut);
        }
        batch.count();
        batch.points
    }
}

/// The points of one read.
pub(crate) struct Batch<'s, 'b, S> {
    source: &'s Source<S>,
    points: Vec<Point<'b>>,
    received: u64,
    /// Refused because they lie too far ahead of now.
    refused_ahead: u64,
}

impl<'s, 'b, S: Sink> Batch<'s, 'b, S> {
    pub(crate) fn new(source: &'s Source<S>) -> Self {
        Self { source, points: Vec::new(), received: 0, refused_ahead: 0 }
    }

    /// Adds a line, or counts why not. `text` is the same line where that is known to be UTF-8.
    fn line(&mut self, bytes: &'b [u8], text: Option<&'b str>, rules: &Rules) {
        match self.source.line(bytes, text, rules) {
            Ok(point) => self.points.extend(point),
            Err(reason) => self.refuse(reason, bytes.trim_ascii()),
        }
    }

    /// Adds a point under its raw name, or counts why not.
    pub(crate) fn point(&mut self, raw: Result<line::Line<'b>, RefusalReason>) {
        let point = raw.map_err(|reason| (reason, &[][..]));
        match point.and_then(|raw| self.source.point(&raw).map_err(|reason| (reason, raw.name))) {
            Ok(point) => self.points.push(point),
            Err((reason, shown)) => self.refuse(reason, shown),
        }
    }

    /// Counts something that is no point.
    pub(crate) fn refuse(&mut self, reason: RefusalReason, line: &[u8]) {
        self.received += 1;
        self.refused_ahead += u64::from(reason == RefusalReason::TooFarFuture);
        self.source.refusals.refuse(reason, &self.source.peer, line);
    }

    /// Hands the batch over, and says how many points were read, taken or refused.
    pub(crate) fn finish(self) -> u64 {
        let received = self.count();
        if !self.points.is_empty() {
            self.source.sink.accept(&self.points);
        }
        received
    }

    fn count(&self) -> u64 {
        let received = self.received + self.points.len() as u64;
        self.source.refusals.received(received);
        self.source.refusals.look_at_times(&self.points, self.refused_ahead);
        self.source.points.add(received);
        received
    }
}

/// What can be read as text at the front of a buffer: all of it, unless a sender has sent something else.
fn readable_start(buffer: &[u8]) -> &str {
    str::from_utf8(buffer).unwrap_or_else(|error| {
        let readable = &buffer[..error.valid_up_to()];
        str::from_utf8(readable).expect("valid up to there")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_foreign_bytes_is_readable() {
        assert_eq!(readable_start("a é\n".as_bytes()), "a é\n");
        assert_eq!(readable_start(b"a 1\nb\xff 2\nc"), "a 1\nb");
        assert_eq!(readable_start("a é".as_bytes().split_last().unwrap().1), "a ");
    }
}
