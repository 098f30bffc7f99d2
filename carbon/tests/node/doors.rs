//! The other doors: carbonlink and admin.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::carbonlink::parse_datapoints;
use wire::framing::write_frame;
use wire::pickle::{Document, Pickler};
use wire::tree::{Value, Writer};

use crate::harness::{NOW, Node, file, file_of, node, try_start};

/// A pickled dict of texts, and of a list of texts under `metrics`.
fn request(pairs: &[(&str, &str)], metrics: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, |out| {
        let mut pickler = Pickler::begin(out);
        pickler.begin_map(pairs.len() + usize::from(!metrics.is_empty()));
        for (key, text) in pairs {
            pickler.text(key);
            pickler.text(text);
        }
        if !metrics.is_empty() {
            pickler.text("metrics");
            pickler.begin_list(metrics.len());
            metrics.iter().for_each(|name| pickler.text(name));
            pickler.end_list();
        }
        pickler.end_map();
        pickler.finish();
    })
    .unwrap();
    out
}

async fn frame(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u32().await.unwrap();
    let mut frame = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut frame).await.unwrap();
    frame
}

async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.running.address("carbonlink").unwrap()).await.unwrap()
}

#[tokio::test]
async fn carbonlink_answers_several_questions_of_one_connection() {
    let (node, _folder) = node(&[]).await;
    node.send(&[format!("a.b 1 {}", NOW - 60), format!("a.b 2 {NOW}"), format!("t;x=1 3 {NOW}")])
        .await;
    let mut stream = connect(&node).await;
    let questions = [
        request(&[("type", "cache-query"), ("metric", "a.b")], &[]),
        request(&[("metric", "unknown"), ("type", "cache-query")], &[]),
        request(&[("type", "cache-query-bulk")], &["a.b", "t;x=1", "unknown"]),
        request(&[("type", "get-metadata"), ("metric", "a.b"), ("key", "aggregationMethod")], &[]),
        request(&[("type", "get-metadata"), ("metric", "nope"), ("key", "xFilesFactor")], &[]),
    ];
    stream.write_all(&questions.concat()).await.unwrap();
    let points = parse_datapoints(&frame(&mut stream).await).unwrap();
    let points: Vec<(i64, f64)> = points.iter().map(|p| (p.timestamp, p.value)).collect();
    assert_eq!(points, [(NOW - 60, 1.0), (NOW, 2.0)]);
    assert_eq!(parse_datapoints(&frame(&mut stream).await).unwrap(), []);
    let bulk = frame(&mut stream).await;
    let bulk = Document::decode(&bulk).unwrap();
    let bulk = bulk.to_value().unwrap();
    let counts = ["a.b", "t;x=1", "unknown"].map(|name| {
        bulk.get("datapointsByMetric").unwrap().get(name).unwrap().as_list().unwrap().len()
    });
    assert_eq!(counts, [2, 1, 0]);
    for (key, answer) in [("value", "average"), ("error", "no series nope")] {
        let reply = frame(&mut stream).await;
        let reply = Document::decode(&reply).unwrap();
        let reply = reply.to_value().unwrap();
        assert_eq!(reply.get(key).and_then(Value::as_str), Some(answer));
    }
    node.flush().await;
    stream.write_all(&questions[0]).await.unwrap();
    assert_eq!(parse_datapoints(&frame(&mut stream).await).unwrap(), [], "written by now");
    node.stop().await;
}

#[tokio::test]
async fn carbonlink_closes_on_nonsense_after_saying_so() {
    let (node, _folder) = node(&[]).await;
    let mut stream = connect(&node).await;
    stream.write_all(&request(&[("type", "delete-all")], &[])).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.windows(10).any(|bytes| bytes == b"delete-all"), "{answer:?}");
    let mut stream = connect(&node).await;
    stream.write_all(&[0xff; 8]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0_u8; 0]);
    node.stop().await;
}

#[tokio::test]
async fn a_flush_may_be_of_one_branch_or_of_what_is_due() {
    let (node, folder) = node(&[("max_creates_per_minute", "1")]).await;
    node.send(&["a.x 1 -1", "b.x 1 -1", "c.x 1 -1", "d.x 1 -1"]).await;
    let post = async |path: &str| {
        let answer = node.request("admin", &format!("POST {path}"), &[], b"").await;
        (answer.status, serde_json::from_slice::<serde_json::Value>(&answer.body).ok())
    };
    let (status, report) = post("/admin/flush?prefix=a.").await;
    assert_eq!((status, report.unwrap()["points_left"].as_u64()), (200, Some(3)));
    assert!(file_of(&folder, "a.x").exists() && !file_of(&folder, "b.x").exists());
    let (status, report) = post("/admin/flush?due=1").await;
    let report = report.unwrap();
    assert_eq!((status, &report["series"], &report["delayed"]), (200, &1.into(), &2.into()));
    assert_eq!(post("/admin/flush?due=1&prefix=a").await.0, 400);
    let (status, report) = post("/admin/flush").await;
    assert_eq!((status, report.unwrap()["points_left"].as_u64()), (200, Some(0)));
    node.stop().await;
}

#[tokio::test]
async fn the_admin_door_tells_ring_node_and_readiness() {
    let (config, folder) = (testkit::folder(), testkit::folder());
    let cluster = "[ring]\nhash = \"carbon_ch\"\n[[node]]\nname = \"n1\"\nhost = \"h\"\n";
    let cluster = file(&config, "cluster.toml", cluster);
    let with = [("cluster", &*cluster), ("self", "n1")];
    let node = try_start(folder.path(), &with).await.unwrap();
    let health = node.request("admin", "GET /health", &[], b"").await.json();
    assert_eq!(health["node"], "n1");
    let fingerprint = health["ring_fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(node.request("admin", "GET /ready", &[], b"").await.status, 200);
    node.send(&[format!("a 1 {NOW}")]).await;
    let query = format!("target=a&from={}&until={NOW}", NOW - 60);
    let meta = node.render(&query, wire::reply::Format::V3).await.meta.unwrap();
    assert_eq!(ring::Fingerprint::from_u64(meta.ring_fingerprint).to_string(), fingerprint);
    let metrics = node.request("admin", "GET /metrics", &[], b"").await;
    assert!(metrics.text().contains("\nplumbago_carbon_series 1\n"), "{}", metrics.text());
    node.stop().await;
}

#[tokio::test]
async fn the_nodes_own_numbers_become_series() {
    let folder = testkit::folder();
    let node = try_start(folder.path(), &[("self_metrics_interval", "5ms")]).await.unwrap();
    let path = "/metrics/find?query=carbon.agents.*.cache.size";
    testkit::wait_until_async("the series", testkit::PATIENCE, async || {
        let found = node.get(path).await.json();
        (found["metrics"][0]["matches"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_node_knows_its_series_so_a_restart_refuses_none_of_them() {
    let folder = testkit::folder();
    let settings = [("http", testkit::ANY_PORT), ("http_new_series_per_hour_max", "2")];
    let post = async |node: &Node, names: &[&str]| {
        let items: Vec<serde_json::Value> = names
            .iter()
            .map(|name| serde_json::json!({ "name": name, "value": 1, "tags": { "host": "a" } }))
            .collect();
        let body = serde_json::Value::from(items).to_string();
        let json = [("Content-Type", "application/json")];
        node.request("http", "POST /v1/measurements", &json, body.as_bytes()).await
    };
    let node = try_start(folder.path(), &settings).await.unwrap();
    let answer = post(&node, &["cpu", "mem", "one.too.many"]).await.json();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&2.into(), &1.into()));
    assert_eq!(answer["errors"][0]["reason"], "new_series_limit");
    assert_eq!(node.number("points_dropped_total", &["new_series_limit"]), 1.0);
    node.stop().await;

    let node = try_start(folder.path(), &settings).await.unwrap();
    for names in [["disk", "net"], ["cpu", "mem"]] {
        assert_eq!(post(&node, &names).await.json()["accepted"], 2, "{names:?}");
    }
    let full = post(&node, &["one.too.many"]).await;
    assert_eq!(full.status, 429, "{}", full.text());
    let found = node.get("/tags/findSeries?expr[]=host%3Da").await.json();
    assert_eq!(found.as_array().map(Vec::len), Some(4), "{found}");
    node.stop().await;
}
