//! A client against small servers on loopback.

use super::*;
use axum::Router;
use axum::body::Bytes as Body;
use axum::http::{HeaderMap, Uri};
use axum::routing::{any, get};
use daemon::clock::System;
use metric::{Consolidation, SeriesData, Window};
use prost::Message as _;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use wire::reply::Caps;

use crate::request::{FetchPlan, Target};

const WINDOW: Window = Window::new(60, 180);

async fn serve(router: Router) -> Client {
    let listener = daemon::listen::tcp("listen", testkit::ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shutdown = daemon::Shutdown::new();
    tokio::spawn(daemon::http::serve(listener, router, shutdown, daemon::http::Limits::default()));
    client(&address, ClientSettings::default())
}

fn client(address: &str, settings: ClientSettings) -> Client {
    Client::new(address.parse().unwrap(), settings, Arc::new(System::new()))
}

fn soon(client: &Client) -> Deadline {
    Deadline::after(client.clock(), testkit::PATIENCE)
}

fn fetch_of(pattern: &str) -> FetchRequest {
    let plan = FetchPlan { plan_id: 7, now: 180, ..FetchPlan::default() };
    FetchRequest { targets: vec![Target::new(pattern)], window: WINDOW, plan }
}

fn speaks(protocol: &'static str) -> Router {
    let answer = move || async move { protocol::assumed(protocol).encode_to_vec() };
    Router::new().route("/_internal/capabilities/", get(answer))
}

fn series() -> SeriesData {
    let mut series = SeriesData::new("a.b", 120, 60, vec![1.5, f64::NAN]);
    series.consolidation = Consolidation::Sum;
    series.path_expression = "a.*".to_owned();
    series
}

#[tokio::test]
async fn v3_carries_plan_and_deadline_in_a_get_and_is_asked_for_once() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let capabilities = move || async move {
        count.fetch_add(1, Relaxed);
        protocol::assumed("carbonapi_v3_pb").encode_to_vec()
    };
    let render = |headers: HeaderMap, body: Body| async move {
        let request = pb_v3::MultiFetchRequest::decode(body).unwrap();
        let plan = request.plan.unwrap();
        assert_eq!((plan.plan_id, plan.now), (7, 180));
        assert!(plan.deadline_unix_ms > 0);
        assert_eq!((request.metrics[0].start_time, request.metrics[0].stop_time), (60, 180));
        let left: u64 = headers[DEADLINE_HEADER].to_str().unwrap().parse().unwrap();
        assert!(left > 0 && left <= 20_000);
        let content_type = [(header::CONTENT_TYPE, Format::V3.content_type())];
        let meta = Some(Meta { partial: true, ..Meta::default() });
        (content_type, reply::encode_render(Format::V3, WINDOW, &[series()], meta))
    };
    let router = Router::new()
        .route("/_internal/capabilities/", get(capabilities))
        .route("/render/", get(render));
    let client = serve(router).await;
    for _ in 0..2 {
        let reply = client.fetch(&fetch_of("a.*"), &soon(&client)).await.unwrap();
        assert_eq!((reply.series[0].name.as_str(), reply.series[0].values[0]), ("a.b", 1.5));
        assert_eq!(reply.series[0].consolidation, Consolidation::Sum);
        assert!(reply.meta.unwrap().partial);
    }
    assert_eq!(asked.load(Relaxed), 1);
}

#[tokio::test]
async fn a_graphite_web_is_asked_with_a_form_and_read_as_it_says() {
    let render = |headers: HeaderMap, body: Body| async move {
        assert_eq!(headers[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
        let form = String::from_utf8(body.to_vec()).unwrap();
        assert!(form.starts_with("target=a.*&from=60&until=180&format=pickle"), "{form}");
        let content_type = [(header::CONTENT_TYPE, Format::Msgpack.content_type())];
        (content_type, reply::encode_render(Format::Msgpack, WINDOW, &[series()], None))
    };
    let client = serve(Router::new().route("/render/", axum::routing::post(render))).await;
    let reply = client.fetch(&fetch_of("a.*"), &soon(&client)).await.unwrap();
    assert_eq!(reply.series[0].path_expression, "a.*");
    assert!(reply.series[0].values[1].is_nan());
}

#[tokio::test]
async fn nothing_found_is_empty_and_a_refusal_keeps_its_first_line() {
    let refuse = || async { (StatusCode::UNPROCESSABLE_ENTITY, "too many series\nmore words\n") };
    let router = speaks("carbonapi_v3_pb").route("/metrics/find/", get(refuse));
    let client = serve(router).await;
    let reply = client.fetch(&fetch_of("a.*"), &soon(&client)).await.unwrap();
    assert_eq!(reply, FetchReply::default());
    let find = FindRequest { patterns: vec!["*".into()], window: None, plan: FetchPlan::default() };
    let error = client.find(&find, &soon(&client)).await.unwrap_err();
    let line = "too many series".to_owned();
    assert_eq!(error.kind, Kind::Status { code: 422, line });
    assert_eq!(error.to_string(), format!("{}: status 422: too many series", client.endpoint()));
    assert_eq!(client.json("/tags", &soon(&client)).await, Ok(serde_json::Value::Null));
}

#[tokio::test]
async fn an_old_server_is_asked_pattern_by_pattern() {
    let find = |uri: Uri| async move {
        let first = uri.query().unwrap().contains("query=a");
        let path = if first { "a" } else { "b" }.to_owned();
        let found = reply::FindMatch { path, is_leaf: false, intervals: Vec::new() };
        let found = FindReply { query: String::new(), matches: vec![found] };
        reply::encode_find(Format::V2, &[found], None)
    };
    let client = serve(speaks("carbonapi_v2_pb").route("/metrics/find/", get(find))).await;
    let patterns = vec!["a".to_owned(), "b".to_owned()];
    let find = FindRequest { patterns, window: Some(WINDOW), plan: FetchPlan::default() };
    let (replies, _) = client.find(&find, &soon(&client)).await.unwrap();
    let got: Vec<_> =
        replies.iter().map(|r| (r.query.as_str(), r.matches[0].path.as_str())).collect();
    assert_eq!(got, [("a", "a"), ("b", "b")]);
}

#[tokio::test]
async fn dead_hung_and_endless_servers_are_told_apart() {
    let dead = client(&testkit::closed_address(), ClientSettings::default());
    let error = dead.fetch(&fetch_of("a"), &soon(&dead)).await.unwrap_err();
    assert_eq!(error.kind.label(), "connect");

    let hung = any(|| async { std::future::pending::<()>().await });
    let hung = serve(speaks("carbonapi_v3_pb").route("/render/", hung)).await;
    let deadline = Deadline::after(hung.clock(), Duration::from_millis(30));
    assert_eq!(hung.fetch(&fetch_of("a"), &deadline).await.unwrap_err().kind, Kind::Timeout);

    let large = any(|| async { vec![0_u8; 100_000] });
    let large = serve(speaks("carbonapi_v3_pb").route("/render/", large)).await;
    let reply = Caps { bytes_max: 99_999, items_max: 10 };
    let settings = ClientSettings { reply, ..ClientSettings::default() };
    let large = client(&large.endpoint().to_string(), settings);
    let error = large.fetch(&fetch_of("a"), &soon(&large)).await.unwrap_err();
    assert_eq!(error.kind.to_string(), "reply of more than 99999 bytes");
}

#[tokio::test]
async fn an_unreadable_reply_makes_the_client_ask_for_the_protocol_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let capabilities = move || async move {
        let first = count.fetch_add(1, Relaxed) == 0;
        let name = if first { "carbonapi_v3_pb" } else { "carbonapi_v2_json" };
        protocol::assumed(name).encode_to_vec()
    };
    let render = |headers: HeaderMap| async move {
        match headers[header::ACCEPT].to_str().unwrap() {
            "application/json" => reply::encode_render(Format::Json, WINDOW, &[series()], None),
            _ => b"<html>".to_vec(),
        }
    };
    let router = Router::new()
        .route("/_internal/capabilities/", get(capabilities))
        .route("/render/", any(render));
    let client = serve(router).await;
    let error = client.fetch(&fetch_of("a.*"), &soon(&client)).await.unwrap_err();
    assert_eq!(error.kind.label(), "decode");
    let reply = client.fetch(&fetch_of("a.*"), &soon(&client)).await.unwrap();
    assert_eq!(reply.series[0].path_expression, "a.*");
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    use tokio::io::AsyncReadExt as _;
    let listener = daemon::listen::tcp("listen", testkit::ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let call = tokio::spawn(async move {
        let client = client(&address, ClientSettings::default());
        client.capabilities(&soon(&client)).await
    });
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut head = [0; 4];
    connection.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"GET ");
    call.abort();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(testkit::PATIENCE, connection.read_to_end(&mut rest)).await;
    end.expect("the connection is closed").unwrap();
}
