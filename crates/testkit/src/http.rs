//! A client that speaks HTTP as plainly as can be.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What follows them.
    pub body: Vec<u8>,
}

/// One request; HTTP/1.0, so that the body ends where the connection does. `head` is lines that each
/// end with `\r\n`.
pub async fn ask(address: SocketAddr, method: &str, path: &str, head: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\n{head}Content-Length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(head.as_bytes()).await.expect("the server reads the head");
    // Who refuses a body need not read it.
    drop(stream.write_all(body).await);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the server answers");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).expect("a head of text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body }
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// Asserts that this is a refusal as people want them: one line, no HTML, no stack trace.
    pub fn refused(&self, statuses: &[u16], part: &str) {
        let text = self.text();
        assert!(statuses.contains(&self.status), "{} {text}", self.status);
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        assert!(text.contains(part) && text.len() < 1000, "{part:?} is not in {text}");
        for trace in ["<html", "<body", "panicked", "Traceback", "stack backtrace"] {
            assert!(!text.contains(trace), "{text}");
        }
    }
}
