//! The relay between real sockets: every line on exactly its owners, through dead nodes, full
//! queues and its own restarts.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use daemon::{Context, Running, Values};
use plumbago_relay::{METRICS, SETTINGS, start};
use ring::{Node, Ring, RingSpec};
use testkit::{ANY_PORT, LineSink, PATIENCE, closed_address, send_lines, wait_until_async};

const STOP: Duration = Duration::from_secs(10);

/// Settings of a relay with two copies over `nodes`, named a, b, c… by their instances.
fn settings(nodes: &[String]) -> Values {
    let values = Values::defaults(SETTINGS)
        .with("line", ANY_PORT)
        .with("pickle", ANY_PORT)
        .with("admin", ANY_PORT)
        .with("self_metrics_interval", "0s")
        .with("replication", "2");
    nodes.iter().zip('a'..).fold(values, |values, (address, instance)| {
        values.with("node", &format!("{address}={instance}"))
    })
}

async fn run(values: Values) -> (Running, SocketAddr) {
    let running = start(values, Context::new("relay", METRICS)).await.unwrap();
    let line = running.address("line").unwrap();
    (running, line)
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("web{}.cpu.user {i} 1700000000", i % 500)).collect()
}

/// What each node must get: the ring's owners of each name, asked of the ring itself.
fn expected(nodes: &[String], lines: &[String]) -> Vec<Vec<String>> {
    let spec = RingSpec { copies: 2, ..RingSpec::default() };
    let node = |(address, instance): (&String, char)| {
        Node::parse(&format!("{address}={instance}")).unwrap()
    };
    let ring = Ring::new(spec, nodes.iter().zip('a'..).map(node).collect()).unwrap();
    let mut all = vec![Vec::new(); nodes.len()];
    for line in lines {
        let name = line.split(' ').next().unwrap();
        for owner in &ring.owners(name.as_bytes()) {
            all[usize::from(owner)].push(line.clone());
        }
    }
    all
}

/// What a node is owed: the lines of one series in the order in which they were sent.
fn by_series(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_by(|one, other| one.split(' ').next().cmp(&other.split(' ').next()));
    lines
}

fn value(running: &Running, name: &str, labels: &[&str]) -> f64 {
    running.context.metrics.value(name, labels).unwrap()
}

#[tokio::test]
async fn every_line_reaches_its_owner_and_the_next_node_in_order_and_no_other() {
    let sinks: Vec<LineSink> = (0..4).map(|_| LineSink::start(ANY_PORT)).collect();
    let nodes: Vec<String> = sinks.iter().map(|sink| sink.address().to_string()).collect();
    let (running, line) = run(settings(&nodes)).await;
    let sent = lines(5_000);
    send_lines(line, &sent).await;
    for (sink, expected) in sinks.iter().zip(expected(&nodes, &sent)) {
        assert_eq!(by_series(sink.wait_for(expected.len()).await), by_series(expected));
    }
    assert_eq!(value(&running, "plumbago_relay_lines_received_total", &[]), 5_000.0);
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_dead_node_slows_nobody_and_gets_its_lines_when_it_is_back() {
    let alive: Vec<LineSink> = (0..3).map(|_| LineSink::start(ANY_PORT)).collect();
    let mut nodes: Vec<String> = alive.iter().map(|sink| sink.address().to_string()).collect();
    nodes.push(closed_address());
    let (running, line) = run(settings(&nodes)).await;
    let sent = lines(5_000);
    send_lines(line, &sent).await;
    let expected = expected(&nodes, &sent);
    for (sink, expected) in alive.iter().zip(&expected) {
        assert_eq!(by_series(sink.wait_for(expected.len()).await), by_series(expected.clone()));
    }
    let dead = format!("{}=d", nodes[3]);
    let waiting = value(&running, "plumbago_relay_backlog_lines", &[&dead]);
    assert_eq!(waiting, expected[3].len() as f64);

    let back = LineSink::start(&nodes[3]);
    let arrived = back.wait_for(expected[3].len()).await;
    assert_eq!(by_series(arrived), by_series(expected[3].clone()));
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn lines_that_a_stop_could_not_deliver_are_sent_by_the_next_run() {
    let folder = testkit::folder();
    let nodes = vec![closed_address()];
    let log = folder.path().join("log");
    let values = settings(&nodes).with("log", log.to_str().unwrap());
    let (running, line) = run(values.clone()).await;
    let sent = lines(1_000);
    send_lines(line, &sent).await;
    wait_until_async("the lines to be read", PATIENCE, async || {
        (value(&running, "plumbago_relay_lines_received_total", &[]) >= 1_000.0).then_some(())
    })
    .await;
    running.stop(STOP).await.unwrap();

    let back = LineSink::start(&nodes[0]);
    let (running, _) = run(values).await;
    assert_eq!(back.wait_for(sent.len()).await, sent);
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_makes_senders_wait_and_drops_nothing() {
    let nodes = vec![closed_address()];
    let (running, line) = run(settings(&nodes).with("queue_bytes_max", "64KiB")).await;
    let sent = lines(400_000);
    let sender = tokio::spawn({
        let sent = sent.clone();
        async move { send_lines(line, &sent).await }
    });
    wait_until_async("a sender to wait", PATIENCE, async || {
        (value(&running, "plumbago_relay_senders_waited_total", &[]) > 0.0).then_some(())
    })
    .await;
    let read = value(&running, "plumbago_relay_lines_received_total", &[]);
    assert!(read < 400_000.0, "all lines were read although the queue was full");

    let back = LineSink::start(&nodes[0]);
    sender.await.unwrap();
    assert_eq!(back.wait_for(sent.len()).await.len(), sent.len());
    assert_eq!(back.lines(), sent);
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_loses_no_line_though_some_may_come_twice() {
    let first = LineSink::start(ANY_PORT);
    let nodes = vec![first.address().to_string()];
    let (running, line) = run(settings(&nodes)).await;
    let sent = lines(2_000);
    send_lines(line, &sent[..1_000]).await;
    let mut seen: BTreeSet<String> = first.wait_for(1_000).await.into_iter().collect();
    drop(first);
    wait_until_async("the port to be free", PATIENCE, async || {
        tokio::net::TcpStream::connect(&nodes[0]).await.err()
    })
    .await;
    let second = LineSink::start(&nodes[0]);
    send_lines(line, &sent[1_000..]).await;
    let all: BTreeSet<String> = sent.iter().cloned().collect();
    wait_until_async("every line to have arrived", PATIENCE, async || {
        seen.extend(second.lines());
        (seen == all).then_some(())
    })
    .await;
    running.stop(STOP).await.unwrap();
}

#[test]
fn settings_that_make_no_ring_name_the_node_or_the_file() {
    let faults = |values: &Values| -> Vec<String> {
        plumbago_relay::Config::from_values(values)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let none = faults(&Values::defaults(SETTINGS));
    assert!(none[0].contains("no node is given"), "{none:?}");
    let twice = faults(&Values::defaults(SETTINGS).with("node", "h:1=a").with("node", "h:2=a"));
    assert!(twice[0].contains("same host and instance"), "{twice:?}");
    let bad = faults(&Values::defaults(SETTINGS).with("node", "h:1=a").with("node", "nonsense"));
    assert!(bad[0].contains("nonsense"), "{bad:?}");
    let missing = faults(&Values::defaults(SETTINGS).with("cluster", "/no/such/cluster.toml"));
    assert!(missing[0].contains("/no/such/cluster.toml"), "{missing:?}");
}

#[tokio::test]
async fn the_relays_own_numbers_are_series_under_carbon_c_relays_names() {
    let sink = LineSink::start(ANY_PORT);
    let values = settings(&[sink.address().to_string()]).with("replication", "1");
    let (running, _) = run(values.with("self_metrics_interval", "5ms")).await;
    // Several rounds of some dozens.
    let arrived = sink.wait_for(200).await;
    assert!(arrived.iter().all(|line| line.starts_with("carbon.relays.")), "{arrived:?}");
    let has = |lines: &[String], part: &str| lines.iter().any(|line| line.contains(part));
    assert!(has(&arrived, ".metricsReceived ") && has(&arrived, ".metricsSent "), "{arrived:?}");
    running.stop(STOP).await.unwrap();
}
