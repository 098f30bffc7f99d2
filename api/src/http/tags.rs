//! `/tags`: what is known of tags and tagged series.
//!
//! Expressions and numbers are judged here, so that every store gives the same errors; the answers
//! are the backend's. A backend without tags has empty lists, which keeps editors working.

use std::collections::BTreeMap;

use axum::response::Response;
use metric::{TagExpr, TagQuery, TaggedName};
use serde_json::{Value, json};

use super::{Api, Call};
use crate::errors::Refusal;

/// How many completions are wanted where nothing, or 0, is said.
const COMPLETIONS_DEFAULT: i64 = 100;

/// Series that one request to the backend deletes.
const DELETED_AT_ONCE: usize = 1000;

/// `/tags`: all tags.
pub(super) async fn tags(api: &Api, call: &Call) -> Result<Response, Refusal> {
    ask(api, call, "/tags", &[("filter", call.params.given("filter"))], None).await
}

/// `/tags/NAME`: the values of a tag; null if there is none of this name.
pub(super) async fn tag(api: &Api, call: &Call) -> Result<Response, Refusal> {
    // A tag may hold characters that a path may not.
    let encoded = remote::encode_pairs([("", call.rest.as_str())]);
    let path = format!("/tags/{}", encoded.trim_start_matches('='));
    let filter = call.params.given("filter");
    let answer = answer(api, call, &path, &[("filter", filter)], None).await?;
    if !answer.is_null() || filter.is_none() {
        return call.json(&answer);
    }
    // A node knows a tag by its values; whether it has any is a question of its own.
    let asking = api.backend.begin(api.clock.now_unix_seconds()).of(&call.caller);
    let exists = !api.backend.tags(&path, &[("limit", "1")], &asking).await?.is_null();
    call.json(&if exists { json!({ "tag": call.rest, "values": [] }) } else { Value::Null })
}

/// `/tags/findSeries`: the series that all expressions hold for.
pub(super) async fn find_series(api: &Api, call: &Call) -> Result<Response, Refusal> {
    TagQuery::parse(&call.params.all("expr")).map_err(|e| Refusal::parameter("expr", e))?;
    ask(api, call, "/tags/findSeries", &[], None).await
}

/// `/tags/autoComplete/tags`: tags that the series of the expressions have beside those in them.
pub(super) async fn complete_tags(api: &Api, call: &Call) -> Result<Response, Refusal> {
    check_expressions(call)?;
    let pairs = [("tagPrefix", call.params.given("tagPrefix"))];
    let limit = Some(COMPLETIONS_DEFAULT);
    ask(api, call, "/tags/autoComplete/tags", &pairs, limit).await
}

/// `/tags/autoComplete/values`: values of a tag that the series of the expressions have.
pub(super) async fn complete_values(api: &Api, call: &Call) -> Result<Response, Refusal> {
    check_expressions(call)?;
    let Some(tag) = call.params.given("tag") else {
        return Err(Refusal::parameter("tag", "no tag specified"));
    };
    let pairs = [("tag", Some(tag)), ("valuePrefix", call.params.given("valuePrefix"))];
    let limit = Some(COMPLETIONS_DEFAULT);
    ask(api, call, "/tags/autoComplete/values", &pairs, limit).await
}

/// `/tags/tagSeries`: the canonical name. Series enter the tags by being stored.
pub(super) fn tag_series(call: &Call) -> Result<Response, Refusal> {
    let path = call.params.given("path").ok_or_else(no_path)?;
    call.json(&canonical(path)?)
}

/// `/tags/tagMultiSeries`: the canonical names.
pub(super) fn tag_multi_series(call: &Call) -> Result<Response, Refusal> {
    let paths = call.params.all("path");
    if paths.is_empty() {
        return Err(no_path());
    }
    let names: Result<Vec<_>, _> = paths.iter().map(|path| canonical(path)).collect();
    call.json(&names?)
}

/// `/tags/delSeries`: deletes series with all their points, on all nodes.
pub(super) async fn delete_series(api: &Api, call: &Call) -> Result<Response, Refusal> {
    check_deletes(api, call)?;
    let paths = call.params.all("path");
    if paths.is_empty() {
        return Err(no_path());
    }
    let names: Vec<String> = paths.iter().map(|path| canonical(path)).collect::<Result<_, _>>()?;
    delete(api, call, &names).await?;
    call.json(&true)
}

/// `/tags/delByQuery`, as Metrictank has it: counts what the expressions mean, and deletes it if
/// `execute=true` is said.
pub(super) async fn delete_by_query(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let names = found(api, call).await?;
    let execute = call.params.is_on("execute");
    if execute {
        check_deletes(api, call)?;
        delete(api, call, &names).await?;
    }
    call.json(&json!({ "count": names.len(), "executed": execute }))
}

/// `/tags/terms`, as Metrictank has it: for some tags, how many of the series that the expressions
/// mean have each of their values.
pub(super) async fn terms(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let names = found(api, call).await?;
    let mut terms: BTreeMap<String, BTreeMap<String, u64>> =
        call.params.all("tags").into_iter().map(|tag| (tag, BTreeMap::new())).collect();
    for name in names.iter().filter_map(|name| TaggedName::parse(name).ok()) {
        for (tag, counts) in &mut terms {
            if let Some(value) = name.get(tag) {
                *counts.entry(value.to_owned()).or_default() += 1;
            }
        }
    }
    call.json(&json!({ "totalSeries": names.len(), "terms": terms }))
}

/// The series that all expressions hold for.
async fn found(api: &Api, call: &Call) -> Result<Vec<String>, Refusal> {
    TagQuery::parse(&call.params.all("expr")).map_err(|e| Refusal::parameter("expr", e))?;
    let found = answer(api, call, "/tags/findSeries", &[], None).await?;
    let names = found.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

fn check_deletes(api: &Api, call: &Call) -> Result<(), Refusal> {
    if api.config.deletes_allowed && call.caller.may_delete {
        Ok(())
    } else {
        Err(Refusal::DeletesForbidden)
    }
}

async fn delete(api: &Api, call: &Call, names: &[String]) -> Result<(), Refusal> {
    if !names.iter().all(|name| call.caller.within.holds(name)) {
        return Err(Refusal::DeletesForbidden);
    }
    let asking = api.backend.begin(api.clock.now_unix_seconds()).of(&call.caller);
    for some in names.chunks(DELETED_AT_ONCE) {
        let deleted = api.backend.delete_series(some, &asking).await?;
        api.metrics.counter("plumbago_api_series_deleted_total").add(deleted);
        tracing::warn!(deleted, asked = some.len(), first = some[0], "series deleted");
    }
    Ok(())
}

fn no_path() -> Refusal {
    Refusal::parameter("path", "no path specified")
}

fn canonical(path: &str) -> Result<String, Refusal> {
    let name = metric::canonicalise(path.as_bytes(), &metric::Limits::default());
    let refused = |e| Refusal::parameter("path", format!("{path:?}: {e}"));
    name.map(std::borrow::Cow::into_owned).map_err(refused)
}

fn check_expressions(call: &Call) -> Result<(), Refusal> {
    let parse = |expr: &String| TagExpr::parse(expr).map(drop);
    call.params.all("expr").iter().try_for_each(parse).map_err(|e| Refusal::parameter("expr", e))
}

/// The backend's answer to a question whose answer is a list.
async fn ask(
    api: &Api,
    call: &Call,
    path: &str,
    pairs: &[(&str, Option<&str>)],
    limit_default: Option<i64>,
) -> Result<Response, Refusal> {
    let answer = answer(api, call, path, pairs, limit_default).await?;
    call.json(&if answer.is_null() { json!([]) } else { answer })
}

/// Passes a question on, with the expressions and the limit of the request.
async fn answer(
    api: &Api,
    call: &Call,
    path: &str,
    pairs: &[(&str, Option<&str>)],
    limit_default: Option<i64>,
) -> Result<Value, Refusal> {
    let params = &call.params;
    let mut exprs = params.all("expr");
    // Only series with the tag have values of it: that lets expressions stand which all hold for
    // series without their tags, as in graphite-web.
    let tag = pairs.iter().find(|(key, _)| *key == "tag").and_then(|(_, tag)| *tag);
    exprs.extend(tag.filter(|_| !exprs.is_empty()).map(|tag| format!("{tag}!=")));
    let mut query: Vec<(&str, &str)> = exprs.iter().map(|expr| ("expr", expr.as_str())).collect();
    query.extend(pairs.iter().filter_map(|(key, value)| Some((*key, (*value)?))));
    let limit = params.integer("limit")?.filter(|limit| *limit > 0).or(limit_default);
    let limit = limit.map(|limit| limit.min(api.config.matches_max as i64).to_string());
    query.extend(limit.as_deref().map(|limit| ("limit", limit)));
    for time in ["from", "until"] {
        query.extend(params.given(time).map(|value| (time, value)));
    }
    let asking = api.backend.begin(api.clock.now_unix_seconds()).of(&call.caller);
    api.backend.tags(path, &query, &asking).await
}
