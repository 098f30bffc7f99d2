//! `/metrics/expand`: the full paths that patterns stand for.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde_json::json;

use super::{Api, Call, find, mark_partial};
use crate::errors::Refusal;

pub(super) async fn answer(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let params = &call.params;
    let (grouped, leaves_only) = (params.switch("groupByExpr")?, params.switch("leavesOnly")?);
    let queries = params.all("query").into_iter();
    let queries: Vec<_> = queries.filter(|query| !query.is_empty()).collect();
    if queries.is_empty() {
        return Err(Refusal::parameter("query", "missing or empty"));
    }
    let window = find::window(api, call)?;
    let (replies, completeness) = find::matches(api, call, queries, window).await?;
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for reply in &replies {
        let paths = reply.matches.iter().filter(|m| m.is_leaf || !leaves_only);
        groups.entry(&reply.query).or_default().extend(paths.map(|m| m.path.as_str()));
    }
    mark_partial(api, call, &completeness, || {
        if grouped {
            return call.json(&json!({ "results": groups }));
        }
        let all: BTreeSet<_> = groups.into_values().flatten().collect();
        call.json(&json!({ "results": all }))
    })
}
