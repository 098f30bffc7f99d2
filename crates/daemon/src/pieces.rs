//! Bodies that are written piece by piece, as fast as their client reads: a large answer is never
//! there as a whole.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;

/// A piece is sent once it has this many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Room that the first piece begins with: most answers are short.
const SHORT_BYTES: usize = 8 * 1024;

/// Room that a piece begins with when others have come before it: it may end a little late.
const ROOM_BYTES: usize = PIECE_BYTES + PIECE_BYTES / 4;

/// What a body is written from.
pub trait Source: Send + Unpin + 'static {
    /// Appends a little more; false when there is no more to come.
    fn write_more(&mut self, out: &mut Vec<u8>) -> bool;
}

/// A body whose next piece is written when it is asked for; one of a single piece has a length.
pub fn body(mut source: impl Source) -> Body {
    let (first, ended) = next_piece(&mut source, Vec::with_capacity(SHORT_BYTES));
    if ended { Body::from(first) } else { Body::new(Pieces { source, first: Some(first), ended }) }
}

fn next_piece(source: &mut impl Source, mut out: Vec<u8>) -> (Bytes, bool) {
    let mut ended = false;
    while !ended && out.len() < PIECE_BYTES {
        ended = !source.write_more(&mut out);
    }
    (out.into(), ended)
}

struct Pieces<S> {
    source: S,
    first: Option<Bytes>,
    ended: bool,
}

impl<S: Source> HttpBody for Pieces<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let (piece, ended) = next_piece(&mut this.source, Vec::with_capacity(ROOM_BYTES));
        this.ended = ended;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.first.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Countdown(usize);

    impl Source for Countdown {
        fn write_more(&mut self, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(&[b'x'; 1000]);
            self.0 -= 1;
            self.0 > 0
        }
    }

    #[tokio::test]
    async fn a_short_body_has_a_length_and_a_long_one_comes_whole() {
        let short = body(Countdown(2));
        assert_eq!(short.size_hint().exact(), Some(2000));
        let long = body(Countdown(200));
        assert_eq!(long.size_hint().exact(), None);
        let bytes = axum::body::to_bytes(long, usize::MAX).await.unwrap();
        assert_eq!(bytes.len(), 200_000);
    }
}
