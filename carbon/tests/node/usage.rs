//! What series take, where points come from, and who begins new series.

use std::time::Duration;

use crate::harness::{NOW, file_of, node};

#[tokio::test]
async fn usage_is_told_by_series_and_by_branch_and_sums_up_over_all() {
    let (node, folder) = node(&[]).await;
    let names = ["a.x.1", "a.x.2", "a.y", "b", "m;t=1"];
    node.send(&names.map(|name| format!("{name} 1 {NOW}"))).await;
    node.flush().await;
    let size = |name| std::fs::metadata(file_of(&folder, name)).unwrap().len();
    let usage = async |query: &str| node.get(&format!("/metrics/list_query?{query}")).await.json();
    let branch = usage("target=a.*").await;
    let rows: Vec<_> = branch["Metrics"].as_array().unwrap().iter().collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["Name"], &rows[0]["Count"]), (&"a.x".into(), &2.into()));
    assert_eq!(rows[0]["LogicalSize"].as_u64(), Some(size("a.x.1") + size("a.x.2")));
    assert_eq!(branch["LogicalSize"].as_u64(), Some(3 * size("b")));
    assert!(branch["PhysicalSize"].as_u64().unwrap() > 0, "{branch}");
    let leaves = usage("target=a.*&leaf_only=true").await;
    assert_eq!((&leaves["Count"], &leaves["Metrics"][0]["Name"]), (&1.into(), &"a.y".into()));
    let sums = usage("target=*&stats_only=1").await;
    assert_eq!((&sums["Count"], &sums["Metrics"]), (&4.into(), &serde_json::json!([])));
    assert_eq!(usage("target=*&limit=1").await["Metrics"].as_array().unwrap().len(), 1);
    assert_eq!(usage("target=seriesByTag('t=1')").await["LogicalSize"], size("m;t=1"));
    assert_eq!(usage("target=none").await["Count"], 0);
    assert_eq!(node.get("/metrics/list_query").await.status, 400);
    let details = node.get("/metrics/details").await.json();
    assert_eq!(details["Metrics"].as_array().unwrap().len(), names.len());
    for (free, total) in [("FreeSpace", "TotalSpace"), ("FreeInodes", "TotalInodes")] {
        let [free, total] = [free, total].map(|key| details[key].as_u64().unwrap());
        assert!(free <= total, "{free} of {total}");
    }
    assert_ne!(details["TotalInodes"], 0);
    node.stop().await;
}

#[tokio::test]
async fn the_busiest_prefixes_and_those_that_begin_series_are_named() {
    let (node, _folder) = node(&[]).await;
    node.send(&[format!("old.team.x 1 {NOW}")]).await;
    node.clock.advance(Duration::from_secs(3 * 86_400));
    let now = NOW + 3 * 86_400;
    let lines = (0..30).map(|n| format!("new.pods.p{n} 1 {now}"));
    node.send(&lines.chain([format!("old.team.x 1 {now}")]).collect::<Vec<_>>()).await;
    let told = node.admin("/admin/prefixes?depth=2").await;
    assert_eq!(told["new_series"], 30);
    assert_eq!(told["beginners"], serde_json::json!([{"prefix": "new.pods", "series": 30}]));
    assert_eq!(told["points"], 32);
    let busiest: Vec<_> = told["busiest"].as_array().unwrap().iter().collect();
    assert!(!busiest.is_empty() && busiest.len() <= 2, "{busiest:?}");
    assert_eq!(node.admin("/admin/prefixes?depth=1&hours=100").await["new_series"], 31);
    let refused = node.request("admin", "GET /admin/prefixes?depth=9", &[], b"").await;
    assert_eq!((refused.status, refused.text()), (400, "depth=9: expected 1 to 4\n"));
    node.stop().await;
}
