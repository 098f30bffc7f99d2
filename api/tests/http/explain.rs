//! What a render would do, told before it is done.

use serde_json::json;

use crate::server::{NOW, Server};

#[tokio::test]
async fn a_plan_shows_tree_reads_archives_and_cost() {
    let server = Server::start().await;
    let url =
        "/explain?target=movingAverage(toplevel,'10min')&target=servers.*.cpu.user&from=-30min";
    let plan = server.get(url).await.json();
    assert_eq!(plan["window"]["now"], NOW);
    let tree = json!({ "call": "movingAverage", "arguments": [{ "read": "toplevel" }, "10min"] });
    assert_eq!(plan["targets"][0]["tree"], tree);
    assert_eq!(plan["targets"][1]["target"], "servers.*.cpu.user");
    let reads = plan["reads"].as_array().unwrap();
    let windows: Vec<_> = reads.iter().map(|read| (&read["pattern"], &read["from"])).collect();
    assert!(windows.contains(&(&json!("toplevel"), &json!(NOW - 2400))), "{windows:?}");
    let servers = reads.iter().find(|read| read["pattern"] == "servers.*.cpu.user").unwrap();
    assert_eq!((&servers["series"], &servers["points"]), (&json!(2), &json!(60)));
    assert_eq!(servers["archives"]["archives"][0]["is_read"], true);
    assert_eq!(plan["estimate"]["series"], 4);
    assert_eq!(plan["timings"], json!(null));
    assert_eq!(server.metric("plumbago_api_fetches_total").await, 0.0, "nothing has been read");
}

#[tokio::test]
async fn timings_come_with_what_it_really_took() {
    let server = Server::start().await;
    let plan = server.get("/explain?target=sumSeries(servers.*.cpu.user)&timings=1").await.json();
    let timings = &plan["timings"];
    assert_eq!((&timings["series_read"], &timings["series_answered"]), (&json!(2), &json!(1)));
    assert!(timings["evaluating_ms"].is_f64());
    server.get("/explain?target=sum(").await.refused(400, "");
}
