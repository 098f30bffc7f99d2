//! `/events`: what happened when; Grafana shows it as annotations.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Api, Call};
use crate::errors::Refusal;
use crate::events::{Event, EventError, Filter};

/// How far back the list without any parameter goes.
const LISTED_SECONDS: i64 = 86_400;

/// `/events`: takes one by POST; shows those of the last day, or as [`data`] if asked for more.
pub(super) async fn take_or_list(api: &Arc<Api>, call: &Call) -> Result<Response, Refusal> {
    if call.method != Method::POST {
        let now = api.clock.now_unix_seconds();
        let mut filter = filter(api, call)?;
        filter.from = filter.from.or(Some(now.saturating_sub(LISTED_SECONDS)));
        return show(api, call, filter).await;
    }
    let event = event(api, call)?;
    api.events.ask(move |store| store.add(&event)).await.map_err(failed)?;
    api.metrics.counter("plumbago_api_events_total").inc();
    Ok(Body::empty().into_response())
}

/// `/events/get_data`: the events of a window, with all tags or with one of them.
pub(super) async fn data(api: &Arc<Api>, call: &Call) -> Result<Response, Refusal> {
    let filter = filter(api, call)?;
    show(api, call, filter).await
}

/// `/events/NUMBER`.
pub(super) async fn one(api: &Arc<Api>, call: &Call) -> Result<Response, Refusal> {
    let missing = || Refusal::NotFound(format!("there is no event {:?}", call.rest));
    let id: i64 = call.rest.parse().or(Err(missing()))?;
    let found = api.events.ask(move |store| store.get(id)).await.map_err(failed)?;
    let event = found.ok_or_else(missing)?;
    // A single event shows its time as text, a list in seconds: graphite-web has it so.
    let when = Timestamp::from_second(event.when).map_or_else(|_| String::new(), |t| t.to_string());
    let mut shown = shown(&event);
    shown["when"] = when.into();
    call.json(&shown)
}

async fn show(api: &Arc<Api>, call: &Call, filter: Filter) -> Result<Response, Refusal> {
    let found = api.events.ask(move |store| store.find(&filter)).await.map_err(failed)?;
    call.json(&found.iter().map(shown).collect::<Vec<_>>())
}

fn shown(event: &Event) -> Value {
    let Event { id, when, what, data, tags } = event;
    json!({ "when": when, "what": what, "data": data, "tags": tags, "id": id })
}

fn filter(api: &Arc<Api>, call: &Call) -> Result<Filter, Refusal> {
    let zone = call.params.zone(&api.config.timezone);
    let now = call.params.now(api.clock.now_unix_seconds(), &zone)?;
    let from = call.params.moment("from", now, &zone)?;
    let until = call.params.moment("until", now, &zone)?.unwrap_or(now);
    let tags = call.params.given("tags").unwrap_or_default();
    let mut tags: Vec<String> = tags.split_whitespace().map(str::to_owned).collect();
    tags.sort_unstable();
    tags.dedup();
    let (asked, allowed) = (tags.len() as u64, api.config.query.arguments_max);
    if asked > allowed {
        return Err(Refusal::Limit { limit: "arguments_max", asked, allowed });
    }
    Ok(Filter { from, until: Some(until), tags, any: call.params.get("set") == Some("union") })
}

/// The event of a body: JSON, whatever its content type says.
fn event(api: &Arc<Api>, call: &Call) -> Result<Event, Refusal> {
    let wrong = |problem: &str| Refusal::parameter("body", problem);
    let sent: Map<String, Value> = serde_json::from_slice(&call.body)
        .map_err(|error| Refusal::parameter("body", format!("no JSON object: {error}")))?;
    let text = |name: &str| match sent.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let tags = match sent.get("tags") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(tags)) => words(tags),
        Some(Value::Array(list)) => {
            let word = |tag: &Value| tag.as_str().map(words);
            let lists: Option<Vec<Vec<String>>> = list.iter().map(word).collect();
            lists.ok_or_else(|| wrong("\"tags\" holds something that is no text"))?.concat()
        }
        Some(_) => return Err(wrong("\"tags\" must be an array or space-separated string")),
    };
    let when = match sent.get("when") {
        None | Some(Value::Null) => api.clock.now_unix_seconds(),
        Some(when) => when
            .as_i64()
            .or_else(|| when.as_f64().filter(|when| when.is_finite()).map(|when| when as i64))
            .ok_or_else(|| wrong("\"when\" must be a number of seconds"))?,
    };
    let what = text("what");
    if what.is_empty() {
        return Err(wrong("\"what\" is missing or empty"));
    }
    Ok(Event { id: 0, when, what, data: text("data"), tags })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn failed(error: EventError) -> Refusal {
    Refusal::Events(error.to_string())
}
