//! CarbonV2 over gRPC, asked by a client that knows no more than the protocol's text.

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tempfile::TempDir;
use testkit::ANY_PORT;
use tokio::net::TcpStream;
use wire::grpc;
use wire::pb_v2::{
    FetchRequest, FetchResponse, GlobRequest, GlobResponse, InfoRequest, InfoResponse,
    MultiFetchRequest,
};

use crate::harness::{NOW, Node, file, try_start};

/// What came back: messages, and the headers or trailers that say how it ended.
struct Reply {
    /// The status of HTTP.
    code: u16,
    messages: Vec<Vec<u8>>,
    end: HeaderMap,
}

impl Reply {
    fn status(&self) -> &str {
        self.end[grpc::STATUS_HEADER].to_str().unwrap()
    }

    fn line(&self) -> &str {
        self.end[grpc::MESSAGE_HEADER].to_str().unwrap()
    }

    fn decode<M: Message + Default>(&self) -> Vec<M> {
        assert_eq!(self.status(), "0");
        self.messages.iter().map(|bytes| M::decode(&**bytes).unwrap()).collect()
    }
}

async fn node(with: &[(&str, &str)]) -> (Node, TempDir) {
    let folder = testkit::folder();
    let with = [&[("grpc", ANY_PORT)], with].concat();
    (try_start(folder.path(), &with).await.unwrap(), folder)
}

/// Cuts a body into its messages.
fn messages(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
        messages.push(rest[..length].to_vec());
        body = &rest[length..];
    }
    assert!(body.is_empty());
    messages
}

async fn exchange(node: &Node, method: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
    let stream = TcpStream::connect(node.running.address("grpc").unwrap()).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://node/carbonapi_v2_grpc.CarbonV2/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let reply = client.send_request(request).await.unwrap();
    let (head, body) = reply.into_parts();
    let body = body.collect().await.unwrap();
    let end = body.trailers().cloned().unwrap_or(head.headers);
    let code = head.status.as_u16();
    let messages = match code {
        200 => messages(&body.to_bytes()),
        _ => Vec::new(),
    };
    Reply { code, messages, end }
}

async fn ask(node: &Node, method: &str, headers: &[(&str, &str)], message: impl Message) -> Reply {
    let mut body = Vec::new();
    grpc::push(&message.encode_to_vec(), &mut body);
    exchange(node, method, headers, body).await
}

fn fetch(names: &[&str]) -> MultiFetchRequest {
    let (start_time, stop_time) = ((NOW - 180) as i32, NOW as i32);
    let one = |name: &&str| FetchRequest { name: (*name).to_owned(), start_time, stop_time };
    MultiFetchRequest { metrics: names.iter().map(one).collect() }
}

#[tokio::test]
async fn a_render_is_a_stream_of_series() {
    let (node, _folder) = node(&[]).await;
    // More than one piece of reading.
    let names: Vec<String> = (0..600).map(|n| format!("a.s{n:03}")).collect();
    node.send(&names.iter().map(|name| format!("{name} 7 {}", NOW - 60)).collect::<Vec<_>>()).await;
    let series = ask(&node, "Render", &[], fetch(&["a.*", "a.s003"])).await;
    let series: Vec<FetchResponse> = series.decode();
    assert_eq!(series.len(), 601);
    assert!(series[..600].iter().map(|one| &one.name).eq(&names));
    let FetchResponse { start_time, step_time, values, is_absent, .. } = &series[600];
    let slot = ((NOW - 60 - i64::from(*start_time)) / i64::from(*step_time)) as usize;
    assert_eq!((values[slot], is_absent[slot]), (7.0, false));
    assert!(is_absent.iter().filter(|absent| !**absent).count() == 1, "the rest is absent");
    assert_eq!(node.number("read_requests_total", &["grpc_render", "200"]), 1.0);
    node.stop().await;
}

#[tokio::test]
async fn find_and_info_answer_in_one_message() {
    let (node, _folder) = node(&[]).await;
    node.send(&[format!("a.b.c 1 {NOW}"), format!("a.d 1 {NOW}")]).await;
    let found = ask(&node, "Find", &[], GlobRequest { query: "a.*".to_owned() }).await;
    let [found] = &found.decode::<GlobResponse>()[..] else { panic!("one message") };
    let matches = found.matches.iter().map(|one| (one.path.as_str(), one.is_leaf));
    assert_eq!(matches.collect::<Vec<_>>(), [("a.b", false), ("a.d", true)]);
    assert_eq!(found.name, "a.*");
    let info = ask(&node, "Info", &[], InfoRequest { name: "a.d".to_owned() }).await;
    let [info] = &info.decode::<InfoResponse>()[..] else { panic!("one message") };
    assert_eq!((info.name.as_str(), info.aggregation_method.as_str()), ("a.d", "average"));
    assert!(!info.retentions.is_empty());
    node.stop().await;
}

#[tokio::test]
async fn what_is_refused_says_so_with_a_status_and_a_line() {
    let (node, _folder) = node(&[("targets_max", "3"), ("request_bytes_max", "1KiB")]).await;
    node.send(&[format!("a 1 {NOW}")]).await;
    let many = ["a"; 4];
    let long = "x".repeat(2000);
    for (names, headers, status, part) in [
        (&["no"][..], vec![], "5", "no series matches"),
        (&many, vec![], "8", "targets_max"),
        (&[], vec![], "3", "no metric is given"),
        (&["seriesByTag('x')"], vec![], "3", "seriesByTag"),
        (&["a"], vec![("grpc-timeout", "1x")], "3", "grpc-timeout"),
        (&["a"], vec![("grpc-timeout", "0m")], "4", "deadline"),
        (&[&long], vec![], "8", "request_bytes_max"),
    ] {
        let reply = ask(&node, "Render", &headers, fetch(names)).await;
        assert_eq!(reply.status(), status, "{names:?}: {}", reply.line());
        assert!(reply.line().contains(part) && reply.messages.is_empty(), "{}", reply.line());
    }
    for (method, body, status) in [
        ("Render", b"\x01\0\0\0\0".to_vec(), "12"),
        ("Render", b"\0\0\0\0\x01".to_vec(), "3"),
        ("Find", b"\0\0\0\0\x02\xff\xff".to_vec(), "3"),
        ("List", b"\0\0\0\0\0".to_vec(), "12"),
    ] {
        assert_eq!(exchange(&node, method, &[], body).await.status(), status, "{method}");
    }
    let backwards = FetchRequest { name: "a".to_owned(), start_time: 9, stop_time: 8 };
    let backwards = MultiFetchRequest { metrics: vec![backwards] };
    assert_eq!(ask(&node, "Render", &[], backwards).await.status(), "3");
    assert_eq!(node.number("read_refused_total", &["targets_max"]), 1.0);
    node.stop().await;
}

#[tokio::test]
async fn a_reader_of_one_prefix_sees_its_names_only() {
    let config = testkit::folder();
    let text = "[[reader]]\nname = 'a'\ntoken = 'T'\nwithin = ['team.a.']\n";
    let readers = file(&config, "readers.toml", text);
    let (node, _folder) = node(&[("readers", &readers)]).await;
    node.send(&[format!("team.a.x 1 {NOW}"), format!("team.b.x 1 {NOW}")]).await;
    let token = [("authorization", "Bearer T")];
    let found = ask(&node, "Find", &token, GlobRequest { query: "team.*.*".to_owned() }).await;
    assert_eq!(found.decode::<GlobResponse>()[0].matches.len(), 1);
    let series = ask(&node, "Render", &token, fetch(&["team.*.x"])).await;
    assert_eq!(series.decode::<FetchResponse>()[0].name, "team.a.x");
    let hidden = ask(&node, "Info", &token, InfoRequest { name: "team.b.x".to_owned() }).await;
    assert_eq!(hidden.status(), "5");
    // Clients of gRPC take it for UNAUTHENTICATED.
    let refused = ask(&node, "Info", &[], InfoRequest { name: "team.a.x".to_owned() }).await;
    assert_eq!((refused.code, refused.messages.len()), (401, 0));
    node.stop().await;
}
