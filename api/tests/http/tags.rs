//! `/tags`: what is passed on, what is answered here.

use serde_json::json;

use crate::fake::Kind;
use crate::server::Server;

#[tokio::test]
async fn a8_a_limit_of_nothing_is_the_default() {
    let server = Server::start().await;
    let path = "/tags/autoComplete/values?tag=server&limit=0&valuePrefix=&expr=";
    assert_eq!(server.get(path).await.status, 400, "an empty expression is none");
    let path = "/tags/autoComplete/values?tag=server&limit=0&valuePrefix=";
    let expected = json!(["/tags/autoComplete/values?tag=server&limit=100"]);
    assert_eq!(server.get(path).await.json(), expected);
}

#[tokio::test]
async fn a10_a11_expressions_and_limits_reach_the_store_that_leaves_used_tags_out() {
    let server = Server::start().await;
    let form = "expr=name%3Ddisk.used&expr=datacenter%3Ddc1&limit=10000&tagPrefix=s";
    let expected = json!([
        "/tags/autoComplete/tags?expr=name%3Ddisk.used&expr=datacenter%3Ddc1&tagPrefix=s&limit=10000"
    ]);
    assert_eq!(server.post("/tags/autoComplete/tags", form).await.json(), expected);
}

#[tokio::test]
async fn values_are_asked_of_series_that_have_the_tag() {
    let server = Server::start().await;
    let path = "/tags/autoComplete/values?tag=rack&expr=name!=nosuch";
    let expected =
        "/tags/autoComplete/values?expr=name%21%3Dnosuch&expr=rack%21%3D&tag=rack&limit=100";
    assert_eq!(server.get(path).await.json(), json!([expected]));
}

#[tokio::test]
async fn tags_and_their_values_pass_through() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/tags?filter=%5Ed&limit=2").await.json(),
        json!(["/tags?filter=%5Ed&limit=2"])
    );
    assert_eq!(server.get("/tags/server/").await.json(), json!(["/tags/server?"]));
    assert_eq!(server.get("/tags/nosuch").await.text(), "null");
    server.get("/tags?filter=(").await.refused(400, "unclosed group");
    let found = server.get("/tags/findSeries?expr=name=~disk").await.json();
    assert_eq!(found.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn expressions_are_judged_before_anyone_is_asked() {
    let server = Server::alone().await;
    for path in [
        "/tags/findSeries",
        "/tags/findSeries?expr=name!=nosuch",
        "/tags/findSeries?expr==x",
        "/tags/findSeries?expr=name=~(",
        "/tags/autoComplete/values",
        "/tags/autoComplete/values?tag=a&limit=x",
        "/tags/autoComplete/tags?expr=noequals",
    ] {
        server.get(path).await.refused(400, "parameter");
    }
}

#[tokio::test]
async fn methods_are_as_in_graphite_web() {
    let server = Server::start().await;
    for (method, path) in [
        ("POST", "/tags"),
        ("POST", "/tags/name"),
        ("PUT", "/tags/findSeries"),
        ("GET", "/tags/tagSeries"),
    ] {
        server.ask(method, path, "", b"").await.refused(405, method);
    }
}

#[tokio::test]
async fn tagging_answers_canonical_names() {
    let server = Server::start().await;
    let one = server.post("/tags/tagSeries", "path=disk.used;server=web1;datacenter=dc1").await;
    assert_eq!(one.json(), json!("disk.used;datacenter=dc1;server=web1"));
    let many = server.post("/tags/tagMultiSeries", "path[]=a;c=1;b=2&path[]=d").await;
    assert_eq!(many.json(), json!(["a;b=2;c=1", "d"]));
    server.post("/tags/tagSeries", "").await.refused(400, "path");
    server.post("/tags/tagSeries", "path=a;b").await.refused(400, "path");
}

#[tokio::test]
async fn a_store_without_tags_has_empty_lists() {
    for kind in [Kind::WithoutTags, Kind::Empty] {
        let server = Server::with(kind, &[]).await;
        assert_eq!(server.get("/tags").await.text(), "[]");
        assert_eq!(server.get("/tags/findSeries?expr=a=b").await.text(), "[]");
        assert_eq!(server.get("/tags/autoComplete/values?tag=a").await.text(), "[]");
    }
}

/// A setting without which nobody deletes anything.
const DELETING: (&str, &str) = ("deletes_allowed", "true");

#[tokio::test]
async fn series_are_deleted_only_where_that_is_allowed() {
    let server = Server::with(Kind::Full, &[DELETING]).await;
    let form = "path=disk.used;server=web1;datacenter=dc1&path=nosuch;a=b";
    assert_eq!(server.post("/tags/delSeries", form).await.json(), json!(true));
    assert_eq!(server.metric("plumbago_api_series_deleted_total").await, 1.0);
    server.get("/tags/delSeries?path=a").await.refused(405, "GET");
    server.post("/tags/delSeries", "").await.refused(400, "path");
    let careful = Server::start().await;
    careful.post("/tags/delSeries", form).await.refused(403, "deletes_allowed");
    careful
        .post("/tags/delByQuery", "expr=name=disk.used&execute=true")
        .await
        .refused(403, "deletes_allowed");
    let peer = Server::with(Kind::WithoutTags, &[DELETING]).await;
    peer.post("/tags/delSeries", form).await.refused(501, "cannot delete");
}

#[tokio::test]
async fn a_query_is_counted_before_it_deletes() {
    let server = Server::with(Kind::Full, &[DELETING]).await;
    let dry = server.post("/tags/delByQuery", "expr=datacenter=dc1").await.json();
    assert_eq!(dry, json!({ "count": 3, "executed": false }));
    assert_eq!(server.metric("plumbago_api_series_deleted_total").await, 0.0);
    let done = server.post("/tags/delByQuery", "expr=datacenter=dc1&execute=true").await.json();
    assert_eq!(done, json!({ "count": 3, "executed": true }));
    assert_eq!(server.metric("plumbago_api_series_deleted_total").await, 3.0);
    server.post("/tags/delByQuery", "execute=true").await.refused(400, "expr");
}

#[tokio::test]
async fn terms_count_the_series_of_each_value() {
    let server = Server::start().await;
    let url = "/tags/terms?expr=name=~disk.*&tags=datacenter&tags=nosuch";
    let answer = server.get(url).await.json();
    let terms = json!({ "datacenter": { "dc1": 2, "dc2": 1 }, "nosuch": {} });
    assert_eq!(answer, json!({ "totalSeries": 3, "terms": terms }));
}
