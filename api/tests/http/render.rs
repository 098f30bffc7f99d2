//! `/render`: what Grafana sends, what it reads, and how requests are refused.

use prost::Message as _;
use serde_json::{Value, json};
use wire::reply::{Caps, Format, decode_render};

use crate::fake::Kind;
use crate::server::Server;

const RANGE: &str = "from=1790006100&until=1790006400&format=json";

fn targets(answer: &Value) -> Vec<&str> {
    answer.as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a1_the_health_checks_of_both_modes_are_green_on_an_empty_store() {
    let server = Server::with(Kind::Empty, &[]).await;
    let form = "target=constantLine(100)&from=-1h&until=now&format=json&maxDataPoints=100";
    let answer = server.post("/render", form).await.json();
    assert_eq!(targets(&answer), ["100.0"]);
    assert_eq!(server.get("/metrics/find?query=*").await.text(), "[]");
    assert_eq!(server.get("/render?target=a.*&format=json").await.text(), "[]");
}

#[tokio::test]
async fn a2_a3_thirty_targets_come_in_order_by_post_and_by_get() {
    let server = Server::start().await;
    let wanted: Vec<_> = (0..30).map(|n| format!("target=alias(toplevel,%22{n}%22)")).collect();
    let form = format!("{}&{RANGE}&maxDataPoints=1200", wanted.join("&"));
    let names: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(targets(&server.post("/render", &form).await.json()), names);
    assert_eq!(targets(&server.get(&format!("/render?{form}")).await.json()), names);
}

#[tokio::test]
async fn a4_target_with_brackets_and_paths_with_slashes_to_spare() {
    let server = Server::start().await;
    for path in ["/render", "/render/", "//render//"] {
        let answer = server.get(&format!("{path}?target[]=toplevel&{RANGE}")).await.json();
        assert_eq!(targets(&answer), ["toplevel"], "{path}");
    }
}

#[tokio::test]
async fn a5_grafana_finds_its_reference_behind_an_alias_with_blanks() {
    let server = Server::start().await;
    let target = "target=aliasSub(alias(toplevel,%22a+100%25+b%22),%22(^.*$)%22,%22%5C1+A%22)";
    let answer = server.get(&format!("/render?{target}&{RANGE}")).await.json();
    assert_eq!(targets(&answer), ["a 100% b A"]);
}

#[tokio::test]
async fn the_json_is_graphite_s_to_the_byte() {
    let server = Server::start().await;
    let answer = server
        .get("/render?target=toplevel&from=1790006280&until=1790006400&format=json&jsonp=cb")
        .await;
    let expected = r#"cb([{"target": "toplevel", "tags": {"name": "toplevel"}, "datapoints": [[0.0, 1790006340], [1.0, 1790006400]]}])"#;
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), Some("text/javascript"));
    assert_eq!(answer.header("x-query-range"), Some("from=1790006280, until=1790006400"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a15_series_of_nulls_stay_unless_no_null_points_drops_them() {
    let server = Server::start().await;
    let url = format!("/render?target=gaps.*&{RANGE}");
    let answer = server.get(&url).await.json();
    assert_eq!(targets(&answer), ["gaps.half", "gaps.none"]);
    assert_eq!(answer[1]["datapoints"][0], json!([null, 1_790_006_160]));
    let answer = server.get(&format!("{url}&noNullPoints=true")).await.json();
    assert_eq!(targets(&answer), ["gaps.half"]);
    assert_eq!(answer[0]["datapoints"][0], json!([1.0, 1_790_006_220]));
}

#[tokio::test]
async fn a16_refusals_are_one_line_of_text() {
    let server = Server::with(Kind::Full, &[("targets_max", "2"), ("reply_series_max", "3")]).await;
    for (query, status, part) in [
        ("target=nosuch(a)", 400, "nosuch"),
        ("target=scale(a", 400, "position"),
        ("target=a&from=monday-garbage", 400, "from"),
        ("target=a&from=5&until=5", 400, "empty"),
        ("target=grep(toplevel,%22(%22)", 400, "grep"),
        ("target=a&target=b&target=c", 422, "targets_max exceeded: asked 3, allowed 2"),
        ("target=*.**", 422, "reply_series_max"),
        ("target=a&format=bmp", 400, "png, svg, pdf"),
        ("target=a&maxDataPoints=-5", 400, "maxDataPoints"),
        ("target=a&jsonp=alert(1)", 400, "jsonp"),
        ("target=a&cacheTimeout=x", 400, "cacheTimeout"),
    ] {
        let answer = server.get(&format!("/render?{query}")).await;
        answer.refused(status, part);
    }
    Server::alone().await.get("/render?target=a").await.refused(503, "not connected");
}

#[tokio::test]
async fn refusals_are_json_for_those_who_prefer_it() {
    let server = Server::start().await;
    let head = "Accept: application/json, text/plain\r\n";
    let answer = server.ask("GET", "/render?target=scale(a", head, b"").await;
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &json["code"]), (400, &json!("parse")));
    assert!(json["position"].is_u64() && json["message"].is_string(), "{json}");
}

#[tokio::test]
async fn a17_any_unicode_and_control_bytes_make_valid_json() {
    let server = Server::start().await;
    let answer = server.get(&format!("/render?target=odd.*.x&{RANGE}")).await.json();
    assert_eq!(targets(&answer), ["odd.pct%20.x", "odd.ü😀\u{1}.x"]);
}

#[tokio::test]
async fn a18_infinities_are_null() {
    let server = Server::start().await;
    let answer = server.get(&format!("/render?target=odd.inf&{RANGE}")).await;
    assert!(answer.text().contains("[[null, 1790006160], [null, 1790006220]"));
}

#[tokio::test]
async fn a19_meta_wraps_from_the_body_and_from_the_url() {
    let server = Server::start().await;
    for answer in [
        server.post("/render", &format!("target=toplevel&{RANGE}&meta=true")).await,
        server.post("/render?meta=true", &format!("target=toplevel&{RANGE}")).await,
    ] {
        let answer = answer.json();
        assert_eq!(answer["version"], "v0.1");
        assert_eq!(answer["meta"]["stats"]["executeplan.series-fetch.count"], 1);
        assert_eq!(answer["series"][0]["meta"][0]["archive-interval"], 60);
    }
}

#[tokio::test]
async fn a20_gzip_and_zstd_are_sent_where_they_are_taken() {
    let server = Server::start().await;
    let url = "/render?target=servers.*.cpu.*&from=-1h&format=json";
    let plain = server.get(url).await;
    let packed = server.ask("GET", url, "Accept-Encoding: zstd;q=0.1, gzip\r\n", b"").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.gunzipped(), plain.text());
    assert!(packed.body.len() < plain.body.len());
    let zstd = server.ask("GET", url, "Accept-Encoding: zstd\r\n", b"").await;
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert!(zstd.body.len() < plain.body.len());
    assert_eq!(zstd::decode_all(zstd.body.as_slice()).unwrap(), plain.body);
}

#[tokio::test]
async fn a24_a25_intervals_of_milliseconds_work_and_lost_references_are_named() {
    let server = Server::start().await;
    let target = "summarize(toplevel,'200ms','sum')";
    let answer = server.get(&format!("/render?target={target}&{RANGE}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = server.get(&format!("/render?target=sumSeries(%23B)&{RANGE}")).await;
    answer.refused(400, "#B");
}

#[tokio::test]
async fn a27_a_query_for_too_many_series_names_the_limit() {
    let server = Server::with(Kind::Full, &[("series_max", "4"), ("points_max", "1000")]).await;
    server.get("/render?target=*.*.*.*").await.refused(422, "points_max");
    server.get(&format!("/render?target=*.**&{RANGE}")).await.refused(422, "series_max");
}

#[tokio::test]
async fn a29_head_and_options_answer() {
    let server = Server::start().await;
    let head = server.ask("HEAD", "/render?target=toplevel&format=json", "", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let asked = "Access-Control-Request-Headers: x-dashboard-id\r\n";
    let options = server.ask("OPTIONS", "/render", asked, b"").await;
    assert_eq!((options.status, options.body.len()), (204, 0));
    assert_eq!(options.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(options.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn what_is_partial_says_so_or_is_refused() {
    let server = Server::with(Kind::Partial, &[]).await;
    let url = format!("/render?target=toplevel&{RANGE}");
    let answer = server.get(&url).await;
    assert_eq!(answer.header("x-plumbago-partial"), Some("node-2: no answer"));
    assert_eq!(targets(&answer.json()), ["toplevel"]);
    server.get(&format!("{url}&partial=deny")).await.refused(503, "node-2");
}

#[tokio::test]
async fn a_backend_that_hangs_is_given_up_by_the_deadline() {
    let server = Server::with(Kind::Hung, &[("request_timeout", "150ms")]).await;
    server.get("/render?target=toplevel").await.refused(503, "no answer by the deadline");
    assert_eq!(server.get("/render?target=constantLine(1)").await.status, 200);
}

#[tokio::test]
async fn a_peer_asks_with_a_message_and_gets_all_its_patterns() {
    let server = Server::start().await;
    let fetch = |name: &str| wire::pb_v3::FetchRequest {
        name: name.to_owned(),
        start_time: 1_790_006_280,
        stop_time: 1_790_006_400,
        ..Default::default()
    };
    let metrics = vec![fetch("toplevel"), fetch("servers.web2.*.*")];
    let message = wire::pb_v3::MultiFetchRequest { metrics, plan: None }.encode_to_vec();
    let head = "Content-Type: application/x-carbonapi-v3-pb\r\n";
    let path = "/render/?format=carbonapi_v3_pb";
    let answer = server.ask("GET", path, head, &message).await;
    let caps = Caps { bytes_max: 1 << 20, items_max: 100 };
    let reply = decode_render(Format::V3, &answer.body, caps).unwrap();
    let names: Vec<_> = reply.series.iter().map(|one| one.path_expression.as_str()).collect();
    assert_eq!(names, ["toplevel", "servers.web2.*.*"]);
    server.ask("POST", path, head, b"\xff\xff").await.refused(400, "body");
}

#[tokio::test]
async fn windows_of_one_request_are_fetched_apart_and_templates_are_filled() {
    let server = Server::start().await;
    let form = format!(
        "target=timeShift(toplevel,%221h%22)&target=toplevel\
         &target=template(alias(top$x,$y))&template[x]=level&template[y]=seen&{RANGE}"
    );
    let answer = server.post("/render", &form).await.json();
    assert_eq!(targets(&answer), ["timeShift(toplevel, \"-1h\")", "toplevel", "seen"]);
}

#[tokio::test]
async fn a28_the_points_of_an_alert_are_left_alone_and_fewer_are_merged() {
    let server = Server::start().await;
    let url = "/render?target=toplevel&from=-1h&format=json&maxDataPoints=";
    let points = |answer: Value| answer[0]["datapoints"].as_array().unwrap().len();
    assert_eq!(points(server.get(&format!("{url}43200")).await.json()), 60);
    assert_eq!(points(server.get(&format!("{url}1")).await.json()), 1);
    assert_eq!(points(server.get(&format!("{url}0")).await.json()), 60);
    assert!(points(server.get(&format!("{url}7")).await.json()) <= 8);
}
