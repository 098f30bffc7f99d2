//! kill -9 of relay and storage nodes as processes of their own, with the acknowledged link between them: every accepted line
//! is on both of its nodes, once.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testkit::{ANY_PORT, Batches, PATIENCE, Process, ask, this_program_as, wait_until_async};

/// The test is its own program for the daemons.
const TEST: &str = "deaths::every_accepted_line_is_on_both_nodes_once_whoever_is_killed";

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(150);
/// Rest of a sender between batches.
const PACE: Duration = Duration::from_millis(2);
/// More free space than any disk has: points stay in the journal.
const NO_FILES: &str = "1000000GiB";
const SERIES: i64 = 10;
/// The first timestamp; each batch is a slot further.
const BEGIN: i64 = 946_684_800;
const SLOT: i64 = 3600;

/// Starts a daemon with these doors and arguments.
fn start(role: &str, doors: &[(String, String)], arguments: &[&str]) -> Process {
    let opened = doors.iter().flat_map(|(door, at)| [format!("--{door}"), at.clone()]);
    let shared = ["--log-format", "json", "--self-metrics-interval", "0s"];
    let arguments = arguments.iter().chain(&shared).map(|text| (*text).to_owned());
    let arguments: Vec<String> = opened.chain(arguments).collect();
    Process::start(&mut this_program_as(role, TEST, &arguments), doors.len())
}

/// Doors whose addresses the system chooses.
fn any(doors: &[&str]) -> Vec<(String, String)> {
    doors.iter().map(|door| ((*door).to_owned(), ANY_PORT.to_owned())).collect()
}

/// Kills the process; the next one has its addresses.
fn kill(process: &mut Process) -> Vec<(String, String)> {
    process.kill();
    process.addresses().iter().map(|(door, at)| (door.clone(), at.to_string())).collect()
}

async fn metric(process: &Process, name: &str) -> f64 {
    let answer = ask(process.addresses()["admin"], "GET", "/metrics", "", b"").await;
    let of = |line: &str| {
        let (found, value) = line.rsplit_once(' ')?;
        (found.split('{').next()? == name).then(|| value.parse::<f64>().unwrap())
    };
    answer.text().lines().filter_map(of).sum()
}

/// A relay before two storage nodes; each series is on both.
struct Machines<'a> {
    folder: &'a Path,
    relay: Process,
    nodes: Vec<Process>,
}

const NODE_DOORS: [&str; 5] = ["line", "link", "read", "admin", "carbonlink"];

impl<'a> Machines<'a> {
    fn start(folder: &'a Path) -> Self {
        let schemas = "[all]\npattern=.*\nretentions=3600s:60y\n";
        std::fs::write(folder.join("schemas.conf"), schemas).unwrap();
        let nodes: Vec<Process> =
            (0..2).map(|number| Self::node(folder, number, &any(&NODE_DOORS), NO_FILES)).collect();
        let entry = |(number, node): (usize, &Process)| {
            let (line, link) = (node.addresses()["line"], node.addresses()["link"]);
            format!("[[node]]\nhost = \"n{number}\"\nline = \"{line}\"\nlink = \"{link}\"\n")
        };
        let entries: String = nodes.iter().enumerate().map(entry).collect();
        let cluster = format!("[ring]\ncopies = 2\n{entries}");
        std::fs::write(folder.join("cluster.toml"), cluster).unwrap();
        let relay = Self::relay(folder, &any(&["line", "pickle", "admin"]));
        Self { folder, relay, nodes }
    }

    fn node(folder: &Path, number: usize, doors: &[(String, String)], space_min: &str) -> Process {
        let data = folder.join(format!("n{number}"));
        let (data, schemas) = (data.to_string_lossy(), folder.join("schemas.conf"));
        let given = ["--data", &*data, "--schemas", &*schemas.to_string_lossy()];
        let space =
            ["--scan-interval", "0s", "--free-space-min", space_min, "--free-inodes-min", "0"];
        start("carbon", doors, &[&given[..], &space[..]].concat())
    }

    fn relay(folder: &Path, doors: &[(String, String)]) -> Process {
        let (cluster, log) = (folder.join("cluster.toml"), folder.join("log"));
        let arguments =
            ["--cluster", &*cluster.to_string_lossy(), "--log", &*log.to_string_lossy()];
        start("relay", doors, &arguments)
    }

    fn kill_relay(&mut self) {
        let doors = kill(&mut self.relay);
        self.relay = Self::relay(self.folder, &doors);
    }

    fn kill_node(&mut self, number: usize, space_min: &str) {
        let doors = kill(&mut self.nodes[number]);
        self.nodes[number] = Self::node(self.folder, number, &doors, space_min);
    }
}

fn batch(number: i64) -> impl Iterator<Item = (String, i64)> {
    (0..SERIES).map(move |series| (format!("deaths.s{series}"), BEGIN + number * SLOT))
}

fn lines(number: i64) -> String {
    batch(number).map(|(name, time)| format!("{name} {number} {time}\n")).collect()
}

/// All points of a node in the slots of so many batches: series and time.
async fn points(node: &Process, batches: i64) -> BTreeMap<(String, i64), f64> {
    let until = BEGIN + batches * SLOT;
    let path = format!("/render?target=deaths.*&from={}&until={until}&format=json", BEGIN - SLOT);
    let answer = ask(node.addresses()["read"], "GET", &path, "", b"").await;
    let reply: Value = serde_json::from_str(answer.text()).unwrap();
    let mut points = BTreeMap::new();
    for series in reply["metrics"].as_array().unwrap() {
        let (name, start) =
            (series["name"].as_str().unwrap(), series["startTime"].as_i64().unwrap());
        let values = series["values"].as_array().unwrap().iter();
        let absent = series["isAbsent"].as_array().unwrap().iter();
        for (slot, (value, absent)) in (0..).zip(values.zip(absent)) {
            if absent == &Value::Bool(false) {
                points.insert((name.to_owned(), start + slot * SLOT), value.as_f64().unwrap());
            }
        }
    }
    points
}

/// Sends for a while, kills what the round says, and returns what was confirmed before.
fn round(machines: &mut Machines<'_>, round: usize, batches: &Batches) -> Vec<i64> {
    let (kills_node, kills_relay) = [(false, true), (true, false), (true, true)][round % 3];
    let line = machines.relay.addresses()["line"];
    let promised = batches.send_while(line, PACE, lines, || {
        thread::park_timeout(ROUND);
        if kills_node {
            machines.kill_node(round % 2, NO_FILES);
        }
        // A close that a dying relay's kernel makes is no promise.
        let promised = batches.take_confirmed();
        if kills_relay {
            machines.kill_relay();
        }
        promised
    });
    batches.take_confirmed();
    promised
}

#[test]
fn every_accepted_line_is_on_both_nodes_once_whoever_is_killed() {
    if let Some((role, arguments)) = testkit::role() {
        let _code = match role.as_str() {
            "relay" => daemon::main_with(&relay::PROGRAM, &arguments, relay::start),
            _ => daemon::main_with(&carbon::PROGRAM, &arguments, carbon::start),
        };
        return;
    }
    let folder = testkit::folder();
    let mut machines = Machines::start(folder.path());
    let batches = Batches::default();
    let mut promised = Vec::new();
    for number in 0..ROUNDS {
        promised.extend(round(&mut machines, number, &batches));
    }
    assert!(promised.len() >= ROUNDS, "{} batches", promised.len());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(check(&mut machines, &promised, batches.begun()));
}

async fn check(machines: &mut Machines<'_>, promised: &[i64], batches: i64) {
    let relay = &machines.relay;
    wait_until_async("all lines to be synced", PATIENCE, async || {
        (metric(relay, "plumbago_relay_backlog_lines").await == 0.0).then_some(())
    })
    .await;
    for number in 0..machines.nodes.len() {
        let node = &machines.nodes[number];
        let found = wait_until_async("all lines on both nodes", PATIENCE, async || {
            let found = points(node, batches).await;
            let keys =
                promised.iter().flat_map(|number| batch(*number).zip(std::iter::repeat(*number)));
            let mut keys = keys.map(|(key, number)| found.get(&key) == Some(&(number as f64)));
            keys.all(|is_there| is_there).then_some(found)
        })
        .await;
        // There is room for no file: all that the journal has of all lives is here, and each point once.
        let received = metric(node, "plumbago_carbon_points_received_total").await;
        let replayed = metric(node, "plumbago_carbon_points_replayed_total").await;
        assert_eq!(received + replayed, found.len() as f64, "{} promised", promised.len());
        machines.kill_node(number, "0B");
        check_files(&machines.nodes[number], found.len()).await;
    }
}

/// After one more death, all points go into files.
async fn check_files(node: &Process, count: usize) {
    let admin = node.addresses()["admin"];
    wait_until_async("the journal to be read", PATIENCE, async || {
        (ask(admin, "GET", "/ready", "", b"").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(ask(admin, "POST", "/admin/flush", "", b"").await.status, 200);
    assert_eq!(metric(node, "plumbago_carbon_points_pending").await, 0.0);
    assert_eq!(metric(node, "plumbago_carbon_points_superseded_total").await, 0.0);
    assert_eq!(metric(node, "plumbago_carbon_points_written_total").await, count as f64);
}
