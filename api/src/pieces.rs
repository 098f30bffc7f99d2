//! A body that is written piece by piece, as fast as its client reads.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;

use crate::format::Pretty;

/// A piece is sent once it has this many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// What a body is written from.
pub(crate) trait Source: Send + Unpin + 'static {
    /// Appends a little more; false when there is no more to come.
    fn write_more(&mut self, out: &mut Vec<u8>) -> bool;
}

/// What JSON answers are wrapped in.
#[derive(Debug, Default)]
pub(crate) struct Wrapping {
    /// The function to call.
    pub(crate) jsonp: Option<String>,
    /// Indented.
    pub(crate) pretty: bool,
}

/// A body whose next piece is written when it is asked for.
pub(crate) fn body(source: impl Source, wrapping: Wrapping) -> Body {
    let pretty = wrapping.pretty.then(Pretty::default);
    let prefix = wrapping.jsonp.as_ref().map(|name| format!("{name}("));
    Body::new(Pieces { source, prefix, is_called: wrapping.jsonp.is_some(), pretty, ended: false })
}

struct Pieces<S> {
    source: S,
    prefix: Option<String>,
    is_called: bool,
    pretty: Option<Pretty>,
    ended: bool,
}

impl<S: Source> Pieces<S> {
    fn next_piece(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut out = Vec::new();
        while !self.ended && out.len() < PIECE_BYTES {
            self.ended = !self.source.write_more(&mut out);
        }
        if let Some(pretty) = &mut self.pretty {
            out = pretty.indent(&out);
        }
        if let Some(prefix) = self.prefix.take() {
            out.splice(..0, prefix.into_bytes());
        }
        if self.ended && self.is_called {
            out.push(b')');
        }
        Some(out.into())
    }
}

impl<S: Source> hyper::body::Body for Pieces<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().next_piece().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
