//! Python pickles and carbonpb over TCP, each frame preceded by its length.

use wire::RefusalReason;
use wire::carbonpb;
use wire::framing::frames;
use wire::line::Rules;
use wire::pickle::Document;

use crate::intake::Batch;
use crate::point::Sink;
use crate::protocol::{Protocol, Taken};
use crate::source::Source;

/// What the frames hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Pickle,
    Protobuf,
}

/// Cuts a connection into frames and a frame into points.
pub(crate) struct FrameIntake<S> {
    source: Source<S>,
    content: Content,
    frame_bytes_max: usize,
    too_long: bool,
}

impl<S: Sink> FrameIntake<S> {
    /// An intake for a new connection.
    pub(crate) fn new(source: Source<S>, content: Content, frame_bytes_max: usize) -> Self {
        Self { source, content, frame_bytes_max, too_long: false }
    }

    /// Hands the points of one frame to the sink.
    fn frame(&self, frame: &[u8], rules: &Rules) -> u64 {
        match self.content {
            Content::Protobuf => {
                let mut batch = Batch::new(&self.source);
                carbonpb::points(frame, rules).for_each(|point| batch.point(point));
                batch.finish()
            }
            Content::Pickle => match Document::decode(frame) {
                Ok(document) => {
                    let mut batch = Batch::new(&self.source);
                    document.points(rules).for_each(|point| batch.point(point));
                    batch.finish()
                }
                Err(error) => self.refuse(error.into(), frame),
            },
        }
    }

    /// Counts a whole frame that is none.
    fn refuse(&self, reason: RefusalReason, frame: &[u8]) -> u64 {
        let mut batch = Batch::new(&self.source);
        batch.refuse(reason, frame);
        batch.finish()
    }
}

impl<S: Sink> Protocol for FrameIntake<S> {
    fn take(&mut self, buffer: &[u8], rules: &Rules) -> Taken {
        let mut frames = frames(buffer, self.frame_bytes_max);
        let mut points = 0;
        for frame in frames.by_ref() {
            points += match frame {
                Ok(frame) => self.frame(frame, rules),
                Err(reason) => {
                    self.too_long = true;
                    self.refuse(reason, &[])
                }
            };
        }
        Taken { bytes: frames.consumed(), points }
    }

    fn should_close(&self) -> bool {
        self.too_long
    }

    fn end(&mut self, rest: &[u8]) {
        if !rest.is_empty() && !self.too_long {
            self.refuse(RefusalReason::IncompleteLine, rest);
        }
    }
}
