//! A backend that holds a handful of series and speaks carbonapi_v3_pb.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use metric::{Glob, SeriesData, TagQuery, TaggedName, Window};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wire::pb_v3::{
    CapabilityResponse, ListMetricsResponse, Meta, MultiFetchRequest, MultiGlobRequest,
};
use wire::reply::{
    FindMatch, FindReply, Format, InfoReply, Retention, encode_find, encode_info, encode_render,
};

const STEP: i64 = 60;

/// What the backend is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Holds the corpus.
    Full,
    /// Holds nothing.
    Empty,
    /// Holds the corpus and knows of no tags.
    WithoutTags,
    /// Says that a part is missing.
    Partial,
    /// Takes renders and never answers them.
    Hung,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(crate) async fn start(kind: Kind) -> Self {
        let listener = tokio::net::TcpListener::bind(testkit::ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(kind);
        let shutdown = daemon::Shutdown::new();
        let serve =
            daemon::http::serve(listener, router, shutdown, daemon::http::Limits::default());
        Self { address, task: tokio::spawn(serve) }
    }
}

const NAMES: &[&str] = &[
    "servers.web1.cpu.user",
    "servers.web1.cpu.system",
    "servers.web2.cpu.user",
    "odd.dup",
    "odd.dup.child",
    "odd.pct%20.x",
    "odd.ü😀\u{1}.x",
    "odd.inf",
    "gaps.none",
    "gaps.half",
    "toplevel",
    "disk.used;datacenter=dc1;server=web1",
    "disk.used;datacenter=dc1;server=web2",
    "disk.free;datacenter=dc2;server=web1",
];

fn value(name: &str, slot: usize) -> f64 {
    match name {
        "gaps.none" => f64::NAN,
        "gaps.half" if slot.is_multiple_of(2) => f64::NAN,
        "odd.inf" if slot.is_multiple_of(2) => f64::INFINITY,
        "odd.inf" => f64::NEG_INFINITY,
        _ => slot as f64,
    }
}

fn names(kind: Kind) -> &'static [&'static str] {
    if kind == Kind::Empty { &[] } else { NAMES }
}

fn meta(kind: Kind) -> Option<Meta> {
    (kind == Kind::Partial).then(|| Meta {
        partial: true,
        notes: vec!["node-2: no answer".to_owned()],
        ..Meta::default()
    })
}

fn body(format: Format, bytes: Vec<u8>) -> Response {
    ([("content-type", format.content_type())], bytes).into_response()
}

async fn answer(
    State(kind): State<Kind>,
    uri: Uri,
    RawQuery(query): RawQuery,
    message: Bytes,
) -> Response {
    let path = uri.path().trim_end_matches('/').to_owned();
    match path.as_str() {
        "/_internal/capabilities" => {
            let supported_protocols = vec!["carbonapi_v3_pb".to_owned()];
            let reply = CapabilityResponse { supported_protocols, ..Default::default() };
            body(Format::V3, reply.encode_to_vec())
        }
        "/render" if kind == Kind::Hung => std::future::pending().await,
        "/render" => render(kind, &MultiFetchRequest::decode(message).unwrap()),
        "/metrics/find" => find(kind, &MultiGlobRequest::decode(message).unwrap()),
        "/metrics/list" => {
            let metrics = names(kind).iter().rev().map(|name| (*name).to_owned()).collect();
            body(Format::V3, ListMetricsResponse { metrics }.encode_to_vec())
        }
        "/info" => {
            let names = wire::pb_v3::MultiMetricsInfoRequest::decode(message).unwrap().names;
            body(Format::V3, info(names))
        }
        _ if kind == Kind::WithoutTags => StatusCode::NOT_FOUND.into_response(),
        "/tags/delSeries" => delete(&message),
        path => tags(kind, path, &query.unwrap_or_default()),
    }
}

fn render(kind: Kind, request: &MultiFetchRequest) -> Response {
    let window = Window::new(request.metrics[0].start_time, request.metrics[0].stop_time);
    let slots = window.whisper_slots(STEP);
    let mut series = Vec::new();
    for fetch in &request.metrics {
        assert_eq!((fetch.start_time, fetch.stop_time), (window.from, window.until));
        for name in names(kind).iter().filter(|name| holds(&fetch.name, name)) {
            let values = (0..slots.slots(STEP)).map(|slot| value(name, slot)).collect();
            let mut one = SeriesData::new(*name, slots.from, STEP, values);
            one.path_expression.clone_from(&fetch.path_expression);
            series.push(one);
        }
    }
    body(Format::V3, encode_render(Format::V3, window, &series, meta(kind)))
}

fn holds(pattern: &str, name: &str) -> bool {
    if pattern.starts_with("seriesByTag(") {
        let query = TagQuery::parse_call(pattern).unwrap();
        return name.contains(';') && query.matches(&TaggedName::parse(name).unwrap());
    }
    Glob::compile(pattern).unwrap().matches(name)
}

fn find(kind: Kind, request: &MultiGlobRequest) -> Response {
    let one =
        |pattern: &String| FindReply { query: pattern.clone(), matches: nodes(kind, pattern) };
    let replies: Vec<_> = request.metrics.iter().map(one).collect();
    body(Format::V3, encode_find(Format::V3, &replies, meta(kind)))
}

fn nodes(kind: Kind, pattern: &str) -> Vec<FindMatch> {
    let mut found = BTreeSet::new();
    for name in names(kind).iter().filter(|name| !name.contains(';')) {
        let dots = name.match_indices('.').map(|(at, _)| (&name[..at], false));
        let paths = dots.chain([(*name, true)]);
        found.extend(paths.filter(|(path, _)| holds(pattern, path)));
    }
    // The other way round: the order is the api's business.
    let path = |(path, is_leaf): (&str, bool)| FindMatch {
        path: path.to_owned(),
        is_leaf,
        intervals: Vec::new(),
    };
    found.into_iter().rev().map(path).collect()
}

fn info(names: Vec<String>) -> Vec<u8> {
    let one = |name: String| InfoReply {
        name,
        consolidation: metric::Consolidation::Average,
        max_retention_s: 3600,
        x_files_factor: 0.5,
        retentions: vec![Retention { seconds_per_point: 60, points: 60 }],
    };
    let known = names.into_iter().filter(|name| NAMES.contains(&name.as_str()));
    encode_info(Format::V3, &known.map(one).collect::<Vec<_>>()).unwrap()
}

/// Has every series that is asked for but those that begin with `no`.
fn delete(form: &[u8]) -> Response {
    let form = String::from_utf8(form.to_vec()).unwrap();
    let deleted = form.split('&').filter(|pair| !pair.starts_with("path=no")).count();
    ([("content-type", "application/json")], json!({ "deleted": deleted }).to_string())
        .into_response()
}

/// Echoes what it was asked where the answer itself would prove nothing.
fn tags(kind: Kind, path: &str, query: &str) -> Response {
    let answer: Value = match path {
        "/tags/findSeries" => {
            let tagged = names(kind).iter().filter(|name| name.contains(';'));
            json!(tagged.collect::<Vec<_>>())
        }
        "/tags/nosuch" => Value::Null,
        "/tags" if query.contains("filter=%28") => {
            return (StatusCode::BAD_REQUEST, "filter: unclosed group\nmore").into_response();
        }
        _ if kind == Kind::Empty => json!([]),
        _ => json!([format!("{path}?{query}")]),
    };
    ([("content-type", "application/json")], answer.to_string()).into_response()
}
