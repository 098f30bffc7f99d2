//! The relay's log between real sockets: nothing that was accepted is lost, whoever dies; what goes is counted.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::{Context, Running, Values};
use plumbago_relay::{METRICS, SETTINGS, start};
use testkit::{ANY_PORT, LineSink, PATIENCE, send_lines_and_wait_for_close, wait_until_async};

const STOP: Duration = Duration::from_secs(10);

/// A relay with one copy over `nodes` and its log in `folder`.
fn settings(nodes: &[&str], folder: &Path) -> Values {
    let values = Values::defaults(SETTINGS)
        .with("line", ANY_PORT)
        .with("pickle", ANY_PORT)
        .with("admin", ANY_PORT)
        .with("log", folder.to_str().unwrap());
    nodes.iter().zip('a'..).fold(values, |values, (address, instance)| {
        values.with("node", &format!("{address}={instance}"))
    })
}

async fn run(values: Values) -> (Running, SocketAddr) {
    let running = start(values, Context::new("relay", METRICS)).await.unwrap();
    let line = running.address("line").unwrap();
    (running, line)
}

/// An address of a dead node. Each test has a loopback host of its own, so that no other takes the port meanwhile.
fn dead_address(host: u8) -> String {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::new(127, 0, 7, host), 0));
    listener.unwrap().local_addr().unwrap().to_string()
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("web{}.cpu.user {i} 1700000000", i % 500)).collect()
}

fn value(running: &Running, name: &str, labels: &[&str]) -> f64 {
    running.context.metrics.value(name, labels).unwrap_or(0.0)
}

async fn wait_for_value(running: &Running, name: &str, labels: &[&str], wanted: f64) {
    wait_until_async(name, PATIENCE, async || {
        (value(running, name, labels) == wanted).then_some(())
    })
    .await;
}

/// What the disk would have if the relay was killed at this moment. A file that goes meanwhile has another name by then.
fn killed(folder: &Path, copy: &Path) {
    fs::create_dir_all(copy).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let copied = fs::copy(entry.path(), copy.join(entry.file_name()));
        assert!(
            !copied.is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound),
            "{entry:?}"
        );
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|name| name == "relay")).collect();
    segments.sort();
    segments
}

#[tokio::test]
async fn what_a_killed_relay_had_accepted_is_delivered_by_the_next_one() {
    let folder = testkit::folder();
    let (log, copy) = (folder.path().join("log"), folder.path().join("copy"));
    let dead = dead_address(2);
    let (running, line) = run(settings(&[&dead], &log)).await;
    let sent = lines(0..5_000);
    send_lines_and_wait_for_close(line, &sent).await;
    killed(&log, &copy);
    // While it lives it has the same lines for the same node.
    running.stop(STOP).await.unwrap();

    let (next, _) = run(settings(&[&dead], &copy)).await;
    let name = format!("{dead}=a");
    wait_for_value(&next, "plumbago_relay_backlog_lines", &[&name], 5_000.0).await;
    let back = LineSink::start(&dead);
    assert_eq!(back.wait_for(sent.len()).await, sent);
    wait_for_value(&next, "plumbago_relay_backlog_lines", &[&name], 0.0).await;
    next.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn what_was_delivered_before_a_stop_does_not_come_again() {
    let folder = testkit::folder();
    let sink = LineSink::start(ANY_PORT);
    let address = sink.address().to_string();
    for round in 0..3 {
        let (running, line) = run(settings(&[&address], folder.path())).await;
        send_lines_and_wait_for_close(line, &lines(round * 100..round * 100 + 100)).await;
        sink.wait_for((round + 1) * 100).await;
        running.stop(STOP).await.unwrap();
        assert_eq!(segments(folder.path()).len(), 0, "nobody needs anything");
    }
    assert_eq!(sink.lines(), lines(0..300));
}

#[tokio::test]
async fn a_torn_tail_and_a_flipped_bit_cost_what_they_hit_and_are_counted() {
    let folder = testkit::folder();
    let (log, copy) = (folder.path().join("log"), folder.path().join("copy"));
    let dead = dead_address(3);
    let (running, line) = run(settings(&[&dead], &log)).await;
    for round in 0..10 {
        // Each round is a frame of its own: its close waits for the commit.
        send_lines_and_wait_for_close(line, &lines(round * 100..round * 100 + 100)).await;
    }
    killed(&log, &copy);
    running.stop(STOP).await.unwrap();
    let path = segments(&copy).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    bytes.truncate(bytes.len() - 5);
    fs::write(&path, &bytes).unwrap();

    let back = LineSink::start(&dead);
    let (next, _) = run(settings(&[&dead], &copy)).await;
    let arrived: BTreeSet<String> = back.wait_for(800).await.into_iter().collect();
    let sent: BTreeSet<String> = lines(0..1_000).into_iter().collect();
    assert!(arrived.is_subset(&sent) && arrived.len() == 800, "{}", arrived.len());
    wait_for_value(&next, "plumbago_relay_log_frames_damaged_total", &[], 1.0).await;
    assert!(value(&next, "plumbago_relay_log_torn_bytes_total", &[]) > 0.0);
    next.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_node_that_does_not_read_holds_up_no_other_and_gets_all_when_it_reads_again() {
    let folder = testkit::folder();
    let stopped = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
    let sink = LineSink::start(ANY_PORT);
    let nodes = [stopped.local_addr().unwrap().to_string(), sink.address().to_string()];
    let values = settings(&[&nodes[0], &nodes[1]], folder.path())
        .with("replication", "2")
        .with("log_memory_bytes_max", "1MiB");
    let (running, line) = run(values).await;
    let long = "x".repeat(200);
    let sent: Vec<String> = (0..80_000).map(|i| format!("{long}.{i} 1 1700000000")).collect();
    // Accepted and not read: the kernel's buffers fill, then memory, and the log has the rest.
    let (mut connection, _) = stopped.accept().await.unwrap();
    send_lines_and_wait_for_close(line, &sent).await;
    assert_eq!(sink.wait_for(sent.len()).await.len(), sent.len());
    assert!(value(&running, "plumbago_relay_backlog_lines", &[&format!("{}=a", nodes[0])]) > 0.0);

    let mut received = 0;
    let expected: usize = sent.iter().map(|line| line.len() + 1).sum();
    let mut all = Vec::with_capacity(expected);
    while received < expected {
        let read = tokio::io::AsyncReadExt::read_buf(&mut connection, &mut all);
        received += tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    }
    let all = String::from_utf8(all).unwrap();
    let arrived: BTreeSet<&str> = all.lines().collect();
    assert!(arrived.len() == sent.len() && sent.iter().all(|line| arrived.contains(&line[..])));
    drop(connection);
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn nodes_that_do_not_read_hold_up_a_stop_together_and_not_one_after_the_other() {
    let folder = testkit::folder();
    let stopped: Vec<_> = (0..5).map(|_| std::net::TcpListener::bind(ANY_PORT).unwrap()).collect();
    let nodes: Vec<String> =
        stopped.iter().map(|node| node.local_addr().unwrap().to_string()).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let values = settings(&nodes, folder.path()).with("replication", "5");
    let (running, line) = run(values).await;
    let long = "x".repeat(200);
    let sent: Vec<String> = (0..80_000).map(|i| format!("{long}.{i} 1 1700000000")).collect();
    // More than the kernel takes for a node: each connection is in the middle of a write.
    send_lines_and_wait_for_close(line, &sent).await;
    running.stop(STOP).await.unwrap();
}

/// Sends until a relay with a small log has had to do something, with a dead node; returns what was sent.
async fn overfill(line: SocketAddr, running: &Running, node: &str) -> usize {
    let mut sent = 0;
    let dropped = || {
        ["log_full_oldest", "log_full_newest"].into_iter().any(|reason| {
            value(running, "plumbago_relay_node_lines_dropped_total", &[node, reason]) > 0.0
        })
    };
    while !dropped() {
        send_lines_and_wait_for_close(line, &lines(sent..sent + 10_000)).await;
        sent += 10_000;
        assert!(sent < 20_000_000, "the log has no bound");
    }
    sent
}

#[tokio::test]
async fn past_its_bound_the_oldest_lines_go_and_every_one_is_counted() {
    let folder = testkit::folder();
    let dead = dead_address(4);
    let node = format!("{dead}=a");
    let values = settings(&[&dead], folder.path())
        .with("log_bytes_max", "1MiB")
        .with("log_segment_bytes", "128KiB");
    let (running, line) = run(values).await;
    let sent = overfill(line, &running, &node).await;
    let back = LineSink::start(&dead);
    wait_for_value(&running, "plumbago_relay_backlog_lines", &[&node], 0.0).await;
    let labels = [node.as_str(), "log_full_oldest"];
    let dropped = value(&running, "plumbago_relay_node_lines_dropped_total", &labels) as usize;
    let arrived = back.wait_for(sent - dropped).await;
    assert_eq!(arrived, lines(dropped..sent));
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn past_its_bound_no_newer_lines_are_kept_until_the_node_has_the_older_ones() {
    let folder = testkit::folder();
    let dead = dead_address(5);
    let node = format!("{dead}=a");
    let values = settings(&[&dead], folder.path())
        .with("log_bytes_max", "1MiB")
        .with("log_segment_bytes", "128KiB")
        .with("log_full", "newest");
    let (running, line) = run(values).await;
    let sent = overfill(line, &running, &node).await;
    let labels = [node.as_str(), "log_full_newest"];
    let dropped = value(&running, "plumbago_relay_node_lines_dropped_total", &labels) as usize;
    let back = LineSink::start(&dead);
    wait_for_value(&running, "plumbago_relay_backlog_lines", &[&node], 0.0).await;
    assert_eq!(back.wait_for(sent - dropped).await, lines(0..sent - dropped));
    let new = vec!["new.one 1 1700000000".to_owned()];
    send_lines_and_wait_for_close(line, &new).await;
    assert_eq!(back.wait_for(sent - dropped + 1).await.last(), new.last());
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn with_log_full_wait_senders_wait_and_nothing_is_dropped() {
    let folder = testkit::folder();
    let dead = dead_address(6);
    let values = settings(&[&dead], folder.path())
        .with("log_bytes_max", "256KiB")
        .with("log_segment_bytes", "64KiB")
        .with("log_full", "wait");
    let (running, line) = run(values).await;
    let sender = tokio::spawn(async move {
        for round in 0..20 {
            send_lines_and_wait_for_close(line, &lines(round * 10_000..(round + 1) * 10_000)).await;
        }
    });
    wait_until_async("a sender to wait", PATIENCE, async || {
        (value(&running, "plumbago_relay_senders_waited_total", &[]) > 0.0).then_some(())
    })
    .await;
    let back = LineSink::start(&dead);
    sender.await.unwrap();
    assert_eq!(back.wait_for(200_000).await, lines(0..200_000));
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn lines_that_a_version_without_a_log_has_left_are_delivered_and_their_file_goes() {
    let folder = testkit::folder();
    let sink = LineSink::start(ANY_PORT);
    let address = sink.address().to_string();
    let file = folder.path().join(format!("{}_a.lines", address.replace(':', "_")));
    fs::write(&file, "old.one 1 1700000000\nold.two 2 1700000000\n").unwrap();
    let (running, _) = run(settings(&[&address], folder.path())).await;
    assert_eq!(sink.wait_for(2).await, ["old.one 1 1700000000", "old.two 2 1700000000"]);
    assert!(!file.exists());
    running.stop(STOP).await.unwrap();
}
