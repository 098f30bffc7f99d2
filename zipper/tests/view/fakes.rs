//! Fake storage nodes that speak carbonapi_v3_pb, and a zipper over them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use daemon::{Context, Running, Shutdown, Values};
use metric::{Glob, SeriesData, Window};
use parking_lot::Mutex;
use plumbago_zipper as zipper;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wire::birth::BORN_HEADER;
use wire::pb_v3;
use wire::reply::{self, FindMatch, FindReply, Format};

/// The window that every render here asks for.
pub(crate) const WINDOW: Window = Window::new(0, 240);

/// How a node behaves.
#[derive(Clone)]
pub(crate) enum Mood {
    Well,
    /// Answers once the signal fires.
    Waits(Shutdown),
    Fails(StatusCode),
}

/// A node with a few series.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) renders: Arc<AtomicU32>,
    /// Series given out.
    served: Arc<AtomicU32>,
    /// Where requests came from.
    clients: Arc<Mutex<BTreeSet<SocketAddr>>>,
}

/// Four slots from 60 on.
pub(crate) fn series(name: &str, values: [f64; 4]) -> SeriesData {
    SeriesData::new(name, 60, 60, values.to_vec())
}

impl Fake {
    /// A node that says nothing of what it lacks, as go-carbon.
    pub(crate) async fn start(series: Vec<SeriesData>, mood: Mood) -> Self {
        Self::start_with(series, mood, (None, "")).await
    }

    /// A node of our own that missed nothing since it was born, as it says in these words.
    pub(crate) async fn with_birth(series: Vec<SeriesData>, birth: &'static str) -> Self {
        let meta = pb_v3::Meta { nodes_asked: 1, nodes_answered: 1, ..Default::default() };
        Self::start_with(series, Mood::Well, (Some(meta), birth)).await
    }

    /// A node of our own that may have missed points in these intervals.
    pub(crate) async fn with_holes(series: Vec<SeriesData>, holes: &[(i64, i64)]) -> Self {
        let hole = |&(from_s, until_s): &(i64, i64)| pb_v3::Hole { from_s, until_s };
        let holes = holes.iter().map(hole).collect();
        let meta = pb_v3::Meta { nodes_asked: 1, nodes_answered: 1, holes, ..Default::default() };
        Self::start_with(series, Mood::Well, (Some(meta), "")).await
    }

    async fn start_with(
        series: Vec<SeriesData>,
        mood: Mood,
        (meta, birth): (Option<pb_v3::Meta>, &'static str),
    ) -> Self {
        let listener = daemon::listen::tcp("listen", testkit::ANY_PORT).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let renders = Arc::new(AtomicU32::new(0));
        let served = Arc::new(AtomicU32::new(0));
        let clients = Arc::new(Mutex::<BTreeSet<SocketAddr>>::default());
        let series = Arc::new(series);
        let render = {
            let (series, mood) = (Arc::clone(&series), mood.clone());
            let (renders, served) = (Arc::clone(&renders), Arc::clone(&served));
            let clients = Arc::clone(&clients);
            any(move |ConnectInfo(client): ConnectInfo<SocketAddr>, body: Bytes| async move {
                clients.lock().insert(client);
                renders.fetch_add(1, SeqCst);
                let holes = ("x-plumbago-holes", holes_header(meta.as_ref()));
                let head = [holes, (BORN_HEADER, birth.to_owned())];
                (head, behave(&mood, || rendered(&series, body, meta, &served)).await)
            })
        };
        let delete_mood = mood.clone();
        let (tagged, counted) = tags(&series);
        let disks = disks(&series);
        let find =
            any(move |body: Bytes| async move { behave(&mood, || found(&series, body)).await });
        let capabilities = pb_v3::CapabilityResponse {
            supported_protocols: vec!["carbonapi_v3_pb".to_owned()],
            ..Default::default()
        };
        let router = Router::new()
            .route("/render/", render)
            .route("/metrics/find/", find)
            .route(
                "/tags/delSeries",
                any(
                    move |body: Bytes| async move { behave(&delete_mood, || deleted(&body)).await },
                ),
            )
            .merge(disks)
            .route("/tags/findSeries", any(async move || tagged.to_string()))
            .route("/tags/x", any(async move || counted.to_string()))
            .route(
                "/_internal/capabilities/",
                any(async move || ([(BORN_HEADER, birth)], capabilities.encode_to_vec())),
            );
        let limits = daemon::http::Limits::default();
        tokio::spawn(daemon::http::serve(listener, router, Shutdown::new(), limits));
        Self { url, renders, served, clients }
    }

    pub(crate) fn renders(&self) -> u32 {
        self.renders.load(SeqCst)
    }

    /// How many connections requests came over.
    pub(crate) fn connections(&self) -> usize {
        self.clients.lock().len()
    }

    pub(crate) fn served(&self) -> u32 {
        self.served.load(SeqCst)
    }
}

/// Files of 100 bytes in blocks of 4,096 on a disk with room for ten.
fn disks(series: &[SeriesData]) -> Router {
    let listed: Arc<[SeriesData]> = series.into();
    let detailed = Arc::clone(&listed);
    let usage = async move |Query(query): Query<BTreeMap<String, String>>| {
        assert_eq!(query["leaf_only"], "1");
        let glob = Glob::compile(&query["target"]).unwrap();
        let row = |one: &SeriesData| json!({"Name": one.name, "Count": 1, "PhysicalSize": 4096, "LogicalSize": 100});
        let rows = listed.iter().filter(|one| glob.matches(&one.name)).map(row);
        json!({"Metrics": rows.collect::<Vec<_>>()}).to_string()
    };
    let details = async move || {
        let row = |one: &SeriesData| json!({"Name": one.name, "Size": 100, "RealSize": 4096});
        let rows: Vec<_> = detailed.iter().map(row).collect();
        json!({"Metrics": rows, "FreeSpace": 1000, "TotalSpace": 2000, "FreeInodes": 10, "TotalInodes": 20}).to_string()
    };
    Router::new().route("/metrics/list_query/", any(usage)).route("/metrics/details/", any(details))
}

fn holes_header(meta: Option<&pb_v3::Meta>) -> String {
    let holes = meta.into_iter().flat_map(|meta| &meta.holes);
    let holes = holes.map(|hole| format!("{}-{}", hole.from_s, hole.until_s));
    holes.collect::<Vec<_>>().join(",")
}

async fn behave(mood: &Mood, answer: impl FnOnce() -> Vec<u8>) -> Response {
    match mood {
        Mood::Well => answer().into_response(),
        Mood::Waits(signal) => {
            signal.wait().await;
            answer().into_response()
        }
        Mood::Fails(status) => (*status, "unwell\n").into_response(),
    }
}

/// The series with tags, and how many of them there are for each value of `x`.
fn tags(series: &[SeriesData]) -> (Value, Value) {
    let names = || series.iter().map(|one| one.name.as_str()).filter(|name| name.contains(';'));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names().filter_map(|name| name.split_once("x=")).for_each(|(_, x)| {
        *counts.entry(x).or_default() += 1;
    });
    let values = counts.into_iter().map(|(value, count)| json!({"value": value, "count": count}));
    let counted = json!({"tag": "x", "values": values.collect::<Vec<_>>()});
    (names().collect(), counted)
}

fn rendered(
    series: &[SeriesData],
    body: Bytes,
    meta: Option<pb_v3::Meta>,
    served: &AtomicU32,
) -> Vec<u8> {
    let request = pb_v3::MultiFetchRequest::decode(body).unwrap();
    let mut out = Vec::new();
    for target in &request.metrics {
        assert_eq!((target.start_time, target.stop_time), (WINDOW.from, WINDOW.until));
        let glob = Glob::compile(&target.name).unwrap();
        for one in series.iter().filter(|one| glob.matches(&one.name)) {
            out.push(SeriesData { path_expression: target.path_expression.clone(), ..one.clone() });
        }
    }
    served.fetch_add(u32::try_from(out.len()).unwrap(), SeqCst);
    reply::encode_render(Format::V3, WINDOW, &out, meta)
}

fn deleted(form: &[u8]) -> Vec<u8> {
    let paths = form.split(|byte| *byte == b'&').count();
    format!("{{\"deleted\":{paths}}}").into_bytes()
}

fn found(series: &[SeriesData], body: Bytes) -> Vec<u8> {
    let request = pb_v3::MultiGlobRequest::decode(body).unwrap();
    let replies = request.metrics.into_iter().map(|query| {
        let glob = Glob::compile(&query).unwrap();
        let one = |one: &SeriesData| FindMatch {
            path: one.name.clone(),
            is_leaf: true,
            intervals: Vec::new(),
        };
        let matches = series.iter().filter(|one| glob.matches(&one.name)).map(one).collect();
        FindReply { query, matches }
    });
    reply::encode_find(Format::V3, &replies.collect::<Vec<_>>(), None)
}

/// A zipper over these nodes, with instances 0, 1, … unless `settings` leave the ring unknown.
pub(crate) async fn zipper(urls: &[String], settings: &[(&str, &str)]) -> Running {
    let mut values = Values::defaults(zipper::SETTINGS)
        .with("listen", testkit::ANY_PORT)
        .with("admin", testkit::ANY_PORT);
    for (instance, url) in urls.iter().enumerate() {
        values = values.with("node", &format!("{url}={instance}"));
    }
    values = settings.iter().fold(values, |values, (key, text)| values.with(key, text));
    zipper::start(values, Context::new("zipper", zipper::METRICS)).await.unwrap()
}

/// The ring of so many nodes on one host.
pub(crate) fn ring(nodes: usize, copies: usize) -> ring::Ring {
    let node = |n: usize| ring::Node {
        host: "127.0.0.1".to_owned(),
        port: 0,
        instance: Some(n.to_string()),
    };
    let spec = ring::RingSpec { copies, ..ring::RingSpec::default() };
    ring::Ring::new(spec, (0..nodes).map(node).collect()).unwrap()
}

/// The owners of a name in that ring.
pub(crate) fn owners(name: &str, nodes: usize, copies: usize) -> Vec<usize> {
    let ring = ring(nodes, copies);
    ring.owners(name.as_bytes()).iter().map(|&owner| usize::from(owner)).collect()
}

/// Head and body of an answer.
pub(crate) async fn get(zipper: &Running, path: &str) -> (String, Vec<u8>) {
    exchange(zipper, &format!("GET {path} HTTP/1.0\r\n\r\n"), &[]).await
}

pub(crate) async fn post(
    zipper: &Running,
    path: &str,
    kind: &str,
    body: &[u8],
) -> (String, Vec<u8>) {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    exchange(zipper, &head, body).await
}

async fn exchange(zipper: &Running, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(zipper.address("listen").unwrap()).await.unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(testkit::PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..split].to_vec()).unwrap().to_lowercase();
    (head, answer[split + 4..].to_vec())
}

/// A render of targets as v3, decoded with its meta.
pub(crate) async fn render(zipper: &Running, query: &str) -> (String, reply::RenderReply) {
    let path = format!("/render?{query}&from=0&until=240&format=carbonapi_v3_pb");
    let (head, body) = get(zipper, &path).await;
    assert!(head.starts_with("http/1.0 200"), "{head}\n{}", String::from_utf8_lossy(&body));
    let caps = wire::pb::Caps { bytes_max: 1 << 20, items_max: 10_000 };
    (head, reply::decode_render(Format::V3, &body, caps).unwrap())
}

/// One number of the zipper's own.
pub(crate) fn counted(zipper: &Running, line: &str) -> u64 {
    let text = zipper.context.metrics.prometheus();
    let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or(0)
}

/// A delay that no test outlasts, for what must not happen by time alone.
pub(crate) const NEVER: &str = "1h";

/// Long enough not to pass by chance, short enough to wait for.
pub(crate) const SOON: Duration = Duration::from_millis(300);
