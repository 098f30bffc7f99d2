//! What is kept for those who ask again, and what never is.

use std::time::Duration;

use crate::fake::Kind;
use crate::server::Server;

const REPLY_HITS: &str = "plumbago_api_cache_hits_total{cache=\"replies\"}";
const FETCH_HITS: &str = "plumbago_api_cache_hits_total{cache=\"fetches\"}";
const PLAN_HITS: &str = "plumbago_api_cache_hits_total{cache=\"plans\"}";
const URL: &str = "/render?target=sumSeries(servers.*.cpu.user)&from=-1h&format=json";

#[tokio::test]
async fn the_same_plan_is_answered_from_the_cache_for_its_time() {
    let server = Server::start().await;
    let first = server.get(URL).await;
    assert_eq!(first.header("x-plumbago-cached"), None);
    let form = "until=now&format=json&target=sumSeries( servers.*.cpu.user )&from=-60min";
    for again in [server.get(&format!("{URL}&_salt=1")).await, server.post("/render", form).await] {
        assert!(again.header("x-plumbago-cached").is_some(), "{}", again.text());
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("x-query-range"), first.header("x-query-range"));
    }
    assert_eq!(server.metric(REPLY_HITS).await, 2.0);
    server.get(&URL.replace("sumSeries", "averageSeries")).await;
    assert_eq!(server.metric(REPLY_HITS).await, 2.0);
    assert_eq!(server.metric(FETCH_HITS).await, 1.0, "another function of the same series");
    server.advance(Duration::from_secs(2));
    assert_eq!(server.get(URL).await.header("x-plumbago-cached"), None);
    assert!(server.metric(PLAN_HITS).await >= 2.0);
}

#[tokio::test]
async fn equal_requests_at_the_same_time_read_once() {
    let server = Server::start().await;
    let answers = tokio::join!(server.get(URL), server.get(URL), server.get(URL), server.get(URL));
    let bodies = [&answers.0.body, &answers.1.body, &answers.2.body, &answers.3.body];
    assert!(answers.0.status == 200 && bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(server.metric("plumbago_api_fetches_total").await, 1.0);
}

#[tokio::test]
async fn what_changes_the_answer_is_in_the_key() {
    let server = Server::start().await;
    let base = "/render?target=template(sumSeries(servers.$x.cpu.user),x=%22web1%22)&from=-1h";
    let bodies = [
        server.get(base).await.body,
        server.get(&format!("{base}&template[x]=web2")).await.body,
        server.get(&format!("{base}&format=csv")).await.body,
        server.get(&format!("{base}&format=csv&tz=Europe/Berlin")).await.body,
        server.get(&format!("{base}&maxDataPoints=5")).await.body,
        server.get("/render?target=toplevel&target=odd.dup&from=-1h").await.body,
        server.get("/render?target=odd.dup&target=toplevel&from=-1h").await.body,
    ];
    assert_eq!(server.metric(REPLY_HITS).await, 0.0);
    for (place, body) in bodies.iter().enumerate() {
        assert!(!bodies[..place].contains(body), "{place}");
    }
}

#[tokio::test]
async fn no_cache_means_none_and_a_timeout_is_heeded_up_to_the_longest() {
    let server = Server::with(Kind::Full, &[("cache_time_max", "1m")]).await;
    for _ in 0..2 {
        server.get(&format!("{URL}&noCache=1")).await;
        server.get(&format!("{URL}&cacheTimeout=0")).await;
    }
    assert_eq!((server.metric(REPLY_HITS).await, server.metric(FETCH_HITS).await), (0.0, 0.0));
    let url = "/render?target=toplevel&from=1790000000&until=1790006000&cacheTimeout=99999";
    server.get(url).await;
    server.advance(Duration::from_secs(59));
    assert_eq!(server.get(url).await.header("x-plumbago-cached"), Some("59"));
    server.advance(Duration::from_secs(1));
    assert_eq!(server.get(url).await.header("x-plumbago-cached"), None);
}

#[tokio::test]
async fn partial_and_empty_answers_are_never_kept() {
    let server = Server::with(Kind::Partial, &[]).await;
    for _ in 0..2 {
        let answer = server.get(URL).await;
        assert!(answer.header("x-plumbago-partial").is_some());
        assert_eq!(server.get("/render?target=no.such&from=-1h").await.text(), "[]");
    }
    assert_eq!((server.metric(REPLY_HITS).await, server.metric(FETCH_HITS).await), (0.0, 0.0));
}

#[tokio::test]
async fn a_dead_cache_server_only_costs_time() {
    let url = format!("redis://{}", testkit::closed_address());
    let server = Server::with(Kind::Full, &[("cache_server", &url)]).await;
    assert_eq!(server.get(URL).await.status, 200);
    assert_eq!(server.get(URL).await.header("x-plumbago-cached"), Some("0"));
    assert_eq!(server.metric("plumbago_api_cache_server_failures_total").await, 1.0);
}
