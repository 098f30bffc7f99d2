//! The relay's side of the acknowledged link, against a node that does what a test says: each line comes once, whatever
//! breaks, and nothing is let go before the node has said that it is safe.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use daemon::{Context, Running, Values};
use parking_lot::Mutex;
use plumbago_relay::{METRICS, SETTINGS, start};
use testkit::{ANY_PORT, PATIENCE, ask, send_lines_and_wait_for_close, wait_until_async};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::link::{Decoded, Hello, Marks, Message, Unpacker, choose_version};

const STOP: Duration = Duration::from_secs(10);

/// What a node has, and how it behaves.
#[derive(Debug, Default)]
struct State {
    received: u64,
    synced: u64,
    lines: Vec<String>,
    senders: Vec<u64>,
    repeated: u32,
    /// Nothing is synced.
    withholds: bool,
    /// The next connections end before their first batch is whole.
    cuts: u32,
    /// The next connections end once they have given a batch, and say nothing of it.
    dies_with_a_batch: u32,
    /// It speaks another version.
    is_foreign: bool,
}

#[derive(Debug, Clone)]
struct LinkNode {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl LinkNode {
    async fn start() -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let node = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let serving = node.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let node = serving.clone();
                tokio::spawn(async move { node.connection(stream).await });
            }
        });
        node
    }

    async fn connection(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = BytesMut::new();
        let hello = loop {
            match Hello::decode(&buffer).unwrap() {
                Decoded::Whole(hello, bytes) => {
                    buffer.advance(bytes);
                    break hello;
                }
                Decoded::Incomplete(_) => read(&mut stream, &mut buffer).await?,
            }
        };
        let version = choose_version(&hello.versions).unwrap();
        let mut out = Vec::new();
        {
            let mut state = self.state.lock();
            state.senders.push(hello.sender);
            if state.is_foreign {
                choose_version(&(7..=9)).unwrap_err().encode(&mut out);
            } else {
                let marks = Marks { written: state.received, synced: state.synced };
                let received = state.received;
                Message::Welcome { version, received, marks, name: "node" }.encode(&mut out);
            }
        }
        stream.write_all(&out).await.ok()?;
        loop {
            match Message::decode(&buffer).unwrap() {
                Decoded::Incomplete(_) => {
                    read(&mut stream, &mut buffer).await?;
                    if take_one(&mut self.state.lock().cuts, buffer.len() > 40) {
                        return None;
                    }
                }
                Decoded::Whole(message, bytes) => {
                    let marks = self.take(&message)?;
                    buffer.advance(bytes);
                    let mut out = Vec::new();
                    Message::Marks(marks).encode(&mut out);
                    stream.write_all(&out).await.ok()?;
                }
            }
        }
    }

    /// Takes a batch; none if the connection shall end.
    fn take(&self, message: &Message<'_>) -> Option<Marks> {
        let mut state = self.state.lock();
        if let Message::Batch(batch) = message {
            if batch.number <= state.received {
                state.repeated += 1;
            } else {
                assert!(batch.after >= state.received, "{batch:?} behind {}", state.received);
                let mut unpacker = Unpacker::default();
                let text = std::str::from_utf8(unpacker.lines(batch).unwrap()).unwrap();
                state.lines.extend(text.lines().map(str::to_owned));
                state.received = batch.number;
            }
            if take_one(&mut state.dies_with_a_batch, true) {
                return None;
            }
        }
        if !state.withholds {
            state.synced = state.received;
        }
        Some(Marks { written: state.received, synced: state.synced })
    }

    async fn wait_for(&self, count: usize) -> Vec<String> {
        wait_until_async("lines on the link", PATIENCE, async || {
            (self.state.lock().lines.len() >= count).then_some(())
        })
        .await;
        self.state.lock().lines.clone()
    }

    /// The power was lost: what was not synced is gone.
    fn lose_power(&self) {
        let mut state = self.state.lock();
        state.received = state.synced;
        state.lines.clear();
    }
}

fn take_one(left: &mut u32, now: bool) -> bool {
    let takes = now && *left > 0;
    *left -= u32::from(takes);
    takes
}

async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<()> {
    (stream.read_buf(buffer).await.ok()? > 0).then_some(())
}

/// A relay before one node on the link; with a log if there is a folder for it.
async fn relay(node: &LinkNode, folder: &Path, log: Option<&Path>, packing: &str) -> Running {
    let cluster = folder.join("cluster.toml");
    let text =
        format!("[ring]\n[[node]]\nname = \"a\"\nhost = \"a\"\nlink = \"{}\"\n", node.address);
    std::fs::write(&cluster, text).unwrap();
    let mut values = Values::defaults(SETTINGS)
        .with("line", ANY_PORT)
        .with("pickle", ANY_PORT)
        .with("admin", ANY_PORT)
        .with("self_metrics_interval", "0s")
        .with("link_packing", packing)
        .with("cluster", cluster.to_str().unwrap());
    if let Some(log) = log {
        values = values.with("log", log.to_str().unwrap());
    }
    start(values, Context::new("relay", METRICS)).await.unwrap()
}

async fn send(relay: &Running, range: std::ops::Range<usize>) {
    let lines = lines(range);
    send_lines_and_wait_for_close(relay.address("line").unwrap(), &lines).await;
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("web{}.cpu.user {i} 1700000000", i % 500)).collect()
}

/// Waits until each of `routed` lines is counted once: as sent and not sent again, or as one that the node had.
async fn wait_for_balance(relay: &Running, routed: f64) {
    let value = |what| {
        let name = format!("plumbago_relay_{what}");
        relay.context.metrics.value(&name, &["a"]).unwrap_or(0.0)
    };
    wait_until_async("a ledger that balances", PATIENCE, async || {
        let sent = value("lines_sent_total") - value("lines_resent_total");
        let ends = sent + value("link_lines_known_total") + value("backlog_lines");
        (ends == routed && value("backlog_lines") == 0.0).then_some(())
    })
    .await;
}

async fn wait_for_value(running: &Running, name: &str, wanted: f64) {
    wait_until_async(name, PATIENCE, async || {
        (running.context.metrics.value(name, &["a"]) == Some(wanted)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_that_end_within_a_batch_or_with_its_answer_cost_nothing_and_double_nothing() {
    for (with_log, packing) in [(true, "none"), (true, "lz4"), (false, "zstd"), (false, "none")] {
        let folder = testkit::folder();
        let log = folder.path().join("log");
        let node = LinkNode::start().await;
        {
            let mut state = node.state.lock();
            (state.cuts, state.dies_with_a_batch) = (2, 2);
        }
        let relay = relay(&node, folder.path(), with_log.then_some(&log), packing).await;
        for round in 0..5 {
            send(&relay, round * 1_000..round * 1_000 + 1_000).await;
        }
        assert_eq!(node.wait_for(5_000).await, lines(0..5_000), "{with_log} {packing}");
        wait_for_balance(&relay, 5_000.0).await;
        wait_for_value(&relay, "plumbago_relay_link_lines_synced_total", 5_000.0).await;
        wait_for_value(&relay, "plumbago_relay_link_lines_written_total", 5_000.0).await;
        wait_for_value(&relay, "plumbago_relay_backlog_lines", 0.0).await;
        relay.stop(STOP).await.unwrap();
        let state = node.state.lock();
        assert_eq!((state.lines.len(), state.repeated, state.cuts), (5_000, 0, 0));
        assert!(state.senders.iter().all(|sender| *sender == state.senders[0]));
    }
}

#[tokio::test]
async fn what_is_not_synced_comes_again_after_the_loss_of_power_and_only_then() {
    let folder = testkit::folder();
    let log = folder.path().join("log");
    let node = LinkNode::start().await;
    let first = relay(&node, folder.path(), Some(&log), "none").await;
    send(&first, 0..1_000).await;
    node.wait_for(1_000).await;
    wait_for_value(&first, "plumbago_relay_link_lines_synced_total", 1_000.0).await;
    node.state.lock().withholds = true;
    send(&first, 1_000..3_000).await;
    node.wait_for(3_000).await;
    first.stop(STOP).await.unwrap();

    // The node has said that it has them: they do not come again.
    let second = relay(&node, folder.path(), Some(&log), "none").await;
    send(&second, 3_000..3_100).await;
    assert_eq!(node.wait_for(3_100).await, lines(0..3_100));
    assert_eq!(node.state.lock().repeated, 0);
    wait_for_value(&second, "plumbago_relay_backlog_lines", 0.0).await;
    second.stop(STOP).await.unwrap();

    node.lose_power();
    node.state.lock().withholds = false;
    let third = relay(&node, folder.path(), Some(&log), "none").await;
    assert_eq!(node.wait_for(2_100).await, lines(1_000..3_100));
    wait_for_value(&third, "plumbago_relay_backlog_lines", 0.0).await;
    third.stop(STOP).await.unwrap();
    let state = node.state.lock();
    assert!(state.senders.iter().all(|sender| *sender == state.senders[0]), "{state:?}");
    let left = std::fs::read_dir(&log).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.ends_with(".relay")), "nobody needs anything");
}

/// A log of version 1 of docs/formats/relay-log.md: a frame that node `a` has, one with lines for it and others, and a record of a
/// kind that came later.
const LOG_V1: &[u8] = include_bytes!("recorded/relay-log-v1.bin");
const PLACES_V1: &[u8] = include_bytes!("recorded/places-v1.txt");

#[tokio::test]
async fn what_waits_in_a_log_of_version_1_is_sent() {
    let folder = testkit::folder();
    let log = folder.path().join("log");
    std::fs::create_dir_all(&log).unwrap();
    std::fs::write(log.join("00000000000000000003.relay"), LOG_V1).unwrap();
    std::fs::write(log.join("places"), PLACES_V1).unwrap();
    let node = LinkNode::start().await;
    let relay = relay(&node, folder.path(), Some(&log), "none").await;
    let waiting = ["first 2", "second 3", "third 5"];
    let waiting = waiting.map(|line| format!("recorded.{line} 1700000000"));
    assert_eq!(node.wait_for(waiting.len()).await, waiting);
    wait_for_value(&relay, "plumbago_relay_backlog_lines", 0.0).await;
    relay.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_node_that_speaks_another_version_gets_its_lines_once_it_speaks_ours() {
    let folder = testkit::folder();
    let log = folder.path().join("log");
    let node = LinkNode::start().await;
    node.state.lock().is_foreign = true;
    let relay = relay(&node, folder.path(), Some(&log), "none").await;
    send(&relay, 0..1_000).await;
    wait_until_async("a second hello", PATIENCE, async || {
        (node.state.lock().senders.len() > 1).then_some(())
    })
    .await;
    wait_for_value(&relay, "plumbago_relay_backlog_lines", 1_000.0).await;
    node.state.lock().is_foreign = false;
    assert_eq!(node.wait_for(1_000).await, lines(0..1_000));
    relay.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn what_a_node_has_for_good_is_told_apart_from_what_it_was_sent() {
    let folder = testkit::folder();
    let log = folder.path().join("log");
    let node = LinkNode::start().await;
    let relay = relay(&node, folder.path(), Some(&log), "none").await;
    let admin = relay.address("admin").unwrap();
    let newest_and_done = async || {
        let answer = ask(admin, "GET", "/admin/backlog", "", b"").await;
        let told: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        ["newest", "done"].map(|what| told[0][what].as_u64().unwrap())
    };
    let all_done = async || {
        wait_until_async("all to be done", PATIENCE, async || {
            let [newest, done] = newest_and_done().await;
            (newest == done).then_some(newest)
        })
        .await
    };
    send(&relay, 0..1_000).await;
    node.wait_for(1_000).await;
    let first = all_done().await;
    node.state.lock().withholds = true;
    send(&relay, 1_000..2_000).await;
    node.wait_for(2_000).await;
    let [newest, done] = newest_and_done().await;
    assert!(newest > first && done == first, "{first} {done} {newest}");
    node.state.lock().withholds = false;
    send(&relay, 2_000..2_001).await;
    assert!(all_done().await >= newest);
    relay.stop(STOP).await.unwrap();
}
