//! The endpoints: one table of paths, and what every answer has in common.

mod access;
mod answers;
mod cluster;
mod compress;
mod cors;
mod debug;
mod events;
mod expand;
mod explain;
mod find;
mod functions;
mod index;
mod info;
mod page;
mod render;
mod tags;
mod version;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use daemon::threads::Pool;
use daemon::{Clock, Context, Registry, StartError};
use query::ast::Expr;
use remote::access::Caller;

use crate::backend::{Backend, Completeness};
use crate::cache::{Cache, Server};
use crate::config::Config;
use crate::errors::Refusal;
use crate::events::Events;
use crate::format::json;
use crate::params::Params;
use crate::pieces::{Pretty, Wrapping};
use crate::queries::{Queries, Query, Ticket};
use crate::turns::Turns;

const PARTIAL: HeaderName = HeaderName::from_static("x-plumbago-partial");
const QUERY_RANGE: HeaderName = HeaderName::from_static("x-query-range");

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Api {
    config: Config,
    backend: Backend,
    clock: Arc<dyn Clock>,
    evaluators: Pool,
    metrics: Arc<Registry>,
    queries: Arc<Queries>,
    events: Events,
    plans: Cache<Arc<Expr>>,
    replies: Cache<Arc<answers::Answer>>,
    cache_server: Option<Arc<Server>>,
    turns: Arc<Turns>,
}

impl Api {
    pub(crate) fn new(config: Config, context: &Context) -> Result<Self, StartError> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let evaluators = Pool::new("evaluate", threads, config.evaluations_max)
            .map_err(|error| StartError::io("starting the evaluators", error))?;
        let backend =
            Backend::new(&config, &context.clock, &context.metrics).map_err(StartError::other)?;
        let (clock, metrics) = (Arc::clone(&context.clock), Arc::clone(&context.metrics));
        let events = Events::open(&config.events).map_err(StartError::other)?;
        let queries = Arc::new(Queries::new(config.requests.clone(), &clock, &metrics));
        let caching = &config.caching;
        let server = |server| Server::new(server, caching.server_timeout, &clock, &metrics);
        let cache_server = caching.server.clone().map(|named| Arc::new(server(named)));
        let plans = Cache::new("plans", caching.plan_bytes_max, &clock, &metrics);
        let replies = Cache::new("replies", caching.reply_bytes_max, &clock, &metrics);
        Ok(Self {
            config,
            backend,
            clock,
            evaluators,
            metrics,
            queries,
            events,
            plans,
            replies,
            cache_server,
            turns: Arc::default(),
        })
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Page,
    Cluster,
    Render,
    Find,
    Expand,
    Index,
    Info,
    Functions,
    Function,
    Version,
    Health,
    Capabilities,
    Explain,
    Events,
    EventsData,
    Event,
    Tags,
    Tag,
    FindSeries,
    AutoCompleteTags,
    AutoCompleteValues,
    TagSeries,
    TagMultiSeries,
    DeleteSeries,
    DeleteByQuery,
    TagTerms,
    Unknown,
}

const READ: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];

/// Paths as they are after [`normalised`]; one that ends in a slash stands for all below it.
const ENDPOINTS: &[(&str, Endpoint, &[Method])] = &[
    ("/", Endpoint::Page, GET),
    ("/page/", Endpoint::Page, GET),
    ("/_internal/cluster", Endpoint::Cluster, GET),
    ("/render", Endpoint::Render, READ),
    ("/metrics", Endpoint::Find, READ),
    ("/metrics/find", Endpoint::Find, READ),
    ("/metrics/expand", Endpoint::Expand, READ),
    ("/metrics/index.json", Endpoint::Index, READ),
    ("/info", Endpoint::Info, READ),
    ("/functions", Endpoint::Functions, READ),
    ("/functions/", Endpoint::Function, READ),
    ("/version", Endpoint::Version, READ),
    ("/lb_check", Endpoint::Health, READ),
    ("/_internal/capabilities", Endpoint::Capabilities, READ),
    ("/explain", Endpoint::Explain, READ),
    ("/events", Endpoint::Events, READ),
    ("/events/get_data", Endpoint::EventsData, READ),
    ("/events/", Endpoint::Event, GET),
    ("/tags", Endpoint::Tags, GET),
    ("/tags/findSeries", Endpoint::FindSeries, READ),
    ("/tags/autoComplete/tags", Endpoint::AutoCompleteTags, READ),
    ("/tags/autoComplete/values", Endpoint::AutoCompleteValues, READ),
    ("/tags/tagSeries", Endpoint::TagSeries, POST),
    ("/tags/tagMultiSeries", Endpoint::TagMultiSeries, POST),
    ("/tags/delSeries", Endpoint::DeleteSeries, POST),
    ("/tags/delByQuery", Endpoint::DeleteByQuery, POST),
    ("/tags/terms", Endpoint::TagTerms, READ),
    ("/tags/", Endpoint::Tag, GET),
];

const NOWHERE: (&str, Endpoint, &[Method]) = ("other", Endpoint::Unknown, READ);

/// One request, read.
#[derive(Debug)]
pub(crate) struct Call {
    /// What follows the endpoint's own path.
    rest: String,
    /// Who asks.
    caller: Caller,
    params: Params,
    /// The body, if it is no form.
    message: Bytes,
    /// The body, whatever it is.
    body: Bytes,
    method: Method,
    /// What it has come to so far, and what may end it.
    query: Arc<Query>,
}

/// The whole API.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new().fallback(serve).with_state(api)
}

/// What operators see besides, on the admin address.
pub(crate) fn admin_router(api: Arc<Api>) -> Router {
    debug::router(api)
}

async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let began = api.clock.monotonic();
    let decoded = normalised(request.uri().path());
    let path = without_prefix(&decoded, &api.config.serving.url_prefix);
    let (pattern, endpoint, methods) = endpoint(path);
    let headers = request.headers().clone();
    let origins = cors::Origins(&api.config.serving.cors_origins);
    if request.method() == Method::OPTIONS {
        let mut response = origins.preflight(&headers);
        origins.mark(&headers, &mut response);
        count(&api, pattern, &response, began);
        return response;
    }
    let about = access::about(&request, path);
    let (mut response, ticket) = match api.queries.begin(about) {
        Err(refusal) => (refused(&api, &refusal, &headers), None),
        Ok(ticket) => {
            let rest = path.strip_prefix(pattern).unwrap_or_default().to_owned();
            let outcome = match methods.contains(request.method()) {
                true => work(&api, request, rest, (endpoint, path), &ticket).await,
                false => Err(Refusal::Method(request.method().to_string())),
            };
            (outcome.unwrap_or_else(|refusal| refused(&api, &refusal, &headers)), Some(ticket))
        }
    };
    count(&api, pattern, &response, began);
    origins.mark(&headers, &mut response);
    let response = compress::compress(response, &headers);
    match ticket {
        None => response,
        Some(ticket) => access::watched(api, response, ticket, began),
    }
}

/// Answers within the time that a request may take, unless an operator ends it before.
async fn work(
    api: &Arc<Api>,
    request: Request,
    rest: String,
    (endpoint, path): (Endpoint, &str),
    ticket: &Ticket,
) -> Result<Response, Refusal> {
    let limit = api.config.request_timeout;
    // Boxed, so that those above it, who hand it on, move a pointer and not all that an endpoint may hold.
    let answer = Box::pin(async {
        let call = read(api, request, rest, Arc::clone(&ticket.query)).await?;
        dispatch(api, endpoint, &call, path).await
    });
    let answer = tokio::time::timeout(limit, answer);
    tokio::select! {
        answer = answer => answer.unwrap_or(Err(Refusal::TimedOut(limit))),
        () = ticket.query.cancelled.wait() => Err(Refusal::Cancelled),
    }
}

/// The row of the table that a path leads to.
fn endpoint(path: &str) -> (&'static str, Endpoint, &'static [Method]) {
    let below = |pattern: &str| pattern.len() > 1 && pattern.ends_with('/');
    *ENDPOINTS
        .iter()
        .find(|(pattern, ..)| *pattern == path)
        .or_else(|| ENDPOINTS.iter().find(|(p, ..)| below(p) && path.starts_with(p)))
        .unwrap_or(&NOWHERE)
}

/// A path as the table has it, whether a proxy took the prefix away or not.
fn without_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// Without doubled slashes and without one at the end.
fn normalised(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let decoded = parts.map(|part| crate::params::decode(part.replace('+', "%2B").as_bytes()));
    format!("/{}", decoded.collect::<Vec<_>>().join("/"))
}

/// Reads parameters and body.
async fn read(
    api: &Api,
    request: Request,
    rest: String,
    asked: Arc<Query>,
) -> Result<Call, Refusal> {
    let (parts, body) = request.into_parts();
    let allowed = api.config.query_bytes_max;
    let too_long = |asked: usize| Refusal::Limit {
        limit: "query_bytes_max",
        asked: asked as u64,
        allowed: allowed as u64,
    };
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > allowed {
        return Err(too_long(query.len()));
    }
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if let Some(length) = length.filter(|length| *length > allowed) {
        return Err(too_long(length));
    }
    let timeout = api.config.serving.body_timeout;
    let body = tokio::time::timeout(timeout, axum::body::to_bytes(body, allowed)).await;
    let body = body.or(Err(Refusal::SlowBody(timeout)))?.or(Err(too_long(allowed + 1)))?;
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = kind.is_none_or(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let (form, message) = match is_form {
        true => (body.clone(), Bytes::new()),
        false => (Bytes::new(), body.clone()),
    };
    let params = Params::parse(query, &form);
    let form = String::from_utf8_lossy(&form);
    let texts: Vec<&str> = [query, &form].into_iter().filter(|text| !text.is_empty()).collect();
    asked.asks(texts.join("&"));
    let caller = Caller::of(&parts.extensions);
    Ok(Call { rest, caller, params, message, body, method: parts.method, query: asked })
}

async fn dispatch(
    api: &Arc<Api>,
    endpoint: Endpoint,
    call: &Call,
    path: &str,
) -> Result<Response, Refusal> {
    match endpoint {
        Endpoint::Page => page::answer(&call.rest),
        Endpoint::Cluster => cluster::answer(api, call).await,
        Endpoint::Render => render::answer(api, call).await,
        Endpoint::Find => find::answer(api, call).await,
        Endpoint::Expand => expand::answer(api, call).await,
        Endpoint::Index => index::answer(api, call).await,
        Endpoint::Info => info::answer(api, call).await,
        Endpoint::Functions => functions::all(call),
        Endpoint::Function => functions::one(call),
        Endpoint::Version => Ok(version::version()),
        Endpoint::Health => version::health(api).await,
        Endpoint::Capabilities => version::capabilities(call),
        Endpoint::Explain => explain::answer(api, call).await,
        Endpoint::Events => events::take_or_list(api, call).await,
        Endpoint::EventsData => events::data(api, call).await,
        Endpoint::Event => events::one(api, call).await,
        Endpoint::Tags => tags::tags(api, call).await,
        Endpoint::Tag => tags::tag(api, call).await,
        Endpoint::FindSeries => tags::find_series(api, call).await,
        Endpoint::AutoCompleteTags => tags::complete_tags(api, call).await,
        Endpoint::AutoCompleteValues => tags::complete_values(api, call).await,
        Endpoint::TagSeries => tags::tag_series(call),
        Endpoint::TagMultiSeries => tags::tag_multi_series(call),
        Endpoint::DeleteSeries => tags::delete_series(api, call).await,
        Endpoint::DeleteByQuery => tags::delete_by_query(api, call).await,
        Endpoint::TagTerms => tags::terms(api, call).await,
        Endpoint::Unknown => Err(Refusal::NotFound(format!("{path} is not an endpoint"))),
    }
}

impl Call {
    /// What `jsonp` and `pretty` put round a JSON answer.
    fn wrapping(&self) -> Result<Wrapping, Refusal> {
        let jsonp = self.params.jsonp()?.map(str::to_owned);
        Ok(Wrapping { jsonp, pretty: self.params.given("pretty").is_some() })
    }

    /// An answer in JSON.
    fn json(&self, value: &impl serde::Serialize) -> Result<Response, Refusal> {
        self.json_text(json::text(value))
    }

    /// An answer that is JSON already.
    fn json_text(&self, text: Vec<u8>) -> Result<Response, Refusal> {
        let Wrapping { jsonp, pretty } = self.wrapping()?;
        let text = if pretty { Pretty::default().indent(&text) } else { text };
        Ok(match jsonp {
            None => with_type("application/json", text),
            Some(name) => {
                let call = [name.as_bytes(), b"(", &text, b")"].concat();
                with_type("text/javascript", call)
            }
        })
    }
}

fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (kind, body.into()).into_response()
}

/// Says in a header what is missing, or refuses if the request allows nothing partial.
fn mark_partial(
    api: &Api,
    call: &Call,
    completeness: &Completeness,
    response: impl FnOnce() -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    if !completeness.partial {
        return response();
    }
    api.metrics.counter("plumbago_api_partial_answers_total").inc();
    let text = completeness.text();
    if call.params.get("partial") == Some("deny") {
        return Err(Refusal::Partial(text));
    }
    let mut response = response()?;
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let value = HeaderValue::from_bytes(printable.as_bytes());
    response.headers_mut().insert(PARTIAL, value.unwrap_or(HeaderValue::from_static("1")));
    Ok(response)
}

fn refused(api: &Api, refusal: &Refusal, headers: &HeaderMap) -> Response {
    if let Some(limit) = refusal.limit() {
        api.metrics.counter_with("plumbago_api_limits_total", &[limit]).inc();
    }
    if refusal.status().is_server_error() {
        tracing::warn!(error = %refusal, "request not answered");
    }
    refusal.answer(headers)
}

fn count(api: &Api, pattern: &str, response: &Response, began: Duration) {
    let status = response.status();
    let labels = [pattern, status.as_str()];
    api.metrics.counter_with("plumbago_api_requests_total", &labels).inc();
    let seconds = api.clock.monotonic().saturating_sub(began).as_secs_f64();
    api.metrics.histogram_with("plumbago_api_request_seconds", &[pattern]).observe(seconds);
}
