//! CarbonV2 of carbonapi_v2_grpc, as go-carbon serves it: Render as a stream, Find and Info.
//!
//! The same readers, limits and deadlines as over HTTP; what differs is the packing, which is
//! [`wire::grpc`]'s.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use daemon::Registry;
use hyper::body::Frame;
use metric::Window;
use prost::Message;
use remote::access::Caller;
use tokio::sync::mpsc;
use wire::grpc::{self, GrpcError, Status};
use wire::pb;
use wire::pb_v2::{GlobRequest, InfoRequest, MultiFetchRequest};
use wire::reply::{Format, encode_find, encode_info};

use super::http::check_windows;
use super::reply::send_pieces;
use super::watch::Watch;
use crate::read::render::{Fetch, Render, RenderRequest};
use crate::read::{Asker, ReadFault, Reader, find, info};

const STATUS: HeaderName = HeaderName::from_static(grpc::STATUS_HEADER);
const MESSAGE: HeaderName = HeaderName::from_static(grpc::MESSAGE_HEADER);

/// What all requests share.
#[derive(Debug)]
struct Service {
    reader: Arc<Reader>,
    registry: Arc<Registry>,
}

/// The methods of the service that there are.
pub(crate) fn router(reader: Arc<Reader>, registry: Arc<Registry>) -> Router {
    let render = async |State(service): State<Arc<Service>>, request: Request| {
        let watch = service.watch("grpc_render");
        match service.render(request).await {
            Ok((head, render)) => stream(head, render, watch),
            Err(fault) => refuse(&fault, watch),
        }
    };
    let find = async |State(service): State<Arc<Service>>, request: Request| {
        let watch = service.watch("grpc_find");
        whole(service.find(request).await, watch)
    };
    let info = async |State(service): State<Arc<Service>>, request: Request| {
        let watch = service.watch("grpc_info");
        whole(service.info(request).await, watch)
    };
    let method = |name: &str| format!("/carbonapi_v2_grpc.CarbonV2/{name}");
    let service = Service { reader, registry };
    Router::new()
        .route(&method("Render"), post(render))
        .route(&method("Find"), post(find))
        .route(&method("Info"), post(info))
        .fallback(async || ended(Status::Unimplemented, "there is no such method here"))
        .with_state(Arc::new(service))
}

impl Service {
    fn watch(&self, label: &'static str) -> Watch {
        Watch::new(Arc::clone(&self.registry), Arc::clone(&self.reader.clock), label)
    }

    async fn render(&self, request: Request) -> Result<(Vec<u8>, Render), ReadFault> {
        let (message, asker): (MultiFetchRequest, Asker) = self.read(request).await?;
        let reader = &self.reader;
        let window = |one: &wire::pb_v2::FetchRequest| {
            Window::new(one.start_time.into(), one.stop_time.into())
        };
        let windows: Vec<Window> = message.metrics.iter().map(window).collect();
        check_windows(&windows)?;
        let texts = message.metrics.iter().map(|one| one.name.as_str());
        let queries = find::parse_all(reader, texts, "metric")?;
        let fetch = |((text, query), window)| Fetch { text, query, window };
        let request = RenderRequest {
            format: Format::V2,
            fetches: queries.into_iter().zip(windows).map(fetch).collect(),
            now: reader.clock.now_unix_seconds(),
            points_max: reader.limits.points_max,
        };
        let mut render = Render::begin(Arc::clone(reader), request, asker).await?;
        let head = render.next().await?.unwrap_or_default();
        // go-carbon says so, and its clients take it for what it is.
        if head.is_empty() {
            return Err(ReadFault::NotFound("no series matches".to_owned()));
        }
        Ok((head, render))
    }

    async fn find(&self, request: Request) -> Result<Vec<u8>, ReadFault> {
        let (message, asker): (GlobRequest, Asker) = self.read(request).await?;
        let queries = find::parse_all(&self.reader, [message.query.as_str()].into_iter(), "query")?;
        let (replies, _) = find::find(&self.reader, queries, None, &asker).await?;
        if replies.iter().all(|reply| reply.matches.is_empty()) {
            return Err(ReadFault::NotFound("nothing matches".to_owned()));
        }
        Ok(encode_find(Format::V2, &replies, None))
    }

    async fn info(&self, request: Request) -> Result<Vec<u8>, ReadFault> {
        let (message, asker): (InfoRequest, Asker) = self.read(request).await?;
        let infos = info::info(&self.reader, vec![message.name], &asker).await?;
        encode_info(Format::V2, &infos).map_err(|error| ReadFault::bad(error.to_string()))
    }

    /// Reads a request whole: its one message, and who asks.
    async fn read<M: Message + Default>(&self, request: Request) -> Result<(M, Asker), ReadFault> {
        let limits = &self.reader.limits;
        let (parts, body) = request.into_parts();
        let asker = self.reader.asker(wait(&parts.headers)?, Caller::of(&parts.extensions).within);
        let bytes = axum::body::to_bytes(body, limits.request_bytes_max);
        let bytes = tokio::time::timeout(limits.request_timeout, bytes).await;
        let bytes = bytes.map_err(|_elapsed| ReadFault::Late)?.map_err(|_unread| {
            let allowed = limits.request_bytes_max;
            ReadFault::limit("the body is larger or was cut off", allowed, "request_bytes_max")
        })?;
        let message = grpc::message(&bytes).map_err(|error: GrpcError| match error {
            GrpcError::Compressed => ReadFault::Unsupported(error.to_string()),
            error => ReadFault::bad(error.to_string()),
        })?;
        let items_max = limits.targets_max.saturating_add(16);
        let caps = pb::Caps { bytes_max: limits.request_bytes_max, items_max };
        let message = pb::decode(message, caps);
        Ok((message.map_err(|error| ReadFault::bad(format!("request: {error}")))?, asker))
    }
}

fn wait(headers: &HeaderMap) -> Result<Option<Duration>, ReadFault> {
    let Some(value) = headers.get(grpc::TIMEOUT_HEADER) else { return Ok(None) };
    let wait = value.to_str().ok().and_then(grpc::timeout);
    wait.map(Some).ok_or_else(|| ReadFault::bad("grpc-timeout: expected such as 10S or 250m"))
}

const fn status(fault: &ReadFault) -> Status {
    match fault {
        ReadFault::Bad(_) => Status::InvalidArgument,
        ReadFault::NotFound(_) => Status::NotFound,
        ReadFault::Limit { .. } => Status::ResourceExhausted,
        ReadFault::Forbidden => Status::PermissionDenied,
        ReadFault::Unsupported(_) => Status::Unimplemented,
        ReadFault::Busy | ReadFault::NotDeleted(_) => Status::Unavailable,
        ReadFault::Late => Status::DeadlineExceeded,
        ReadFault::Lost => Status::Internal,
    }
}

/// How a request ended: headers where nothing was sent before, else trailers.
fn end(status: Status, line: &str) -> HeaderMap {
    let mut end = HeaderMap::with_capacity(2);
    end.insert(STATUS, HeaderValue::from(status as u16));
    if let Ok(line) = HeaderValue::try_from(grpc::message_header(line))
        && !line.is_empty()
    {
        end.insert(MESSAGE, line);
    }
    end
}

fn response(body: Body) -> Response {
    let kind = HeaderValue::from_static(grpc::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

fn ended(status: Status, line: &str) -> Response {
    let mut response = response(Body::empty());
    response.headers_mut().extend(end(status, line));
    response
}

fn refuse(fault: &ReadFault, watch: Watch) -> Response {
    watch.met(fault);
    watch.end(StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    ended(status(fault), &fault.to_string())
}

/// A reply of one message.
fn whole(message: Result<Vec<u8>, ReadFault>, watch: Watch) -> Response {
    let message = match message {
        Ok(message) => message,
        Err(fault) => return refuse(&fault, watch),
    };
    watch.end(StatusCode::OK);
    let mut body = Vec::with_capacity(message.len() + 5);
    grpc::push(&message, &mut body);
    response(Body::new(Messages { first: Some(body.into()), left: None, has_ended: false }))
}

/// A reply of a message for each series.
fn stream(head: Vec<u8>, render: Render, watch: Watch) -> Response {
    let left = Some(send_pieces(head, render, watch));
    response(Body::new(Messages { first: None, left, has_ended: false }))
}

/// Messages, then how it ended.
struct Messages {
    first: Option<Bytes>,
    /// Pieces of a v2 reply, whole series each.
    left: Option<mpsc::Receiver<Result<Bytes, ReadFault>>>,
    has_ended: bool,
}

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = prost::DecodeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        let next = match &mut self.left {
            None => None,
            Some(left) => std::task::ready!(left.poll_recv(task)),
        };
        let trailers = match next {
            Some(Ok(piece)) => {
                let messages = grpc::stream_of_list(&piece);
                return Poll::Ready(Some(messages.map(|bytes| Frame::data(bytes.into()))));
            }
            Some(Err(fault)) => end(status(&fault), &fault.to_string()),
            None => end(Status::Ok, ""),
        };
        self.has_ended = true;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
