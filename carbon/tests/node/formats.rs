//! Every format says the same, however it is asked for.

use metric::{Consolidation, SeriesData};
use prost::Message;
use wire::pb_v3::{
    CapabilityResponse, FetchRequest, ListMetricsResponse, MetricDetailsResponse,
    MultiFetchRequest, MultiGlobRequest, MultiMetricsInfoRequest, Plan,
};
use wire::reply::{Format, decode_find, decode_info, decode_render};

use crate::harness::{CAPS, NOW, Node, node};

const FORMATS: [Format; 5] =
    [Format::Json, Format::Pickle, Format::Msgpack, Format::V2, Format::V3];

const V3_ACCEPT: (&str, &str) = ("Accept", "application/x-carbonapi-v3-pb");

async fn filled() -> (Node, tempfile::TempDir) {
    let (node, folder) = node(&[]).await;
    let series = ["a.b", "a.b.c", "a.d"];
    let lines = series.iter().zip([1.5, -2.0, 1e300]);
    let lines: Vec<String> = lines.map(|(name, v)| format!("{name} {v} {NOW}")).collect();
    node.send(&lines).await;
    (node, folder)
}

/// What every format can say of a series; a value that is not known is none.
fn common(series: &SeriesData) -> (String, i64, i64, i64, Vec<Option<u64>>) {
    let bits = |value: &f64| (!value.is_nan()).then(|| value.to_bits());
    let values = series.values.iter().map(bits).collect();
    (series.name.clone(), series.start, series.stop, series.step, values)
}

#[tokio::test]
async fn every_format_of_render_decodes_to_the_same_data() {
    let (node, _folder) = filled().await;
    let query = format!("target=a.{{b,d}}&from={}&until={NOW}", NOW - 600);
    let expected: Vec<_> = {
        let series = node.render(&query, Format::V3).await.series;
        assert_eq!(series[0].path_expression, "a.{b,d}");
        assert_eq!(series[0].consolidation, Consolidation::Average);
        series.iter().map(common).collect()
    };
    assert_eq!(expected.len(), 2);
    for format in FORMATS {
        let reply = node.render(&query, format).await;
        assert_eq!(reply.series.iter().map(common).collect::<Vec<_>>(), expected, "{format:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn every_format_of_find_and_info_decodes_to_the_same_data() {
    let (node, _folder) = filled().await;
    for format in FORMATS {
        let answer = node.get(&format!("/metrics/find/?query=a.*&format={}", format.name())).await;
        let (replies, _) = decode_find(format, &answer.body, CAPS).unwrap();
        let found: Vec<(&str, bool)> =
            replies[0].matches.iter().map(|found| (&*found.path, found.is_leaf)).collect();
        assert_eq!(found, [("a.b", true), ("a.b", false), ("a.d", true)], "{format:?}");
        let answer = node.get(&format!("/info/?target=a.b&format={}", format.name())).await;
        match decode_info(format, &answer.body, CAPS) {
            Ok(infos) => {
                assert_eq!((&*infos[0].name, infos[0].max_retention_s), ("a.b", 604_800));
                assert_eq!(infos[0].retentions[0].points, 10_080);
            }
            Err(_) => {
                assert!(matches!(format, Format::Pickle | Format::Msgpack), "{format:?}");
                assert_eq!(answer.status, 400);
            }
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn nothing_found_is_an_empty_answer_in_every_format() {
    let (node, _folder) = filled().await;
    for format in FORMATS {
        let name = format.name();
        let found = node.get(&format!("/metrics/find?query=x.*&format={name}")).await;
        let (replies, _) = decode_find(format, &found.body, CAPS).unwrap();
        let count: usize = replies.iter().map(|reply| reply.matches.len()).sum();
        assert_eq!((found.status, count), (200, 0), "{format:?}");
        let query = format!("target=x.*&from={}&until={NOW}", NOW - 60);
        assert_eq!(node.render(&query, format).await.series, [], "{format:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn carbonapi_asks_with_a_protobuf_body_in_get_and_post() {
    let (node, _folder) = filled().await;
    let fetch = |name: &str, from: i64| FetchRequest {
        name: name.to_owned(),
        path_expression: name.to_owned(),
        start_time: from,
        stop_time: NOW,
        ..FetchRequest::default()
    };
    // Two windows in one request, and a plan that says what time it is.
    let plan = Some(Plan { plan_id: 1, now: NOW, ..Plan::default() });
    let metrics = vec![fetch("a.b", NOW - 600), fetch("a.*", NOW - 1200)];
    let body = MultiFetchRequest { metrics, plan }.encode_to_vec();
    for request in ["GET /render/?format=json", "POST /render"] {
        let answer = node.request("read", request, &[V3_ACCEPT], &body).await;
        let reply = decode_render(Format::V3, &answer.body, CAPS).unwrap();
        let shapes: Vec<(&str, &str, usize)> = reply
            .series
            .iter()
            .map(|series| (&*series.name, &*series.path_expression, series.values.len()))
            .collect();
        assert_eq!(shapes, [("a.b", "a.b", 10), ("a.b", "a.*", 20), ("a.d", "a.*", 20)]);
        assert_eq!(reply.meta.unwrap().nodes_answered, 1);
    }
    let metrics = vec!["a.b".to_owned(), "a.b.*".to_owned()];
    let body = MultiGlobRequest { metrics, ..MultiGlobRequest::default() }.encode_to_vec();
    let answer = node.request("read", "GET /metrics/find/", &[V3_ACCEPT], &body).await;
    let (replies, meta) = decode_find(Format::V3, &answer.body, CAPS).unwrap();
    let queries: Vec<(&str, usize)> =
        replies.iter().map(|reply| (&*reply.query, reply.matches.len())).collect();
    assert_eq!((queries, meta.is_some()), (vec![("a.b", 2), ("a.b.*", 1)], true));
    let body = MultiMetricsInfoRequest { names: vec!["a.d".to_owned(), "x".to_owned()] };
    let answer = node.request("read", "GET /info/", &[V3_ACCEPT], &body.encode_to_vec()).await;
    assert_eq!(decode_info(Format::V3, &answer.body, CAPS).unwrap().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn a_form_is_read_as_the_url_is() {
    let (node, _folder) = filled().await;
    let form = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    let body = format!("target=a.b&target[]=a.d&from={}&until={NOW}&format=msgpack", NOW - 60);
    let answer = node.request("read", "POST /render/", &[form], body.as_bytes()).await;
    let reply = decode_render(Format::Msgpack, &answer.body, CAPS).unwrap();
    assert_eq!(reply.series.len(), 2);
    node.stop().await;
}

#[tokio::test]
async fn an_answer_of_many_megabytes_comes_in_pieces_and_whole() {
    let (node, _folder) = node(&[]).await;
    let lines: Vec<String> = (0..600).map(|n| format!("a.s{n:03} {n} {NOW}")).collect();
    node.send(&lines).await;
    let query = format!("target=a.*&from={}&until={NOW}", NOW - 86_400);
    for format in [Format::V3, Format::Json, Format::Pickle, Format::Msgpack] {
        let reply = node.render(&query, format).await;
        let lasts: Vec<f64> =
            reply.series.iter().map(|series| *series.values.last().unwrap()).collect();
        assert_eq!(lasts, (0..600).map(f64::from).collect::<Vec<_>>(), "{format:?}");
    }
    let labels = ["render", "200"];
    assert_eq!(node.number("read_requests_total", &labels), 4.0);
    assert_eq!(node.number("points_read_total", &[]), 4.0 * 600.0 * 1440.0);
    node.stop().await;
}

#[tokio::test]
async fn lists_details_and_capabilities_are_go_carbons() {
    let (node, _folder) = filled().await;
    node.flush().await;
    let names = serde_json::json!(["a.b", "a.b.c", "a.d"]);
    assert_eq!(node.get("/metrics/list/?format=json").await.json()["Metrics"], names);
    assert_eq!(node.get("/metrics/index.json").await.json(), names);
    let list = node.get("/metrics/list?format=carbonapi_v2_pb").await;
    assert_eq!(ListMetricsResponse::decode(&*list.body).unwrap().metrics.len(), 3);
    let details = node.get("/metrics/details/").await.json();
    assert_eq!(details["Metrics"][0]["Name"], "a.b");
    assert_eq!(details["Metrics"][0]["Size"], 28 + 12 * 10_080);
    assert!(details["TotalSpace"].as_u64().unwrap() >= details["FreeSpace"].as_u64().unwrap());
    let details = node.get("/metrics/details/?format=carbonapi_v3_pb").await;
    let details = MetricDetailsResponse::decode(&*details.body).unwrap();
    assert!(details.metrics["a.d"].real_size > 0);
    let answer = node.request("read", "GET /_internal/capabilities/", &[V3_ACCEPT], b"").await;
    let capabilities = CapabilityResponse::decode(&*answer.body).unwrap();
    assert_eq!(capabilities.supported_protocols[0], "carbonapi_v3_pb");
    let old = node.get("/_internal/capabilities/?format=protobuf").await;
    assert_eq!((old.status, old.body.len()), (200, 0));
    assert_eq!(node.get("/robots.txt").await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn names_that_were_found_for_a_pattern_are_answered_under_the_pattern() {
    let (node, _folder) = filled().await;
    let fetch = |name: &str, expression: &str| FetchRequest {
        name: name.to_owned(),
        path_expression: expression.to_owned(),
        start_time: NOW - 60,
        stop_time: NOW,
        ..FetchRequest::default()
    };
    let metrics = vec![fetch("a.b", "a.*"), fetch("a.d", "a.*"), fetch("a.b.c", "")];
    let body = MultiFetchRequest { metrics, plan: None }.encode_to_vec();
    let answer = node.request("read", "GET /render/", &[V3_ACCEPT], &body).await;
    let reply = decode_render(Format::V3, &answer.body, CAPS).unwrap();
    let told: Vec<_> = reply.series.iter().map(|s| (&*s.name, &*s.path_expression)).collect();
    assert_eq!(told, [("a.b", "a.*"), ("a.d", "a.*"), ("a.b.c", "a.b.c")]);
    node.stop().await;
}
