//! Points by HTTP: measurements as JSON, lines, pickles, protobuf, Prometheus remote write.
//!
//! A request is read whole, within limits; every item in it is judged alone; the answer says how
//! many were accepted and why others were not, and comes when what was accepted is safe.

mod body;
mod collect;
mod payload;
mod refusal;
mod seen;
mod tenants;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daemon::{Context, Counter};
use serde_json::json;
use tokio::time::timeout;

use crate::metrics::{HTTP_REQUESTS, HTTP_SECONDS, RAMP_REFUSED};
use crate::point::Sink;
use crate::ramp::Ramp;
use crate::service::Service;
use body::Memory;
use collect::{CollectLimits, Collected};
use payload::{PATHS, Packing, Path};
use refusal::Refusal;
use tenants::{Tenant, Tenants};

/// How long a request waits for a sink that is full before it is sent away.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a request waits for what it brought to be safe.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(30);

/// Points in memory, with built names, may take so many times what a body may.
const POINTS_PER_BODY: usize = 4;

/// What all requests share.
pub(crate) struct Http<S> {
    service: Arc<Service<S>>,
    tenants: Tenants,
    memory: Memory,
}

impl<S: Sink> Http<S> {
    pub(crate) fn new(service: Arc<Service<S>>) -> Self {
        let now = service.context.clock.monotonic();
        Self {
            tenants: Tenants::new(&service.settings.tenants, now),
            memory: Memory::new(service.settings.http.memory_bytes_max),
            service,
        }
    }
}

/// The routes of one listener, whose points are counted in `points`.
pub(crate) fn router<S: Sink>(http: &Arc<Http<S>>, ramp: Arc<Ramp>, points: &Counter) -> Router {
    let mut router = Router::new();
    for path in PATHS {
        let (http, points) = (Arc::clone(http), points.clone());
        let answer = move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
            let (http, points) = (Arc::clone(&http), points.clone());
            async move { http.answer(path, peer, points, request).await }
        };
        router = router.route(path.path, post(answer));
    }
    let context = http.service.context.clone();
    // go-carbon's receiver answers so, and balancers check it.
    let alive = || async { "OK\n" };
    let other = || async { (StatusCode::METHOD_NOT_ALLOWED, "expected POST\n") };
    let unknown = || async { (StatusCode::NOT_FOUND, "no such path\n") };
    let router = router.route("/", get(alive)).merge(health(context, ramp));
    router.method_not_allowed_fallback(other).fallback(unknown)
}

/// `/health/ramp`, for listeners of points and the admin listener alike.
pub(crate) fn health(context: Context, ramp: Arc<Ramp>) -> Router {
    Router::new().route("/health/ramp", get(ramp_check)).with_state((context, ramp))
}

async fn ramp_check(
    State((context, ramp)): State<(Context, Arc<Ramp>)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> (StatusCode, String) {
    if let Some(reason) = context.ready.waiting_for() {
        return (StatusCode::SERVICE_UNAVAILABLE, reason + "\n");
    }
    if ramp.admits(peer.ip(), context.clock.monotonic()) {
        return (StatusCode::OK, "send\n".to_owned());
    }
    context.metrics.counter(RAMP_REFUSED.name).inc();
    (StatusCode::INTERNAL_SERVER_ERROR, "not yet\n".to_owned())
}

impl<S: Sink> Http<S> {
    /// Answers one request and counts the answer.
    async fn answer(
        &self,
        path: &Path,
        peer: SocketAddr,
        points: Counter,
        request: Request,
    ) -> Response {
        let context = &self.service.context;
        let began = context.clock.monotonic();
        let (tenant, response) = match self.tenants.of(request.headers()) {
            Ok(tenant) => {
                let taken = self.take(tenant, path, (peer, points), request).await;
                (&*tenant.name, taken.unwrap_or_else(Refusal::into_response))
            }
            Err(refusal) => ("", refusal.into_response()),
        };
        let status = response.status();
        context.metrics.counter_with(HTTP_REQUESTS.name, &[tenant, status.as_str()]).inc();
        let took = context.clock.monotonic().saturating_sub(began);
        context.metrics.histogram(HTTP_SECONDS.name).observe(took.as_secs_f64());
        response
    }

    /// Takes what a request brings, or says why nothing of it.
    async fn take(
        &self,
        tenant: &Tenant,
        path: &Path,
        (peer, points): (SocketAddr, Counter),
        request: Request,
    ) -> Result<Response, Refusal> {
        let service = &*self.service;
        let limits = service.settings.http;
        let clock = &service.context.clock;
        let payload = path.payload(request.headers())?;
        let packing = Packing::of(request.headers())?;
        tenant.take_request(clock.monotonic())?;
        if announced_bytes(&request).is_some_and(|bytes| bytes > limits.body_bytes_max as u64) {
            return Err(Refusal::TooLong(limits.body_bytes_max));
        }
        let mut account = self.memory.account();
        let body = body::read(request.into_body(), limits.body_bytes_max, &mut account).await?;
        let body = body::unpack(packing, body, limits.body_bytes_max, &mut account)?;
        timeout(ROOM_WAIT_MAX, service.sink.room()).await.or(Err(Refusal::Busy))?;

        let mut collected = Collected::new(CollectLimits {
            points_max: limits.points_max,
            bytes_max: limits.body_bytes_max.saturating_mul(POINTS_PER_BODY),
            line_bytes_max: service.settings.line_bytes_max,
        });
        let peer = peer.to_string();
        let source = service.source(peer.clone(), points);
        payload::read(payload, &body, &source, &service.rules(), &mut collected)?;
        account.add(collected.memory_bytes())?;
        tenant.take_points(collected.received(), clock.monotonic())?;
        tenant.take_new_series(&mut collected, &*service.sink, clock.monotonic())?;
        collected.count(&service.refusals, &peer);
        source.points.add(collected.received());
        if !collected.points.is_empty() {
            service.sink.accept(&collected.points);
            let committed = timeout(COMMIT_WAIT_MAX, service.sink.committed()).await;
            committed.or(Err(Refusal::NotCommitted))?;
        }
        Ok(answer(&collected))
    }
}

/// What the head of a request says of its body's length.
fn announced_bytes(request: &Request) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How many were accepted, how many not, and why.
fn answer(collected: &Collected<'_>) -> Response {
    let accepted = collected.points.len();
    let errors: Vec<serde_json::Value> = collected
        .named
        .iter()
        .map(|one| {
            json!({
                "item": one.item,
                "reason": one.reason.label(),
                "message": one.reason.to_string(),
            })
        })
        .collect();
    let rejected = collected.rejected();
    let body = json!({ "accepted": accepted, "rejected": rejected, "errors": errors });
    let status = match (accepted, rejected) {
        (0, 1..) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    (status, [(CONTENT_TYPE, "application/json")], body.to_string() + "\n").into_response()
}
