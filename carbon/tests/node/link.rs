//! The acknowledged link: batches are taken once, across reconnects and deaths, and nothing is confirmed too early.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use daemon::clock::Manual;
use testkit::{PATIENCE, wait_until_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::link::{Code, Decoded, Hello, Marks, Message, Packing, pack};
use wire::reply::Format;

use crate::deaths::copy_tree;
use crate::harness::{NOW, Node, node, try_start};

const SENDER: u64 = 0xABCD;

/// How far the node's clock goes while a test waits.
const TICK: Duration = Duration::from_millis(20);

/// A sender that does what a test says.
pub(crate) struct Client {
    clock: Arc<Manual>,
    stream: TcpStream,
    buffer: BytesMut,
}

/// What the node said, as far as tests look at it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Welcome(u64, Marks),
    Marks(Marks),
    Error(Code, String),
    End,
}

impl Client {
    pub(crate) async fn connect(node: &Node) -> Self {
        let stream = TcpStream::connect(node.running.address("link").unwrap()).await.unwrap();
        Self { clock: Arc::clone(&node.clock), stream, buffer: BytesMut::new() }
    }

    /// A connection after its hello, and the number that it goes on behind.
    pub(crate) async fn open(node: &Node) -> (Self, u64) {
        let mut client = Self::connect(node).await;
        client.say(&hello()).await;
        let Said::Welcome(received, _) = client.hear().await else { panic!("no welcome") };
        (client, received)
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Said {
        loop {
            if let Ok(Decoded::Whole(message, bytes)) = Message::decode(&self.buffer) {
                let said = match message {
                    Message::Welcome { version: 1, received, marks, .. } => {
                        Some(Said::Welcome(received, marks))
                    }
                    Message::Marks(marks) => Some(Said::Marks(marks)),
                    Message::Error { code, text } => Some(Said::Error(code, text.to_owned())),
                    Message::Alive => None,
                    other => panic!("{other:?}"),
                };
                self.buffer.advance(bytes);
                if let Some(said) = said {
                    return said;
                }
                continue;
            }
            if self.read().await == 0 {
                return Said::End;
            }
        }
    }

    /// Reads more; meanwhile the node's clock goes, so that its journal is written and synced.
    async fn read(&mut self) -> usize {
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            match timeout(TICK, self.stream.read_buf(&mut self.buffer)).await {
                Ok(read) => return read.unwrap_or(0),
                Err(_nothing) => self.clock.advance(TICK),
            }
            waited += TICK;
        }
        panic!("no answer in time");
    }

    pub(crate) async fn wait_for_synced(&mut self, number: u64) {
        loop {
            match self.hear().await {
                Said::Marks(marks) if marks.synced == number => return,
                Said::Marks(marks) => assert!(marks.synced <= marks.written),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    Hello::new(SENDER, u64::MAX, "node").encode(&mut bytes);
    bytes
}

/// One point, as batch number `number`.
fn batch(after: u64, number: u64) -> Vec<u8> {
    packed(after, number, Packing::None)
}

fn packed(after: u64, number: u64, packing: Packing) -> Vec<u8> {
    let time = NOW - 60 * i64::try_from(number).unwrap();
    let lines = format!("linked.a {number} {time}\n").repeat(3);
    let mut bytes = Vec::new();
    pack(after, number, 3, lines.as_bytes(), packing, &mut bytes);
    bytes
}

/// The values of the series, newest first.
async fn values(node: &Node) -> Vec<f64> {
    let query = format!("target=linked.a&from={}&until={NOW}", NOW - 1_800);
    let series = node.render(&query, Format::V3).await.series;
    let values = series.iter().flat_map(|series| series.values.iter().rev());
    values.copied().filter(|value| !value.is_nan()).collect()
}

#[tokio::test]
async fn each_batch_is_taken_once_and_confirmed_when_it_is_safe() {
    let (node, _folder) = node(&[]).await;
    let mut client = Client::connect(&node).await;
    client.say(&hello()).await;
    assert_eq!(client.hear().await, Said::Welcome(0, Marks::default()));
    client.say(&batch(0, 1)).await;
    client.wait_for_synced(1).await;
    client.say(&[packed(1, 3, Packing::Lz4), packed(3, 5, Packing::Zstd)].concat()).await;
    client.say(&[packed(1, 3, Packing::Lz4), batch(0, 1)].concat()).await;
    client.wait_for_synced(5).await;
    wait_until_async("repeated batches", PATIENCE, async || {
        (node.number("link_batches_repeated_total", &[]) == 2.0).then_some(())
    })
    .await;
    assert_eq!(node.number("link_batches_total", &[]), 3.0);
    assert_eq!(node.number("points_received_total", &[]), 9.0);
    assert_eq!(values(&node).await, [1.0, 3.0, 5.0]);
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.hear().await, Said::End);
    assert_eq!(Client::open(&node).await.1, 5);
    node.check_ledger(&[]);
    node.stop().await;
}

#[tokio::test]
async fn what_was_taken_is_known_after_a_death_and_after_a_stop_that_leaves_no_journal() {
    // However much other programs have written to the disk.
    let (first, folder) = node(&[("stop_deadline", "1h")]).await;
    let (mut client, _) = Client::open(&first).await;
    client.say(&batch(0, 1)).await;
    client.wait_for_synced(1).await;
    // A copy of the folder at this moment is what a death would leave.
    let copy = testkit::folder();
    copy_tree(folder.path(), copy.path());
    first.stop().await;
    assert_eq!(folder.path().join("journal").read_dir().unwrap().count(), 0);
    for folder in [&folder, &copy] {
        let second = try_start(folder.path(), &[]).await.unwrap();
        let (mut client, received) = Client::open(&second).await;
        assert_eq!(received, 1);
        client.say(&[batch(0, 1), batch(1, 2)].concat()).await;
        client.wait_for_synced(2).await;
        assert_eq!(values(&second).await, [1.0, 2.0]);
        assert_eq!(second.number("points_received_total", &[]), 3.0);
        assert_eq!(second.number("link_batches_repeated_total", &[]), 1.0);
        second.stop().await;
        let third = try_start(folder.path(), &[]).await.unwrap();
        assert_eq!(Client::open(&third).await.1, 2);
        third.stop().await;
    }
}

#[tokio::test]
async fn a_batch_that_was_damaged_on_its_way_is_refused_and_taken_when_it_comes_again() {
    let (node, _folder) = node(&[]).await;
    let (mut client, _) = Client::open(&node).await;
    let mut damaged = batch(1, 2);
    damaged[50] ^= 1;
    client.say(&[batch(0, 1), damaged].concat()).await;
    loop {
        match client.hear().await {
            Said::Marks(_) => {}
            said => {
                let text = "checksum of a message does not match".to_owned();
                assert_eq!(said, Said::Error(Code::Damaged, text));
                break;
            }
        }
    }
    assert_eq!(client.hear().await, Said::End);
    assert_eq!(node.number("link_refused_total", &["damaged"]), 1.0);
    let (mut client, received) = Client::open(&node).await;
    assert_eq!(received, 1);
    client.say(&batch(1, 2)).await;
    client.wait_for_synced(2).await;
    assert_eq!(values(&node).await, [1.0, 2.0]);
    assert_eq!(node.number("points_received_total", &[]), 6.0);
    node.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_within_a_batch_leaves_nothing_of_it() {
    let (node, _folder) = node(&[]).await;
    let (mut client, _) = Client::open(&node).await;
    let (whole, cut) = (batch(0, 1), batch(1, 2));
    client.say(&[&whole, &cut[..cut.len() - 1]].concat()).await;
    client.wait_for_synced(1).await;
    drop(client);
    let (mut client, received) = Client::open(&node).await;
    assert_eq!(received, 1);
    client.say(&cut).await;
    client.wait_for_synced(2).await;
    assert_eq!(node.number("points_received_total", &[]), 6.0);
    assert_eq!(node.number("link_batches_repeated_total", &[]), 0.0);
    node.stop().await;
}

#[tokio::test]
async fn only_the_newest_connection_of_a_sender_is_heard() {
    let (node, _folder) = node(&[]).await;
    let (mut former, _) = Client::open(&node).await;
    let (mut newest, _) = Client::open(&node).await;
    assert!(matches!(former.hear().await, Said::Error(Code::Replaced, _)));
    newest.say(&batch(0, 1)).await;
    newest.wait_for_synced(1).await;
    node.stop().await;
    loop {
        match newest.hear().await {
            Said::Marks(_) => {}
            said => break assert!(matches!(said, Said::Error(Code::Stopping, _)), "{said:?}"),
        }
    }
}

#[tokio::test]
async fn who_does_not_speak_the_link_is_refused_in_one_line() {
    let (node, _folder) = node(&[]).await;
    let mut newer = Client::connect(&node).await;
    let versions = 7..=9;
    let mut bytes = Vec::new();
    Hello { versions, ..Hello::new(SENDER, 0, "node") }.encode(&mut bytes);
    newer.say(&bytes).await;
    let text = "the sender speaks versions 7 to 9 of the acknowledged link, this program speaks 1";
    assert_eq!(newer.hear().await, Said::Error(Code::Version, text.to_owned()));
    assert_eq!(newer.hear().await, Said::End);
    let mut lines = Client::connect(&node).await;
    lines.say(b"linked.a 1 1700000000\n").await;
    assert_eq!(lines.hear().await, Said::End);
    let (mut overlaps, _) = Client::open(&node).await;
    overlaps.say(&[batch(0, 2), batch(1, 3)].concat()).await;
    loop {
        match overlaps.hear().await {
            Said::Marks(_) => {}
            said => break assert!(matches!(said, Said::Error(Code::Order, _)), "{said:?}"),
        }
    }
    wait_until_async("refusals to be counted", PATIENCE, async || {
        let count = |reason| node.number("link_refused_total", &[reason]);
        (["version", "hello", "order"].map(count) == [1.0; 3]).then_some(())
    })
    .await;
    assert_eq!(node.number("points_received_total", &[]), 3.0);
    node.stop().await;
}
