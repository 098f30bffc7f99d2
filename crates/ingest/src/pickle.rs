//! Python pickles over TCP, each frame preceded by its length.

use wire::RefusalReason;
use wire::framing::frames;
use wire::line::Rules;
use wire::pickle::Document;

use crate::connection::Protocol;
use crate::intake::{Batch, Source};
use crate::point::Sink;

/// Cuts a connection into frames and a frame into points.
pub(crate) struct PickleIntake<S> {
    source: Source<S>,
    frame_bytes_max: usize,
    too_long: bool,
}

impl<S: Sink> PickleIntake<S> {
    /// An intake for a new connection.
    pub(crate) fn new(source: Source<S>, frame_bytes_max: usize) -> Self {
        Self { source, frame_bytes_max, too_long: false }
    }

    /// Hands the points of one frame to the sink.
    fn frame(&self, frame: &[u8], rules: &Rules) {
        let mut batch = Batch::new(&self.source);
        match Document::decode(frame) {
            Ok(document) => {
                for point in document.points(rules) {
                    match point {
                        Ok(point) => batch.point(point.name, point.value, point.timestamp),
                        Err(reason) => batch.refuse(reason, &[]),
                    }
                }
                batch.finish();
            }
            Err(error) => {
                batch.refuse(RefusalReason::from(error), frame);
                batch.finish();
            }
        }
    }
}

impl<S: Sink> Protocol for PickleIntake<S> {
    fn take(&mut self, buffer: &[u8], rules: &Rules) -> usize {
        let mut frames = frames(buffer, self.frame_bytes_max);
        for frame in frames.by_ref() {
            match frame {
                Ok(frame) => self.frame(frame, rules),
                Err(reason) => {
                    let mut batch = Batch::new(&self.source);
                    batch.refuse(reason, &[]);
                    batch.finish();
                    self.too_long = true;
                }
            }
        }
        frames.consumed()
    }

    fn should_close(&self) -> bool {
        self.too_long
    }

    fn end(&mut self, rest: &[u8]) {
        if !rest.is_empty() && !self.too_long {
            let mut batch = Batch::new(&self.source);
            batch.refuse(RefusalReason::IncompleteLine, rest);
            batch.finish();
        }
    }
}
