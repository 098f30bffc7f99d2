//! Loads the read side of a storage node, and prints what that took.
//!
//! `read-load dead FOLDER [PEER_URL]` makes 20,200 Whisper files under FOLDER/whisper, of which 20,000 have been dead for a week, and
//! asks for the last four hours of all: find and render, of ours and of a peer that serves the same files.
//! `read-load beside [SECONDS]` tells how long senders wait for the journal with readers at full load and without.
//! It starts the `plumbago-carbon` that was built beside it. What the numbers mean: docs/operate/speed.md.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use daemon::clock::{Clock, System};
use metric::Window;
use plumbago_benches::node::{Node, get, post};
use remote::{Client, ClientSettings, Deadline, FetchPlan, FetchRequest, FindRequest, Target};
use whisper::{OnExisting, Spec, Whisper, parse_retentions};

/// Children of the one branch.
const PODS: usize = 20_200;

/// One of so many lives.
const LIVES_EVERY: usize = 101;

const WEEK_S: i64 = 7 * 86_400;

/// What is asked for.
const WINDOW_S: i64 = 4 * 3600;

/// Times that each question is asked; the middle one counts.
const ROUNDS: usize = 21;

/// Readers at a time, more than a node has threads for them.
const READERS: usize = 8;

/// Points of one sender.
const LINES: usize = 100;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["dead", folder] => dead(Path::new(folder), None),
        ["dead", folder, peer] => dead(Path::new(folder), Some(peer)),
        ["beside"] => beside(20),
        ["beside", seconds] => beside(seconds.parse()?),
        _ => bail!("use: read-load dead FOLDER [PEER_URL] | beside [SECONDS]"),
    }
}

fn dead(folder: &Path, peer: Option<&str>) -> Result<()> {
    let now = System::new().now_unix_seconds();
    let tree = folder.join("whisper");
    if !tree.exists() {
        make_tree(&tree, now)?;
    }
    let tree = tree.to_str().context("a folder with a name in UTF-8")?;
    let node = Node::start(&folder.join("data"), &["--whisper", tree])?;
    post(node.admin, "/admin/scan")?;
    let counted = ["index_nodes_visited_total", "series_read_total"];
    let counters = || -> Result<Vec<f64>> {
        counted.iter().map(|name| node.metric(&format!("plumbago_carbon_{name}"))).collect()
    };
    let before = counters()?;
    let ours = ask(&format!("http://127.0.0.1:{}", node.read), now)?;
    let spent: Vec<f64> =
        counters()?.iter().zip(before).map(|(after, before)| after - before).collect();
    let rounds = ROUNDS as f64;
    println!(
        "ours: find {:.2} ms, render {:.2} ms, {} series; {} nodes of the index for both, {} files",
        ms(ours.find),
        ms(ours.render),
        ours.series,
        spent[0] / rounds,
        spent[1] / rounds,
    );
    let Some(peer) = peer else { return Ok(()) };
    let theirs = ask(peer, now)?;
    println!(
        "{peer}: find {:.2} ms, render {:.2} ms, {} series",
        ms(theirs.find),
        ms(theirs.render),
        theirs.series,
    );
    let ratio = |theirs: Duration, ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
    println!(
        "ratio: find {:.0}, render {:.0}, both {:.0}",
        ratio(theirs.find, ours.find),
        ratio(theirs.render, ours.render),
        ratio(theirs.find + theirs.render, ours.find + ours.render),
    );
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn make_tree(tree: &Path, now: i64) -> Result<()> {
    let spec = Spec::new(parse_retentions("60s:4h,1h:14d")?);
    for pod in 0..PODS {
        let path = tree.join(format!("pods/p{pod:05}/cpu.wsp"));
        fs::create_dir_all(path.parent().context("it has one")?)?;
        whisper::create(&path, &spec, OnExisting::Refuse)?;
        let last = if pod % LIVES_EVERY == 0 { now } else { now - WEEK_S };
        let points: Vec<(i64, f64)> = (0..60).map(|at| (last - 60 * at, at as f64)).collect();
        let file = fs::File::options().read(true).write(true).open(&path)?;
        let time = UNIX_EPOCH + Duration::from_secs(last.unsigned_abs());
        Whisper::open(file.try_clone()?)?.update_many(&points, now)?;
        file.set_modified(time)?;
    }
    Ok(())
}

/// Middle times of both questions.
struct Times {
    find: Duration,
    render: Duration,
    series: usize,
}

fn ask(url: &str, now: i64) -> Result<Times> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(System::new());
        let client = Client::new(url.parse()?, ClientSettings::default(), Arc::clone(&clock));
        let window = Window::new(now - WINDOW_S, now);
        let plan = FetchPlan { now, ..FetchPlan::default() };
        let find = FindRequest {
            patterns: vec!["pods.*.cpu".to_owned()],
            window: Some(window),
            plan: plan.clone(),
        };
        let render = FetchRequest { targets: vec![Target::new("pods.*.cpu")], window, plan };
        let (mut finds, mut renders, mut series) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            let deadline = Deadline::after(&clock, Duration::from_secs(120));
            let began = clock.monotonic();
            client.find(&find, &deadline).await?;
            let found = clock.monotonic();
            let reply = client.fetch(&render, &deadline).await?;
            finds.push(found - began);
            renders.push(clock.monotonic() - found);
            series = reply.series.len();
        }
        Ok(Times { find: quantile(&mut finds, 0.5), render: quantile(&mut renders, 0.5), series })
    })
}

fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * part) as usize;
    times[at.min(times.len() - 1)]
}

/// Senders beside readers, and alone, in turns: the machine's other work then weighs on both.
fn beside(seconds: u64) -> Result<()> {
    const TURNS: u64 = 4;
    let folder = tempfile::tempdir()?;
    let node = Node::start(folder.path(), &[])?;
    let names = plumbago_benches::names(20_000);
    let turn = Duration::from_secs(seconds) / 4;
    send(&node, &names)?;
    let (mut alone, mut loaded, mut reads) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        alone.extend(senders(&node, &names, turn)?);
        let stop = AtomicBool::new(false);
        let answers = AtomicU64::new(0);
        thread::scope(|scope| -> Result<()> {
            for _ in 0..READERS {
                scope.spawn(|| read_until(&node, &stop, &answers));
            }
            let measured = senders(&node, &names, turn);
            stop.store(true, Ordering::Relaxed);
            loaded.extend(measured?);
            Ok(())
        })?;
        reads += answers.into_inner();
    }
    ensure!(reads > 0, "no reader got an answer");
    for (what, times) in [("alone", &mut alone), ("beside readers", &mut loaded)] {
        let [p50, p99] = [0.5, 0.99].map(|part| ms(quantile(times, part)));
        println!(
            "{what}: {} senders of {LINES} lines waited {p50:.2} ms, p99 {p99:.2} ms",
            times.len()
        );
    }
    let ratio = ms(quantile(&mut loaded, 0.99)) / ms(quantile(&mut alone, 0.99));
    println!("{reads} answers of 5,000 series meanwhile; ratio of the p99: {ratio:.2}");
    Ok(())
}

/// One sender after the other for so long: how long each waited until the journal had its lines.
fn senders(node: &Node, names: &[String], time: Duration) -> Result<Vec<Duration>> {
    let clock = System::new();
    let mut waits = Vec::new();
    for names in names.chunks(LINES).cycle() {
        if clock.monotonic() > time {
            break;
        }
        waits.push(send(node, names)?);
    }
    Ok(waits)
}

/// Sends a point of each name, and waits for the close that says that they are safe.
fn send(node: &Node, names: &[String]) -> Result<Duration> {
    let clock = System::new();
    let text: String = names.iter().map(|name| format!("{name} 1 -1\n")).collect();
    let mut stream = TcpStream::connect(("127.0.0.1", node.line))?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(clock.monotonic())
}

fn read_until(node: &Node, stop: &AtomicBool, answers: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) && read_all(node).is_ok() {
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

fn read_all(node: &Node) -> Result<()> {
    let now = System::new().now_unix_seconds();
    let path = format!(
        "/render?target=fleet.dc1.*.cpu.*&from={}&until={now}&format=carbonapi_v2_pb",
        now - WINDOW_S
    );
    get(node.read, &path).map(drop)
}
