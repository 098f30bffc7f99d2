//! Moves between nodes that go wrong: files that cannot be read, absurd names in a plan, nodes that are away, full or of
//! another ring. What can be moved is moved, the rest is named once and stays where it is.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::{Context, Running, Values};
use serde_json::Value;
use testkit::{ANY_PORT, wait_until};

use crate::bad_input::{said, text, whisper_file};

/// Series of a tree that can be moved.
const SOUND: usize = 12;

const STOP: Duration = Duration::from_secs(30);

/// A storage node in this process.
struct Node {
    name: &'static str,
    folder: PathBuf,
    /// At which it is found again after a stop.
    admin: String,
    running: Option<Running>,
}

impl Node {
    /// Starts a node with these settings on the data that its folder has.
    async fn start(root: &Path, name: &'static str, settings: &[(&str, &str)]) -> Self {
        let (folder, admin) = (root.join(name), ANY_PORT.to_owned());
        let mut node = Self { name, folder, admin, running: None };
        node.run(settings).await;
        node
    }

    async fn run(&mut self, settings: &[(&str, &str)]) {
        let values = Values::defaults(carbon::SETTINGS)
            .with("data", text(&self.folder))
            .with("line", ANY_PORT)
            .with("link", ANY_PORT)
            .with("read", ANY_PORT)
            .with("carbonlink", ANY_PORT)
            .with("admin", &self.admin)
            .with("self_metrics_interval", "0s")
            .with("free_space_min", "0B");
        let values = settings.iter().fold(values, |all, (key, value)| all.with(key, value));
        let running = carbon::start(values, Context::new("carbon", carbon::METRICS)).await.unwrap();
        self.admin = running.address("admin").unwrap().to_string();
        self.running = Some(running);
    }

    async fn stop(&mut self) {
        self.running.take().unwrap().stop(STOP).await.unwrap();
    }

    fn files(&self) -> usize {
        (0..SOUND)
            .filter(|&number| self.folder.join(format!("whisper/{}", path_of(number))).exists())
            .count()
    }
}

fn path_of(number: usize) -> String {
    format!("moved/series{number}.wsp")
}

/// A tree of sound series below the folder of a node that does not run yet.
fn write_tree(node: &Path) -> PathBuf {
    let tree = node.join("whisper");
    let first = tree.join(path_of(0));
    whisper_file(&first);
    for number in 1..SOUND {
        fs::copy(&first, tree.join(path_of(number))).unwrap();
    }
    tree
}

/// Writes a cluster file of these nodes, which hold each series once.
fn write_cluster(path: &Path, nodes: &[&Node]) {
    let entry = |node: &&Node| {
        let Node { name, admin, .. } = node;
        format!(
            "[[node]]\nname = \"{name}\"\nhost = \"10.0.0.1\"\ninstance = \"{name}\"\nadmin = \"{admin}\"\n\n"
        )
    };
    let nodes: String = nodes.iter().map(entry).collect();
    fs::write(path, format!("[ring]\ncopies = 1\n\n{nodes}")).unwrap();
}

/// What is moved from nodes to others.
struct Move {
    folder: tempfile::TempDir,
}

impl Move {
    fn new() -> Self {
        Self { folder: testkit::folder() }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Begins to move all series of some nodes to others, once so many of them are known.
    fn plan(&self, from: &[&Node], to: &[&Node], series: usize) {
        let [cluster, wanted] = ["cluster.toml", "wanted.toml"].map(|name| self.root().join(name));
        write_cluster(&cluster, from);
        write_cluster(&wanted, to);
        wait_until("the index of the nodes", testkit::PATIENCE, || {
            let output =
                self.run("plan rebalance --cluster cluster.toml --to wanted.toml --out plan");
            let counted = String::from_utf8_lossy(&output.stdout).into_owned();
            counted.starts_with(&format!("{series} series\n")).then_some(())
        });
        let words = "plan rebalance --cluster cluster.toml --to wanted.toml --out plan --yes";
        assert!(self.run(words).status.success());
    }

    /// Runs the tool where its files are.
    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plumbago"));
        command.args(line.split(' ')).current_dir(self.root()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Runs the tool, which must end with this code and print this; returns what it said besides, line by line.
    #[track_caller]
    fn ends(&self, line: &str, code: i32, printed: &str) -> Vec<String> {
        let output = self.run(line);
        let (out, lines) = (String::from_utf8_lossy(&output.stdout).into_owned(), said(&output));
        assert_eq!(output.status.code(), Some(code), "{line}: {out}{lines:?}");
        assert!(out.contains(printed), "{line}: {out}{lines:?}");
        lines
    }
}

/// Series that are to go from one node, which has all of them, to another one.
async fn on_the_way() -> (Move, Node, Node) {
    let moving = Move::new();
    write_tree(&moving.root().join("old"));
    let old = Node::start(moving.root(), "old", &[]).await;
    let new = Node::start(moving.root(), "new", &[]).await;
    moving.plan(&[&old], &[&new], SOUND);
    (moving, old, new)
}

/// How many lines tell of this.
fn telling(lines: &[String], of: &str) -> usize {
    lines.iter().filter(|line| line.contains(of)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_read_are_named_and_the_others_move() {
    let moving = Move::new();
    let tree = write_tree(&moving.root().join("old"));
    let bytes = fs::read(tree.join(path_of(0))).unwrap();
    fs::write(tree.join("moved/cut.wsp"), &bytes[..bytes.len() - 5]).unwrap();
    fs::write(tree.join("moved/foreign.wsp"), b"<html>this is no series</html>").unwrap();
    let mut corrupt = bytes;
    corrupt[15] = 200;
    fs::write(tree.join("moved/corrupt.wsp"), corrupt).unwrap();
    let old = Node::start(moving.root(), "old", &[]).await;
    let new = Node::start(moving.root(), "new", &[]).await;
    moving.plan(&[&old], &[&new], SOUND + 3);
    let damaged = ["moved.cut", "moved.foreign", "moved.corrupt"];
    for (command, printed) in [
        ("apply plan --yes", format!("{SOUND} created, 3 refused")),
        ("verify plan", format!("3 unproved, {SOUND} verified")),
    ] {
        let lines = moving.ends(command, 2, &printed);
        for name in damaged {
            assert_eq!(telling(&lines, name), 1, "{command}: {lines:?}");
        }
    }
    // As long as they are on their way nothing is given up.
    let lines = moving.ends("reap plan --yes --without-relays", 1, "");
    assert_eq!(telling(&lines, "3 series: not verified"), 1, "{lines:?}");
    assert_eq!((old.files(), new.files()), (SOUND, SOUND));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_with_a_full_disk_gets_its_series_once_there_is_room() {
    let moving = Move::new();
    write_tree(&moving.root().join("old"));
    let old = Node::start(moving.root(), "old", &[]).await;
    let mut new = Node::start(moving.root(), "new", &[("free_space_min", "1024TiB")]).await;
    moving.plan(&[&old], &[&new], SOUND);
    let lines = moving.ends("apply plan --yes", 2, &format!("{SOUND} refused"));
    assert_eq!(telling(&lines, "the disk has no room"), SOUND, "{lines:?}");
    moving.ends("verify plan", 2, &format!("{SOUND} unproved"));
    moving.ends("reap plan --yes --without-relays", 1, "");
    assert_eq!((old.files(), new.files()), (SOUND, 0));
    new.stop().await;
    new.run(&[]).await;
    moving.ends("apply plan --yes", 0, "");
    moving.ends("verify plan", 0, &format!("{SOUND} verified"));
    assert_eq!(new.files(), SOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_that_is_away_was_to_get_is_left_and_the_others_get_theirs() {
    let moving = Move::new();
    write_tree(&moving.root().join("old"));
    let old = Node::start(moving.root(), "old", &[]).await;
    let one = Node::start(moving.root(), "one", &[]).await;
    let mut two = Node::start(moving.root(), "two", &[]).await;
    moving.plan(&[&old], &[&one, &two], SOUND);
    two.stop().await;
    let lines = moving.ends("apply plan --yes", 2, " created");
    assert_eq!((lines.len(), telling(&lines, &two.admin)), (1, 1), "{lines:?}");
    let moved = one.files();
    assert!(moved > 0 && moved < SOUND, "{moved}");
    two.run(&[]).await;
    moving.ends("apply plan --yes", 0, &format!("{} created", SOUND - moved));
    moving.ends("verify plan", 0, &format!("{SOUND} verified"));
    assert_eq!((one.files(), two.files()), (moved, SOUND - moved));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_drained_without_it() {
    let moving = Move::new();
    write_tree(&moving.root().join("old"));
    let old = Node::start(moving.root(), "old", &[]).await;
    let mut dead = Node::start(moving.root(), "dead", &[]).await;
    write_cluster(&moving.root().join("cluster.toml"), &[&old, &dead]);
    dead.stop().await;
    let lines =
        moving.ends("plan drain dead --cluster cluster.toml --out plan --yes", 2, "0 series");
    assert_eq!((lines.len(), telling(&lines, &dead.admin)), (1, 1), "{lines:?}");
    moving.ends("apply plan --yes", 0, "nothing to do");
    moving.ends("verify plan", 0, "nothing to do");
    let lines = moving.ends("reap plan --yes --without-relays", 2, "");
    assert_eq!(telling(&lines, "The transition is over"), 1, "{lines:?}");
    moving.ends("reap plan --yes --without-relays", 0, "nothing to do");
    moving.ends(
        "check replicas --cluster cluster.toml",
        0,
        &format!("{SOUND} series: 0 not on all owners"),
    );
    assert_eq!(old.files(), SOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_follows_another_ring_gets_nothing() {
    let (moving, old, mut new) = on_the_way().await;
    let other = moving.root().join("other.toml");
    write_cluster(&other, &[&new, &old]);
    new.stop().await;
    new.run(&[("cluster", text(&other)), ("self", "new")]).await;
    let lines = moving.ends("apply plan --yes", 1, "");
    assert_eq!((lines.len(), telling(&lines, "node `new` follows ring")), (1, 1), "{lines:?}");
    assert_eq!((old.files(), new.files()), (SOUND, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_in_a_plan_leads_nowhere_out_of_the_tree() {
    let (moving, old, new) = on_the_way().await;
    let plan = moving.root().join("plan");
    let planned = fs::read_to_string(&plan).unwrap();
    assert!(planned.contains("\"moved.series3\""));
    fs::write(&plan, planned.replace("\"moved.series3\"", "\"../../moved/series3\"")).unwrap();
    let lines = moving.ends("apply plan --yes", 2, &format!("{} created, 1 refused", SOUND - 1));
    assert_eq!(telling(&lines, "the name is not canonical"), 1, "{lines:?}");
    assert_eq!((old.files(), new.files()), (SOUND, SOUND - 1));
    assert!(!moving.root().join("moved").exists());
}

/// A relay of this ring that has lines for the node `old`, until it was asked for the third time.
fn slow_relay(ring: String, asked: Arc<AtomicU64>) -> String {
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut head = BufReader::new(&stream).lines().map(Result::unwrap);
            let request = head.next().unwrap_or_default();
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let body = if request.contains("/admin/backlog") {
                let done = asked.fetch_add(1, Ordering::Relaxed) + 7;
                format!("[{{\"node\":\"old\",\"newest\":9,\"done\":{done}}}]")
            } else {
                format!("{{\"ring_fingerprint\":\"{ring}\",\"ring_leaving\":\"\"}}")
            };
            let head = format!("content-length: {}\r\nconnection: close", body.len());
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_put_away_that_a_relay_may_still_send_points_of() {
    let (moving, old, new) = on_the_way().await;
    let plan = fs::read_to_string(moving.root().join("plan")).unwrap();
    let header: Value = serde_json::from_str(plan.lines().next().unwrap()).unwrap();
    let (asked, ring) = (Arc::new(AtomicU64::new(0)), header["ring"].as_str().unwrap().to_owned());
    let relay = slow_relay(ring, Arc::clone(&asked));
    write_cluster(&moving.root().join("cluster.toml"), &[&new]);
    moving.ends("apply plan --yes", 0, "");
    moving.ends("verify plan", 0, "");
    let with_relay = plan.replacen("\"relays\":[]", &format!("\"relays\":[\"{relay}\"]"), 1);
    fs::write(moving.root().join("plan"), with_relay).unwrap();
    moving.ends("reap plan --yes", 0, &format!("{SOUND} trashed"));
    assert_eq!(asked.load(Ordering::Relaxed), 3, "until it had sent them");
    assert_eq!((old.files(), new.files()), (0, SOUND));
}
