//! Nodes that were away for a while and say so: what they missed is read from the other copy, and
//! an answer is marked when nobody has it.

use metric::SeriesData;

use crate::NAN;
use crate::fakes::{Fake, NEVER, counted, owners, render, ring, series, zipper};

const NAME: &str = "a.b";

/// The minute from 120 on, long ago.
const HOLE: &[(i64, i64)] = &[(120, 180)];

/// Two nodes with a copy each; the values and holes of the first owner come first.
async fn pair(first: ([f64; 4], &[(i64, i64)]), second: ([f64; 4], &[(i64, i64)])) -> Vec<Fake> {
    let primary = owners(NAME, 2, 2)[0];
    let mut nodes = Vec::new();
    for node in 0..2 {
        let (values, holes) = if node == primary { first } else { second };
        nodes.push(Fake::with_holes(vec![series(NAME, values)], holes).await);
    }
    nodes
}

async fn values(nodes: &[Fake], target: &str) -> (String, Vec<f64>) {
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    let zipper = zipper(&urls, &[("replication", "2"), ("hedge_delay_min", NEVER)]).await;
    let (head, reply) = render(&zipper, target).await;
    let [one]: &[SeriesData] = &reply.series else { panic!("one series") };
    (head, one.values.clone())
}

#[tokio::test]
async fn a_hole_of_the_primary_is_filled_from_the_other_owner_whole_or_wrong() {
    for missed in [NAN, 5.0] {
        let nodes = pair(([1.0, missed, 3.0, 4.0], HOLE), ([9.0, 2.0, 9.0, 9.0], &[])).await;
        for target in ["target=a.b", "target=a.*"] {
            let (head, values) = values(&nodes, target).await;
            assert_eq!(values, [1.0, 2.0, 3.0, 4.0], "{target}");
            assert!(!head.contains("x-plumbago-partial"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_node_that_missed_nothing_is_asked_alone_whatever_gaps_its_series_has() {
    let nodes = pair(([NAN, 2.0, NAN, NAN], &[(300, 360)]), ([1.0; 4], &[])).await;
    let (head, values) = values(&nodes, "target=a.b").await;
    assert!(values[0].is_nan() && values[1] == 2.0 && !head.contains("x-plumbago-partial"));
    assert_eq!(nodes.iter().map(Fake::renders).sum::<u32>(), 1);
}

/// What relays have kept for a node may be points of any time, not only of that when it was away.
#[tokio::test]
async fn gaps_of_a_node_that_is_still_given_what_it_missed_are_filled_from_the_other_owner() {
    for (until_s, expected) in [(i64::MAX, [1.0, 2.0, 3.0, 4.0]), (360, [1.0, 0.0, 3.0, 4.0])] {
        let first = ([1.0, NAN, 3.0, 4.0], &[(300, until_s)][..]);
        let nodes = pair(first, ([1.0, 2.0, 3.0, 4.0], &[])).await;
        let (head, values) = values(&nodes, "target=a.b").await;
        let known: Vec<f64> = values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect();
        assert_eq!(known, expected, "{head}");
    }
}

#[tokio::test]
async fn what_all_copies_missed_marks_the_answer() {
    let nodes = pair(([1.0, NAN, 3.0, 4.0], HOLE), ([1.0, NAN, 3.0, 4.0], HOLE)).await;
    for target in ["target=a.b", "target=a.*"] {
        let (head, _) = values(&nodes, target).await;
        assert!(head.contains("x-plumbago-partial: nodes=http://"), "{target}: {head}");
    }
    // One copy knows that there is nothing, or there is something after all.
    for second in [([1.0, NAN, 3.0, 4.0], &[][..]), ([1.0, 2.0, 3.0, 4.0], HOLE)] {
        let nodes = pair(([1.0, NAN, 3.0, 4.0], HOLE), second).await;
        let (head, _) = values(&nodes, "target=a.b").await;
        assert!(!head.contains("x-plumbago-partial"), "{head}");
    }
}

#[tokio::test]
async fn a_hole_is_unfilled_while_its_other_owner_is_away() {
    let mut nodes = pair(([1.0, NAN, 3.0, 4.0], HOLE), ([1.0; 4], &[])).await;
    nodes[owners(NAME, 2, 2)[1]].url = format!("http://{}", testkit::closed_address());
    for target in ["target=a.b", "target=a.*"] {
        let (head, _) = values(&nodes, target).await;
        assert!(head.contains("x-plumbago-partial"), "{target}: {head}");
    }
}

/// A node that is back for a moment may not know all names yet.
#[tokio::test]
async fn nothing_is_proven_by_a_node_that_is_still_given_what_it_missed() {
    for (hole, is_marked) in [((0, i64::MAX), true), ((0, 60), false)] {
        let primary = owners("x.y", 2, 2)[0];
        let mut urls = vec![format!("http://{}", testkit::closed_address()); 2];
        let node = Fake::with_holes(vec![], &[hole]).await;
        urls[primary].clone_from(&node.url);
        let zipper = zipper(&urls, &[("replication", "2"), ("hedge_delay_min", NEVER)]).await;
        for target in ["target=x.y", "target=x.*"] {
            let (head, reply) = render(&zipper, target).await;
            assert_eq!(head.contains("x-plumbago-partial"), is_marked, "{target}: {head}");
            assert!(reply.series.is_empty());
        }
    }
}

#[tokio::test]
async fn a_thousand_exact_names_are_read_once_each() {
    let names: Vec<String> = (0..1000).map(|n| format!("web.{n}.cpu")).collect();
    let ring = ring(4, 2);
    let mut nodes = Vec::new();
    for node in 0..4_u16 {
        let owned =
            names.iter().filter(|name| ring.owners(name.as_bytes()).as_slice().contains(&node));
        // New series: their first slots are empty, and nobody has missed anything.
        let held = owned.map(|name| series(name, [NAN, NAN, 3.0, 4.0]));
        nodes.push(Fake::with_holes(held.collect(), &[]).await);
    }
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    let zipper = zipper(&urls, &[("replication", "2"), ("hedge_delay_min", NEVER)]).await;
    let query: Vec<String> = names.iter().map(|name| format!("target={name}")).collect();
    let (head, reply) = render(&zipper, &query.join("&")).await;
    assert_eq!((reply.series.len(), reply.meta.unwrap().nodes_answered), (1000, 4));
    assert!(!head.contains("x-plumbago-partial"), "{head}");
    assert_eq!(nodes.iter().map(Fake::served).sum::<u32>(), 1000);
    assert_eq!(counted(&zipper, "plumbago_zipper_gap_reads_total"), 0);
}
