//! `/_internal/nodes`: every node is asked whether it is there, for a page or a person to read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use remote::Deadline;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::node::{Kind, Node};
use crate::view::{View, Views};

/// A node that needs longer to say its name is as good as away.
const PATIENCE: Duration = Duration::from_secs(1);

/// One row a node, in config order, and what holds for all.
pub(super) async fn nodes(State(views): State<Arc<Views>>) -> impl IntoResponse {
    let view = views.current();
    let mut asked = JoinSet::new();
    for (place, node) in view.nodes.iter().enumerate() {
        let (view, node) = (Arc::clone(&view), Arc::clone(node));
        asked.spawn(async move { (place, row(&view, &node).await) });
    }
    let mut rows: Vec<(usize, Value)> = asked.join_all().await;
    rows.sort_by_key(|(place, _)| *place);
    let answer = json!({
        "nodes": rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>(),
        "copies": view.topology.copies(),
        "ring": format!("{:016x}", view.topology.fingerprint()),
    });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string())
}

async fn row(view: &View, node: &Node) -> Value {
    let clock = &view.context.clock;
    let began = clock.monotonic();
    let answer = node.client.capabilities(&Deadline::after(clock, PATIENCE)).await;
    let now = clock.monotonic();
    let state = match &answer {
        Err(_) => "down",
        Ok(_) if node.health.is_suspect() => "slow",
        Ok(_) => "up",
    };
    let known = |time: Duration| (!time.is_zero()).then(|| ms(time));
    json!({
        "name": node.name,
        "state": state,
        "answered_ms": answer.is_ok().then(|| ms(now.saturating_sub(began))),
        "error": answer.err().map(|error| error.to_string()),
        "render_p95_ms": known(node.p95(Kind::Render)),
        "find_p95_ms": known(node.p95(Kind::Find)),
    })
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
