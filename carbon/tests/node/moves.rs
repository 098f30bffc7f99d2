//! Series on their way from one node to another, while points keep coming.

use serde_json::{Value, json};

use crate::harness::{NOW, Node, file_of, node};

const SCHEMAS: &str = "[all]\npattern = .*\nretentions = 10s:1h,1m:6h\n";

async fn pair() -> ([Node; 2], [tempfile::TempDir; 2]) {
    let rules = testkit::folder();
    let schemas = crate::harness::file(&rules, "schemas.conf", SCHEMAS);
    let (a, folder_a) = node(&[("schemas", &schemas)]).await;
    let (b, folder_b) = node(&[("schemas", &schemas)]).await;
    ([a, b], [folder_a, folder_b])
}

fn view() -> Value {
    json!({"now": NOW, "until": NOW - 60, "from": null})
}

impl Node {
    async fn moves(&self, what: &str, body: Value) -> (u16, String) {
        let path = format!("POST /admin/moves/{what}");
        let answer = self.request("admin", &path, &[], body.to_string().as_bytes()).await;
        (answer.status, String::from_utf8_lossy(&answer.body).trim().to_owned())
    }

    async fn moved(&self, what: &str, body: Value) -> Value {
        let (status, text) = self.moves(what, body).await;
        assert_eq!(status, 200, "{what}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn source(&self) -> String {
        self.running.address("admin").unwrap().to_string()
    }

    async fn fetch(&self, from: &Node, names: &[&str]) -> Value {
        self.moved("lease", json!({"holder": "job", "seconds": 60})).await;
        let body = json!({"holder": "job", "source": from.source(), "names": names, "view": null});
        self.moved("fetch", body).await["series"].clone()
    }

    async fn state(&self, of: &Node, name: &str) -> Value {
        let body = json!({"source": of.source(), "names": [name], "view": view()});
        self.moved("compare", body).await["series"][0]["state"].clone()
    }
}

fn lines(name: &str, ages: std::ops::Range<i64>) -> Vec<String> {
    ages.step_by(10).map(|age| format!("{name} {age} {}", NOW - age)).collect()
}

#[tokio::test]
async fn a_series_is_whole_on_the_new_node_though_points_came_meanwhile() {
    let ([old, new], folders) = pair().await;
    old.send(&lines("a.b", 300..3000)).await;
    // Both get what comes since the move began; the new one has written some of it.
    let later = lines("a.b", 100..300);
    old.send(&later).await;
    new.send(&later).await;
    new.flush().await;
    let last = lines("a.b", 0..100);
    old.send(&last).await;
    new.send(&last).await;
    let syncs = || new.number("moved_syncs_total", &[]);
    assert_eq!((new.state(&old, "a.b").await, syncs()), (json!("differs"), 1.0));
    assert_eq!((new.state(&old, "a.b").await, syncs()), (json!("differs"), 1.0));
    let series = new.fetch(&old, &["a.b"]).await;
    assert_eq!(series[0]["outcome"], "filled", "{series}");
    assert_eq!((new.state(&old, "a.b").await, syncs()), (json!("equal"), 2.0));
    new.flush().await;
    old.flush().await;
    let open = |at: usize| {
        let file = std::fs::File::open(file_of(&folders[at], "a.b")).unwrap();
        whisper::Whisper::open(file).unwrap()
    };
    let diff = whisper::diff(&open(0), &open(1), whisper::Diff::default(), NOW).unwrap();
    assert!(diff.iter().all(|archive| archive.differences.is_empty()), "{diff:?}");
    new.check_ledger(&[]);
    old.check_ledger(&[]);
}

#[tokio::test]
async fn a_series_without_a_file_is_made_and_found_and_survives_a_restart() {
    let ([old, new], _folders) = pair().await;
    old.send(&lines("a.b", 0..3000)).await;
    old.send(&lines("c;t=v", 0..3000)).await;
    let series = new.fetch(&old, &["a.b", "c;t=v", "none"]).await;
    let outcomes: Vec<&Value> =
        series.as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["created", "created", "missing"]);
    for name in ["a.b", "c;t=v"] {
        assert_eq!(new.state(&old, name).await, "equal");
    }
    let list = new.admin("/admin/moves/series?limit=1").await;
    assert_eq!(list["series"][0]["name"], "a.b");
    assert!(list["series"][0]["bytes"].as_u64().unwrap() > 4000);
    let next = list["next"].as_u64().unwrap();
    let rest = new.admin(&format!("/admin/moves/series?from={next}")).await;
    assert_eq!((&rest["series"][0]["name"], &rest["next"]), (&json!("c;t=v"), &Value::Null));
    assert_eq!(new.number("moved_series_total", &["created"]), 2.0);
}

#[tokio::test]
async fn what_goes_to_the_trash_is_whole_there_and_gone_here() {
    let ([old, new], folders) = pair().await;
    old.send(&lines("a.b", 0..1000)).await;
    new.fetch(&old, &["a.b"]).await;
    let trash = json!({"holder": "job", "date": "2026-11-22", "names": ["a.b", "none"]});
    let (status, text) = old.moves("trash", trash.clone()).await;
    assert_eq!((status, text.as_str()), (409, "job has no lease of the node"));
    old.moved("lease", json!({"holder": "job", "seconds": 60})).await;
    assert_eq!(old.moved("trash", trash.clone()).await["trashed"], 1);
    assert_eq!(old.moved("trash", trash.clone()).await["trashed"], 0);
    let kept = folders[0].path().join("trash/2026-11-22/a/b.wsp");
    let kept = whisper::Whisper::open(std::fs::File::open(kept).unwrap()).unwrap();
    let fetched = kept.fetch(NOW - 1000, NOW, NOW, None).unwrap().unwrap();
    assert_eq!(fetched.points().count(), 100, "waiting points were written first");
    assert!(!file_of(&folders[0], "a.b").exists());
    assert_eq!(new.state(&old, "a.b").await, "gone");
    // The name may come back, and its second file does not take the place of the first.
    old.send(&lines("a.b", 0..20)).await;
    assert_eq!(old.moved("trash", trash).await["trashed"], 1);
    assert!(folders[0].path().join("trash/2026-11-22/a/b.wsp.1").exists());
    let purge = json!({"holder": "job", "before": "2026-11-23"});
    assert_eq!(old.moved("purge", purge).await["days"], json!(["2026-11-22"]));
}

/// A request for digests of all series, or those of a part of them.
fn summary(part: Value) -> Value {
    let node = |name: &str| format!("[[node]]\nname = \"{name}\"\nhost = \"{name}\"\n\n");
    let cluster = ["a", "b", "c"].map(node).concat();
    let cluster = format!("[ring]\ncopies = 2\n\n{cluster}");
    let view = json!({"now": NOW, "until": NOW - 60, "settled": NOW - 1200, "held": NOW + 600});
    json!({"cluster": cluster, "view": view, "part": part})
}

#[tokio::test]
async fn ranges_leaves_and_series_lead_to_the_one_that_differs() {
    let ([a, b], _folders) = pair().await;
    let names: Vec<String> = (0..40).map(|number| format!("host.{number}.load")).collect();
    for name in &names {
        a.send(&lines(name, 0..2000)).await;
        b.send(&lines(name, 0..2000)).await;
    }
    a.flush().await;
    let ranges = a.moved("summary", summary(json!("ranges"))).await;
    assert_eq!(ranges, b.moved("summary", summary(json!("ranges"))).await, "written or waiting");
    let ranges = ranges["ranges"].as_array().unwrap().clone();
    assert_eq!(ranges.iter().map(|range| range["series"].as_u64().unwrap()).sum::<u64>(), 40);
    assert_eq!(ranges[0]["owners"], json!([0, 1]));
    b.send(&[format!("{} -1 {}", names[7], NOW - 1500)]).await;
    let mut found = Vec::new();
    for range in &ranges {
        let owners = &range["owners"];
        let leaves = json!({"leaves": {"owners": owners, "bits": 3}});
        let [here, there] = [&a, &b].map(|node| node.moved("summary", summary(leaves.clone())));
        let (here, there) = (here.await["leaves"].clone(), there.await["leaves"].clone());
        let pairs = here.as_array().unwrap().iter().zip(there.as_array().unwrap());
        for (here, _there) in pairs.filter(|(here, there)| here != there) {
            let wanted = json!({"owners": owners, "bits": 3, "leaves": [here["leaf"]]});
            let wanted = summary(json!({"series": wanted}));
            let [here, there] = [&a, &b].map(|node| node.moved("summary", wanted.clone()));
            let (here, there) = (here.await["series"].clone(), there.await["series"].clone());
            let pairs = here.as_array().unwrap().iter().zip(there.as_array().unwrap());
            let differing = pairs.filter(|(here, there)| here != there);
            found.extend(differing.map(|(here, _there)| here["name"].clone()));
        }
    }
    assert_eq!(found, [json!(names[7])]);
}

#[tokio::test]
async fn summaries_that_cannot_be_told_are_refused_in_one_line() {
    let (node, _folder) = node(&[]).await;
    let with = |key: &str, value: Value| {
        let mut request = summary(json!("ranges"));
        match key {
            "cluster" | "part" => request[key] = value,
            _ => request["view"][key] = value,
        }
        request
    };
    let refused = [
        (with("held", json!(NOW)), "has passed"),
        (with("settled", json!(NOW)), "settled <= until"),
        (with("cluster", json!("[ring]")), "summary: "),
        (with("cluster", json!("nonsense")), "summary: "),
        (with("part", json!({"leaves": {"owners": [0], "bits": 17}})), "16 are allowed"),
        (with("part", json!("everything")), "unknown variant"),
    ];
    for (body, part) in refused {
        let (status, text) = node.moves("summary", body).await;
        assert_eq!((status, text.lines().count()), (400, 1), "{text}");
        assert!(text.contains(part), "{text}");
    }
    let none = with("part", json!({"series": {"owners": [9], "bits": 16, "leaves": [1, 70_000]}}));
    assert_eq!(node.moved("summary", none).await, json!({"left": 0}));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_one_line() {
    let ([old, new], _folders) = pair().await;
    old.send(&lines("a.b", 0..100)).await;
    new.moved("lease", json!({"holder": "other", "seconds": 60})).await;
    let fetch = |holder: &str, source: &str, names: Value| json!({"holder": holder, "source": source, "names": names, "view": null});
    let refused = [
        ("fetch", fetch("job", &old.source(), json!(["a.b"])), 409, "leased to other"),
        ("fetch", fetch("other", "nowhere", json!(["a.b"])), 400, "is no HOST:PORT"),
        ("fetch", fetch("other", &testkit::closed_address(), json!(["a.b"])), 502, "not connected"),
        ("fetch", json!({"holder": "other"}), 400, "missing field"),
        ("lease", json!({"holder": "", "seconds": 1}), 400, "needs a holder"),
        ("trash", json!({"holder": "other", "date": "../x", "names": []}), 400, "is no day"),
        ("snapshot", json!({"names": vec!["a"; 10_001]}), 400, "10000 are allowed"),
    ];
    for (what, body, status, part) in refused {
        let (found, text) = new.moves(what, body).await;
        assert_eq!((found, text.lines().count()), (status, 1), "{what}: {text}");
        assert!(text.contains(part), "{what}: {text}");
    }
    let body = fetch("other", &old.source(), json!(["../../etc/passwd", "a.b"]));
    let series = new.moved("fetch", body).await["series"].clone();
    assert_eq!(
        (&series[0]["outcome"], &series[1]["outcome"]),
        (&json!("refused"), &json!("created"))
    );
}

#[tokio::test]
async fn files_of_another_kind_and_corrupt_ones_are_not_mixed_up() {
    let ([old, _], _folders) = pair().await;
    let (new, folder) = node(&[]).await;
    old.send(&lines("a.b", 0..1000)).await;
    old.send(&lines("c", 0..1000)).await;
    new.send(&lines("a.b", 0..100)).await;
    let before =
        new.get(&format!("/render?target=a.b&from={}&until={NOW}&format=json", NOW - 900)).await;
    let series = new.fetch(&old, &["a.b", "c"]).await;
    assert_eq!(series[0]["outcome"], "refused");
    assert!(series[0]["error"].as_str().unwrap().contains("there"), "{series}");
    let after =
        new.get(&format!("/render?target=a.b&from={}&until={NOW}&format=json", NOW - 900)).await;
    assert_eq!(before.body, after.body);
    std::fs::write(file_of(&folder, "c"), b"no whisper file").unwrap();
    assert_eq!(new.fetch(&old, &["c"]).await[0]["outcome"], "created");
    assert_eq!(new.state(&old, "c").await, "equal");
    assert_eq!(new.number("files_set_aside_total", &[]), 1.0);
}

#[tokio::test]
async fn what_went_to_the_trash_or_was_given_as_bytes_is_a_series_again() {
    let ([a, b], _folders) = pair().await;
    a.send(&lines("a.b", 100..600)).await;
    let body = json!({"names": ["a.b"]}).to_string();
    let packed = a.request("admin", "POST /admin/moves/snapshot", &[], body.as_bytes()).await.body;
    b.moved("lease", json!({"holder": "job", "seconds": 60})).await;
    let give = "POST /admin/moves/give?holder=job";
    let cut = b.request("admin", give, &[], &packed[..packed.len() - 3]).await;
    assert_eq!(cut.status, 400, "{}", cut.text());
    assert_eq!(b.state(&a, "a.b").await, "missing");
    let given = b.request("admin", give, &[], &packed).await.json();
    assert_eq!(given["series"][0]["outcome"], "created", "{given}");
    assert_eq!(b.state(&a, "a.b").await, "equal");

    let names = json!(["a.b", "no.such", "../x"]);
    b.moved("trash", json!({"holder": "job", "date": "2023-11-14", "names": ["a.b"]})).await;
    assert_eq!(b.state(&a, "a.b").await, "missing");
    b.send(&lines("a.b", 0..100)).await;
    a.send(&lines("a.b", 0..100)).await;
    let back = b.moved("restore", json!({"holder": "job", "names": names})).await;
    let outcomes: Vec<_> =
        back["series"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, ["filled", "missing", "refused"], "{back}");
    assert_eq!(b.state(&a, "a.b").await, "equal");
    let again = b.moved("restore", json!({"holder": "job", "names": ["a.b"]})).await;
    assert_eq!(again["series"][0]["outcome"], "missing");
}
