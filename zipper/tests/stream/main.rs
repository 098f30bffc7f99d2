//! Large answers: merged while they arrive, so that memory does not grow with them, and honest
//! about a node whose answer breaks off on the way.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use daemon::{Context, Running, Shutdown, Values};
use metric::{SeriesData, Window};
use plumbago_zipper as zipper;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wire::pb_v3::{CapabilityResponse, Meta};
use wire::reply::{Caps, Format, RenderDecoder, RenderEncoder};

const WINDOW: Window = Window::new(0, 3600);

/// An hour of minutes.
const POINTS: usize = 60;

const NODES: usize = 3;

/// What the process may take at its peak: three nodes, the zipper and its client.
const RSS_BYTES_MAX: u64 = 300 << 20;

/// Series that a node sends at a time.
const PIECE_SERIES: usize = 256;

fn names(count: usize) -> Arc<[String]> {
    (0..count).map(|n| format!("servers.web{n:06}.cpu.user")).collect()
}

/// A node that sends its share of the names in pieces, and breaks off after some of them if so told.
async fn node(number: usize, names: &Arc<[String]>, breaks_after: Option<usize>) -> String {
    let listener = daemon::listen::tcp("listen", testkit::ANY_PORT).unwrap();
    let url = format!("http://{}={number}", listener.local_addr().unwrap());
    let names = Arc::clone(names);
    let render = any(async move || reply(number, names, breaks_after));
    let capabilities = CapabilityResponse {
        supported_protocols: vec!["carbonapi_v3_pb".to_owned()],
        ..Default::default()
    };
    let router = Router::new()
        .route("/render/", render)
        .route("/_internal/capabilities/", any(async move || capabilities.encode_to_vec()));
    let limits = daemon::http::Limits::default();
    tokio::spawn(daemon::http::serve(listener, router, Shutdown::new(), limits));
    url
}

fn ring() -> ring::Ring {
    let node = |n: usize| ring::Node {
        host: "127.0.0.1".to_owned(),
        port: 0,
        instance: Some(n.to_string()),
    };
    let spec = ring::RingSpec { copies: 2, ..ring::RingSpec::default() };
    ring::Ring::new(spec, (0..NODES).map(node).collect()).unwrap()
}

fn reply(number: usize, names: Arc<[String]>, breaks_after: Option<usize>) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let (ring, number) = (ring(), u16::try_from(number).unwrap());
        let mut out = Vec::new();
        let mut encoder = RenderEncoder::begin(Format::V3, WINDOW, 0, &mut out);
        let mine = |name: &&String| ring.owners(name.as_bytes()).as_slice().contains(&number);
        let mut sent = 0;
        for name in names.iter().filter(mine) {
            let mut one = SeriesData::new(name.clone(), 60, 60, vec![1.0; POINTS]);
            one.path_expression = "servers.*.cpu.user".to_owned();
            encoder.push(&one, &mut out);
            sent += 1;
            if breaks_after == Some(sent) {
                drop(sender.send(Err(std::io::Error::other("broken off"))).await);
                return;
            }
            if sent.is_multiple_of(PIECE_SERIES) {
                let piece = std::mem::take(&mut out);
                if sender.send(Ok(Bytes::from(piece))).await.is_err() {
                    return;
                }
            }
        }
        let meta = Meta { nodes_asked: 1, nodes_answered: 1, ..Meta::default() };
        encoder.finish(Some(meta), &mut out);
        drop(sender.send(Ok(Bytes::from(out))).await);
    });
    ([("x-plumbago-order", "name")], daemon::http::received(receiver)).into_response()
}

async fn zipper(names: &Arc<[String]>, breaks_after: [Option<usize>; NODES]) -> Running {
    let mut values = Values::defaults(zipper::SETTINGS)
        .with("listen", testkit::ANY_PORT)
        .with("admin", testkit::ANY_PORT)
        // The nodes share two threads: that one of them is slow says nothing here.
        .with("hedge_delay_min", "10s")
        .with("replication", "2");
    for (number, breaks_after) in breaks_after.into_iter().enumerate() {
        values = values.with("node", &node(number, names, breaks_after).await);
    }
    zipper::start(values, Context::new("zipper", zipper::METRICS)).await.unwrap()
}

/// What a client sees that keeps nothing: the head, how many series came and whether they came in
/// order; and if the answer came to its end, the meta.
struct Seen {
    head: String,
    series: usize,
    in_order: bool,
    end: Option<Option<Meta>>,
}

async fn render(zipper: &Running, format: Format) -> Seen {
    let mut stream = TcpStream::connect(zipper.address("listen").unwrap()).await.unwrap();
    let path =
        format!("/render?target=servers.*.cpu.user&from=0&until=3600&format={}", format.name());
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let caps = Caps { bytes_max: usize::MAX, items_max: usize::MAX };
    let mut decoder = RenderDecoder::new(format, caps);
    let (mut head, mut is_body) = (Vec::new(), false);
    let (mut series, mut in_order, mut last) = (0, true, String::new());
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let mut bytes = &buffer[..length];
        if !is_body {
            let before = head.len();
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            bytes = &bytes[end + 4 - before..];
            head.truncate(end);
            is_body = true;
        }
        decoder.push(bytes).unwrap();
        for one in decoder.take_series() {
            series += 1;
            in_order &= last < one.name;
            last = one.name;
        }
    }
    let end = decoder.finish().ok().map(|reply| reply.meta);
    Seen { head: String::from_utf8(head).unwrap().to_lowercase(), series, in_order, end }
}

/// The most memory that this process has had.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_series_of_three_nodes_take_little_memory() {
    let names = names(100_000);
    let zipper = zipper(&names, [None; NODES]).await;
    let seen = render(&zipper, Format::V3).await;
    assert_eq!((seen.series, seen.in_order), (100_000, true));
    let meta = seen.end.unwrap().unwrap();
    assert_eq!((meta.partial, meta.nodes_answered), (false, 3));
    let peak = peak_rss_bytes();
    println!("peak of the whole process: {} MiB", peak >> 20);
    assert!(peak < RSS_BYTES_MAX, "{peak} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_breaks_off_is_stood_in_for_or_the_answer_says_so_at_its_end() {
    let names = names(10_000);
    let whole = zipper(&names, [None, Some(4_000), None]).await;
    let seen = render(&whole, Format::V3).await;
    assert_eq!((seen.series, seen.in_order), (10_000, true), "its neighbours have all it has");
    assert!(!seen.end.unwrap().unwrap().partial && !seen.head.contains("x-plumbago-partial"));

    let lacking = zipper(&names, [None, Some(4_000), Some(4_000)]).await;
    let seen = render(&lacking, Format::V3).await;
    assert!(seen.head.starts_with("http/1.0 200") && seen.series < 10_000 && seen.in_order);
    let meta = seen.end.unwrap().unwrap();
    assert!(meta.partial && meta.notes[0].contains("broke"), "{meta:?}");
    // JSON has no place at its end to say so: half must not pass for the whole.
    assert_eq!(render(&whole, Format::Json).await.end, Some(None));
    let seen = render(&lacking, Format::Json).await;
    assert!(seen.end.is_none() || seen.head.contains("x-plumbago-partial"), "{}", seen.head);
}
