//! A cluster under load, and what is done to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use daemon::clock::{Clock, System};
use daemon::{Context, Running, Values};
use parking_lot::Mutex;
use ring::Ring;
use testkit::{ANY_PORT, ask, wait_until_async};

use crate::load::{self, Load};
use crate::node::Node;
use crate::readers::{Readers, Watch};
use crate::report::Commands;

const SCHEMAS: &str = "[all]\npattern = .*\nretentions = 10s:2h,1m:12h\n";

/// How many nodes hold each series.
const COPIES: usize = 2;

/// How long a step of a drill may take at the least, and how much longer for so many series more.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENT_SERIES_PER_SECOND: u32 = 100;

const STOP: Duration = Duration::from_secs(60);

/// How long a step of a drill may take.
pub(crate) fn patience() -> Duration {
    PATIENCE + Duration::from_secs(load::series_count() as u64) / PATIENT_SERIES_PER_SECOND
}

/// A number of seconds that the environment gives; 0 by default.
pub(crate) fn seconds_of(variable: &str) -> Duration {
    let seconds = std::env::var(variable).ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// A cluster under load.
pub(crate) struct Drill {
    root: tempfile::TempDir,
    pub(crate) nodes: Vec<Node>,
    pub(crate) load: Load,
    relay: Running,
    relay_settings: Values,
    pub(crate) readers: Readers,
    pub(crate) commands: Mutex<Commands>,
    /// Runs since the beginning.
    clock: System,
}

impl Drill {
    /// Starts so many nodes, two of which hold each series, and begins to send.
    pub(crate) async fn start(count: usize) -> Self {
        Self::start_with(count, load::series_count(), &[]).await
    }

    /// The same with so many series and these settings of the relay.
    pub(crate) async fn start_with(count: usize, series: usize, settings: &[(&str, &str)]) -> Self {
        let (clock, root) = (System::new(), testkit::folder());
        let schemas = root.path().join("schemas.conf");
        std::fs::write(&schemas, SCHEMAS).unwrap();
        let node = |number| Node::start(&format!("store-{number}"), root.path(), schemas.clone());
        let nodes: Vec<Node> = (1..=count).map(node).collect();
        let cluster = root.path().join("cluster.toml");
        std::fs::write(&cluster, text_of(&nodes)).unwrap();
        let relay_settings = Values::defaults(relay::SETTINGS)
            .with("cluster", cluster.to_str().unwrap())
            .with("log", root.path().join("relay").to_str().unwrap())
            .with("line", ANY_PORT)
            .with("pickle", ANY_PORT)
            .with("admin", ANY_PORT)
            // Everybody follows when a page says so.
            .with("cluster_check_interval", "0s")
            .with("self_metrics_interval", "0s");
        let relay_settings =
            settings.iter().fold(relay_settings, |all, (key, text)| all.with(key, text));
        let context = Context::new("relay", relay::METRICS);
        let relay = relay::start(relay_settings.clone(), context).await.unwrap();
        let load = Load::start(relay.address("line").unwrap(), series).await;
        let readers = Readers::start(root.path(), &cluster).await;
        let commands = Mutex::default();
        Self { root, nodes, load, relay, relay_settings, readers, commands, clock }
    }

    /// A further node, which is in no ring yet.
    pub(crate) fn add_node(&mut self) {
        let name = format!("store-{}", self.nodes.len() + 1);
        let schemas = self.root.path().join("schemas.conf");
        self.nodes.push(Node::start(&name, self.root.path(), schemas));
    }

    /// Empties the disk of a node that was stopped.
    pub(crate) fn lose_disk(&self, at: usize) {
        std::fs::remove_dir_all(&self.nodes[at].folder).unwrap();
    }

    /// Keeps a copy of the disk of a node that was stopped.
    pub(crate) fn keep_disk(&self, at: usize) {
        let folder = &self.nodes[at].folder;
        copy_tree(folder, &folder.with_extension("kept"));
    }

    /// Puts that copy in the place of the disk.
    pub(crate) fn restore_disk(&self, at: usize) {
        self.lose_disk(at);
        let folder = &self.nodes[at].folder;
        std::fs::rename(folder.with_extension("kept"), folder).unwrap();
    }

    /// Sends slots of the past that nobody has yet, and waits until they are in the files. They go to the owners past
    /// the relay, which would send them again to a node that stops soon after.
    pub(crate) async fn send_between(&self) {
        let (ring, node_names) = self.ring();
        for node in &self.nodes {
            let owns = |series: &usize| {
                let owners = ring.owners(self.load.names[*series].as_bytes());
                owners.iter().any(|&owner| node_names[usize::from(owner)] == node.name)
            };
            let owned: Vec<usize> = (0..self.load.names.len()).filter(owns).collect();
            self.load.send_between(node.address("line"), &owned).await;
        }
        self.wait_until_whole(None).await;
    }

    /// Writes a cluster file of these nodes, by their places, beside the one in force.
    pub(crate) fn write_wanted(&self, order: &[usize]) {
        let nodes = order.iter().map(|&at| &self.nodes[at]);
        std::fs::write(self.path("wanted.toml"), text_of(nodes)).unwrap();
    }

    /// Other rules on every node, which reads them at once.
    pub(crate) fn change_schemas(&self, text: &str) {
        std::fs::write(self.path("schemas.conf"), text).unwrap();
        self.nodes.iter().for_each(Node::reload);
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn relay_admin(&self) -> String {
        self.relay.address("admin").unwrap().to_string()
    }

    /// What SIGHUP does.
    pub(crate) fn reload_relay(&self) {
        self.relay.reload(&self.relay_settings).unwrap();
    }

    /// Asks for what was sent so far until the watch ends.
    pub(crate) async fn watch(&self) -> Watch {
        self.wait_for_relay().await;
        let watch = self.readers.watch(&self.load).await;
        self.commands.lock().parts_alone.start = self.load.took().len();
        // Not a wait for something: a time of nothing but load, to measure it by; none unless asked for.
        tokio::time::sleep(seconds_of("PLUMBAGO_DRILL_IDLE_SECONDS")).await;
        watch
    }

    /// Starts the tool.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plumbago"));
        let command = command.args(words).current_dir(self.root.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the tool to its end; returns its exit code and what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let (begun, parts) = (self.clock.monotonic(), self.load.took().len());
        let Output { status, stdout, stderr } = self.spawn(words).wait_with_output().unwrap();
        let took = self.clock.monotonic() - begun;
        self.commands.lock().note(words, took, parts);
        let [out, said] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
        println!("$ plumbago {}\n{out}{said}({:.1} s)", words.join(" "), took.as_secs_f64());
        (status.code(), out + &said)
    }

    /// Runs the tool, which must end with this code; returns what it printed.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, words: &[&str]) -> String {
        let (found, said) = self.run(words);
        assert_eq!(found, Some(code), "{words:?}\n{said}");
        said
    }

    /// Ends the load. Then every point that was sent is in the files of exactly the owners of its series, and nothing
    /// else is; `but` is a node whose files are left alone. Whatever was put away had been verified before.
    pub(crate) async fn settle(&mut self, but: Option<&str>) {
        self.load.end().await;
        self.wait_until_whole(but).await;
        self.check_removals();
        let (series, slots) = (self.load.names.len(), self.load.sent().len());
        let points = COPIES * series * slots;
        println!("{series} series, {points} points compared, {:?}", self.clock.monotonic());
    }

    /// Nothing is sent as long as the guard lives, and all that was sent is in the files.
    pub(crate) async fn pause(&self) -> tokio::sync::OwnedMutexGuard<()> {
        let guard = self.load.pause().await;
        self.wait_until_whole(None).await;
        guard
    }

    async fn wait_until_whole(&self, but: Option<&str>) {
        self.wait_for_relay().await;
        // What the relay has handed over may still be in a socket.
        wait_until_async("every point in its owners' files", patience(), async || {
            self.flush().await;
            let fault = self.fault(but);
            // The last one says, should the wait be in vain, for what.
            fault.iter().for_each(|fault| println!("{fault}"));
            fault.is_none().then_some(())
        })
        .await;
    }

    /// Waits until the relay has handed over all that came.
    pub(crate) async fn wait_for_relay(&self) {
        wait_until_async("an empty relay", patience(), async || {
            (self.relay_number("plumbago_relay_backlog_lines").await == 0.0).then_some(())
        })
        .await;
    }

    /// A number of the relay, all labels together.
    pub(crate) async fn relay_number(&self, metric: &str) -> f64 {
        let answer = ask(self.relay.address("admin").unwrap(), "GET", "/metrics", "", b"").await;
        let lines = answer.text().lines().filter_map(|line| line.rsplit_once(' '));
        let of_metric = lines.filter(|(name, _)| name.split('{').next() == Some(metric));
        of_metric.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    async fn flush(&self) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            let answer = ask(node.address("admin"), "POST", "/admin/flush", "", b"").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    /// The ring of the cluster file, with the names of its nodes.
    pub(crate) fn ring(&self) -> (Ring, Vec<String>) {
        let cluster = cluster::read(&self.root.path().join("cluster.toml")).unwrap();
        assert!(cluster.transition().is_none(), "the transition is over");
        let names = cluster.nodes().iter().map(|node| node.name.clone()).collect();
        (cluster.into_ring(), names)
    }

    /// How long the drill has lasted.
    pub(crate) fn clock_seconds(&self) -> f64 {
        self.clock.monotonic().as_secs_f64()
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Ends everything.
    pub(crate) async fn stop(mut self) {
        self.load.end().await;
        self.readers.stop().await;
        self.relay.stop(STOP).await.unwrap();
        self.nodes.iter_mut().filter(|node| node.is_running()).for_each(Node::stop);
    }
}

fn copy_tree(from: &Path, to: &PathBuf) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn text_of<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> String {
    let nodes: String = nodes.into_iter().map(Node::entry).collect();
    format!("[ring]\ncopies = {COPIES}\n\n{nodes}")
}
