//! What an operator can have done at once: write what waits, walk the tree.

use std::io;
use std::sync::Arc;
use std::thread::park_timeout;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daemon::threads::{Pool, PoolError};
use serde::Deserialize;
use serde_json::{Value, json};
use whisper::Header;
use wire::birth::Birth;

use crate::accept::Accept;
use crate::engine::{Engine, FlushReport, FlushScope, QuotaUse, Reshaped};
use crate::keeper::Keeper;
use crate::prefixes::{self, DEPTH_MAX, Share};
use crate::scan::Scanner;
use crate::series::SeriesId;

/// Requests that may wait while another one is worked on.
const QUEUE_MAX: usize = 16;

/// Files that one request for series of another kind reads, if it does not say how many.
const DRIFT_FILES: u64 = 1_000;

/// Most that it may read: other requests wait meanwhile.
const DRIFT_FILES_MAX: u64 = 10_000;

/// Files after which it rests, and how long: about twice as long as reading them takes where the system has them in memory.
const DRIFT_RUN_FILES: u64 = 16;
const DRIFT_REST: Duration = Duration::from_millis(1);

/// Most series that one request gives other archives: other requests wait meanwhile.
const APPLY_NAMES_MAX: usize = 1_000;

/// What the routes work with.
#[derive(Debug)]
pub(crate) struct Admin {
    keeper: Arc<Keeper>,
    scanner: Arc<Scanner>,
    sink: Arc<Accept>,
    pool: Pool,
}

impl Admin {
    pub(crate) fn new(
        keeper: Arc<Keeper>,
        scanner: Arc<Scanner>,
        sink: Arc<Accept>,
    ) -> io::Result<Self> {
        Ok(Self { keeper, scanner, sink, pool: Pool::new("carbon-admin", 1, QUEUE_MAX)? })
    }

    /// The node's own admin routes.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/admin/flush", post(flush))
            .route("/admin/scan", post(scan))
            .route("/admin/holes", get(holes))
            .route("/admin/birth", get(birth).post(set_birth))
            .route("/admin/quotas", get(quotas))
            .route("/admin/prefixes", get(prefixes))
            .route("/admin/schema-drift", get(schema_drift))
            .route("/admin/schema-apply", post(schema_apply))
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

fn flush_json(report: &FlushReport) -> Value {
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

/// When the node began with an empty disk, and since when it takes points; 0 if it lacks nothing that is older.
async fn birth(State(admin): State<Arc<Admin>>) -> Response {
    answer(StatusCode::OK, &birth_json(admin.keeper.born.birth()))
}

/// Since when the node has all that its other owners have; 0 for everything.
#[derive(Debug, Deserialize)]
struct BirthParams {
    complete_since: i64,
}

async fn set_birth(
    State(admin): State<Arc<Admin>>,
    Query(BirthParams { complete_since }): Query<BirthParams>,
) -> Response {
    let now = admin.sink.busy.now();
    if !(0..=now).contains(&complete_since) {
        let line = format!("complete_since={complete_since}: expected 0 to {now}\n");
        return (StatusCode::BAD_REQUEST, line).into_response();
    }
    let keeper = Arc::clone(&admin.keeper);
    let set = admin.pool.run(move || keeper.born.set_complete_since(complete_since));
    match set.await {
        Ok(Ok(birth)) => answer(StatusCode::OK, &birth_json(birth)),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(error) => busy(error),
    }
}

fn birth_json(birth: Birth) -> Value {
    json!({"born": birth.born_s, "takes_points_since": birth.takes_since_s})
}

/// What each quota allows, and what is used of it.
async fn quotas(State(admin): State<Arc<Admin>>) -> Response {
    let uses = admin.keeper.engine.quota_uses().into_iter();
    let uses: Vec<_> = uses
        .map(|QuotaUse { quota, series, bytes, points_per_minute }| {
            json!({
                "name": quota.name,
                "prefix": quota.prefix,
                "series": {"used": series, "limit": quota.series},
                "points_per_minute": {"used": points_per_minute, "limit": quota.points_per_minute},
                "bytes": {"used": quota.bytes.map(|_| bytes), "limit": quota.bytes},
            })
        })
        .collect();
    answer(StatusCode::OK, &json!(uses))
}

/// How the prefixes are to be told.
#[derive(Debug, Deserialize)]
struct PrefixParams {
    /// Components of a prefix.
    #[serde(default = "default_depth")]
    depth: usize,
    /// Prefixes of each list.
    #[serde(default = "default_top")]
    top: usize,
    /// A series that began in so many hours is new.
    #[serde(default = "default_hours")]
    hours: u32,
}

fn default_depth() -> usize {
    2
}

fn default_top() -> usize {
    20
}

fn default_hours() -> u32 {
    24
}

/// The prefixes that bring the most points, and those that began the most series.
async fn prefixes(State(admin): State<Arc<Admin>>, Query(params): Query<PrefixParams>) -> Response {
    let PrefixParams { depth, top, hours } = params;
    if !(1..=DEPTH_MAX).contains(&depth) {
        let line = format!("depth={depth}: expected 1 to {DEPTH_MAX}\n");
        return (StatusCode::BAD_REQUEST, line).into_response();
    }
    let (busiest, points) = admin.sink.busy.top(depth, top);
    let (engine, now) = (Arc::clone(&admin.keeper.engine), admin.sink.busy.now());
    let began = admin.pool.run(move || prefixes::beginners(&engine, now, (depth, top), hours));
    let (beginners, series) = match began.await {
        Ok(began) => began,
        Err(error) => return busy(error),
    };
    let rows = |shares: Vec<Share>, what: &str| -> Vec<_> {
        let row = |(prefix, count)| json!({"prefix": prefix, what: count});
        shares.into_iter().map(row).collect()
    };
    answer(
        StatusCode::OK,
        &json!({
            "points": points,
            "busiest": rows(busiest, "points"),
            "new_series": series,
            "beginners": rows(beginners, "series"),
        }),
    )
}

/// Which part of the series is to be compared with the rules.
#[derive(Debug, Deserialize)]
struct DriftParams {
    /// The `next` of the answer before.
    #[serde(default)]
    from: u32,
    /// Most files to read; some thousand take some seconds.
    files: Option<u64>,
}

async fn schema_drift(
    State(admin): State<Arc<Admin>>,
    Query(params): Query<DriftParams>,
) -> Response {
    let files = params.files.unwrap_or(DRIFT_FILES).min(DRIFT_FILES_MAX);
    let engine = Arc::clone(&admin.keeper.engine);
    let compared = admin.pool.run(move || {
        let mut read = 0_u64;
        let mut rest = || {
            read += 1;
            if read.is_multiple_of(DRIFT_RUN_FILES) {
                park_timeout(DRIFT_REST);
            }
        };
        engine.schema_drift(SeriesId(params.from), files, &mut rest)
    });
    let report = match compared.await {
        Ok(report) => report,
        Err(error) => return busy(error),
    };
    let drifted = report.drifted.iter();
    let drifted: Vec<_> = drifted
        .map(|one| json!({"name": one.name, "file": kind(&one.file), "rules": kind(&one.rules)}))
        .collect();
    let text = json!({
        "series": drifted,
        "checked": report.checked,
        "read": report.read,
        "unreadable": report.unreadable,
        "next": report.next.map(|id| id.0),
    });
    answer(StatusCode::OK, &text)
}

/// Series whose files are to become as the rules have them.
#[derive(Debug, Deserialize)]
struct ApplyParams {
    names: Vec<String>,
}

async fn schema_apply(State(admin): State<Arc<Admin>>, body: Bytes) -> Response {
    let names = match serde_json::from_slice::<ApplyParams>(&body) {
        Ok(params) if params.names.len() <= APPLY_NAMES_MAX => params.names,
        Ok(_too_many) => {
            let line = format!("at most {APPLY_NAMES_MAX} names in one request\n");
            return (StatusCode::BAD_REQUEST, line).into_response();
        }
        Err(error) => {
            return (StatusCode::BAD_REQUEST, format!("request: {error}\n")).into_response();
        }
    };
    let engine = Arc::clone(&admin.keeper.engine);
    let reshape = move || names.into_iter().map(|name| reshaped(&engine, &name)).collect();
    match admin.pool.run(reshape).await {
        Ok(series) => answer(StatusCode::OK, &json!({"series": Value::Array(series)})),
        Err(error) => busy(error),
    }
}

fn reshaped(engine: &Engine, name: &str) -> Value {
    let id = engine.table().get(name);
    match id.map_or(Ok(Reshaped::Missing), |id| engine.reshape(id)) {
        Ok(Reshaped::Missing) => json!({"name": name, "outcome": "missing"}),
        Ok(Reshaped::Equal) => json!({"name": name, "outcome": "equal"}),
        Ok(Reshaped::Done { bytes_before, bytes_after }) => json!({
            "name": name, "outcome": "resized",
            "bytes_before": bytes_before, "bytes_after": bytes_after,
        }),
        Err(error) => {
            tracing::warn!(name, %error, "cannot be given other archives");
            json!({"name": name, "outcome": "failed", "error": error.to_string()})
        }
    }
}

fn kind(header: &Header) -> Value {
    let archives = header.archives.iter();
    let archives = archives.map(|one| format!("{}:{}", one.seconds_per_point, one.points));
    json!({
        "retentions": archives.collect::<Vec<_>>().join(","),
        "aggregationMethod": header.method.name(),
        "xFilesFactor": header.x_files_factor,
    })
}

fn answer(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}

fn busy(error: PoolError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}
