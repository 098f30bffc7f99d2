//! Another endpoint that is asked what we have answered.

use daemon::{Running, Shutdown};
use metric::SeriesData;
use serde_json::Value;
use testkit::{ANY_PORT, PATIENCE, ask, wait_until_async};

use crate::fakes::{self, Fake, Mood, NEVER, get, render, series};
use crate::names;

fn ours() -> Vec<SeriesData> {
    vec![series("a.b", [1.0, 2.0, 3.0, 4.0]), series("a.c", [5.0; 4])]
}

/// A zipper over one node that has `ours`, in the shadow of another endpoint.
async fn zipper(shadow: &Fake, more: &[(&str, &str)]) -> (Running, Fake) {
    let node = Fake::start(ours(), Mood::Well).await;
    let settings = [("node", node.url.as_str()), ("shadow", &shadow.url), ("admin", ANY_PORT)];
    let zipper = fakes::zipper(&[], &[&settings, more].concat()).await;
    (zipper, node)
}

/// The report once so many questions have had this outcome.
async fn report(zipper: &Running, outcome: &str, count: u64) -> Value {
    let admin = zipper.address("admin").unwrap();
    wait_until_async(outcome, PATIENCE, async || {
        let report = ask(admin, "GET", "/admin/shadow", "", b"").await;
        let report: Value = serde_json::from_slice(&report.body).unwrap();
        (report["queries"][outcome] == count).then_some(report)
    })
    .await
}

#[tokio::test]
async fn equal_answers_are_the_same_and_only_the_share_is_asked() {
    let peer = Fake::start(ours(), Mood::Well).await;
    let (zipper, node) = zipper(&peer, &[("shadow_share", "0.5")]).await;
    for _ in 0..4 {
        let (_, reply) = render(&zipper, "target=a.*").await;
        assert_eq!(names(&reply.series), ["a.b", "a.c"]);
        report(&zipper, "different", 0).await;
    }
    let report = report(&zipper, "same", 2).await;
    assert_eq!((peer.renders(), node.renders()), (2, 6), "each comparison asks both sides");
    assert_eq!(
        (&report["samples"], &report["endpoint"]),
        (&Value::Array(vec![]), &Value::from(peer.url))
    );
}

#[tokio::test]
async fn what_differs_is_counted_and_kept_and_changes_no_answer() {
    let mut step = series("a.c", [5.0; 4]);
    step.step = 120;
    let theirs = vec![series("a.b", [1.0, 2.5, 3.0, f64::NAN]), step, series("a.d", [1.0; 4])];
    let peer = Fake::start(theirs, Mood::Well).await;
    let (zipper, _node) = zipper(&peer, &[("shadow_share", "1")]).await;
    let (head, reply) = render(&zipper, "target=a.*").await;
    assert!(!head.contains("x-plumbago-partial"));
    assert_eq!(reply.series[0].values, [1.0, 2.0, 3.0, 4.0]);
    let found = report(&zipper, "different", 1).await;
    let counts =
        ["slots", "step", "missing_here", "missing_there"].map(|what| &found["differences"][what]);
    assert_eq!(counts, [2, 1, 1, 0].map(Value::from).each_ref());
    let slots = &found["samples"][0];
    assert_eq!((&slots["name"], &slots["slot_s"]), (&Value::from("a.b"), &Value::from(120)));
    assert_eq!((&slots["ours"], &slots["theirs"]), (&Value::from(2.0), &Value::from(2.5)));
    get(&zipper, "/metrics/find?query=a.*").await;
    let found = report(&zipper, "different", 2).await;
    assert_eq!(found["differences"]["missing_here"], 2, "a.d of the find");
}

#[tokio::test]
async fn a_shadow_that_hangs_or_fails_costs_no_answer() {
    let end = Shutdown::new();
    let hung = Fake::start(ours(), Mood::Waits(end.clone())).await;
    let settings = [("shadow_share", "1"), ("shadow_running_max", "1"), ("shadow_timeout", NEVER)];
    let (zipper_of_hung, _node) = zipper(&hung, &settings).await;
    for _ in 0..3 {
        let (_, reply) = render(&zipper_of_hung, "target=a.b").await;
        assert_eq!(names(&reply.series), ["a.b"]);
    }
    report(&zipper_of_hung, "skipped", 2).await;
    end.fire();
    report(&zipper_of_hung, "same", 1).await;

    let failing = Fake::start(ours(), Mood::Fails(axum::http::StatusCode::BAD_GATEWAY)).await;
    let (zipper, _node) = zipper(&failing, &[("shadow_share", "1")]).await;
    render(&zipper, "target=a.b").await;
    let found = report(&zipper, "failed", 1).await;
    assert!(found["last_error"].as_str().unwrap().contains("502"), "{found}");
}
