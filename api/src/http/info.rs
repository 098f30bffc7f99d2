//! `/info`: steps and retention of series, as carbonapi shows them.

use axum::response::Response;
use serde_json::{Map, Value, json};
use wire::reply::{Format, InfoReply, encode_info};

use super::{Api, Call, with_type};
use crate::errors::Refusal;

pub(super) async fn answer(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let format = call.params.given("format").unwrap_or("json");
    let unknown = || Refusal::parameter("format", format!("{format:?} does not exist here"));
    let format = Format::parse(format).ok_or_else(unknown)?;
    let targets: Vec<_> = call.params.all("target").into_iter().filter(|t| !t.is_empty()).collect();
    if targets.is_empty() {
        return Err(Refusal::parameter("target", "missing or empty"));
    }
    let (asked, allowed) = (targets.len() as u64, api.config.query.targets_max);
    if asked > allowed {
        return Err(Refusal::Limit { limit: "targets_max", asked, allowed });
    }
    let asking = api.backend.begin(api.clock.now_unix_seconds()).of(&call.caller);
    let infos = api.backend.info(&targets, &asking).await?;
    if format == Format::Json {
        let metrics: Vec<_> = infos.iter().map(one).collect();
        let by_node = Map::from_iter([(api.backend.address(), json!({ "metrics": metrics }))]);
        return call.json(&json!({ "info": by_node }));
    }
    let body = encode_info(format, &infos).map_err(|e| Refusal::parameter("format", e))?;
    Ok(with_type(format.content_type(), body))
}

fn one(info: &InfoReply) -> Value {
    let retentions = info
        .retentions
        .iter()
        .map(|r| json!({ "secondsPerPoint": r.seconds_per_point, "numberOfPoints": r.points }));
    json!({
        "name": info.name,
        "consolidationFunc": info.consolidation.as_str(),
        "xFilesFactor": info.x_files_factor,
        "maxRetention": info.max_retention_s,
        "retentions": retentions.collect::<Vec<_>>(),
    })
}
