//! `series`, `backup`, `restore` and `import` where things are not as they should be.

use daemon::clock::Clock;
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

/// The points of every archive of a tree of files, as a table tells them.
fn told(cluster: &str) -> String {
    printed(&["series", "dump", "--cluster", cluster, "--every-archive"], b"")
}

#[test]
fn a_table_of_every_archive_makes_the_same_series_again() {
    let stage = Stage::new();
    let schemas = stage.path("schemas.conf");
    std::fs::write(&schemas, "[all]\npattern = .*\nretentions = 10s:1h,1m:1d,10m:30d\n").unwrap();
    let schemas = schemas.to_str().unwrap();
    let start = || Pipeline::on(testkit::folder(), &["--nodes", "2", "--schemas", schemas]);
    let (from, to) = (start(), start());
    // Of each archive some points that no finer one has.
    let now = daemon::clock::System::new().now_unix_seconds();
    let points = |name: &'static str| {
        [0, 10, 50, 1800, 7200, 40_000, 100_000, 2_000_000]
            .map(|age: i64| format!("{name} {} {}\n", age as f64 / 7.0, now - age))
    };
    let lines = ["load.a", "disk.free;rack=b"].map(points).concat().concat();
    printed(&["send", "--to", &from.line], lines.as_bytes());
    let table = stage.path("all.parquet").to_str().unwrap().to_owned();
    let dump = ["series", "dump", "--cluster", &from.cluster(), "--every-archive", "--to", &table];
    printed(&dump, b"");
    let cluster = to.cluster();
    let load = ["series", "load", "--cluster", &cluster, "--schemas", schemas];
    let dry = printed(&[&load[..], &[&table]].concat(), b"");
    assert_eq!(dry, "node-1: 2 series to be given\nnode-2: 2 series to be given\n");
    assert_eq!(told(&cluster).lines().count(), 1, "nothing but the head");
    for new in [2, 0] {
        let given = printed(&[&load[..], &["--yes", &table]].concat(), b"");
        let line = |node| format!("{node}: 2 series taken, {new} of them new\n");
        assert_eq!(given, ["node-1", "node-2"].map(line).concat());
        let (before, after) = (told(&from.cluster()), told(&cluster));
        assert_eq!(after, before);
        for step in [",10\n", ",60\n", ",600\n"] {
            assert!(after.contains(step), "{after}");
        }
    }
    // What no archive has room for is named, and the rest goes on.
    let odd = stage.path("odd.csv").to_str().unwrap().to_owned();
    let rows = [(now, 7), (1_000_000, 600), (now - 1_000_000, 0)];
    let rows = rows.map(|(time, step)| format!("odd.one,{time},5,{step}\n")).concat();
    std::fs::write(&odd, format!("metric,time,value,step\n{rows}")).unwrap();
    let output = plumbago(&[&load[..], &["--yes", &odd]].concat(), b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("odd.csv:2: no archive has 7 s a point"), "{said}");
    assert!(said.contains("odd.csv:3: time 1000000 is beyond the archive of 600 s"), "{said}");
    assert!(told(&cluster).contains("odd.one,") && said.contains("2 rows left out"), "{said}");
}
