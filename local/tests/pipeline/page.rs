//! docs/operate/cluster.md: its files start a cluster as they stand there, but for addresses and folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::settings::{Command, Sources, load};
use daemon::{Context, Running, Setting};
use testkit::{ANY_PORT, PATIENCE, ask, send_lines_and_wait_for_close, wait_until_async};

use crate::{NOW, STOP};

const PAGE: &str = include_str!("../../../docs/operate/cluster.md");
const NODES: [&str; 4] = ["store-1", "store-2", "store-3", "store-4"];
const LINES: usize = 100;

/// The doors of a storage node that cluster.toml names, with their ports on the page.
const DOORS: [(&str, u16); 4] = [("line", 2103), ("link", 2105), ("read", 8081), ("admin", 9101)];

/// One of the machines: its files, of which the page has the text.
struct Machine {
    folder: PathBuf,
}

impl Machine {
    fn new(folder: &Path, name: &str, files: &BTreeMap<&str, String>) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let below = folder.to_str().unwrap();
        for (file, text) in files {
            let text = text.replace("/etc/plumbago", below).replace("/var/lib/plumbago", below);
            std::fs::write(folder.join(file), text).unwrap();
        }
        Self { folder }
    }

    /// What starting a daemon takes: its file, and ports that are free here.
    fn values(&self, daemon: &str, table: &'static [Setting], doors: &[&str]) -> daemon::Values {
        let config = self.folder.join(format!("{daemon}.toml"));
        let mut arguments = vec!["--config".to_owned(), config.to_str().unwrap().to_owned()];
        for door in doors {
            arguments.extend([format!("--{door}"), ANY_PORT.to_owned()]);
        }
        let sources = Sources { daemon, table, arguments: &arguments, environment: &[] };
        let Command::Run(values) = load(sources).unwrap() else { panic!("{daemon} does not run") };
        values
    }
}

/// The files of the page, by name.
fn files() -> BTreeMap<&'static str, String> {
    let blocks = PAGE.split("\n```").skip(1).step_by(2);
    let texts = blocks.filter_map(|block| block.split_once('\n'));
    let named = texts.filter_map(|(_language, text)| {
        let name = text.lines().next()?.strip_prefix("# /etc/plumbago/")?;
        Some((name, format!("{text}\n")))
    });
    named.collect()
}

fn context(daemon: &'static str, metrics: &'static [daemon::Metric]) -> Context {
    Context::new(daemon, metrics).with_clock(Arc::new(daemon::clock::Manual::at(NOW)))
}

/// The storage nodes, and the text of cluster.toml with the addresses that they have here.
async fn nodes(folder: &Path, files: &BTreeMap<&str, String>) -> (Vec<Running>, String) {
    let mut cluster = files["cluster.toml"].clone();
    let mut running = Vec::new();
    for (number, name) in (1..).zip(NODES) {
        let mut own = files.clone();
        own.insert("carbon.toml", files["carbon.toml"].replace(NODES[0], name));
        let machine = Machine::new(folder, name, &own);
        let doors: Vec<&str> = DOORS.iter().map(|(door, _)| *door).chain(["carbonlink"]).collect();
        let values = machine.values("carbon", carbon::SETTINGS, &doors);
        let node = carbon::start(values, context("carbon", carbon::METRICS)).await.unwrap();
        for (door, port) in DOORS {
            let address = node.address(door).unwrap().to_string();
            cluster = cluster.replace(&format!("10.0.0.1{number}:{port}"), &address);
        }
        running.push(node);
    }
    (running, cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_the_page_start_a_cluster_that_keeps_two_copies() {
    let folder = testkit::folder();
    let mut files = files();
    let (nodes, cluster) = nodes(folder.path(), &files).await;
    files.insert("cluster.toml", cluster);
    let front = Machine::new(folder.path(), "front", &files);
    let values = front.values("relay", relay::SETTINGS, &["line", "pickle", "admin"]);
    let relay = relay::start(values, context("relay", relay::METRICS)).await.unwrap();
    let values = front.values("zipper", zipper::SETTINGS, &["listen", "admin"]);
    let zipper = zipper::start(values, context("zipper", zipper::METRICS)).await.unwrap();
    let values = front.values("api", api::SETTINGS, &["listen", "admin"]);
    let backend = format!("http://{}", zipper.address("listen").unwrap());
    let values = values.with("backend", &backend);
    let api = api::start(values, context("api", api::METRICS)).await.unwrap();

    let lines: Vec<String> = (0..LINES).map(|n| format!("hello.world{n} {n} {NOW}")).collect();
    send_lines_and_wait_for_close(relay.address("line").unwrap(), &lines).await;
    wait_until_async("two copies of each point", PATIENCE, async || {
        let received = |node: &Running| {
            node.context.metrics.value("plumbago_carbon_points_received_total", &[]).unwrap_or(0.0)
        };
        (nodes.iter().map(received).sum::<f64>() == 2.0 * LINES as f64).then_some(())
    })
    .await;
    let window = format!("from={}&until={NOW}", NOW - 60);
    let question = format!("/render?target=sumSeries(hello.*)&format=raw&{window}");
    let answer = ask(api.address("listen").unwrap(), "GET", &question, "", b"").await;
    assert_eq!(answer.header("x-plumbago-partial"), None);
    let sum: usize = (0..LINES).sum();
    assert!(
        answer.text().contains(&format!("|None,None,None,None,None,{sum}.0")),
        "{}",
        answer.text()
    );

    for daemon in [api, zipper, relay].into_iter().chain(nodes) {
        daemon.stop(STOP).await.unwrap();
    }
}
