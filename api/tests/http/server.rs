//! The api on a port of its own, and a client that speaks to it as plainly as can be.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Manual;
use daemon::{Context, Running, Values};
use flate2::read::GzDecoder;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fake::{Fake, Kind};

/// 2026-09-21 16:00:00 UTC.
pub(crate) const NOW: i64 = 1_790_006_400;

pub(crate) struct Server {
    address: SocketAddr,
    admin: SocketAddr,
    clock: Arc<Manual>,
    _backend: Option<Fake>,
    _running: Running,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body, which has to be sound JSON but for infinities.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(crate) fn gunzipped(&self) -> String {
        let mut text = String::new();
        GzDecoder::new(self.body.as_slice()).read_to_string(&mut text).unwrap();
        text
    }

    /// Asserts that this is a refusal as people want them: one line, no HTML.
    pub(crate) fn refused(&self, status: u16, part: &str) {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        assert!(text.contains(part) && !text.contains('<'), "{text}");
    }
}

impl Server {
    /// On a backend that holds the corpus.
    pub(crate) async fn start() -> Self {
        Self::with(Kind::Full, &[]).await
    }

    pub(crate) async fn with(kind: Kind, settings: &[(&str, &str)]) -> Self {
        let fake = Fake::start(kind).await;
        let url = format!("http://{}", fake.address);
        Self::on(&url, Some(fake), settings).await
    }

    /// On a backend that is not there.
    pub(crate) async fn alone() -> Self {
        Self::on(&format!("http://{}", testkit::closed_address()), None, &[]).await
    }

    pub(crate) async fn on(url: &str, backend: Option<Fake>, settings: &[(&str, &str)]) -> Self {
        let mut values = Values::defaults(plumbago_api::SETTINGS)
            .with("listen", testkit::ANY_PORT)
            .with("admin", testkit::ANY_PORT)
            .with("backend", url);
        for (key, value) in settings {
            values = values.with(key, value);
        }
        let clock = Arc::new(Manual::at(NOW));
        let context = Context::new("api", plumbago_api::METRICS).with_clock(clock.clone());
        let running = plumbago_api::start(values, context).await.unwrap();
        let address = running.address("listen").unwrap();
        let admin = running.address("admin").unwrap();
        Self { address, admin, clock, _backend: backend, _running: running }
    }

    /// Has time go by.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// The value of a metric, 0 if it has not been counted yet.
    pub(crate) async fn metric(&self, name_and_labels: &str) -> f64 {
        let answer = self.admin("GET", "/metrics").await;
        let mut lines = answer.text().lines();
        let line = lines.find_map(|line| line.strip_prefix(name_and_labels)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Asks at the admin address.
    pub(crate) async fn admin(&self, method: &str, path: &str) -> Answer {
        exchange(self.admin, method, path, "", b"").await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"").await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.ask("POST", path, kind, form.as_bytes()).await
    }

    /// HTTP/1.0, so that the body ends where the connection does.
    pub(crate) async fn ask(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Answer {
        exchange(self.address, method, path, head, body).await
    }
}

async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    head: &str,
    body: &[u8],
) -> Answer {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\n{head}Content-Length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}
