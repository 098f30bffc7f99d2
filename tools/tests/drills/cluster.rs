//! A relay and storage nodes under load, and what was sent to them.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::clock::{Clock, System};
use daemon::{Context, Running, Values};
use parking_lot::Mutex;
use ring::Ring;
use testkit::{ANY_PORT, ask, send_lines_and_wait_for_close, wait_until_async};
use tokio::task::JoinHandle;
use whisper::Whisper;

const SCHEMAS: &str = "[all]\npattern = .*\nretentions = 10s:2h,1m:12h\n";

/// Seconds of a slot of the finest archive.
const STEP_S: i64 = 10;

/// Slots of every series that are filled before a drill begins.
const PAST_SLOTS: i64 = 30;

/// Of so many slots one is filled.
const PAST_STRIDE: i64 = 3;

/// From one sending of the load to the next.
const PACE: Duration = Duration::from_millis(500);

/// How long a step of a drill may take.
const PATIENCE: Duration = Duration::from_secs(120);

const STOP: Duration = Duration::from_secs(60);

/// How many series a drill has.
fn series_count() -> usize {
    std::env::var("PLUMBAGO_DRILL_SERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

fn names() -> Vec<String> {
    (0..series_count()).map(|n| format!("drill.host{:03}.metric{n}", n % 97)).collect()
}

/// The value of a series in a slot: of two that come late or twice, both are right.
fn value(series: usize, interval: i64) -> f64 {
    (interval / STEP_S % 1_000) as f64 + series as f64
}

/// The settings of a node that are addresses.
const ADDRESSES: [&str; 6] = ["line", "link", "pickle", "read", "carbonlink", "admin"];

/// One storage node.
pub(crate) struct Node {
    pub(crate) name: String,
    folder: PathBuf,
    settings: Values,
    addresses: Vec<(&'static str, SocketAddr)>,
    running: Option<Running>,
}

impl Node {
    async fn start(name: &str, root: &Path) -> Self {
        let folder = root.join(name);
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let settings = Values::defaults(carbon::SETTINGS)
            .with("data", &path(folder.clone()))
            .with("schemas", &path(root.join("schemas.conf")))
            .with("self_metrics_interval", "0s")
            .with("scan_interval", "0s")
            .with("free_space_min", "0B");
        let mut node =
            Self { name: name.to_owned(), folder, settings, addresses: Vec::new(), running: None };
        node.run().await;
        node
    }

    /// Starts the node, at its old addresses if it had some.
    async fn run(&mut self) {
        let address = |key: &str| {
            let old = self.addresses.iter().find(|(name, _)| *name == key);
            old.map_or(ANY_PORT.to_owned(), |(_, address)| address.to_string())
        };
        let with = |settings: Values, key: &&str| settings.with(key, &address(key));
        let settings = ADDRESSES.iter().fold(self.settings.clone(), with);
        // A connection of somebody else may have an old port for a moment.
        let running = wait_until_async("a storage node to start", PATIENCE, async || {
            let context = Context::new("carbon", carbon::METRICS);
            carbon::start(settings.clone(), context).await.ok()
        })
        .await;
        self.addresses = running.addresses().to_vec();
        self.running = Some(running);
    }

    fn address(&self, key: &str) -> SocketAddr {
        self.addresses.iter().find(|(name, _)| *name == key).unwrap().1
    }

    fn entry(&self) -> String {
        let Self { name, .. } = self;
        let [line, read, admin] = ["line", "read", "admin"].map(|key| self.address(key));
        format!(
            "[[node]]\nname = \"{name}\"\nhost = \"10.0.0.1\"\ninstance = \"{name}\"\n\
             line = \"{line}\"\nread = \"{read}\"\nadmin = \"{admin}\"\n\n"
        )
    }
}

/// A cluster under load.
pub(crate) struct Drill {
    root: tempfile::TempDir,
    pub(crate) nodes: Vec<Node>,
    relay: Running,
    relay_settings: Values,
    names: Arc<[String]>,
    sent: Arc<Mutex<BTreeSet<i64>>>,
    is_over: Arc<AtomicBool>,
    /// Held while a slot is sent.
    sending: Arc<tokio::sync::Mutex<()>>,
    sender: Option<JoinHandle<()>>,
}

impl Drill {
    /// Starts so many nodes, two of which hold each series, and begins to send.
    pub(crate) async fn start(count: usize) -> Self {
        let root = testkit::folder();
        std::fs::write(root.path().join("schemas.conf"), SCHEMAS).unwrap();
        let mut nodes = Vec::new();
        for number in 1..=count {
            nodes.push(Node::start(&format!("store-{number}"), root.path()).await);
        }
        let cluster = root.path().join("cluster.toml");
        std::fs::write(&cluster, text_of(&nodes)).unwrap();
        let relay_settings = Values::defaults(relay::SETTINGS)
            .with("cluster", cluster.to_str().unwrap())
            .with("log", root.path().join("relay").to_str().unwrap())
            .with("line", ANY_PORT)
            .with("pickle", ANY_PORT)
            .with("admin", ANY_PORT)
            .with("self_metrics_interval", "0s");
        let context = Context::new("relay", relay::METRICS);
        let relay = relay::start(relay_settings.clone(), context).await.unwrap();
        let (names, sent) = (Arc::from(names()), Arc::default());
        let (is_over, sending) = (Arc::default(), Arc::default());
        let mut drill = Self {
            root,
            nodes,
            relay,
            relay_settings,
            names,
            sent,
            is_over,
            sending,
            sender: None,
        };
        drill.send_past().await;
        drill.sender = Some(drill.begin_sending());
        drill
    }

    async fn send_past(&self) {
        let now = System::new().now_unix_seconds();
        let newest = now - now.rem_euclid(STEP_S) - 120;
        let line = self.relay.address("line").unwrap();
        for slot in 0..PAST_SLOTS {
            let interval = newest - slot * STEP_S * PAST_STRIDE;
            send_slot(line, self.names.iter().enumerate(), interval, &self.sent).await;
        }
    }

    /// A slot of every series as fast as they are taken, but no slot more than a few times.
    fn begin_sending(&self) -> JoinHandle<()> {
        let line = self.relay.address("line").unwrap();
        let (names, sent) = (Arc::clone(&self.names), Arc::clone(&self.sent));
        let (is_over, sending) = (Arc::clone(&self.is_over), Arc::clone(&self.sending));
        tokio::spawn(async move {
            let (clock, mut pace) = (System::new(), tokio::time::interval(PACE));
            while !is_over.load(Ordering::Relaxed) {
                pace.tick().await;
                let now = clock.now_unix_seconds();
                let turn = sending.lock().await;
                let interval = now - now.rem_euclid(STEP_S);
                send_slot(line, names.iter().enumerate(), interval, &sent).await;
                drop(turn);
            }
        })
    }

    /// A further node, which is in no ring yet.
    pub(crate) async fn add_node(&mut self) {
        let name = format!("store-{}", self.nodes.len() + 1);
        self.nodes.push(Node::start(&name, self.root.path()).await);
    }

    /// Stops a node in order.
    pub(crate) async fn stop_node(&mut self, at: usize) {
        self.nodes[at].running.take().unwrap().stop(STOP).await.unwrap();
    }

    /// Starts a node again at its old addresses.
    pub(crate) async fn start_node(&mut self, at: usize) {
        self.nodes[at].run().await;
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

    /// Sends slots of the past that nobody has yet, and waits until they are in the files; returns the time of the first.
    /// They go to the owners past the relay, which would send them again to a node that stops soon after.
    pub(crate) async fn send_between(&self) -> i64 {
        let first = *self.sent.lock().first().unwrap();
        let (ring, node_names) = self.ring();
        for node in &self.nodes {
            let owns = |name: &String| {
                let owners = ring.owners(name.as_bytes());
                owners.iter().any(|&owner| node_names[usize::from(owner)] == node.name)
            };
            let owned: Vec<_> = self.names.iter().enumerate().filter(|one| owns(one.1)).collect();
            for slot in 0..PAST_SLOTS {
                let interval = first + STEP_S + slot * STEP_S * PAST_STRIDE;
                send_slot(node.address("line"), owned.iter().copied(), interval, &self.sent).await;
            }
        }
        self.wait_until_whole(None).await;
        first
    }

    /// Writes a cluster file of all nodes beside the one in force.
    pub(crate) fn write_wanted(&self) {
        std::fs::write(self.path("wanted.toml"), text_of(&self.nodes)).unwrap();
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

    /// Starts the tool.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plumbago"));
        let command = command.args(words).current_dir(self.root.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the tool to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.spawn(words).wait_with_output().unwrap()
    }

    /// Runs the tool, which must end with this code; returns what it printed.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, words: &[&str]) -> String {
        let output = self.run(words);
        let [out, said] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}{said}");
        out + &said
    }

    /// Ends the load. Then every point that was sent is in the files of exactly the owners of its series, and nothing
    /// else is; `but` is a node whose files are left alone.
    pub(crate) async fn settle(&mut self, but: Option<&str>) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            sender.await.unwrap();
        }
        self.wait_until_whole(but).await;
    }

    /// Nothing is sent as long as the guard lives, and all that was sent is in the files.
    pub(crate) async fn pause(&self) -> tokio::sync::OwnedMutexGuard<()> {
        let guard = Arc::clone(&self.sending).lock_owned().await;
        self.wait_until_whole(None).await;
        guard
    }

    async fn wait_until_whole(&self, but: Option<&str>) {
        self.wait_for_relay().await;
        // What the relay has handed over may still be in a socket.
        wait_until_async("every point in its owners' files", PATIENCE, async || {
            self.flush().await;
            let fault = self.fault(but);
            // The last one says, should the wait be in vain, for what.
            fault.iter().for_each(|fault| println!("{fault}"));
            fault.is_none().then_some(())
        })
        .await;
    }

    /// Waits until the relay has handed over all that came.
    async fn wait_for_relay(&self) {
        let admin = self.relay.address("admin").unwrap();
        wait_until_async("an empty relay", PATIENCE, async || {
            let answer = ask(admin, "GET", "/metrics", "", b"").await;
            let lines = answer.text().lines();
            let backlog = lines.filter(|line| line.starts_with("plumbago_relay_backlog_lines{"));
            backlog.clone().all(|line| line.ends_with(" 0")).then_some(())
        })
        .await;
    }

    async fn flush(&self) {
        for node in self.nodes.iter().filter(|node| node.running.is_some()) {
            let answer = ask(node.address("admin"), "POST", "/admin/flush", "", b"").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    /// The ring of the cluster file, with the names of its nodes.
    fn ring(&self) -> (Ring, Vec<String>) {
        let cluster = cluster::read(&self.root.path().join("cluster.toml")).unwrap();
        assert!(cluster.transition().is_none(), "the transition is over");
        let names = cluster.nodes().iter().map(|node| node.name.clone()).collect();
        (cluster.into_ring(), names)
    }

    /// What is wrong with the files, if anything.
    fn fault(&self, but: Option<&str>) -> Option<String> {
        let (ring, node_names) = self.ring();
        let sent = self.sent.lock().clone();
        let nodes = self.nodes.iter().filter(|node| Some(node.name.as_str()) != but);
        let mut pairs =
            nodes.flat_map(|node| self.names.iter().enumerate().map(move |one| (node, one)));
        pairs.find_map(|(node, (series, name))| {
            let owners = ring.owners(name.as_bytes());
            let is_owner = owners.iter().any(|&owner| node_names[usize::from(owner)] == node.name);
            let path = node.folder.join("whisper").join(metric::path::whisper_path(name));
            let found = match File::open(&path) {
                Ok(file) if is_owner => points(file, *sent.first()?),
                Ok(_) => return Some(format!("{name} is still on {}", node.name)),
                Err(_) if is_owner => return Some(format!("{name} is not on {}", node.name)),
                Err(_) => return None,
            };
            let expected = sent.iter().map(|&interval| (interval, value(series, interval)));
            let missing = expected.clone().find(|point| !found.contains(point));
            let is_same = missing.is_none() && found.len() == sent.len();
            (!is_same).then(|| {
                format!("{name} on {}: {} points, lacks {missing:?}", node.name, found.len())
            })
        })
    }

    /// Ends everything.
    pub(crate) async fn stop(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.relay.stop(STOP).await.unwrap();
        for node in &mut self.nodes {
            if let Some(running) = node.running.take() {
                running.stop(STOP).await.unwrap();
            }
        }
    }
}

/// The points of the finest archive since `first`.
fn points(file: File, first: i64) -> Vec<(i64, f64)> {
    let now = System::new().now_unix_seconds();
    let step = u32::try_from(STEP_S).unwrap();
    let fetched = Whisper::open(file).unwrap().fetch(first - STEP_S, now, now, Some(step));
    fetched.unwrap().unwrap().points().collect()
}

fn copy_tree(from: &Path, to: &Path) {
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

fn text_of(nodes: &[Node]) -> String {
    let nodes: String = nodes.iter().map(Node::entry).collect();
    format!("[ring]\ncopies = 2\n\n{nodes}")
}

/// Sends one slot of every series, and takes note of it once the relay has it.
async fn send_slot(
    line: SocketAddr,
    names: impl Iterator<Item = (usize, &String)>,
    interval: i64,
    sent: &Mutex<BTreeSet<i64>>,
) {
    let text = |(series, name)| format!("{name} {} {interval}", value(series, interval));
    let lines: Vec<String> = names.map(text).collect();
    send_lines_and_wait_for_close(line, &lines).await;
    sent.lock().insert(interval);
}
