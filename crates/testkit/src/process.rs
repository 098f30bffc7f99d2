//! A daemon as a process of its own: one that a test may kill.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Tells a test program that it is to be a daemon, and which one.
const ROLE: &str = "TESTKIT_ROLE";

/// The daemon's arguments, one a line.
const ARGUMENTS: &str = "TESTKIT_ARGUMENTS";

/// This test program once more. The test of this name is run alone, and finds in [`role`] what it is to be instead.
///
/// # Panics
/// When the program does not know where it lies.
#[must_use]
pub fn this_program_as(role: &str, test: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path of its own"));
    command.args(["--exact", test, "--nocapture"]).stdout(Stdio::null());
    command.env(ROLE, role).env(ARGUMENTS, arguments.join("\n"));
    command
}

/// What this process is to be instead of a test, with its arguments.
#[must_use]
pub fn role() -> Option<(String, Vec<String>)> {
    let role = std::env::var(ROLE).ok()?;
    let arguments = std::env::var(ARGUMENTS).ok()?;
    Some((role, arguments.split('\n').map(str::to_owned).collect()))
}

/// A running daemon; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Process {
    /// Starts a daemon, which must log in JSON, and returns once it has opened so many doors.
    ///
    /// # Panics
    /// When it ends before.
    pub fn start(command: &mut Command, doors: usize) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it");
        let mut log = BufReader::new(child.stderr.take().expect("its log")).lines();
        let (mut addresses, mut said) = (BTreeMap::new(), String::new());
        while addresses.len() < doors {
            let Some(Ok(line)) = log.next() else { panic!("it does not start:\n{said}") };
            addresses.extend(door(&line));
            said = said + &line + "\n";
        }
        thread::spawn(move || log.for_each(drop));
        Self { child, addresses }
    }

    /// Where it listens, by the settings of the addresses.
    #[must_use]
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// Most bytes that it has held in memory so far.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a process that runs");
        let told = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let told = told.and_then(|text| text.trim().strip_suffix(" kB"));
        told.and_then(|text| text.parse::<u64>().ok()).expect("its peak") << 10
    }

    /// SIGKILL; returns when it is gone.
    ///
    /// # Panics
    /// When it is not a child of this process any more.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }

    /// SIGTERM; returns when it is gone.
    ///
    /// # Panics
    /// When it has not stopped in order.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        assert!(self.child.wait().expect("its end").success(), "it has not stopped in order");
    }

    /// SIGHUP.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a process that runs");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is gone already is no matter.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The door that a line of the log tells of.
fn door(line: &str) -> Option<(String, SocketAddr)> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let fields = entry.get("fields").unwrap_or(&entry);
    let (setting, address) = (fields["setting"].as_str()?, fields["address"].as_str()?);
    Some((setting.to_owned(), address.parse().ok()?))
}
