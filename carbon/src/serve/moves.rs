//! The requests of the tools that move series.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::moves::{LeaseError, Moves, MovesError};

/// Largest body: ten thousand long names.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The routes.
pub(crate) fn router(moves: Moves) -> Router {
    Router::new()
        .route("/admin/moves/series", get(series))
        .route("/admin/moves/lease", post(lease))
        .route("/admin/moves/snapshot", post(snapshot))
        .route("/admin/moves/digests", post(digests))
        .route("/admin/moves/summary", post(summary))
        .route("/admin/moves/fetch", post(fetch))
        .route("/admin/moves/compare", post(compare))
        .route("/admin/moves/trash", post(trash))
        .route("/admin/moves/purge", post(purge))
        .route("/admin/moves/give", post(give))
        .route("/admin/moves/restore", post(restore))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(moves))
}

type Answer = Result<Response, MovesError>;

impl IntoResponse for MovesError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Lease(LeaseError::Absurd) => StatusCode::BAD_REQUEST,
            Self::Lease(_) => StatusCode::CONFLICT,
            Self::Source(_) => StatusCode::BAD_GATEWAY,
            Self::Replaying | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, format!("{self}\n")).into_response()
    }
}

/// Which part of the list.
#[derive(Debug, Deserialize)]
struct ListParams {
    /// The `next` of the answer before.
    #[serde(default)]
    from: u32,
    /// Most series.
    limit: Option<usize>,
}

async fn series(State(moves): State<Arc<Moves>>, Query(params): Query<ListParams>) -> Answer {
    json(&moves.list(params.from, params.limit).await?)
}

async fn lease(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    let request = message(&body)?;
    moves.lease(&request)?;
    json(&request)
}

async fn snapshot(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    let packed = moves.snapshot(message(&body)?).await?;
    Ok(([(header::CONTENT_TYPE, "application/zstd")], packed).into_response())
}

async fn digests(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    json(&moves.digests(message(&body)?).await?)
}

async fn summary(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    json(&moves.summary(message(&body)?).await?)
}

async fn fetch(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    json(&moves.fetch(message(&body)?).await?)
}

async fn compare(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    json(&moves.compare(message(&body)?).await?)
}

async fn trash(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    json(&moves.trash(message(&body)?).await?)
}

async fn purge(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    json(&moves.purge(message(&body)?).await?)
}

/// Who has the lease, where the body has no room for it.
#[derive(Debug, Deserialize)]
struct Holder {
    holder: String,
}

async fn give(
    State(moves): State<Arc<Moves>>,
    Query(params): Query<Holder>,
    body: Bytes,
) -> Answer {
    json(&moves.give(&params.holder, body).await?)
}

async fn restore(State(moves): State<Arc<Moves>>, body: Bytes) -> Answer {
    json(&moves.restore(message(&body)?).await?)
}

fn message<T: DeserializeOwned>(body: &[u8]) -> Result<T, MovesError> {
    serde_json::from_slice(body).map_err(|error| MovesError::Bad(format!("request: {error}")))
}

fn json(value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value).map_err(|error| MovesError::Failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
