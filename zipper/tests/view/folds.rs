//! What is to be folded, over nodes that cannot, and what is said then.

use daemon::Running;
use prost::Message as _;
use wire::pb_v3::{self, Fold, Plan};

use super::{cluster, urls};
use crate::fakes::{Fake, Mood, WINDOW, post, zipper};

/// The sum of a pattern, asked for as the api does.
async fn fold(zipper: &Running, targets: &[&str]) -> pb_v3::MultiFetchResponse {
    let target = |name: &&str| pb_v3::FetchRequest {
        name: (*name).to_owned(),
        start_time: WINDOW.from,
        stop_time: WINDOW.until,
        ..Default::default()
    };
    let fold = Fold { op: "sum".to_owned(), ..Default::default() };
    let plan = Some(Plan { now: WINDOW.until, fold: Some(fold), ..Default::default() });
    let metrics = targets.iter().map(target).collect();
    let body = pb_v3::MultiFetchRequest { metrics, plan }.encode_to_vec();
    let kind = "application/x-carbonapi-v3-pb";
    let (head, reply) = post(zipper, "/render?format=carbonapi_v3_pb", kind, &body).await;
    assert!(head.starts_with("http/1.0 200"), "{head}");
    pb_v3::MultiFetchResponse::decode(reply.as_slice()).unwrap()
}

fn refused(reply: &pb_v3::MultiFetchResponse) -> &str {
    &reply.folded.as_ref().expect("an answer to the fold").refused
}

fn asked(nodes: &[Fake]) -> u32 {
    nodes.iter().map(Fake::renders).sum()
}

#[tokio::test]
async fn nodes_that_answer_with_series_are_not_asked_to_fold_again_for_a_while() {
    let nodes = cluster(&["a.b", "a.c"], &[Mood::Well, Mood::Well, Mood::Well]).await;
    let zipper = zipper(&urls(&nodes), &[("replication", "2")]).await;
    assert!(refused(&fold(&zipper, &["a.*"]).await).contains("cannot fold"));
    let before = asked(&nodes);
    assert!(refused(&fold(&zipper, &["a.*"]).await).contains("cannot fold"));
    assert_eq!(asked(&nodes), before);
}

#[tokio::test]
async fn several_targets_are_answered_with_their_series() {
    let nodes = cluster(&["a.b", "a.c"], &[Mood::Well, Mood::Well, Mood::Well]).await;
    let zipper = zipper(&urls(&nodes), &[("replication", "2")]).await;
    let several = fold(&zipper, &["a.b", "a.c"]).await;
    assert_eq!((several.metrics.len(), several.folded), (2, None));
}

#[tokio::test]
async fn where_nobody_knows_who_holds_what_nobody_is_asked_to_fold() {
    let nodes = cluster(&["a.b", "a.c"], &[Mood::Well, Mood::Well]).await;
    let settings = [("node", nodes[0].url.as_str()), ("node", nodes[1].url.as_str())];
    let zipper = zipper(&[], &settings).await;
    assert!(refused(&fold(&zipper, &["a.*"]).await).contains("is not known"));
    assert_eq!(asked(&nodes), 0);
}
