//! Bytes of earlier versions, recorded, against this program: nothing that was written or is still spoken may become unreadable.
//! A new version adds its own recording; those that are here stay.

use testkit::PATIENCE;
use wire::reply::Format;

use crate::harness::{NOW, Node, node, try_start};
use crate::link::Client;

/// Written by the program that had version 1 of docs/formats/journal.md: two frames of a sender's points, and a record of a
/// kind that came later.
const JOURNAL_V1: &[u8] = include_bytes!("../recorded/journal-v1.bin");

/// Said by a relay that had version 1 of docs/formats/link.md: a hello, and batches in all three packings.
const LINK_V1: &[u8] = include_bytes!("../recorded/link-v1.bin");

async fn newest_values(node: &Node, name: &str) -> Vec<f64> {
    let query = format!("target={name}&from={}&until={NOW}", NOW - 600);
    let series = node.render(&query, Format::V3).await.series;
    let values = series.iter().flat_map(|series| series.values.iter().rev());
    values.copied().filter(|value| !value.is_nan()).collect()
}

#[tokio::test]
async fn a_journal_of_version_1_is_read() {
    let folder = testkit::folder();
    let journal = folder.path().join("journal");
    std::fs::create_dir_all(&journal).unwrap();
    std::fs::write(journal.join("00000000000000000001.journal"), JOURNAL_V1).unwrap();
    let node = try_start(folder.path(), &[]).await.unwrap();
    let (_, received) = Client::open(&node).await;
    assert_eq!(received, 42, "the mark of the last batch");
    assert_eq!(newest_values(&node, "recorded.a").await, [2.0, 1.5, -4.0]);
    assert_eq!(newest_values(&node, "recorded.b").await, [7.0]);
    assert_eq!(node.number("points_replayed_total", &[]), 4.0);
    assert_eq!(node.number("journal_records_unknown_total", &[]), 1.0);
    for damage in ["frames_damaged", "torn_bytes", "files_unusable"] {
        assert_eq!(node.number(&format!("journal_{damage}_total"), &[]), 0.0, "{damage}");
    }
    node.check_ledger(&[]);
    node.stop().await;
}

#[tokio::test]
async fn a_relay_that_speaks_version_1_of_the_link_is_understood() {
    let (node, _folder) = node(&[]).await;
    let mut relay = Client::connect(&node).await;
    relay.say(LINK_V1).await;
    relay.hear().await;
    tokio::time::timeout(PATIENCE, relay.wait_for_synced(12)).await.expect("marks in time");
    assert_eq!(newest_values(&node, "recorded.link").await, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(node.number("link_batches_total", &[]), 3.0);
    relay = Client::connect(&node).await;
    relay.say(LINK_V1).await;
    testkit::wait_until_async("the batches to be known", PATIENCE, async || {
        (node.number("link_batches_repeated_total", &[]) == 3.0).then_some(())
    })
    .await;
    assert_eq!(node.number("points_received_total", &[]), 4.0);
    node.stop().await;
}
