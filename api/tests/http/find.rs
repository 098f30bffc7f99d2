//! `/metrics/find`, `/metrics/expand`, `/metrics/index.json`.

use prost::Message as _;
use serde_json::json;
use wire::pb_v3::MultiGlobRequest;
use wire::reply::{Caps, Format, decode_find};

use crate::fake::Kind;
use crate::server::Server;

#[tokio::test]
async fn the_tree_has_branches_first_and_each_node_once() {
    let server = Server::start().await;
    let answer = server.get("/metrics/find?query=odd.*").await;
    let rows = answer.json();
    let ids: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["odd.dup", "odd.pct%20", "odd.ü😀\u{1}", "odd.inf"]);
    assert_eq!((&rows[1]["text"], &rows[3]["leaf"]), (&json!("pct "), &json!(1)));
    assert!(answer.text().starts_with(
        r#"[{"text": "dup", "id": "odd.dup", "allowChildren": 1, "expandable": 1, "leaf": 0}"#
    ));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
}

#[tokio::test]
async fn a6_a_raw_pattern_in_the_body_and_times_in_the_url() {
    let server = Server::start().await;
    let path = "/metrics/find?from=1790000000&until=1790006400";
    let answer = server.post(path, "query={servers,odd}.w*").await.json();
    assert_eq!(answer[0]["id"], "{servers,odd}.web1");
    for path in ["/metrics/find/", "/metrics", "//metrics/find"] {
        assert_eq!(server.get(&format!("{path}?query=toplevel")).await.json()[0]["leaf"], 1);
    }
}

#[tokio::test]
async fn a7_undefined_times_are_none() {
    let server = Server::start().await;
    let path = "/metrics/find?query=*&from=undefined&until=undefined&format=completer";
    let answer = server.get(path).await.json();
    assert_eq!(answer["metrics"][0], json!({ "path": "gaps.", "name": "gaps", "is_leaf": "0" }));
}

#[tokio::test]
async fn every_shape_holds_both_faces_of_a_name_that_is_leaf_and_branch() {
    let server = Server::start().await;
    let find =
        async |format: &str| server.get(&format!("/metrics/find?query=odd.d*&{format}")).await;
    let listed = find("format=json").await.json();
    assert_eq!(listed[0], json!({ "path": "odd.dup", "is_leaf": false }));
    assert_eq!(listed[1]["is_leaf"], true);
    assert_eq!(listed[1]["intervals"][0]["start"], 0);
    assert_eq!(find("format=nodelist").await.json(), json!({ "nodes": ["dup"] }));
    assert_eq!(find("format=nodelist&position=0").await.json(), json!({ "nodes": ["odd"] }));
    assert_eq!(find("format=raw").await.text(), "odd.dup.\nodd.dup\n");
    let completer = find("format=completer&wildcards=1").await.json();
    assert_eq!(completer["metrics"].as_array().unwrap().len(), 3);
    assert_eq!(completer["metrics"][2], json!({ "name": "*" }));
    assert_eq!(find("leavesOnly=1&format=json").await.json().as_array().unwrap().len(), 1);
    for format in [Format::Pickle, Format::Msgpack, Format::V2, Format::V3] {
        let body = find(&format!("format={}", format.name())).await.body;
        let caps = Caps { bytes_max: 1 << 20, items_max: 100 };
        let (replies, _) = decode_find(format, &body, caps).unwrap();
        let leaves: Vec<_> = replies[0].matches.iter().map(|m| m.is_leaf).collect();
        assert_eq!(leaves, [false, true], "{format:?}");
    }
}

#[tokio::test]
async fn a_half_typed_name_is_completed() {
    let server = Server::start().await;
    let names = async |query: &str| {
        let url = format!("/metrics/find?format=completer&query={query}");
        let answer = server.get(&url).await.json();
        let rows = answer["metrics"].as_array().unwrap().clone();
        rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("s").await, ["servers."]);
    assert_eq!(names("servers.").await, ["servers.web1.", "servers.web2."]);
    assert_eq!(
        names("servers.w..c&automatic_variants=1").await,
        ["servers.web1.cpu.", "servers.web2.cpu."]
    );
    assert_eq!(
        names("servers,odd.w&automatic_variants=1").await,
        ["servers.web1.", "servers.web2."]
    );
}

#[tokio::test]
async fn wildcards_put_a_star_before_several_nodes() {
    let server = Server::start().await;
    let answer = server.get("/metrics/find?query=servers.*&wildcards=1").await.json();
    assert_eq!((&answer[0]["id"], &answer[0]["leaf"]), (&json!("servers.*"), &json!(0)));
}

#[tokio::test]
async fn a_peer_asks_with_a_message() {
    let server = Server::start().await;
    let metrics = vec!["toplevel".to_owned(), "servers.*".to_owned()];
    let message = MultiGlobRequest { metrics, ..Default::default() }.encode_to_vec();
    let head = "Content-Type: application/x-carbonapi-v3-pb\r\n";
    let path = "/metrics/find/?format=carbonapi_v3_pb";
    let answer = server.ask("GET", path, head, &message).await;
    let caps = Caps { bytes_max: 1 << 20, items_max: 100 };
    let (replies, _) = decode_find(Format::V3, &answer.body, caps).unwrap();
    let counts: Vec<_> = replies.iter().map(|r| (r.query.as_str(), r.matches.len())).collect();
    assert_eq!(counts, [("toplevel", 1), ("servers.*", 2)]);
}

#[tokio::test]
async fn tag_queries_find_series() {
    let server = Server::start().await;
    let url = "/metrics/find?format=json&query=seriesByTag('name=~disk')";
    let answer = server.get(url).await.json();
    assert_eq!(answer[0]["path"], "disk.free;datacenter=dc2;server=web1");
    assert_eq!(answer.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a9_expand_lists_paths_whatever_the_times() {
    let server = Server::start().await;
    let times = "from=1790000000&until=1790006400";
    let expand =
        async |rest: &str| server.get(&format!("/metrics/expand?{times}&{rest}")).await.json();
    let paths = json!(["odd.dup", "odd.inf", "odd.pct%20", "odd.ü😀\u{1}"]);
    assert_eq!(expand("query=odd.*").await, json!({ "results": paths }));
    let grouped = expand("query=odd.*&query=toplevel&groupByExpr=1").await;
    assert_eq!(grouped, json!({ "results": { "odd.*": paths, "toplevel": ["toplevel"] } }));
    let leaves = expand("query=odd.*&leavesOnly=1").await;
    assert_eq!(leaves, json!({ "results": ["odd.dup", "odd.inf"] }));
}

#[tokio::test]
async fn empty_parts_and_leading_globstars_mean_what_they_mean_to_graphite_web() {
    let server = Server::start().await;
    let expand = async |query: &str| {
        let answer = server.get(&format!("/metrics/expand?query={query}")).await.json();
        answer["results"].clone()
    };
    assert_eq!(expand(".servers..web1").await, json!(["servers.web1"]));
    assert_eq!(expand("servers.*.").await, json!(["servers.web1.", "servers.web2."]));
    assert_eq!(expand("toplevel.").await, json!([]), "only a branch has an inside");
    assert_eq!(expand(".").await, json!([]));
    assert_eq!(expand("**").await, json!(["gaps", "odd", "servers", "toplevel"]));
    assert_eq!(expand("**.user").await, json!([]));
    assert_eq!(expand("odd.**").await.as_array().unwrap().len(), 7);
    let grouped = expand(".toplevel&query=toplevel&query=**&groupByExpr=1").await;
    assert_eq!(grouped[".toplevel"], json!(["toplevel"]), "{grouped}");
    assert_eq!(
        (&grouped["toplevel"], grouped["**"].as_array().unwrap().len()),
        (&json!(["toplevel"]), 4)
    );
    let tree = server.get("/metrics/find?query=servers.web1.").await.json();
    assert_eq!((&tree[0]["id"], &tree[0]["text"]), (&json!("servers.web1."), &json!("")));
    assert_eq!(server.get("/metrics/find?query=servers.&format=raw").await.text(), "servers.\n");
}

#[tokio::test]
async fn the_index_is_sorted() {
    let server = Server::start().await;
    let answer = server.get("/metrics/index.json").await.json();
    let names: Vec<_> = answer.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.len() == 14, "{names:?}");
    let file = metric::path::whisper_path("disk.used;datacenter=dc1;server=web1");
    let path = file.trim_end_matches(".wsp").replace('/', ".");
    assert!(names.contains(&&*path), "{names:?}");
    let named = server.get("/metrics/index.json?tagged=1").await.json();
    assert_eq!(named.as_array().unwrap().len(), 14);
    assert!(named.as_array().unwrap().contains(&json!("disk.used;datacenter=dc1;server=web1")));
    let empty = Server::with(Kind::Empty, &[]).await;
    assert_eq!(empty.get("/metrics/index.json?jsonp=f").await.text(), "f([])");
}

#[tokio::test]
async fn what_cannot_be_found_out_is_refused_in_one_line() {
    let server = Server::with(Kind::Full, &[("matches_max", "2")]).await;
    for (query, status) in [
        ("", 400),
        ("query=", 400),
        ("query=*&format=bogus", 400),
        ("query=*&until=bogus", 400),
        ("query=*&leavesOnly=x", 400),
        ("query=*&position=x", 400),
        ("query=odd.*", 422),
    ] {
        server.get(&format!("/metrics/find?{query}")).await.refused(status, " ");
    }
    server.get("/metrics/expand").await.refused(400, "query");
    Server::alone().await.get("/metrics/find?query=*").await.refused(503, "not connected");
}

#[tokio::test]
async fn a26_without_tags_the_editor_still_fills() {
    let server = Server::with(Kind::WithoutTags, &[]).await;
    assert_eq!(
        server.get("/metrics/find?query=servers.*").await.json().as_array().unwrap().len(),
        2
    );
    assert_eq!(server.get("/tags/autoComplete/tags").await.text(), "[]");
}
