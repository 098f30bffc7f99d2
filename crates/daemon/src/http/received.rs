//! A body whose pieces another task sends.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// A body of pieces that come through a channel. An error breaks the connection off: the client
/// must not take half for the whole.
pub fn received<E>(receiver: mpsc::Receiver<Result<Bytes, E>>) -> Body
where
    E: Into<BoxError> + Send + 'static,
{
    Body::new(Received(receiver))
}

struct Received<E>(mpsc::Receiver<Result<Bytes, E>>);

impl<E> HttpBody for Received<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.0.poll_recv(task).map(|piece| Some(piece?.map(Frame::data)))
    }
}
