//! Both ends of the carbon line protocol: a sender, and a server that keeps what it is sent.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::{PATIENCE, wait_until_async};

/// Sends lines (newlines are added) and closes.
pub async fn send_lines(address: SocketAddr, lines: &[impl AsRef<str>]) {
    drop(send(address, lines).await);
}

/// Sends lines, closes the sending half and waits for the receiver's close: what was sent is then
/// accepted.
///
/// # Panics
/// When the close does not come within [`PATIENCE`].
pub async fn send_lines_and_wait_for_close(address: SocketAddr, lines: &[impl AsRef<str>]) {
    let mut stream = send(address, lines).await;
    stream.shutdown().await.expect("half a close");
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    closed.expect("the receiver closes in time").expect("the receiver closes in order");
}

async fn send(address: SocketAddr, lines: &[impl AsRef<str>]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a listener at the address");
    let text: String = lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect();
    stream.write_all(text.as_bytes()).await.expect("a receiver that reads");
    stream
}

/// A line server that keeps every whole line, in order of arrival. Dropping it closes its port
/// and its connections, as a node that dies does.
#[derive(Debug)]
pub struct LineSink {
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl LineSink {
    /// Listens on `address`; [`crate::ANY_PORT`] lets the system choose.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn start(address: &str) -> Self {
        let listener = daemon::listen::tcp("sink", address).expect("a free address");
        let address = listener.local_addr().expect("a bound address");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&lines)));
        Self { address, lines, _tasks: tasks }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The lines so far, without their newlines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits for at least `count` lines and returns all there are.
    ///
    /// # Panics
    /// When they do not come within [`PATIENCE`].
    pub async fn wait_for(&self, count: usize) -> Vec<String> {
        wait_until_async("lines at the sink", PATIENCE, async || {
            Some(self.lines()).filter(|lines| lines.len() >= count)
        })
        .await
    }
}

async fn accept(listener: TcpListener, lines: Arc<Mutex<Vec<String>>>) {
    // Owned here, so that the connections end with the sink.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let lines = Arc::clone(&lines);
        connections.spawn(async move {
            let mut reader = BufReader::new(stream).lines();
            // A broken connection ends a sink's reading as a closed one does.
            while let Ok(Some(line)) = reader.next_line().await {
                lines.lock().push(line);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_arrive_in_order_and_the_close_confirms_them() {
        let sink = LineSink::start(crate::ANY_PORT);
        send_lines_and_wait_for_close(sink.address(), &["a 1 1", "b 2 2"]).await;
        assert_eq!(sink.lines(), ["a 1 1", "b 2 2"]);
        send_lines(sink.address(), &["c 3 3".to_owned()]).await;
        assert_eq!(sink.wait_for(3).await[2], "c 3 3");
    }

    #[tokio::test]
    async fn a_dropped_sink_closes_its_connections_and_frees_its_port() {
        let sink = LineSink::start(crate::ANY_PORT);
        let address = sink.address();
        let mut stream = send(address, &["a 1 1"]).await;
        sink.wait_for(1).await;
        drop(sink);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        wait_until_async("a free port", PATIENCE, async || TcpStream::connect(address).await.err())
            .await;
        assert!(TcpStream::connect(crate::closed_address()).await.is_err());
    }
}
