//! The body of a render: written while its series are merged.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use metric::Window;
use tokio::sync::mpsc;
use wire::reply::{Format, RenderEncoder};

use crate::failure::Failure;
use crate::gate::Pass;
use crate::node::Kind;
use crate::view::{Merging, Tally, View};

/// An answer up to this size is written whole before its status is sent, so that what fails
/// meanwhile still gets a status of its own.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// What comes after is sent in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Series of all windows on their way into one body.
pub(super) struct Pump {
    view: Arc<View>,
    format: Format,
    left: VecDeque<(Window, Merging)>,
    encoder: Option<RenderEncoder>,
    tally: Tally,
    series: usize,
    points: usize,
    /// Whether an answer may turn out to be partial after its head was sent.
    may_end_partial: bool,
    /// Given back when all is written.
    _pass: Pass,
}

impl Pump {
    pub(super) fn new(
        view: Arc<View>,
        (format, partial_allowed): (Format, bool),
        left: VecDeque<(Window, Merging)>,
        tally: Tally,
        pass: Pass,
    ) -> Self {
        // Other formats have no place at their end to say so.
        let may_end_partial = partial_allowed && format == Format::V3;
        let (encoder, series, points) = (None, 0, 0);
        Self { view, format, left, encoder, tally, series, points, may_end_partial, _pass: pass }
    }

    /// The body, with what there is to say of it when its head is sent.
    pub(super) async fn body(mut self) -> Result<(Body, Tally), Failure> {
        let mut head = Vec::new();
        while self.write_more(&mut head).await? {
            if head.len() >= HEAD_BYTES_MAX {
                let tally = self.tally.clone();
                return Ok((self.send(head), tally));
            }
        }
        Ok((head.into(), self.tally))
    }

    /// Appends one more series or the end of a window; false when all is written.
    async fn write_more(&mut self, out: &mut Vec<u8>) -> Result<bool, Failure> {
        let Some((window, merging)) = self.left.front_mut() else { return Ok(false) };
        if self.encoder.is_none() {
            // Msgpack begins with the number of series; and what cannot be marked at its end must
            // be known to be whole before.
            let is_held =
                self.format == Format::Msgpack || (!self.may_end_partial && merging.has_holes());
            let count = if is_held { merging.hold_all(&mut self.tally).await } else { 0 };
            self.encoder = Some(RenderEncoder::begin(self.format, *window, count, out));
        }
        if let Some(series) = merging.next(&mut self.tally).await {
            self.series += 1;
            self.points += series.values.len();
            self.view.within("series_max", self.series, self.view.limits.series_max)?;
            self.view.within("points_max", self.points, self.view.limits.points_max)?;
            if let Some(encoder) = &mut self.encoder {
                encoder.push(&series, out);
            }
            return Ok(true);
        }
        self.left.pop_front();
        // Several windows come in messages alone, whose replies may be written in pieces.
        let meta = self.left.is_empty().then(|| self.tally.meta(&self.view));
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(meta, out);
        }
        Ok(!self.left.is_empty())
    }

    /// Goes on as fast as the client reads, and no further once it is gone.
    fn send(self, head: Vec<u8>) -> Body {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = self.send_pieces(head, &sender) => {}
            }
        });
        daemon::http::received(receiver)
    }

    async fn send_pieces(mut self, head: Vec<u8>, sender: &mpsc::Sender<io::Result<Bytes>>) {
        let was_partial = self.tally.is_partial();
        let mut piece = head;
        loop {
            let written = self.write_piece(&mut piece, was_partial).await;
            let is_last = !matches!(written, Ok(true));
            let sent = match written {
                Ok(_) => sender.send(Ok(std::mem::take(&mut piece).into())).await,
                Err(failure) => {
                    tracing::warn!(%failure, "an answer was cut off");
                    sender.send(Err(io::Error::other(failure.to_string()))).await
                }
            };
            if sent.is_err() || is_last {
                return;
            }
        }
    }

    /// Fills a piece; false when it is the last.
    async fn write_piece(
        &mut self,
        piece: &mut Vec<u8>,
        was_partial: bool,
    ) -> Result<bool, Failure> {
        while piece.len() < PIECE_BYTES {
            if self.write_more(piece).await? {
                continue;
            }
            if self.tally.is_partial() && !was_partial {
                let metrics = &self.view.context.metrics;
                let labels = [Kind::Render.label()];
                metrics.counter_with("plumbago_zipper_partial_answers_total", &labels).inc();
                if !self.may_end_partial {
                    return Err(Failure::Partial(self.tally.missing_nodes(&self.view)));
                }
            }
            return Ok(false);
        }
        Ok(true)
    }
}
