//! A storage node in this process, on ports of the system's choice and a clock that stands still.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Manual;
use daemon::{Context, Running, StartError, Values};
use plumbago_carbon::{METRICS, SETTINGS, start};
use tempfile::TempDir;
use testkit::{ANY_PORT, PATIENCE, send_lines_and_wait_for_close};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::pb::Caps;
use wire::reply::{Format, RenderReply, decode_render};

/// The moment at which the clocks of tests stand.
pub(crate) const NOW: i64 = 1_700_000_040;

pub(crate) const CAPS: Caps = Caps { bytes_max: 1 << 28, items_max: 1 << 20 };

pub(crate) struct Node {
    pub(crate) running: Running,
    pub(crate) clock: Arc<Manual>,
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The settings of a node on `folder`, with further ones.
pub(crate) fn values(folder: &Path, with: &[(&str, &str)]) -> Values {
    let mut values = Values::defaults(SETTINGS)
        .with("data", folder.to_str().unwrap())
        .with("free_space_min", "0B")
        .with("free_inodes_min", "0")
        .with("self_metrics_interval", "0s")
        .with("scan_interval", "0s");
    for setting in ["line", "pickle", "read", "carbonlink", "link", "admin"] {
        values = values.with(setting, ANY_PORT);
    }
    with.iter().fold(values, |values, (key, text)| values.with(key, text))
}

pub(crate) async fn try_start(folder: &Path, with: &[(&str, &str)]) -> Result<Node, StartError> {
    let clock = Arc::new(Manual::at(NOW));
    let context = Context::new("carbon", METRICS).with_clock(Arc::<Manual>::clone(&clock));
    let running = start(values(folder, with), context).await?;
    Ok(Node { running, clock })
}

/// A node on an empty folder.
pub(crate) async fn node(with: &[(&str, &str)]) -> (Node, TempDir) {
    let folder = testkit::folder();
    (try_start(folder.path(), with).await.unwrap(), folder)
}

/// A file beside the data, and what to give a setting for it.
pub(crate) fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The file of a series of a node on `folder`.
pub(crate) fn file_of(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("whisper").join(metric::path::whisper_path(name))
}

impl Node {
    /// Sends lines and waits until the node has them.
    pub(crate) async fn send(&self, lines: &[impl AsRef<str>]) {
        send_lines_and_wait_for_close(self.running.address("line").unwrap(), lines).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("read", &format!("GET {path}"), &[], b"").await
    }

    /// A document of the admin address.
    pub(crate) async fn admin(&self, path: &str) -> serde_json::Value {
        self.request("admin", &format!("GET {path}"), &[], b"").await.json()
    }

    /// Writes all that waits to the files.
    pub(crate) async fn flush(&self) -> serde_json::Value {
        self.request("admin", "POST /admin/flush", &[], b"").await.json()
    }

    pub(crate) async fn request(
        &self,
        door: &str,
        method_path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.running.address(door).unwrap()).await.unwrap();
        let headers: String =
            headers.iter().map(|(key, text)| format!("{key}: {text}\r\n")).collect();
        let length = body.len();
        let head = format!("{method_path} HTTP/1.0\r\nContent-Length: {length}\r\n{headers}\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time").unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    }

    /// A render in one format, understood.
    pub(crate) async fn render(&self, query: &str, format: Format) -> RenderReply {
        let answer = self.get(&format!("/render?{query}&format={}", format.name())).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let kind = format!("content-type: {}\r\n", format.content_type());
        assert!(answer.head.contains(&kind), "{}", answer.head);
        decode_render(format, &answer.body, CAPS).unwrap()
    }

    /// One number of the node.
    pub(crate) fn number(&self, what: &str, labels: &[&str]) -> f64 {
        let name = format!("plumbago_carbon_{what}");
        self.running.context.metrics.value(&name, labels).unwrap_or(0.0)
    }

    /// Checks that every point that was read has ended somewhere, and once.
    pub(crate) fn check_ledger(&self, dropped: &[&str]) {
        let dropped: f64 =
            dropped.iter().map(|reason| self.number("points_dropped_total", &[reason])).sum();
        let ends = self.number("points_written_total", &[])
            + self.number("points_superseded_total", &[])
            + self.number("points_pending", &[])
            + dropped;
        let begun =
            self.number("points_received_total", &[]) + self.number("points_replayed_total", &[]);
        assert_eq!(begun, ends);
    }

    pub(crate) async fn stop(self) {
        self.running.stop(Duration::from_secs(60)).await.unwrap();
    }
}
