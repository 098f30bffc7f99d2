//! Points merged for `maxDataPoints` where they lie: the same answers as from all points, and fewer bytes.

use super::folds::Beside;
use super::*;

const SERIES: i64 = 40;
const POINTS: i64 = 1_000;
const POINTS_MAX: i64 = 300;

/// Points a minute, with gaps.
fn lines() -> Vec<String> {
    let line = |series: i64, minute: i64| {
        let (time, value) =
            (NOW - (POINTS - 1 - minute) * 60, (series * 7919 + minute * 31) % 1009);
        format!("bands.s{series}.x {}.{value} {time}", value % 10)
    };
    let is_there = |series: i64, minute: i64| minute == POINTS - 1 || (series + minute) % 17 > 2;
    let all = (0..SERIES).flat_map(|series| (0..POINTS).map(move |minute| (series, minute)));
    all.filter(|at| is_there(at.0, at.1)).map(|at| line(at.0, at.1)).collect()
}

fn form(targets: &str, points: i64) -> String {
    let from = NOW - POINTS * 60;
    format!("format=json&from={from}&until={NOW}&noCache=1&maxDataPoints={points}&{targets}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_nodes_merge_are_those_of_the_series_whoever_is_away() {
    let folder = testkit::folder();
    let mut beside = Beside::start(folder.path(), 4).await;
    beside.load(&lines()).await;
    let forms = [
        form("target=bands.*.x", POINTS_MAX),
        form("target=bands.s1*.x&target=bands.s2*.x", 7),
        form("target=bands.*.x", 1),
    ];
    let before = beside.folded().await;
    let mut whole = Vec::new();
    for form in &forms {
        let [merged, plain] = beside.ask_form(form).await;
        assert_eq!(merged, plain, "{form}");
        assert!(plain.matches("target").count() > 10, "{form} shows something");
        whole.push([merged, plain]);
    }
    assert_eq!(beside.folded().await - before, 4.0, "one for each target");
    beside.pipeline.cluster.stop_node(2, STOP).await.unwrap();
    for (form, whole) in forms.iter().zip(&whole) {
        assert_eq!(beside.ask_form(form).await, *whole, "{form} without a node");
    }
    beside.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merged_points_take_a_share_of_the_bytes_of_all() {
    let folder = testkit::folder();
    let beside = Beside::start(folder.path(), 4).await;
    beside.load(&lines()).await;
    let form = form("target=bands.*.x", POINTS_MAX);
    let mut bytes = [0.0; 2];
    for (bytes, api) in bytes.iter_mut().zip(beside.apis()) {
        let before = beside.received().await;
        testkit::ask(api, "POST", "/render", FORM, form.as_bytes()).await;
        *bytes = beside.received().await - before;
    }
    let [merged, plain] = bytes;
    println!("{merged} bytes in place of {plain}");
    // Two copies of all points, or one of merged ones.
    let share = 2.0 * POINTS as f64 / (POINTS_MAX as f64);
    assert!(merged > 0.0 && merged * share * 0.8 <= plain, "{merged} bytes for {plain}");
    beside.stop().await;
}
