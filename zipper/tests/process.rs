//! The zipper as a process: it follows its cluster file by itself.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use testkit::{ANY_PORT, PATIENCE, ask, wait_until_async};

/// A running zipper; it is killed when the value is dropped.
struct Process {
    child: Child,
    admin: SocketAddr,
    log: BufReader<ChildStderr>,
}

impl Process {
    fn start(cluster: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plumbago-zipper"))
            .args(["--listen", ANY_PORT, "--admin", ANY_PORT, "--cluster-check-interval", "5ms"])
            .arg("--cluster")
            .arg(cluster)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let line = read_until(&mut log, "setting=\"admin\" address=");
        let admin = line.rsplit_once('=').unwrap().1.trim().parse().unwrap();
        Self { child, admin, log }
    }

    /// What `/health` says of its ring once that is another one than `before`.
    async fn next_ring(&self, before: &str) -> String {
        wait_until_async("another ring", PATIENCE, async || {
            let health = ask(self.admin, "GET", "/health", "", b"").await;
            let health: serde_json::Value = serde_json::from_slice(&health.body).unwrap();
            let ring = health["ring_fingerprint"].as_str().unwrap().to_owned();
            (ring != before).then_some(ring)
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The first line of the log that holds `text`.
fn read_until(log: &mut BufReader<ChildStderr>, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the log ended without {text}");
        if line.contains(text) {
            return line;
        }
    }
}

fn nodes(count: usize) -> String {
    let node = |n| format!("[[node]]\nhost = \"h{n}\"\nread = \"127.0.0.1:{n}\"\n");
    (1..=count).fold("[ring]\n".to_owned(), |text, n| text + &node(n))
}

#[tokio::test]
async fn a_changed_cluster_file_is_taken_up_and_a_bad_one_is_not() {
    let folder = testkit::folder();
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, nodes(2)).unwrap();
    let mut zipper = Process::start(&path);
    let two = zipper.next_ring("").await;
    std::fs::write(&path, nodes(3)).unwrap();
    let three = zipper.next_ring(&two).await;
    std::fs::write(&path, "[ring]\nhasch = 'carbon_ch'\n").unwrap();
    let told = read_until(&mut zipper.log, "unknown key");
    assert!(told.contains("cluster.toml:2:1"), "{told}");
    assert_eq!(zipper.next_ring(&two).await, three);
    std::fs::write(&path, nodes(2)).unwrap();
    assert_eq!(zipper.next_ring(&three).await, two);
}
