//! A relay that is loaded from outside, in a process of its own.

use std::env;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::node::{cpu_s, free_ports, get, memory_mb, wait_until_ready};

/// A relay in a process of its own, killed at the end.
#[derive(Debug)]
pub struct Relay {
    process: Child,
    /// Port for lines.
    pub line: u16,
    admin: u16,
}

impl Relay {
    /// Starts the `plumbago-relay` beside the running program with a log in `folder`, and waits until it is ready.
    ///
    /// # Errors
    /// No such program, or one that does not get ready.
    pub fn start(folder: &Path, arguments: &[&str]) -> Result<Self> {
        let program = env::current_exe()?.with_file_name("plumbago-relay");
        let [line, pickle, admin] = free_ports()?;
        let address = |port| format!("127.0.0.1:{port}");
        let process = Command::new(&program)
            .args(["--line", &address(line), "--pickle", &address(pickle)])
            .args(["--admin", &address(admin), "--self-metrics-interval", "0s"])
            .arg("--log")
            .arg(folder.join("relay-log"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{}: build it first", program.display()))?;
        let mut relay = Self { process, line, admin };
        wait_until_ready(&mut relay.process, admin)?;
        Ok(relay)
    }

    /// A number of the relay, over all that its labels tell apart.
    ///
    /// # Errors
    /// No answer.
    pub fn sum(&self, name: &str) -> Result<f64> {
        let metrics = get(self.admin, "/metrics")?;
        let of = |line: &str| {
            let (found, value) = line.rsplit_once(' ')?;
            (found.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        };
        Ok(metrics.lines().filter_map(of).sum())
    }

    /// CPU seconds of user and kernel so far.
    ///
    /// # Errors
    /// A system without `/proc`.
    pub fn cpu_s(&self) -> Result<f64> {
        cpu_s(self.process.id())
    }

    /// The most megabytes (10⁶) that it has held.
    ///
    /// # Errors
    /// A system without `/proc`.
    pub fn most_resident_mb(&self) -> Result<f64> {
        memory_mb(self.process.id(), "VmHWM:")
    }

    /// Sends on one connection and waits for the close that says that the relay has all.
    ///
    /// # Errors
    /// A connection that breaks.
    pub fn send(&self, text: &[u8]) -> Result<()> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.line))?;
        connection.write_all(text)?;
        connection.shutdown(Shutdown::Write)?;
        connection.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have died already; its numbers say so elsewhere.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
