//! Version, functions, health, info and paths that lead nowhere.

use serde_json::{Value, json};

use crate::fake::Kind;
use crate::server::Server;

#[tokio::test]
async fn a12_functions_are_typed_and_grafana_can_parse_them() {
    let server = Server::start().await;
    let answer = server.get("/functions").await;
    assert!(!answer.text().contains("Infinity"));
    let functions: Value = serde_json::from_str(&answer.text().replace("1e9999", "0")).unwrap();
    for (name, function) in functions.as_object().unwrap() {
        assert_eq!(function["name"], **name);
        let params = function["params"].as_array().unwrap();
        assert!(params.iter().all(|param| param["type"].is_string()), "{name}");
    }
    let alias = server.get("/functions/alias?pretty=1").await.json();
    assert_eq!(alias["group"], "Alias");
    let grouped = server.get("/functions?grouped=1&group=Alias").await.json();
    assert_eq!(grouped.as_object().unwrap().len(), 1);
    let pie = server.get("/functions?type=pie").await.json();
    assert_eq!(pie.as_object().unwrap().len(), 3);
    let missing = server.get("/functions/nosuch").await;
    let error: Value = serde_json::from_slice(&missing.body).unwrap();
    assert_eq!((missing.status, &error["error"]), (404, &json!("Function not found: nosuch")));
}

#[tokio::test]
async fn a13_the_version_is_one_that_has_tags_and_functions() {
    let server = Server::start().await;
    assert_eq!(server.get("/version/").await.text(), "1.1.10");
}

#[tokio::test]
async fn the_balancer_is_told_when_no_data_can_be_had() {
    assert_eq!(Server::with(Kind::Empty, &[]).await.get("/lb_check").await.text(), "Ok\n");
    Server::alone().await.get("/lb_check").await.refused(503, "not connected");
}

#[tokio::test]
async fn info_shows_retentions() {
    let server = Server::start().await;
    let answer = server.get("/info?target=toplevel&target=nosuch").await.json();
    let by_node = answer["info"].as_object().unwrap();
    let metrics = by_node.values().next().unwrap()["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 1);
    assert_eq!(metrics[0]["retentions"], json!([{ "secondsPerPoint": 60, "numberOfPoints": 60 }]));
    server.get("/info").await.refused(400, "target");
}

#[tokio::test]
async fn what_is_not_there_is_a_404_in_json() {
    let server = Server::start().await;
    for path in ["/nosuch", "/render/x", "/composer"] {
        let answer = server.get(path).await;
        let error: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &error["code"]), (404, &json!("not_found")), "{path}");
    }
}

#[tokio::test]
async fn queries_over_the_limit_are_refused_in_url_and_body() {
    let server = Server::with(Kind::Full, &[("query_bytes_max", "1KiB")]).await;
    let long = format!("target={}", "a".repeat(2000));
    server.get(&format!("/render?{long}")).await.refused(422, "query_bytes_max");
    server.post("/render", &long).await.refused(422, "query_bytes_max");
}

#[tokio::test]
async fn peers_are_told_what_is_spoken() {
    let server = Server::start().await;
    let answer = server.get("/_internal/capabilities?format=json").await.json();
    assert_eq!(answer["supportedProtocols"][0], "carbonapi_v3_pb");
    let answer = server.get("/_internal/capabilities/?format=carbonapi_v3_pb").await;
    assert_eq!(answer.header("content-type"), Some("application/x-carbonapi-v3-pb"));
}

#[tokio::test]
async fn the_page_and_what_it_loads_run_nothing_but_their_own_scripts() {
    let server = Server::start().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(server.get("/page/nosuch.js").await.status, 404);
}

#[tokio::test]
async fn the_health_of_the_cluster_is_told_whether_the_backend_answers_or_not() {
    let health = Server::with(Kind::Empty, &[]).await.get("/_internal/cluster").await.json();
    assert!(health["backend"]["answered_ms"].is_number() && health["backend"]["error"].is_null());
    let health = Server::alone().await.get("/_internal/cluster").await.json();
    assert!(health["backend"]["error"].as_str().unwrap().contains("not connected"), "{health}");
}
