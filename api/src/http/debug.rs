//! `/debug/queries` on the admin address: what runs, and how to end it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};

use super::Api;

pub(super) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/debug/queries", get(list))
        .route("/debug/queries/{id}", delete(cancel))
        .with_state(api)
}

async fn list(State(api): State<Arc<Api>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, api.queries.list().to_string() + "\n").into_response()
}

async fn cancel(State(api): State<Arc<Api>>, Path(id): Path<String>) -> (StatusCode, String) {
    match id.parse() {
        Err(_) => (StatusCode::BAD_REQUEST, "expected the id of a running query\n".to_owned()),
        Ok(id) if api.queries.cancel(id) => (StatusCode::OK, format!("query {id} is cancelled\n")),
        Ok(id) => (StatusCode::NOT_FOUND, format!("no query {id} is running\n")),
    }
}
