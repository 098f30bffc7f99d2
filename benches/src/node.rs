//! A storage node that is loaded from outside, in a process of its own.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::park_timeout;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use daemon::clock::{Clock, System};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How often it is looked whether it is done.
pub const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Ticks of `/proc/PID/stat` in a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A storage node in a process of its own, killed at the end.
#[derive(Debug)]
pub struct Node {
    process: Child,
    /// Port for lines.
    pub line: u16,
    /// Port for readers.
    pub read: u16,
    /// Port for operators.
    pub admin: u16,
}

impl Node {
    /// Starts the `plumbago-carbon` beside the running program, and waits until it is ready.
    ///
    /// # Errors
    /// No such program, or one that does not get ready.
    pub fn start(data: &Path, arguments: &[&str]) -> Result<Self> {
        let mut node = Self::start_unready(data, arguments)?;
        wait_until_ready(&mut node.process, node.admin)?;
        Ok(node)
    }

    /// The same without the wait.
    ///
    /// # Errors
    /// No such program.
    pub fn start_unready(data: &Path, arguments: &[&str]) -> Result<Self> {
        let program = env::current_exe()?.with_file_name("plumbago-carbon");
        let [line, read, admin] = free_ports()?;
        let address = |port| format!("127.0.0.1:{port}");
        let process = Command::new(&program)
            .args(["--line", &address(line), "--read", &address(read), "--admin", &address(admin)])
            .arg("--data")
            .arg(data)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{}: build it first", program.display()))?;
        Ok(Self { process, line, read, admin })
    }

    /// One number of the node without labels.
    ///
    /// # Errors
    /// No answer, or no such number.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let metrics = get(self.admin, "/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no metric {name}"))?.parse()?)
    }

    /// Waits until the journal has so many points.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_committed(&self, points: f64) -> Result<()> {
        wait_until("the journal has the points", || {
            Ok(self.metric("plumbago_carbon_points_committed_total")? >= points)
        })
    }

    /// CPU seconds of user and kernel so far.
    ///
    /// # Errors
    /// A system without `/proc`.
    pub fn cpu_s(&self) -> Result<f64> {
        cpu_s(self.process.id())
    }

    /// Megabytes (10⁶) that it holds.
    ///
    /// # Errors
    /// A system without `/proc`.
    pub fn resident_mb(&self) -> Result<f64> {
        memory_mb(self.process.id(), "VmRSS:")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have died already; whoever waits for it sees that elsewhere.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// CPU seconds of user and kernel that a process has had so far.
///
/// # Errors
/// A system without `/proc`.
pub fn cpu_s(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_name, fields) = stat.rsplit_once(") ").context("an odd /proc/PID/stat")?;
    let ticks: f64 = fields.split(' ').skip(11).take(2).flat_map(str::parse::<f64>).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// Megabytes (10⁶) of a process, by this line of its status.
///
/// # Errors
/// A system without `/proc`.
pub fn memory_mb(process: u32, line: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let found = status.lines().find_map(|found| found.strip_prefix(line));
    let kib = found.and_then(|found| found.split_ascii_whitespace().next());
    Ok(kib.context("an odd /proc/PID/status")?.parse::<f64>()? * 1024.0 / 1e6)
}

/// Ports that were given: one that nobody has bound yet would be given again otherwise.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Ports that were free a moment ago, each given once.
///
/// # Errors
/// No port at all.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut given = GIVEN.lock().expect("no panic while ports are given");
    let mut ports = [0; N];
    for port in &mut ports {
        *port = loop {
            let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            if given.insert(free) {
                break free;
            }
        };
    }
    Ok(ports)
}

/// Waits until a process that was just started is ready.
///
/// # Errors
/// When that takes too long, or the process ends.
pub fn wait_until_ready(process: &mut Child, admin: u16) -> Result<()> {
    wait_until("it is ready", || {
        if let Some(status) = process.try_wait()? {
            bail!("the program for port {admin} ended at its start: {status}");
        }
        Ok(get(admin, "/ready").is_ok())
    })
}

/// The body of an answer that says 200.
///
/// # Errors
/// No answer, or another status.
pub fn get(port: u16, path: &str) -> Result<String> {
    ask("GET", port, path)
}

/// The same by POST.
///
/// # Errors
/// No answer, or another status.
pub fn post(port: u16, path: &str) -> Result<String> {
    ask("POST", port, path)
}

fn ask(method: &str, port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    Ok(body.to_owned())
}

/// Looks again and again until `condition` holds.
///
/// # Errors
/// When that takes longer than [`PATIENCE`], or `condition` fails.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let clock = System::new();
    while !condition()? {
        ensure!(clock.monotonic() < PATIENCE, "not within {PATIENCE:?}: {what}");
        park_timeout(POLL_INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_though_nobody_binds_it() -> Result<()> {
        let mut given = BTreeSet::new();
        for _ in 0..400 {
            let ports: [u16; 4] = free_ports()?;
            assert!(ports.into_iter().all(|port| given.insert(port)), "{ports:?} again");
        }
        Ok(())
    }

    #[test]
    fn a_program_that_ends_at_its_start_is_not_waited_for() -> Result<()> {
        let [admin] = free_ports()?;
        let mut process = Command::new("false").spawn()?;
        let told = wait_until_ready(&mut process, admin).unwrap_err().to_string();
        assert!(told.contains(&format!("port {admin} ended at its start")), "{told}");
        Ok(())
    }
}
