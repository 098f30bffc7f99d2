//! `/tags/*`: the nodes know the tags; here their lists become one.

use std::sync::Arc;

use remote::encode_pairs;
use serde_json::{Value, json};

use super::{Answer, Asked};
use crate::failure::Failure;
use crate::merge::{merge_names, merge_tag_values, merge_tags, recount};
use crate::view::{Tally, View};

/// Names that autocompletion gives unless asked for more or fewer, as graphite-web has it.
const COMPLETIONS: usize = 100;

pub(super) async fn complete(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    names(&view, &asked, COMPLETIONS).await
}

pub(super) async fn find_series(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    names(&view, &asked, view.limits.matches_max).await
}

/// Replies that are lists of texts. Each node gives its first names up to the limit, so the first
/// of all of them are among these.
async fn names(view: &Arc<View>, asked: &Asked, default: usize) -> Result<Answer, Failure> {
    let limit = limit(view, asked, default)?;
    let (replies, tally) = view.tags(question(asked), &asked.deadline).await?;
    let mut names = texts(&replies);
    names.truncate(limit);
    let body = Value::from(names).to_string();
    Ok(Answer { content_type: "application/json", body: body.into(), tally })
}

pub(super) async fn all(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let limit = limit(&view, &asked, view.limits.matches_max)?;
    let (replies, tally) = view.tags(question(&asked), &asked.deadline).await?;
    let body = merge_tags(&replies, limit).to_string();
    Ok(Answer { content_type: "application/json", body: body.into(), tally })
}

pub(super) async fn one(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let limit = limit(&view, &asked, view.limits.matches_max)?;
    let (replies, mut tally) = view.tags(question(&asked), &asked.deadline).await?;
    let mut values = merge_tag_values(&replies, view.topology.copies(), limit);
    if !view.topology.copies_are_even(replies.len())
        && let Some(tag) = values["tag"].as_str().map(str::to_owned)
    {
        let (series, also) = series_with(&view, &asked, &tag).await?;
        tally.join(also);
        recount(&mut values, &tag, &series);
    }
    Ok(Answer { content_type: "application/json", body: values.to_string().into(), tally })
}

/// The names of all series that have a tag, each once however many nodes hold it.
async fn series_with(
    view: &Arc<View>,
    asked: &Asked,
    tag: &str,
) -> Result<(Vec<String>, Tally), Failure> {
    let limit = view.limits.matches_max.saturating_add(1).to_string();
    let has_it = format!("{tag}!=");
    let pairs = [("expr", has_it.as_str()), ("limit", limit.as_str())];
    let question = format!("/tags/findSeries?{}", encode_pairs(pairs));
    let (replies, tally) = view.tags(question, &asked.deadline).await?;
    let series = texts(&replies);
    view.within("matches_max", series.len(), view.limits.matches_max)?;
    Ok((series, tally))
}

/// `/tags/delSeries`: of all nodes, or an error that says of which not.
pub(super) async fn delete(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let names = asked.all("path");
    view.within("targets_max", names.len(), view.limits.targets_max)?;
    let within = &asked.deadline.waiting().within;
    if !asked.may_delete || !names.iter().all(|name| within.holds(name)) {
        let line = "this reader may not delete these series".to_owned();
        return Err(Failure::Refused { code: 403, line });
    }
    let form = encode_pairs(names.iter().map(|name| ("path", name.as_str())));
    let (deleted, tally) = view.delete_series(form, &asked.deadline).await?;
    let body = json!({ "deleted": deleted }).to_string();
    Ok(Answer { content_type: "application/json", body: body.into(), tally })
}

fn texts(replies: &[Value]) -> Vec<String> {
    let texts = replies.iter().filter_map(Value::as_array).flatten();
    merge_names(texts.filter_map(Value::as_str).map(str::to_owned))
}

fn limit(view: &View, asked: &Asked, default: usize) -> Result<usize, Failure> {
    match asked.one("limit").filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(limit) => Ok(limit.min(view.limits.matches_max)),
            Err(_) => Err(Failure::BadRequest(format!("limit={text}: expected a whole number"))),
        },
    }
}

/// The same question for a node: a form becomes a query, so that a GET asks it.
fn question(asked: &Asked) -> String {
    let path = asked.path.trim_end_matches('/');
    let ours = |(key, _): &&(String, String)| key != "partial";
    let pairs = asked.pairs.iter().filter(ours).map(|(key, value)| (key.as_str(), value.as_str()));
    match encode_pairs(pairs) {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}
