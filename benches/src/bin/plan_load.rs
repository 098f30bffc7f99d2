//! `plumbago plan rebalance` over many series: nodes that hold names only, and what the command costs.
//!
//! `plan-load PROGRAM [SERIES]` runs PROGRAM (a `plumbago`) against four nodes with two copies of each series, to be
//! rebalanced to five, and prints its wall time, its CPU time and the most memory it held.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program whose output is its result")]
#![expect(clippy::disallowed_methods, reason = "it measures how long things take")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ring::cluster::Cluster;
use wire::moves::{Held, HeldPage};

const SERIES: u32 = 1_000_000;

/// Nodes that hold the series; one more is to.
const NODES: u32 = 4;

/// Bytes of a file with `60s:1d,5m:7d,1h:1y`.
const FILE_BYTES: u64 = 146_644;

/// How often the program's memory is looked at. What it says is the most so far, so only the last look counts.
const LOOK: Duration = Duration::from_millis(5);

/// Parts of a second that Linux counts CPU in.
const TICKS_A_SECOND: f64 = 100.0;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().context("usage: plan-load PROGRAM [SERIES]")?;
    let series = arguments.next().map_or(Ok(SERIES), |text| text.parse())?;
    let listeners = (0..=NODES).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners: Vec<TcpListener> = listeners.collect::<Result<_, _>>()?;
    let addresses = listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
    let addresses: Vec<String> = addresses.collect::<Result<_>>()?;
    let folder = tempfile::tempdir()?;
    let [before, after] = ["before.toml", "after.toml"].map(|file| folder.path().join(file));
    std::fs::write(&before, cluster_text(&addresses[..NODES as usize]))?;
    std::fs::write(&after, cluster_text(&addresses))?;

    let cluster = Cluster::parse(&std::fs::read_to_string(&before)?)?;
    let mut held = vec![Vec::new(); listeners.len()];
    for number in 0..series {
        for owner in &cluster.ring().owners(name(number).as_bytes()) {
            held[usize::from(owner)].push(number);
        }
    }
    for (listener, held) in listeners.into_iter().zip(held) {
        let held = Arc::new(held);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let held = Arc::clone(&held);
                thread::spawn(move || drop(serve(stream, &held)));
            }
        });
    }
    let plan = folder.path().join("plan");
    let mut command = Command::new(program);
    command.args(["plan", "rebalance", "--cluster"]).arg(&before).arg("--to").arg(&after);
    let began = Instant::now();
    let child = command.arg("--out").arg(&plan).spawn()?;
    let (cpu_s, most_mb) = watched(child)?;
    let wall_s = began.elapsed().as_secs_f64();
    let steps = BufReader::new(std::fs::File::open(plan)?).lines().count() - 1;
    println!("{series} series, {steps} to move: {wall_s:.1} s, {cpu_s:.2} s of CPU, {most_mb} MB");
    Ok(())
}

fn name(series: u32) -> String {
    let (host, of_host) = (series / 50, series % 50);
    format!("servers.dc{}.rack{:02}.host{host:06}.cpu.core{of_host}.user", host % 7, host % 41)
}

fn cluster_text(addresses: &[String]) -> String {
    let mut text = "[ring]\ncopies = 2\n".to_owned();
    for (number, address) in addresses.iter().enumerate() {
        text.push_str(&format!(
            "[[node]]\nname = \"n{number}\"\nhost = \"10.0.0.{number}\"\nline = \"10.0.0.{number}:2103\"\nadmin = \"{address}\"\n"
        ));
    }
    text
}

/// Answers requests for parts of the list, as a node does.
fn serve(stream: TcpStream, held: &[u32]) -> Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let number = |key: &str| {
            let text = line.split(key).nth(1)?;
            text.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
        };
        let from = number("from=").context("a request for the list")?;
        let end = held.len().min(from + number("limit=").context("a limit")?);
        let one = |&series: &u32| Held { name: name(series), bytes: FILE_BYTES, last: None };
        let series = held[from.min(end)..end].iter().map(one).collect();
        let next = (end < held.len()).then_some(end as u32);
        while line != "\r\n" {
            line.clear();
            ensure!(input.read_line(&mut line)? > 0, "a whole request");
        }
        line.clear();
        let body = json(&HeldPage { series, next });
        write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    }
    Ok(())
}

/// By hand: the names need no escapes.
fn json(page: &HeldPage) -> String {
    let mut text = String::from("{\"series\":[");
    for (at, Held { name, bytes, .. }) in page.series.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{{\"name\":\"{name}\",\"bytes\":{bytes},\"last\":null}}"));
    }
    let next = page.next.map_or("null".to_owned(), |next| next.to_string());
    text.push_str(&format!("],\"next\":{next}}}"));
    text
}

/// CPU seconds of a program until its end, and the most megabytes (10⁶) of memory it held.
fn watched(mut child: Child) -> Result<(f64, u64)> {
    let of = |file: &str| format!("/proc/{}/{file}", child.id());
    let (status, stat) = (of("status"), of("stat"));
    let (mut ticks, mut most_kib) = (0, 0);
    let ended = loop {
        // A program that has ended keeps its times until somebody asks how it ended.
        ticks =
            std::fs::read_to_string(&stat).ok().and_then(|text| cpu_ticks(&text)).unwrap_or(ticks);
        if let Some(kib) = most_memory_kib(&std::fs::read_to_string(&status)?) {
            most_kib = kib;
        } else if let Some(ended) = child.try_wait()? {
            break ended;
        }
        thread::park_timeout(LOOK);
    };
    ensure!(ended.success(), "the program failed: {ended}");
    Ok((ticks as f64 / TICKS_A_SECOND, most_kib * 1024 / 1_000_000))
}

/// User and system time.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let behind_name = stat.rsplit(')').next()?;
    let mut fields = behind_name.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

fn most_memory_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
