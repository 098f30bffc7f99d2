//! kill -9 of relay and storage nodes as processes of their own, with the acknowledged link between them: every accepted line
//! is on both of its nodes, once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testkit::{ANY_PORT, Batches, PATIENCE, ask, wait_until_async};

/// Tells a process that it is a daemon; the test is its own program.
const ROLE: &str = "DEATHS_ROLE";
const ARGUMENTS: &str = "DEATHS_ARGUMENTS";
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

struct Process {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Process {
    /// Starts a daemon with these arguments and doors; returns once it has opened them.
    fn start(role: &str, doors: &[(&str, &str)], arguments: &[&str]) -> Self {
        let doors =
            doors.iter().flat_map(|(door, address)| [format!("--{door}"), (*address).to_owned()]);
        let doors: Vec<String> = doors.collect();
        let shared = ["--log-format", "json", "--self-metrics-interval", "0s"];
        let arguments = arguments.iter().chain(&shared).map(|text| (*text).to_owned());
        let all: Vec<String> = doors.iter().cloned().chain(arguments).collect();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", TEST, "--nocapture"]);
        command.env(ROLE, role).env(ARGUMENTS, all.join("\n"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut addresses = BTreeMap::new();
        while addresses.len() < doors.len() / 2 {
            let line = log.next().expect("a daemon that starts").unwrap();
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            let entry = entry.get("fields").unwrap_or(&entry);
            if let (Some(door), Some(address)) =
                (entry["setting"].as_str(), entry["address"].as_str())
            {
                addresses.insert(door.to_owned(), address.parse().unwrap());
            }
        }
        thread::spawn(move || log.for_each(drop));
        Self { child, addresses }
    }

    /// Kills the process; the next one has its addresses.
    fn kill(&mut self) -> Vec<(String, String)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.addresses.iter().map(|(door, at)| (door.clone(), at.to_string())).collect()
    }

    async fn number(&self, metric: &str) -> f64 {
        let answer = ask(self.addresses["admin"], "GET", "/metrics", "", b"").await;
        let of = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            (name.split('{').next()? == metric).then(|| value.parse::<f64>().unwrap())
        };
        answer.text().lines().filter_map(of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is gone already is no matter.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A relay before two storage nodes; each series is on both.
struct Machines<'a> {
    folder: &'a Path,
    relay: Process,
    nodes: Vec<Process>,
}

const NODE_DOORS: [(&str, &str); 5] = [
    ("line", ANY_PORT),
    ("link", ANY_PORT),
    ("read", ANY_PORT),
    ("admin", ANY_PORT),
    ("carbonlink", ANY_PORT),
];

impl<'a> Machines<'a> {
    fn start(folder: &'a Path) -> Self {
        let schemas = "[all]\npattern=.*\nretentions=3600s:60y\n";
        std::fs::write(folder.join("schemas.conf"), schemas).unwrap();
        let nodes: Vec<Process> =
            (0..2).map(|number| Self::node(folder, number, &NODE_DOORS, NO_FILES)).collect();
        let entry = |(number, node): (usize, &Process)| {
            let (line, link) = (node.addresses["line"], node.addresses["link"]);
            format!("[[node]]\nhost = \"n{number}\"\nline = \"{line}\"\nlink = \"{link}\"\n")
        };
        let entries: String = nodes.iter().enumerate().map(entry).collect();
        let cluster = format!("[ring]\ncopies = 2\n{entries}");
        std::fs::write(folder.join("cluster.toml"), cluster).unwrap();
        let doors = [("line", ANY_PORT), ("pickle", ANY_PORT), ("admin", ANY_PORT)];
        Self { folder, relay: Self::relay(folder, &doors), nodes }
    }

    fn node(folder: &Path, number: usize, doors: &[(&str, &str)], space_min: &str) -> Process {
        let data = folder.join(format!("n{number}"));
        let (data, schemas) = (data.to_string_lossy(), folder.join("schemas.conf"));
        let given = ["--data", &*data, "--schemas", &*schemas.to_string_lossy()];
        let space =
            ["--scan-interval", "0s", "--free-space-min", space_min, "--free-inodes-min", "0"];
        Process::start("carbon", doors, &[&given[..], &space[..]].concat())
    }

    fn relay(folder: &Path, doors: &[(&str, &str)]) -> Process {
        let (cluster, log) = (folder.join("cluster.toml"), folder.join("log"));
        let arguments =
            ["--cluster", &*cluster.to_string_lossy(), "--log", &*log.to_string_lossy()];
        Process::start("relay", doors, &arguments)
    }

    fn kill_relay(&mut self) {
        let doors = self.relay.kill();
        let doors: Vec<_> = doors.iter().map(|(door, at)| (&**door, &**at)).collect();
        self.relay = Self::relay(self.folder, &doors);
    }

    fn kill_node(&mut self, number: usize, space_min: &str) {
        let doors = self.nodes[number].kill();
        let doors: Vec<_> = doors.iter().map(|(door, at)| (&**door, &**at)).collect();
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
    let answer = ask(node.addresses["read"], "GET", &path, "", b"").await;
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
    let line = machines.relay.addresses["line"];
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
    if let Ok(role) = std::env::var(ROLE) {
        let arguments = std::env::var(ARGUMENTS).unwrap();
        let arguments: Vec<String> = arguments.split('\n').map(str::to_owned).collect();
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
        (relay.number("plumbago_relay_backlog_lines").await == 0.0).then_some(())
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
        let received = node.number("plumbago_carbon_points_received_total").await;
        let replayed = node.number("plumbago_carbon_points_replayed_total").await;
        assert_eq!(received + replayed, found.len() as f64, "{} promised", promised.len());
        machines.kill_node(number, "0B");
        check_files(&machines.nodes[number], found.len()).await;
    }
}

/// After one more death, all points go into files.
async fn check_files(node: &Process, count: usize) {
    let admin = node.addresses["admin"];
    wait_until_async("the journal to be read", PATIENCE, async || {
        (ask(admin, "GET", "/ready", "", b"").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(ask(admin, "POST", "/admin/flush", "", b"").await.status, 200);
    assert_eq!(node.number("plumbago_carbon_points_pending").await, 0.0);
    assert_eq!(node.number("plumbago_carbon_points_superseded_total").await, 0.0);
    assert_eq!(node.number("plumbago_carbon_points_written_total").await, count as f64);
}
