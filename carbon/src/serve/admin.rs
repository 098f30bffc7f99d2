//! What an operator can have done at once: write what waits, walk the tree.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daemon::threads::{Pool, PoolError};
use serde::Deserialize;
use serde_json::json;

use crate::engine::{FlushReport, FlushScope};
use crate::keeper::Keeper;
use crate::scan::Scanner;

/// Requests that may wait while another one is worked on.
const QUEUE_MAX: usize = 16;

/// What the routes work with.
#[derive(Debug)]
pub(crate) struct Admin {
    keeper: Arc<Keeper>,
    scanner: Arc<Scanner>,
    pool: Pool,
}

impl Admin {
    pub(crate) fn new(keeper: Arc<Keeper>, scanner: Arc<Scanner>) -> io::Result<Self> {
        Ok(Self { keeper, scanner, pool: Pool::new("carbon-admin", 1, QUEUE_MAX)? })
    }

    /// The node's own admin routes.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/admin/flush", post(flush))
            .route("/admin/scan", post(scan))
            .route("/admin/holes", get(holes))
            .with_state(Arc::new(self))
    }
}

/// Which points are to be written.
#[derive(Debug, Deserialize)]
struct FlushParams {
    /// One round of what is due, as if the time of all that waits had come.
    #[serde(default)]
    due: String,
    /// Only series whose names begin so.
    prefix: Option<String>,
}

async fn flush(State(admin): State<Arc<Admin>>, Query(params): Query<FlushParams>) -> Response {
    let due = !matches!(params.due.as_str(), "" | "0" | "false");
    if due && params.prefix.is_some() {
        return (StatusCode::BAD_REQUEST, "give either due or prefix\n").into_response();
    }
    let engine = Arc::clone(&admin.keeper.engine);
    let flushed = admin.pool.run(move || {
        engine.flush(match &params.prefix {
            Some(prefix) => FlushScope::Prefix(prefix),
            None if due => FlushScope::Due,
            None => FlushScope::All,
        })
    });
    match flushed.await {
        Ok(report) => {
            // What could not be written stays and is tried again, but the caller asked for now.
            let is_done = report.failed == 0 && (due || report.delayed == 0);
            let status = if is_done { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer(status, &flush_json(&report))
        }
        Err(error) => busy(error),
    }
}

fn flush_json(report: &FlushReport) -> serde_json::Value {
    json!({
        "series": report.series,
        "points": report.points,
        "delayed": report.delayed,
        "failed": report.failed,
        "points_left": report.points_left,
    })
}

async fn scan(State(admin): State<Arc<Admin>>) -> Response {
    let scanner = Arc::clone(&admin.scanner);
    match admin.pool.run(move || scanner.at_once()).await {
        Ok(report) => {
            let text = json!({
                "files": report.files,
                "added": report.added,
                "foreign": report.foreign,
                "unreadable": report.unreadable,
                "missing": report.missing.len(),
                "complete": report.complete,
            });
            answer(StatusCode::OK, &text)
        }
        Err(error) => busy(error),
    }
}

/// The times of which points may be missing, oldest first; the last one has no end while no points are taken.
async fn holes(State(admin): State<Arc<Admin>>) -> Response {
    let all = admin.keeper.holes.all().into_iter();
    let all: Vec<_> = all.map(|(from, until)| json!({"from": from, "until": until})).collect();
    answer(StatusCode::OK, &json!(all))
}

fn answer(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}

fn busy(error: PoolError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}
