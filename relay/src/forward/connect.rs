//! The sending task of a node: connect, send in the way that the node takes, reconnect.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use daemon::Context;
use tokio::net::TcpStream;
use tracing::info;

use super::node::Node;
use super::{lines, link};

/// A node that does not take a connection by then is tried again later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The first pause after a failed connection; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause: a node that is back waits at most this long for its lines.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often an address that stands in for earlier ones makes sure that they are still away.
const RETURN_POLL: Duration = Duration::from_secs(2);

/// Sends the node's lines until it is over, or the relay stops.
pub(super) async fn run(node: Arc<Node>, context: Context) {
    let addresses = &node.destination.addresses;
    let mut pause = RETRY_PAUSE_MIN;
    let mut earlier = None;
    loop {
        let connected = tokio::select! {
            connected = connect_unless(earlier.take(), addresses) => connected,
            () = node.closed() => break,
        };
        match connected {
            Ok(Connected { stream, place }) => {
                pause = RETRY_PAUSE_MIN;
                node.metrics.connects.inc();
                node.set_connected(true);
                info!(node = node.name(), address = addresses[place], "connected");
                let back = back(&addresses[..place]);
                let sent = if node.destination.is_link {
                    link::send(&node, stream, &addresses[place], back).await
                } else {
                    lines::send(&node, stream, back, &context).await
                };
                node.set_connected(false);
                match sent {
                    Ok(None) => break,
                    Ok(back) => {
                        earlier = back;
                        continue;
                    }
                    Err(cause) => {
                        daemon::warn_limited!(context.clock, node = node.name(), %cause, "connection lost");
                    }
                }
            }
            Err(error) => {
                node.metrics.connect_failures.inc();
                daemon::warn_limited!(context.clock, node = node.name(), %error, "not connected");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = node.closed() => break,
        }
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
    if !node.is_closing() {
        node.forget(&context.metrics);
        info!(node = node.name(), "left");
    }
}

/// A connection to one of a node's addresses.
#[derive(Debug)]
struct Connected {
    stream: TcpStream,
    /// Of the address among all.
    place: usize,
}

async fn connect_unless(known: Option<Connected>, addresses: &[String]) -> io::Result<Connected> {
    match known {
        Some(known) => Ok(known),
        None => connect(addresses).await,
    }
}

/// The first address that takes a connection. Host names are resolved again for every connection.
async fn connect(addresses: &[String]) -> io::Result<Connected> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (place, address) in addresses.iter().enumerate() {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let connected = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match connected.and_then(|stream| daemon::listen::tune(&stream).map(|()| stream)) {
            Ok(stream) => return Ok(Connected { stream, place }),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// A connection to one of the addresses that come before the one in use, as soon as one takes it.
async fn back(earlier: &[String]) -> Connected {
    if earlier.is_empty() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(RETURN_POLL).await;
        if let Ok(connected) = connect(earlier).await {
            return connected;
        }
    }
}
