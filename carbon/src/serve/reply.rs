//! Answers as HTTP: whole where they are small, piece by piece where they are not.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use wire::birth::{BORN_HEADER, Birth};

use super::watch::Watch;
use crate::read::ReadFault;
use crate::read::render::Render;

/// A reply up to this size is written whole before its status is sent, so that what fails meanwhile still gets a status
/// of its own.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// Says that something that was found is not in the answer.
const PARTIAL_HEADER: HeaderName = HeaderName::from_static("x-plumbago-partial");

/// Says of what times points may be missing: `from-until`, in seconds since 1970, the end not included.
const HOLES_HEADER: HeaderName = HeaderName::from_static("x-plumbago-holes");

/// Says that series come in the order of the targets, and of their names for each: so a zipper can merge the replies of
/// several nodes while they arrive.
const ORDER_HEADER: HeaderName = HeaderName::from_static("x-plumbago-order");

/// The answer of a node that may lack what is older than it.
pub(super) fn with_birth(mut response: Response, birth: Birth) -> Response {
    if birth != Birth::default()
        && let Ok(text) = HeaderValue::from_str(&birth.to_string())
    {
        response.headers_mut().insert(BORN_HEADER, text);
    }
    response
}

/// A body of this content type.
pub(super) fn bytes(content_type: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

/// A document of JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => bytes("application/json", body),
        Err(error) => {
            let text = format!("{error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// One line that says why not.
pub(super) fn fault(fault: &ReadFault) -> Response {
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // What was asked for may hold line ends.
    let line = fault.to_string().replace(['\n', '\r'], " ");
    (status, line + "\n").into_response()
}

/// The answer of a render. `watch` counts it when it has ended.
pub(super) async fn render(
    mut render: Render,
    content_type: &'static str,
    watch: Watch,
) -> Result<Response, (ReadFault, Watch)> {
    let mut head = Vec::new();
    let is_whole = loop {
        match render.next().await {
            Ok(Some(more)) if head.is_empty() => head = more,
            Ok(Some(more)) => head.extend(more),
            Ok(None) => break true,
            Err(fault) => return Err((fault, watch)),
        }
        if head.len() > WHOLE_BYTES_MAX {
            break false;
        }
    };
    let is_partial = render.is_partial();
    let holes = render.holes().iter().map(|hole| format!("{}-{}", hole.from_s, hole.until_s));
    let holes = holes.collect::<Vec<_>>().join(",");
    let body = if is_whole {
        watch.end(StatusCode::OK);
        Body::from(head)
    } else {
        daemon::http::received(send_pieces(head, render, watch))
    };
    let mut response =
        ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response();
    response.headers_mut().insert(ORDER_HEADER, HeaderValue::from_static("name"));
    if is_partial {
        let found = HeaderValue::from_static("unreadable files; see meta or the log");
        response.headers_mut().insert(PARTIAL_HEADER, found);
    }
    if let Some(holes) = HeaderValue::from_str(&holes).ok().filter(|holes| !holes.is_empty()) {
        response.headers_mut().insert(HOLES_HEADER, holes);
    }
    Ok(response)
}

type PieceResult = Result<Bytes, ReadFault>;

/// Reads one piece ahead of the client, and no further once it is gone.
pub(super) fn send_pieces(
    head: Vec<u8>,
    mut render: Render,
    watch: Watch,
) -> mpsc::Receiver<PieceResult> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut piece = Ok(Bytes::from(head));
        loop {
            let failed = piece.is_err();
            if sender.send(piece).await.is_err() || failed {
                return watch.cut_off();
            }
            let next = tokio::select! {
                next = render.next() => next,
                () = sender.closed() => return watch.cut_off(),
            };
            piece = match next {
                Ok(Some(bytes)) => Ok(Bytes::from(bytes)),
                Ok(None) => return watch.end(StatusCode::OK),
                Err(fault) => {
                    watch.met(&fault);
                    tracing::warn!(%fault, "an answer was cut off");
                    Err(fault)
                }
            };
        }
    });
    receiver
}
