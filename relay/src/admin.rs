//! `/admin/backlog`: what waits for each node, so that readers know where a node may have holes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::forward::Forwarder;

/// The relay's own admin routes.
pub(crate) fn routes(forwarder: Arc<Forwarder>) -> Router {
    Router::new().route("/admin/backlog", get(backlog)).with_state(forwarder)
}

async fn backlog(State(forwarder): State<Arc<Forwarder>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], forwarder.backlog().to_string())
}
