//! The admin listener: `/metrics`, `/health`, `/ready`, `/admin/log_level`, and what the daemon
//! adds. It has no password, so it belongs on a loopback or private address.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, put};

use crate::context::Context;
use crate::http::{self, Limits};
use crate::lifecycle::Running;
use crate::listen::{self, ListenError};
use crate::log;

/// The admin routes every daemon has.
pub fn router(context: &Context) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/admin/log_level", put(log_level).post(log_level))
        .with_state(context.clone())
}

/// Serves the admin routes and the daemon's `own` on `address` (the setting `admin`), notes the
/// bound address in `running`, and adds the stage that waits for the server's end. Call it before
/// the slow parts of a start, so that `/ready` can say what is awaited.
///
/// # Errors
/// When the address cannot be listened on.
pub fn start(running: &mut Running, address: &str, own: Router) -> Result<(), ListenError> {
    let listener = listen::tcp("admin", address)?;
    if let Ok(bound) = listener.local_addr() {
        running.add_address("admin", bound);
    }
    let router = router(&running.context).merge(own);
    let shutdown = running.context.shutdown.clone();
    let server = tokio::spawn(http::serve(listener, router, shutdown, Limits::default()));
    running.add_stage("admin", async move {
        // It ends by itself after the signal; a panic in it was logged where it happened.
        drop(server.await);
    });
    Ok(())
}

async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, context.metrics.prometheus())
}

async fn health(State(context): State<Context>) -> impl IntoResponse {
    let mut fields = serde_json::Map::new();
    fields.insert("name".into(), format!("plumbago-{}", context.name).into());
    fields.insert("version".into(), context.version.into());
    for (name, text) in context.facts.all() {
        fields.insert(name.into(), text.into());
    }
    let text = serde_json::Value::Object(fields).to_string();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n")
}

async fn ready(State(context): State<Context>) -> (StatusCode, String) {
    match context.ready.waiting_for() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    }
}

async fn log_level(level: String) -> (StatusCode, String) {
    match log::set_level(&level) {
        Ok(()) => (StatusCode::OK, format!("log level is {}\n", level.trim())),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const METRICS: &[Metric] = &[Metric::counter("plumbago_test_lines_total", "Lines.")];

    async fn exchange(running: &Running, method_path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(running.address("admin").unwrap()).await.unwrap();
        let length = body.len();
        let text = format!("{method_path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_common_routes_and_the_daemons_own_answer() {
        let context = Context::new("test", METRICS);
        context.metrics.counter("plumbago_test_lines_total").add(3);
        context.facts.set("ring_fingerprint", "abc");
        let mut running = Running::new(context.clone());
        let own = Router::new().route("/admin/rejected", get(|| async { "[]" }));
        start(&mut running, "127.0.0.1:0", own).unwrap();

        let metrics = exchange(&running, "GET /metrics", "").await;
        assert!(metrics.contains("\nplumbago_test_lines_total 3\n"), "{metrics}");
        let health = exchange(&running, "GET /health", "").await;
        assert!(health.contains("\"name\":\"plumbago-test\""), "{health}");
        assert!(health.contains("\"ring_fingerprint\":\"abc\""), "{health}");
        let ready = exchange(&running, "GET /ready", "").await;
        assert!(ready.starts_with("HTTP/1.0 503") && ready.ends_with("starting\n"), "{ready}");
        context.ready.set();
        assert!(exchange(&running, "GET /ready", "").await.starts_with("HTTP/1.0 200"));
        assert!(exchange(&running, "GET /admin/rejected", "").await.ends_with("[]"));
        let level = exchange(&running, "PUT /admin/log_level", "loud").await;
        assert!(level.starts_with("HTTP/1.0 400") && level.contains("loud"), "{level}");
        running.stop(Duration::from_secs(30)).await.unwrap();
    }
}
