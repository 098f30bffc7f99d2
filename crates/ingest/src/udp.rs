//! Carbon lines over UDP: any number of lines in a datagram, the last without a newline or with.

use std::sync::Arc;

use tokio::net::UdpSocket;
use tracing::warn;

use crate::door::Door;
use crate::intake::Intake;
use crate::point::Sink;
use crate::protocol::Protocol;

/// No datagram is larger.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// Reads datagrams until the stop signal. What comes while a limit makes it pause waits in the
/// kernel's buffer, and is lost when that is full.
pub(crate) async fn serve<S: Sink>(door: Arc<Door<S>>, socket: UdpSocket) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let service = &*door.service;
    loop {
        service.sink.room().await;
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = service.context.shutdown.wait() => return,
        };
        let (bytes, peer) = match received {
            Ok((length, peer)) => (&buffer[..length], peer),
            Err(error) => {
                warn!(%error, "receiving a datagram failed");
                continue;
            }
        };
        // A cut datagram must not glue its tail to the next one, so each has its own intake.
        let mut intake =
            Intake::new(door.source(peer.to_string()), service.settings.line_bytes_max);
        let rules = service.rules();
        let taken = intake.take(bytes, &rules);
        let last = intake.take_rest(&bytes[taken.bytes..], &rules);
        door.pause(bytes.len(), taken.points + last).await;
    }
}
