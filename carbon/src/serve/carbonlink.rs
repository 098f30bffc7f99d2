//! Carbonlink: what graphite-web asks a carbon cache about points that are not in a file yet.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use daemon::{Registry, Shutdown};
use metric::{Point, Within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::RefusalReason;
use wire::carbonlink::{self, REQUEST_BYTES_MAX, Request};
use wire::framing::frames;
use wire::tree::Value;

use crate::read::Reader;

/// How long a connection may be silent.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Most connections at a time; graphite-web keeps a few.
const CONNECTIONS_MAX: usize = 1024;

/// Names in one bulk question.
const BULK_NAMES_MAX: usize = 100_000;

/// How long an accept loop rests when the system has no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Carbonlink {
    pub(crate) reader: Arc<Reader>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) shutdown: Shutdown,
}

impl Carbonlink {
    /// Serves connections until the stop.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let service = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = service.shutdown.wait() => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a carbonlink connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let service = Arc::clone(&service);
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                // A client that went away in the middle is no event.
                drop(service.connection(stream).await);
                drop(place);
            });
        }
        while connections.join_next().await.is_some() {}
    }

    async fn connection(&self, mut stream: TcpStream) -> std::io::Result<()> {
        daemon::listen::tune(&stream)?;
        let mut buffer = BytesMut::new();
        loop {
            let read = tokio::select! {
                read = tokio::time::timeout(IDLE_MAX, stream.read_buf(&mut buffer)) => read,
                () = self.shutdown.wait() => return Ok(()),
            };
            let Ok(read) = read else { return Ok(()) };
            if read? == 0 {
                return Ok(());
            }
            let mut out = Vec::new();
            let mut found = frames(&buffer, REQUEST_BYTES_MAX);
            let mut understood = true;
            for frame in found.by_ref() {
                understood = match frame {
                    Ok(frame) => self.request(frame, &mut out).await,
                    Err(_) => false,
                };
                if !understood {
                    break;
                }
            }
            let consumed = found.consumed();
            buffer.advance(consumed);
            if !out.is_empty() {
                stream.write_all(&out).await?;
            }
            if !understood {
                return Ok(());
            }
        }
    }

    /// Answers one request; false when the connection is of no further use.
    async fn request(&self, frame: &[u8], out: &mut Vec<u8>) -> bool {
        let written = match carbonlink::parse_request(frame) {
            Ok(request) => {
                self.count(&request);
                self.reply(request, out).await
            }
            Err(error) => {
                let _too_long_to_tell = carbonlink::write_error(out, &error.to_string());
                return false;
            }
        };
        written.is_ok()
    }

    fn count(&self, request: &Request) {
        let label = match request {
            Request::CacheQuery { .. } => "cache-query",
            Request::CacheQueryBulk { .. } => "cache-query-bulk",
            Request::GetMetadata { .. } => "get-metadata",
            Request::SetMetadata { .. } => "set-metadata",
            _ => "other",
        };
        self.registry.counter_with("plumbago_carbon_carbonlink_requests_total", &[label]).inc();
    }

    async fn reply(&self, request: Request, out: &mut Vec<u8>) -> Result<(), RefusalReason> {
        match request {
            Request::CacheQuery { metric } => {
                carbonlink::write_datapoints(out, &self.waiting(&metric))
            }
            Request::CacheQueryBulk { metrics } if metrics.len() > BULK_NAMES_MAX => {
                let text = format!("{} metrics, allowed are {BULK_NAMES_MAX}", metrics.len());
                carbonlink::write_error(out, &text)
            }
            Request::CacheQueryBulk { metrics } => {
                let series: Vec<(&str, Vec<Point>)> =
                    metrics.iter().map(|name| (name.as_str(), self.waiting(name))).collect();
                carbonlink::write_datapoints_by_metric(out, &series)
            }
            Request::GetMetadata { metric, key } => self.metadata(metric, key, out).await,
            Request::SetMetadata { metric, .. } => {
                let text =
                    format!("headers are changed by `plumbago whisper set`, also of {metric}");
                carbonlink::write_error(out, &text)
            }
            _ => carbonlink::write_error(out, "request of an unknown kind"),
        }
    }

    fn waiting(&self, name: &str) -> Vec<Point> {
        let engine = &self.reader.engine;
        let points = engine.table().get(name).map(|id| engine.pending(id)).unwrap_or_default();
        points.into_iter().map(|(timestamp, value)| Point::new(timestamp.into(), value)).collect()
    }

    async fn metadata(
        &self,
        name: String,
        key: String,
        out: &mut Vec<u8>,
    ) -> Result<(), RefusalReason> {
        let reader = Arc::clone(&self.reader);
        let job = {
            let name = name.clone();
            move || reader.engine.table().get(&name).map(|id| reader.engine.info(id))
        };
        let header = match self.reader.run(&self.reader.asker(None, Within::ALL), job).await {
            Ok(Some(Ok(Some(header)))) => header,
            Ok(Some(Err(error))) => return carbonlink::write_error(out, &error.to_string()),
            Ok(_) => return carbonlink::write_error(out, &format!("no series {name}")),
            Err(fault) => return carbonlink::write_error(out, &fault.to_string()),
        };
        let value = match key.as_str() {
            "aggregationMethod" => Value::Text(header.method.name().as_bytes().into()),
            "xFilesFactor" => Value::Float(header.x_files_factor.into()),
            "maxRetention" => Value::Int(header.max_retention.into()),
            _ => return carbonlink::write_error(out, &format!("no such metadata {key}")),
        };
        carbonlink::write_metadata(out, &value)
    }
}
