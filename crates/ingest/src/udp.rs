//! Carbon lines over UDP: any number of lines in a datagram, the last without a newline or with.

use std::sync::Arc;

use tokio::net::UdpSocket;
use tracing::warn;

use crate::connection::Protocol;
use crate::intake::Intake;
use crate::listeners::Service;
use crate::point::Sink;

/// No datagram is larger.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// Reads datagrams until the stop signal.
pub(crate) async fn serve<S: Sink>(service: Arc<Service<S>>, socket: UdpSocket) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        service.sink.room().await;
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = service.shutdown.wait() => return,
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
            Intake::new(service.source(peer.to_string()), service.settings.line_bytes_max);
        let rules = service.rules();
        let consumed = intake.take(bytes, &rules);
        intake.take_rest(&bytes[consumed..], &rules);
    }
}
