//! The relay as a process of its own that is killed: what another process finds of it, not what the same one remembers.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use testkit::{ANY_PORT, LineSink, PATIENCE, send_lines_and_wait_for_close, wait_until_async};

/// A running relay; it is killed when the value is dropped.
struct Process {
    child: Child,
    line: SocketAddr,
    /// Open as long as the process, which writes to it.
    _log: BufReader<ChildStderr>,
}

impl Process {
    fn start(settings: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plumbago-relay"))
            .arg("--config")
            .arg(settings)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let line = loop {
            let start = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "it does not listen:\n{said}");
            if let Some((_, address)) = said[start..].split_once("setting=\"line\" address=") {
                break address.trim().parse().unwrap();
            }
        };
        Self { child, line, _log: log }
    }
}

impl Drop for Process {
    /// SIGKILL.
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A settings file with ports that the system chooses and a log.
fn settings(folder: &Path, rest: &str) -> PathBuf {
    let path = folder.join("relay.toml");
    let common = format!(
        "line = ['{ANY_PORT}']\npickle = []\nadmin = '{ANY_PORT}'\nself_metrics_interval = '0s'\nlog = '{}'\n",
        folder.join("log").display(),
    );
    std::fs::write(&path, common + rest).unwrap();
    path
}

#[tokio::test]
async fn lines_that_wait_for_a_dead_node_outlive_the_relay_that_took_them() {
    let folder = testkit::folder();
    // A loopback host of its own, so that no other test is given the port meanwhile.
    let dead = TcpListener::bind("127.0.9.1:0").unwrap().local_addr().unwrap().to_string();
    let settings = settings(folder.path(), &format!("node = ['{dead}']\n"));
    let lines = |life: usize| (0..2_000).map(move |i| format!("life{life}.m{i} {i} 1700000000"));
    for life in 0..3 {
        let relay = Process::start(&settings);
        send_lines_and_wait_for_close(relay.line, &lines(life).collect::<Vec<_>>()).await;
    }
    let node = LineSink::start(&dead);
    let _relay = Process::start(&settings);
    let arrived: BTreeSet<String> = node.wait_for(6_000).await.into_iter().collect();
    assert!(arrived.into_iter().eq((0..3).flat_map(lines).collect::<BTreeSet<_>>()));
}

#[tokio::test]
async fn an_open_window_outlives_the_relay_that_was_given_its_points() {
    let folder = testkit::folder();
    let sink = LineSink::start(ANY_PORT);
    let rest = format!(
        "node = ['{}']\n[[rule]]\nmatch = {{ regex = '^web[0-9]+\\.cpu$' }}\nstop = true\n\
         aggregate = {{ into = 'web.cpu.{{method}}', window = '1m', method = ['sum', 'median'] }}\n",
        sink.address(),
    );
    let settings = settings(folder.path(), &rest);
    // The first life's point lies at the window's end, so that the clock has passed it when the others come.
    for point in ["web1.cpu 2 1700000099", "web2.cpu 3 1700000050", "web1.cpu 5 1700000060"] {
        let relay = Process::start(&settings);
        send_lines_and_wait_for_close(relay.line, &[point.to_owned()]).await;
    }
    let relay = Process::start(&settings);
    // A point of a later minute ends the window.
    send_lines_and_wait_for_close(relay.line, &["web1.cpu 1 1700000300".to_owned()]).await;
    // What was sent before the other lives' points came is sent again with them: the last result stands.
    for result in ["web.cpu.sum 10 1700000040", "web.cpu.median 3 1700000040"] {
        wait_until_async(result, PATIENCE, async || {
            let name = result.split(' ').next().unwrap();
            let of_name = sink.lines().into_iter().rfind(|line| line.starts_with(name));
            (of_name.as_deref() == Some(result)).then_some(())
        })
        .await;
    }
}
