//! The storage nodes of a drill: processes of their own, which can be killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use testkit::{Process, this_program_as};

/// The test that gives way to a node where this program is started as one.
const TEST: &str = "kills::a_move_goes_on_after_kills_of_its_source_its_target_and_the_tool";

/// A host of their own: a connection of somebody else is never given the port of a node that is away.
const ANY_PORT: &str = "127.0.8.1:0";

/// The settings of a node that are addresses.
const DOORS: [&str; 5] = ["line", "link", "read", "carbonlink", "admin"];

/// Runs this process as a storage node if it was started as one; true once the node has ended.
pub(crate) fn was_node() -> bool {
    let role = testkit::role();
    role.is_some_and(|(_carbon, arguments)| {
        // The parent looks at how it ends.
        let code = daemon::main_with(&carbon::PROGRAM, &arguments, carbon::start);
        assert_eq!(code, std::process::ExitCode::SUCCESS, "the node has not stopped in order");
        true
    })
}

/// One storage node.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    schemas: PathBuf,
    addresses: BTreeMap<String, SocketAddr>,
    running: Option<Process>,
}

impl Node {
    /// A new node with an empty disk.
    pub(crate) fn start(name: &str, root: &Path, schemas: PathBuf) -> Self {
        let folder = root.join(name);
        let (name, addresses) = (name.to_owned(), BTreeMap::new());
        let mut node = Self { name, folder, schemas, addresses, running: None };
        node.run();
        node
    }

    /// Starts the node, at its old addresses if it had some.
    pub(crate) fn run(&mut self) {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let given = [
            ("data", path(&self.folder)),
            ("schemas", path(&self.schemas)),
            ("self-metrics-interval", "0s".to_owned()),
            ("scan-interval", "0s".to_owned()),
            ("free-space-min", "0B".to_owned()),
            ("log-format", "json".to_owned()),
        ];
        let old = |door: &str| self.addresses.get(door).map(SocketAddr::to_string);
        let doors = DOORS.map(|door| (door, old(door).unwrap_or_else(|| ANY_PORT.to_owned())));
        let words = given.into_iter().chain(doors);
        let arguments: Vec<String> =
            words.flat_map(|(key, text)| [format!("--{key}"), text]).collect();
        let mut command = this_program_as("carbon", TEST, &arguments);
        let running = Process::start(&mut command, DOORS.len());
        self.addresses.clone_from(running.addresses());
        self.running = Some(running);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self) {
        self.running.take().unwrap().stop();
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// SIGHUP.
    pub(crate) fn reload(&self) {
        self.running.as_ref().unwrap().reload();
    }

    /// Most bytes that its process has held in memory.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.running.as_ref().map_or(0, Process::peak_bytes)
    }

    pub(crate) fn address(&self, door: &str) -> SocketAddr {
        self.addresses[door]
    }

    /// What the cluster file says of it.
    pub(crate) fn entry(&self) -> String {
        let Self { name, .. } = self;
        let doors = ["line", "link", "read", "admin"];
        let doors = doors.map(|door| format!("{door} = \"{}\"\n", self.address(door))).concat();
        format!(
            "[[node]]\nname = \"{name}\"\nhost = \"10.0.0.1\"\ninstance = \"{name}\"\n{doors}\n"
        )
    }
}
