//! Loads a storage node from outside, and prints what that took.
//!
//! `load-node accept SERIES ROUNDS CONNECTIONS` sends rounds of one point a series until the journal has them all.
//! `load-node replay SERIES ROUNDS [POINTS_PER_SECOND]` does the same, kills the node and times the next start.
//! It starts the `plumbago-carbon` that was built beside it, with default settings. What the numbers mean:
//! docs/operate/speed.md.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::env;
use std::io::Write;
use std::net::TcpStream;
use std::thread::{self, park_timeout};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use daemon::clock::{Clock, System};
use plumbago_benches::node::{Node, PATIENCE, POLL_INTERVAL, get};

/// Seconds between two points of a series.
const STEP_S: i64 = 60;

/// Bytes that a sender hands to the kernel at once.
const SEND_BYTES: usize = 256 << 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["accept", series, rounds, connections] => {
            accept(&Load::new(series, rounds, None)?, connections.parse()?)
        }
        ["replay", series, rounds] => replay(&Load::new(series, rounds, None)?),
        ["replay", series, rounds, rate] => replay(&Load::new(series, rounds, Some(rate))?),
        _ => bail!("use: load-node accept SERIES ROUNDS CONNECTIONS | replay SERIES ROUNDS [RATE]"),
    }
}

/// What is sent.
struct Load {
    names: Vec<String>,
    rounds: i64,
    start: i64,
    points_per_second: Option<f64>,
}

impl Load {
    fn new(series: &str, rounds: &str, rate: Option<&str>) -> Result<Self> {
        let rounds: i64 = rounds.parse()?;
        let start = System::new().now_unix_seconds() - STEP_S * (rounds + 1);
        let points_per_second = rate.map(str::parse).transpose()?;
        Ok(Self {
            names: plumbago_benches::names(series.parse()?),
            rounds,
            start,
            points_per_second,
        })
    }

    fn points(&self) -> f64 {
        self.names.len() as f64 * self.rounds as f64
    }

    /// Sends the first round, which makes the names known, or all others, over so many connections.
    fn send(&self, node: &Node, first: bool, connections: usize) -> Result<()> {
        let rounds = if first { 0..1 } else { 1..self.rounds + 1 };
        thread::scope(|scope| {
            let part = self.names.len().div_ceil(connections);
            let send = |names| {
                let rounds = rounds.clone();
                scope.spawn(move || self.send_part(node, names, rounds))
            };
            let senders: Vec<_> = self.names.chunks(part).map(send).collect();
            senders.into_iter().try_for_each(|sender| sender.join().expect("senders do not panic"))
        })
    }

    fn send_part(&self, node: &Node, names: &[String], rounds: std::ops::Range<i64>) -> Result<()> {
        let clock = System::new();
        let mut stream = TcpStream::connect(("127.0.0.1", node.line))?;
        let (mut text, mut sent) = (Vec::new(), 0.0);
        for round in rounds {
            for (i, name) in (0..).zip(names) {
                let timestamp = self.start + STEP_S * round;
                let (whole, tenths) = ((i * 7 + round * 13) % 1000, round % 10);
                writeln!(text, "{name} {whole}.{tenths} {timestamp}")?;
                if text.len() >= SEND_BYTES {
                    stream.write_all(&text)?;
                    text.clear();
                }
            }
            sent += names.len() as f64;
            let until = self.points_per_second.map_or(0.0, |rate| sent / rate);
            park_timeout(Duration::from_secs_f64(until).saturating_sub(clock.monotonic()));
        }
        Ok(stream.write_all(&text)?)
    }
}

fn accept(load: &Load, connections: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::start(folder.path(), &[])?;
    load.send(&node, true, connections)?;
    node.wait_committed(load.names.len() as f64)?;
    let (clock, cpu_before) = (System::new(), node.cpu_s()?);
    load.send(&node, false, connections)?;
    node.wait_committed(load.names.len() as f64 + load.points())?;
    let cpu_s = node.cpu_s()? - cpu_before;
    println!(
        "{} points of {} series over {connections} connections: {:.3} us of CPU a point, {:.2} s, {:.0} MB resident",
        load.points(),
        load.names.len(),
        1e6 * cpu_s / load.points(),
        clock.monotonic().as_secs_f64(),
        node.resident_mb()?,
    );
    Ok(())
}

fn replay(load: &Load) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::start(folder.path(), &[])?;
    load.send(&node, true, 1)?;
    load.send(&node, false, 1)?;
    node.wait_committed(load.names.len() as f64 + load.points())?;
    let journal_mb = node.metric("plumbago_carbon_journal_bytes")? / 1e6;
    drop(node);
    let clock = System::new();
    let node = Node::start_unready(folder.path(), &[])?;
    let mut answers = 0;
    while get(node.admin, "/ready").is_err() {
        answers += u32::from(get(node.read, "/metrics/find?query=*&format=json").is_ok());
        ensure!(clock.monotonic() < PATIENCE, "the node does not get ready");
        park_timeout(POLL_INTERVAL);
    }
    println!(
        "{} points sent, {journal_mb:.0} MB of journal left: {:.0} points read back in {:.2} s with {:.2} s of CPU; {answers} reads answered meanwhile",
        load.points(),
        node.metric("plumbago_carbon_points_replayed_total")?,
        clock.monotonic().as_secs_f64(),
        node.cpu_s()?,
    );
    Ok(())
}
