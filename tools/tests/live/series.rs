//! `series`, `backup`, `restore` and `import` where things are not as they should be.

use serde_json::Value;

use crate::page::Stage;
use crate::pipeline::{Pipeline, plumbago, printed};

#[test]
fn only_what_every_node_calls_silent_is_stale() {
    let pipeline = Pipeline::start("2");
    printed(&["send", "--to", &pipeline.line, "old.a 1", "old.b;t=1 2"], b"");
    let cluster = pipeline.cluster();
    let stale = |now: &str| {
        printed(&["series", "stale", "--cluster", &cluster, "--json", "--now", now], b"")
    };
    assert_eq!(stale("0"), "");
    let found: Vec<Value> =
        stale("4000000000").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = found.iter().map(|one| one["metric"].as_str().unwrap()).collect();
    assert_eq!(names, ["old.a", "old.b;t=1"]);
    assert!(found[0]["bytes"].as_u64().unwrap() > 0);
    let closed = testkit::closed_address();
    let output = plumbago(&["series", "stale", "--admin", &closed, "--now", "4000000000"], b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}

#[test]
fn tagged_series_come_back_by_name_and_damaged_files_are_named() {
    let (from, to) = (Pipeline::start("2"), Pipeline::start("2"));
    printed(&["send", "--to", &from.line, "disk.free;rack=b 5", "disk.used 6"], b"");
    let stage = Stage::new();
    let backup = stage.path("all.tar").to_str().unwrap().to_owned();
    let (from, to_cluster) = (from.cluster(), to.cluster());
    printed(&["backup", "--cluster", &from, "--to", &backup], b"");
    let again = plumbago(&["backup", "--cluster", &from, "--to", &backup], b"");
    assert_eq!(again.status.code(), Some(1), "a backup is never written over");
    printed(&["restore", "--cluster", &to_cluster, "--yes", &backup], b"");
    let target = "seriesByTag('name=disk.free')";
    let points = printed(&["query", "--api", &to.api, "--points", target], b"");
    assert!(points.starts_with("disk.free;rack=b\t") && points.ends_with("\t5\n"), "{points}");

    let tree = stage.path("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("bad.wsp"), b"no whisper file").unwrap();
    let words = ["import", "--cluster", &to_cluster, "--yes", tree.to_str().unwrap()];
    let output = plumbago(&words, b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("plumbago: bad: "));
}
