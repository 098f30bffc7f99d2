//! `/_internal/cluster`: how the storage behind this server does, for the page and for people.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Api, Call};
use crate::errors::Refusal;

/// What the backend says of its nodes (a node itself says nothing), and whether it answers at all.
pub(super) async fn answer(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let began = api.clock.monotonic();
    let asking = api.backend.begin(api.clock.now_unix_seconds()).of(&call.caller);
    let known = api.backend.tags("/_internal/nodes", &[], &asking).await;
    let checked = match &known {
        Ok(Value::Object(_)) => Ok(()),
        _ => api.backend.check(&asking).await,
    };
    let took = api.clock.monotonic().saturating_sub(began);
    let mut answer: Map<String, Value> = match known {
        Ok(Value::Object(known)) => known,
        _ => Map::new(),
    };
    answer.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    let error = checked.err().map(|refusal| refusal.to_string());
    let answered_ms = error.is_none().then_some(took.as_secs_f64() * 1000.0);
    let backend =
        json!({ "address": api.config.backend, "answered_ms": answered_ms, "error": error });
    answer.insert("backend".to_owned(), backend);
    call.json(&answer)
}
