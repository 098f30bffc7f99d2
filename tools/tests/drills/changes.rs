//! The drills of what changes while the nodes stay: rules, and a node that was away.

use daemon::clock::{Clock, System};
use testkit::{wait_until, wait_until_async};

use crate::cluster::{Drill, patience, seconds_of};
use crate::load::series_count;

/// Other archives than the drills begin with; the finest one keeps its step.
const SCHEMAS: &str = "[all]\npattern = .*\nretentions = 10s:3h,1m:1d,10m:7d\n";
const RETENTIONS: &str = "10:1080,60:1440,600:1008";

/// A log that overflows in seconds while a node is away.
const SMALL_LOG: [(&str, &str); 2] = [("log_bytes_max", "1MiB"), ("log_segment_bytes", "128KiB")];

/// Most series whose retention is changed: a node rewrites and syncs every single file.
const RETENTION_SERIES_MAX: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_retention_of_all_series_changes() {
    let drill = Drill::start_with(3, series_count().min(RETENTION_SERIES_MAX), &[]).await;
    let watch = drill.watch().await;
    // The files of the old rules are there.
    drop(drill.pause().await);
    drill.change_schemas(SCHEMAS);
    let check = ["schemas", "check", "--cluster", "cluster.toml"];
    wait_until("the nodes to have read their rules", patience(), || {
        let (code, said) = drill.run(&check);
        let differing = said.lines().filter(|line| line.contains(RETENTIONS)).count();
        (code == Some(1) && differing == drill.nodes.len()).then_some(())
    });
    let apply = ["schemas", "apply", "--cluster", "cluster.toml", "--rate", "100000", "--yes"];
    let said = drill.ends(0, &apply);
    let files = 2 * drill.load.names.len();
    assert!(said.contains(&format!("{files} of {files} files are as the rules")), "{said}");
    assert_eq!(drill.ends(0, &check), "");
    drill.ends(0, &["check", "replicas", "--cluster", "cluster.toml"]);
    drill.end(watch, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_longer_than_the_relay_keeps_its_lines_is_repaired() {
    let mut drill = Drill::start_with(4, series_count(), &SMALL_LOG).await;
    let watch = drill.watch().await;
    // At least; by default only until the relay has let go of what the node missed.
    let away = seconds_of("PLUMBAGO_DRILL_AWAY_SECONDS");
    let (clock, last) = (System::new(), *drill.load.sent().last().unwrap());
    drill.nodes[1].stop();
    wait_until_async(
        "slots that the node can get from its neighbours only",
        patience() + away,
        async || {
            let slots = drill.load.sent().range(last..).count();
            let dropped = drill.relay_number("plumbago_relay_node_lines_dropped_total").await;
            let is_lost = slots > 3 && dropped > drill.load.names.len() as f64;
            (is_lost && clock.monotonic() >= away).then_some(())
        },
    )
    .await;
    drill.nodes[1].run();
    drill.wait_for_relay().await;
    let common = ["repair", "store-2", "--cluster", "cluster.toml", "--settle", "1"];
    // Its own hole tells since when.
    let said = drill.ends(2, &common);
    assert!(said.contains("with different points"), "{said}");
    // So the unit that is started with the node does it.
    drill.ends(0, &[&common[..], &["--after-start", "--yes"]].concat());
    assert!(drill.ends(0, &common).contains(" 0 with different points"));
    drill.ends(0, &["check", "replicas", "--cluster", "cluster.toml"]);
    drill.end(watch, None).await;
}
