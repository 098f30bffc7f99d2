//! `/admin/rejected`: the last lines that were refused, newest first.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;

use crate::refusals::Refusals;

/// The admin routes about what was refused.
pub(crate) fn routes(refusals: Arc<Refusals>) -> Router {
    Router::new().route("/admin/rejected", get(rejected)).with_state(refusals)
}

async fn rejected(State(refusals): State<Arc<Refusals>>) -> impl IntoResponse {
    let last: Vec<serde_json::Value> = refusals
        .last()
        .into_iter()
        .map(|one| {
            json!({
                "timestamp": one.timestamp,
                "reason": one.reason,
                "peer": one.peer,
                "sample": one.sample,
            })
        })
        .collect();
    ([(header::CONTENT_TYPE, "application/json")], serde_json::Value::Array(last).to_string())
}
