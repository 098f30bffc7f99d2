//! Points by HTTP: every payload, every packing, every refusal.

use std::io::Write;
use std::time::Duration;

use crate::fixture::{Fixture, NOW};
use testkit::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends one request and gives the whole answer.
pub(crate) async fn exchange(
    fixture: &Fixture,
    request: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let mut stream = TcpStream::connect(fixture.http()).await.unwrap();
    let mut head = format!("{request}Host: a\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // A refusal may come, and the connection go, before the body is written.
    drop(stream.write_all(body).await);
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8(answer).unwrap()
}

/// Posts a body; gives status and answer.
async fn post(
    fixture: &Fixture,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, String) {
    let request = format!("POST {path} HTTP/1.1\r\n");
    let answer = exchange(fixture, &request, headers, body).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

fn json_of(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
async fn measurements_are_taken_one_by_one_and_the_answer_says_which_were_not() {
    let fixture = Fixture::start_http(&[]);
    let body = br#"{"tags": {"dc": "eu"}, "measurements": [
        {"name": "cpu..idle", "value": 98.5, "time": 1699999990, "tags": {"host": "web1"}},
        {"name": "a b", "value": 1}, {"name": "mem", "value": "many"}, {"name": "mem", "value": 3}]}"#;
    let (status, answer) = post(&fixture, "/v1/measurements", &[JSON], body).await;
    assert_eq!(status, 200, "{answer}");
    let answer = json_of(&answer);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&2.into(), &2.into()));
    let errors = &answer["errors"];
    assert_eq!(
        (&errors[0]["item"], &errors[0]["reason"]),
        (&1.into(), &"invalid_char".into()),
        "{errors}"
    );
    assert_eq!((&errors[1]["item"], &errors[1]["reason"]), (&2.into(), &"bad_value".into()));
    let wanted = [
        ("cpu.idle;dc=eu;host=web1".to_owned(), 98.5, 1_699_999_990),
        ("mem;dc=eu".to_owned(), 3.0, NOW as u32),
    ];
    assert_eq!(fixture.taken(), wanted);
    assert_eq!((fixture.received(), fixture.refused("bad_value")), (4.0, 1.0));
}

#[tokio::test]
async fn every_payload_is_known_by_its_type_and_its_path() {
    let lines = b"a 1 1699999990\r\n\nb 2 -1".to_vec();
    let pickle = b"(lp0\n(S'a'\n(I1699999990\nI1\nttp1\na(S'b'\n(I-1\nI2\nttp2\na.".to_vec();
    let json = br#"[{"name":"a","value":1,"time":1699999990},{"metric":"b","value":2}]"#.to_vec();
    let protobuf = [payload(b"a", 1_699_999_990, 1.0), payload(b"b", NOW as u64, 2.0)].concat();
    let remote =
        [series(b"a", 1_699_999_990_500, 1.0), series(b"b", NOW as u64 * 1000, 2.0)].concat();
    for (path, kind, body) in [
        ("/", "", &lines),
        ("/", "text/plain; charset=utf-8", &lines),
        ("/", "application/x-www-form-urlencoded", &lines),
        ("/", "application/json", &json),
        ("/v1/measurements", "application/json", &json),
        ("/v1/measurements", "", &json),
        ("/", "application/python-pickle", &pickle),
        ("/", "application/x-protobuf", &protobuf),
        ("/api/v1/write", "application/x-protobuf", &remote),
    ] {
        let fixture = Fixture::start_http(&[]);
        let header = [("Content-Type", kind)];
        let headers = if kind.is_empty() { &[][..] } else { &header };
        let (status, answer) = post(&fixture, path, headers, body).await;
        assert_eq!(status, 200, "{path} {kind}: {answer}");
        let wanted = [("a".to_owned(), 1.0, 1_699_999_990), ("b".to_owned(), 2.0, NOW as u32)];
        assert_eq!(fixture.taken(), wanted, "{path} {kind}");
    }
}

/// One metric of carbonpb.
fn payload(name: &[u8], seconds: u64, value: f64) -> Vec<u8> {
    let point = message(2, &[varint(1, seconds), double(2, value)]);
    message(1, &[bytes(1, name), point])
}

/// One series of remote write.
fn series(name: &[u8], milliseconds: u64, value: f64) -> Vec<u8> {
    let label = message(1, &[bytes(1, b"__name__"), bytes(2, name)]);
    message(1, &[label, message(2, &[double(1, value), varint(2, milliseconds)])])
}

fn message(tag: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(tag, &fields.concat())
}

fn bytes(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

fn double(tag: u8, value: f64) -> Vec<u8> {
    [&[tag << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn varint(tag: u8, mut value: u64) -> Vec<u8> {
    let mut out = vec![tag << 3];
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn every_packing_is_unpacked() {
    let lines = "a 1 1699999990\n".repeat(1000);
    let snappy = snap::raw::Encoder::new().compress_vec(lines.as_bytes()).unwrap();
    for (packing, body) in [
        ("gzip", gzip(lines.as_bytes())),
        ("zstd", zstd::encode_all(lines.as_bytes(), 1).unwrap()),
        ("snappy", snappy),
        ("identity", lines.clone().into_bytes()),
    ] {
        let fixture = Fixture::start_http(&[]);
        let (status, answer) = post(&fixture, "/", &[("Content-Encoding", packing)], &body).await;
        assert_eq!(status, 200, "{packing}: {answer}");
        assert_eq!(fixture.taken().len(), 1000, "{packing}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_has_its_status_and_takes_nothing() {
    let long = "a 1 1699999990\n".repeat(5000);
    let proto = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    type Row<'r> = (&'r str, &'r [(&'r str, &'r str)], &'r [u8], u16);
    let rows: &[Row<'_>] = &[
        ("/", &[("Content-Type", "image/png")], b"x", 415),
        ("/v1/measurements", &[("Content-Type", "text/plain")], b"a 1 1", 415),
        ("/api/v1/write", &[("Content-Type", proto)], b"", 415),
        ("/", &[("Content-Encoding", "br")], b"a 1 1699999990\n", 415),
        ("/", &[], long.as_bytes(), 413),
        ("/", &[("Content-Encoding", "gzip")], &gzip(long.as_bytes()), 413),
        ("/", &[("Content-Encoding", "gzip")], b"a 1 1699999990\n", 400),
        ("/", &[], &"a 1 1699999990\n".repeat(1001).into_bytes(), 413),
        ("/", &[JSON], b"{\"measurements\": 5}", 400),
        ("/", &[JSON], b"[{\"name\": \"a\", \"value\": \"x\"}]", 400),
        ("/", &[("Content-Type", "application/pickle")], b"cos\nsystem\n(S'true'\ntR.", 400),
        ("/api/v1/write", &[], b"\x0a\xff\xff\xff\xff\x0f", 400),
        ("/", &[("Authorization", "Bearer unknown")], b"a 1 1699999990\n", 200),
        ("/nowhere", &[], b"a 1 1699999990\n", 404),
    ];
    for (path, headers, body, wanted) in rows {
        let limits = [("http_body_bytes_max", "60KiB"), ("http_points_max", "1000")];
        let fixture = Fixture::start_http(&limits);
        let (status, answer) = post(&fixture, path, headers, body).await;
        assert_eq!(status, *wanted, "{path} {headers:?}: {answer}");
        assert_eq!(fixture.taken().is_empty(), *wanted != 200, "{path} {headers:?}");
    }
    let fixture = Fixture::start_http(&[]);
    let answer = exchange(&fixture, "GET /v1/measurements HTTP/1.1\r\n", &[], b"").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let answer = exchange(&fixture, "GET / HTTP/1.1\r\n", &[], b"").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn ten_seconds_of_requests_are_one_burst_and_ten_seconds_worth() {
    let fixture = Fixture::start_http(&[("http_requests_per_second_max", "3")]);
    let mut taken = 0;
    for _second in 0..=10 {
        for _try in 0..5 {
            let (status, answer) = post(&fixture, "/", &[], b"a 1 1699999990\n").await;
            match status {
                200 => taken += 1,
                429 => {
                    assert!(answer.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{answer}")
                }
                _ => panic!("{answer}"),
            }
        }
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(taken, 3 + 10 * 3);
}

#[tokio::test]
async fn points_beyond_the_limit_are_refused_with_their_whole_request() {
    let fixture = Fixture::start_http(&[("http_points_per_second_max", "10")]);
    let six = "a 1 1699999990\n".repeat(6);
    assert_eq!(post(&fixture, "/", &[], six.as_bytes()).await.0, 200);
    assert_eq!(post(&fixture, "/", &[], six.as_bytes()).await.0, 429);
    assert_eq!((fixture.taken().len(), fixture.received()), (6, 6.0));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(post(&fixture, "/", &[], six.as_bytes()).await.0, 200);
}

#[tokio::test]
async fn new_series_beyond_the_limit_are_rejected_and_old_ones_never() {
    let fixture = Fixture::start_http(&[("http_new_series_per_hour_max", "2")]);
    let lines = |names: &[&str]| {
        names.iter().map(|name| format!("{name} 1 1699999990\n")).collect::<String>()
    };
    let send = async |names: &[&str]| post(&fixture, "/", &[], lines(names).as_bytes()).await;
    // In the first hour names are learnt: this sink cannot say which exist.
    assert_eq!(send(&["old.1", "old.2", "old.3"]).await.0, 200);
    fixture.clock.advance(Duration::from_secs(3600));
    let (status, answer) = send(&["old.1", "new.1", "new.2", "new.3", "old.3"]).await;
    let answer = json_of(&answer);
    assert_eq!(status, 200);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&4.into(), &1.into()));
    assert_eq!(answer["errors"][0]["reason"], "new_series_limit");
    assert_eq!(answer["errors"][0]["item"], 3);
    let (status, answer) = send(&["new.4"]).await;
    assert_eq!(status, 429, "{answer}");
    assert!(answer.to_lowercase().contains("\r\nretry-after: 1800\r\n"), "{answer}");
    assert_eq!(send(&["new.1", "old.2"]).await.0, 200);
    fixture.clock.advance(Duration::from_secs(1800));
    assert_eq!(send(&["new.4"]).await.0, 200);
}

#[tokio::test]
async fn each_tenant_has_limits_of_its_own_and_strangers_are_turned_away() {
    let fixture = Fixture::start_with(&[("http", testkit::ANY_PORT)], |settings| {
        let everybody = settings.tenants[0].clone();
        settings.tenants = ["small", "large"]
            .map(|name| plumbago_ingest::settings::TenantSettings {
                name: name.to_owned(),
                token: Some(format!("token-of-{name}")),
                requests_per_second_max: if name == "small" { 1 } else { 0 },
                ..everybody.clone()
            })
            .to_vec();
    });
    let send = async |token: &str| {
        let header = format!("Bearer {token}");
        post(&fixture, "/", &[("Authorization", &header)], b"a 1 1699999990\n").await.0
    };
    assert_eq!([send("token-of-small").await, send("token-of-small").await], [200, 429]);
    assert_eq!([send("token-of-large").await, send("token-of-large").await], [200, 200]);
    assert_eq!(send("other").await, 401);
    assert_eq!(post(&fixture, "/", &[], b"a 1 1699999990\n").await.0, 401);
    let requests = |tenant: &str, status: &str| {
        fixture.context.metrics.value("plumbago_ingest_http_requests_total", &[tenant, status])
    };
    assert_eq!((requests("small", "429"), requests("large", "200")), (Some(1.0), Some(2.0)));
}

#[tokio::test]
async fn the_answer_waits_for_the_commit() {
    let fixture = Fixture::start_http(&[]);
    fixture.cannot_commit();
    let mut stream = TcpStream::connect(fixture.http()).await.unwrap();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\na 1 1699999990\n";
    stream.write_all(request).await.unwrap();
    fixture.wait_for_received(1.0).await;
    let mut byte = [0];
    let early = timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
    assert!(early.is_err(), "answered before it was committed");
}
