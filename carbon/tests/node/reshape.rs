//! Files that get other archives, because the rules have changed.

use serde_json::{Value, json};

use crate::harness::{NOW, Node, file, file_of, node, try_start};

const OLD: &str = "[all]\npattern = .*\nretentions = 10s:1h,1m:6h\n";
const NEW: &str = "[all]\npattern = .*\nretentions = 10s:6h,5m:7d\n";

async fn apply(node: &Node, names: &[&str]) -> Value {
    let body = json!({ "names": names }).to_string();
    let answer = node.request("admin", "POST /admin/schema-apply", &[], body.as_bytes()).await;
    answer.json()["series"].clone()
}

fn points(from_age: i64, until_age: i64) -> Vec<String> {
    let ages = (until_age..from_age).step_by(10);
    ages.map(|age| format!("a.b {age} {}", NOW - age)).collect()
}

async fn values(node: &Node, from: i64, until: i64) -> Vec<Value> {
    let query = format!("target=a.b&from={from}&until={until}&now={NOW}&format=json");
    let answer = node.get(&format!("/render?{query}")).await.json();
    answer["metrics"][0]["values"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_file_gets_the_archives_of_new_rules_and_loses_no_point() {
    let rules = testkit::folder();
    let (old, folder) = node(&[("schemas", &file(&rules, "old.conf", OLD))]).await;
    old.send(&points(7200, 600)).await;
    old.flush().await;
    let wide = values(&old, NOW - 3500, NOW - 600).await;
    drop(old.running.stop(testkit::PATIENCE).await);
    let new = file(&rules, "new.conf", NEW);
    let node = try_start(folder.path(), &[("schemas", &new)]).await.unwrap();
    // What waits when the file changes is written to it before and after.
    node.send(&points(600, 300)).await;
    let series = apply(&node, &["a.b", "no.such"]).await;
    assert_eq!(series[0]["outcome"], "resized", "{series}");
    assert_eq!(series[1]["outcome"], "missing");
    node.send(&points(300, 0)).await;
    assert_eq!(values(&node, NOW - 3500, NOW - 600).await, wide);
    let recent = values(&node, NOW - 600, NOW).await;
    assert!(recent[..59].iter().all(Value::is_number), "{recent:?}");
    // The time that only the coarse archive reached is answered from the fine one now.
    let before = values(&node, NOW - 7000, NOW - 3700).await;
    assert!(before.len() > 300 && before.iter().all(Value::is_number), "{before:?}");
    node.flush().await;
    let path = file_of(&folder, "a.b");
    let file = whisper::Whisper::open(std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(file.header().archives[1].seconds_per_point, 300);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert_eq!(apply(&node, &["a.b"]).await[0]["outcome"], "equal");
    assert!(node.admin("/admin/schema-drift").await["series"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_that_is_too_long_or_none_is_refused() {
    let (node, _folder) = node(&[]).await;
    let names: Vec<String> = (0..1001).map(|number| format!("n{number}")).collect();
    for body in [json!({ "names": names }).to_string(), "what".to_owned()] {
        let answer = node.request("admin", "POST /admin/schema-apply", &[], body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}
