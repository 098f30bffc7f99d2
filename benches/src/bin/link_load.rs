//! Loads a relay before four storage nodes, two copies, and prints what that took.
//!
//! `link-load [LINES] [link|plain]` sends LINES lines of 100,000 names over four connections as fast as they are taken, waits until nothing
//! waits for any node, and prints the CPU seconds of the relay and of the nodes, and what came.
//! It starts the `plumbago-relay` and `plumbago-carbon` that were built beside it. What the numbers mean: docs/operate/speed.md.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::env;
use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, bail};
use daemon::clock::{Clock, System};
use plumbago_benches::node::{Node, free_ports, wait_until};
use plumbago_benches::relay::Relay;

const NAMES: usize = 100_000;
const NODES: usize = 4;
const COPIES: usize = 2;
const CONNECTIONS: usize = 4;
const FIRST_TIMESTAMP: usize = 1_700_000_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => load(2_000_000, true),
        [lines] => load(lines.parse()?, true),
        [lines, "link"] => load(lines.parse()?, true),
        [lines, "plain"] => load(lines.parse()?, false),
        _ => bail!("use: link-load [LINES] [link|plain]"),
    }
}

/// Storage nodes, and the file that names them.
fn nodes(folder: &Path, by_link: bool) -> Result<Vec<Node>> {
    let mut cluster = format!("[ring]\ncopies = {COPIES}\n");
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let [link] = free_ports()?;
        let link = format!("127.0.0.1:{link}");
        let arguments = ["--link", &link, "--carbonlink", "", "--self-metrics-interval", "0s"];
        let node = Node::start(&folder.join(format!("n{number}")), &arguments)?;
        cluster += &format!("[[node]]\nhost = \"n{number}\"\nline = \"127.0.0.1:{}\"\n", node.line);
        if by_link {
            cluster += &format!("link = \"{link}\"\n");
        }
        nodes.push(node);
    }
    fs::write(folder.join("cluster.toml"), cluster)?;
    Ok(nodes)
}

/// Every `CONNECTIONS`th of the lines, beginning with this one.
fn lines(first: usize, count: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for number in (first..count).step_by(CONNECTIONS) {
        let (name, round) = (number % NAMES, number / NAMES);
        let (host, timestamp) = (name / 20, FIRST_TIMESTAMP + round * 10);
        let line = format!(
            "production.service.host{host:05}.system.cpu{}.user_pct {number}.25 {timestamp}\n",
            name % 20
        );
        text.extend_from_slice(line.as_bytes());
    }
    text
}

fn load(count: usize, by_link: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nodes = nodes(folder.path(), by_link)?;
    let cluster = folder.path().join("cluster.toml");
    let cluster = cluster.to_str().context("a folder whose name is no text")?;
    let relay = Relay::start(folder.path(), &["--cluster", cluster])?;
    let texts: Vec<Vec<u8>> = (0..CONNECTIONS).map(|first| lines(first, count)).collect();
    let cpu = || -> Result<(f64, f64)> {
        let of_nodes = nodes.iter().map(Node::cpu_s).sum::<Result<f64>>()?;
        Ok((relay.cpu_s()?, of_nodes))
    };
    let (before, clock) = (cpu()?, System::new());
    let began = clock.monotonic();
    thread::scope(|scope| {
        let senders: Vec<_> = texts.iter().map(|text| scope.spawn(|| relay.send(text))).collect();
        senders.into_iter().try_for_each(|sender| sender.join().expect("no panic in a sender"))
    })?;
    let sent = clock.monotonic() - began;
    wait_until("all has left the relay", || Ok(relay.sum("plumbago_relay_backlog_lines")? == 0.0))?;
    let received = || -> Result<f64> {
        nodes.iter().map(|node| node.metric("plumbago_carbon_points_received_total")).sum()
    };
    wait_until("all is with the nodes", || Ok(received()? >= (count * COPIES) as f64))?;
    let (drained, after, received) = (clock.monotonic() - began, cpu()?, received()?);
    let millions = count as f64 / 1e6;
    println!(
        "accepted after {:.2} s, with the nodes after {:.2} s",
        sent.as_secs_f64(),
        drained.as_secs_f64()
    );
    println!(
        "CPU seconds a million lines: relay {:.2}, nodes {:.2}",
        (after.0 - before.0) / millions,
        (after.1 - before.1) / millions
    );
    println!("{received} points received of {}", count * COPIES);
    println!("the relay held at most {:.0} MB", relay.most_resident_mb()?);
    Ok(())
}
