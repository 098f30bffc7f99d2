//! `/metrics/find`: what lies below a pattern, for editors, variables and peers.

use std::collections::{BTreeSet, HashMap, HashSet};

use axum::http::{HeaderValue, header};
use axum::response::Response;
use metric::{TagExpr, TagQuery, Window};
use query::{EvalError, Fetch, check_pattern};
use serde::Serialize;
use wire::pb_v3::MultiGlobRequest;
use wire::reply::{self, FindMatch, FindReply};

use super::{Api, Call, mark_partial, with_type};
use crate::backend::{Asking, Completeness};
use crate::errors::Refusal;
use crate::params::decode;
use crate::patterns::FindPattern;

/// How the matches are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Tree,
    Json,
    Completer,
    Nodes,
    Raw,
    Peer(reply::Format),
}

/// One row per name; the first is the default.
const SHAPES: [(&str, Shape); 11] = [
    ("treejson", Shape::Tree),
    ("json", Shape::Json),
    ("completer", Shape::Completer),
    ("nodelist", Shape::Nodes),
    ("raw", Shape::Raw),
    ("pickle", Shape::Peer(reply::Format::Pickle)),
    ("msgpack", Shape::Peer(reply::Format::Msgpack)),
    ("protobuf", Shape::Peer(reply::Format::V2)),
    ("protobuf3", Shape::Peer(reply::Format::V2)),
    ("carbonapi_v2_pb", Shape::Peer(reply::Format::V2)),
    ("carbonapi_v3_pb", Shape::Peer(reply::Format::V3)),
];

pub(super) async fn answer(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let shape = shape(call)?;
    let params = &call.params;
    let (wildcards, leaves_only) = (params.switch("wildcards")?, params.switch("leavesOnly")?);
    let position = params.integer("position")?;
    let (patterns, window) = asked(api, call, shape)?;
    let query = patterns[0].clone();
    let (mut replies, completeness) = matches(api, call, patterns, window).await?;
    let time = whole_time(api);
    for FindReply { matches, .. } in &mut replies {
        tidy(matches, leaves_only);
        // The list of paths is the only one that is sorted by them.
        if shape != Shape::Json {
            sort_by_node(matches);
        }
        if matches!(shape, Shape::Peer(_)) {
            matches.iter_mut().filter(|m| m.is_leaf).for_each(|m| m.intervals = vec![time]);
        }
    }
    let found = replies.first().map(|reply| reply.matches.as_slice()).unwrap_or_default();
    let mut response = mark_partial(api, call, &completeness, || match shape {
        Shape::Tree => call.json(&tree(found, &query, wildcards)),
        Shape::Json => call.json(&listed(found, time)),
        Shape::Completer => call.json(&Completions { metrics: completions(found, wildcards) }),
        Shape::Nodes => call.json(&Nodes { nodes: nodes(found, position) }),
        Shape::Raw => Ok(with_type("text/plain; charset=utf-8", raw(found))),
        Shape::Peer(format) => {
            let body = reply::encode_find(format, &replies, None);
            Ok(with_type(format.content_type(), body))
        }
    })?;
    let headers = response.headers_mut();
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// A store does not say when a series has points; peers want some time for each leaf.
fn whole_time(api: &Api) -> Window {
    Window::new(0, api.clock.now_unix_seconds())
}

fn shape(call: &Call) -> Result<Shape, Refusal> {
    let name = call.params.given("format").unwrap_or(SHAPES[0].0);
    let row = SHAPES.iter().find(|(known, _)| *known == name);
    row.map(|row| row.1).ok_or_else(|| {
        let known: Vec<_> = SHAPES.iter().map(|(known, _)| *known).collect();
        Refusal::parameter("format", format!("{name:?} is not one of {}", known.join(", ")))
    })
}

/// The patterns, at least one, and the window.
fn asked(api: &Api, call: &Call, shape: Shape) -> Result<(Vec<String>, Option<Window>), Refusal> {
    if shape == Shape::Peer(reply::Format::V3) && !call.message.is_empty() {
        let message: MultiGlobRequest = prost::Message::decode(call.message.clone())
            .map_err(|error| Refusal::parameter("body", error))?;
        let window = Window::new(message.start_time, message.stop_time);
        if message.metrics.is_empty() {
            return Err(Refusal::parameter("body", "the message asks for nothing"));
        }
        return Ok((message.metrics, (!window.is_empty()).then_some(window)));
    }
    let patterns = if matches!(shape, Shape::Peer(_)) {
        call.params.all("query")
    } else {
        let query = call.params.get("query").unwrap_or_default();
        vec![completed(query, shape, call.params.switch("automatic_variants")?)]
    };
    if patterns.iter().all(String::is_empty) {
        return Err(Refusal::parameter("query", "missing or empty"));
    }
    Ok((patterns, window(api, call)?))
}

/// The window of a find or expand, if one is given.
pub(super) fn window(api: &Api, call: &Call) -> Result<Option<Window>, Refusal> {
    let zone = call.params.zone(&api.config.timezone);
    let now = call.params.now(api.clock.now_unix_seconds(), &zone)?;
    call.params.find_window(now, &zone)
}

/// What a half-typed name stands for in a completer.
fn completed(query: &str, shape: Shape, variants: bool) -> String {
    if shape != Shape::Completer || query.is_empty() {
        return query.to_owned();
    }
    let mut query = query.replace("..", "*.");
    if !query.ends_with('*') {
        query.push('*');
    }
    if !variants {
        return query;
    }
    let braced = |part: &str| match part.contains(',') && !part.contains('{') {
        true => format!("{{{part}}}"),
        false => part.to_owned(),
    };
    query.split('.').map(braced).collect::<Vec<_>>().join(".")
}

/// What the patterns match, one reply each: names from the index, tag queries from the tags.
pub(super) async fn matches(
    api: &Api,
    call: &Call,
    patterns: Vec<String>,
    window: Option<Window>,
) -> Result<(Vec<FindReply>, Completeness), Refusal> {
    let zone = call.params.zone(&api.config.timezone);
    let now = call.params.now(api.clock.now_unix_seconds(), &zone)?;
    let asking = api.backend.begin(now).of(&call.caller);
    let (mut found, completeness) = by_names(api, &patterns, window, &asking).await?;
    let is_single = patterns.len() == 1;
    let mut replies = Vec::with_capacity(patterns.len());
    let mut total = 0;
    for query in patterns {
        let matches = if is_tag_query(&query) {
            by_tags(api, &query, &asking).await?
        } else {
            let pattern = FindPattern::new(&query);
            let asked = &pattern.asked;
            let matches = if is_single { found.remove(asked) } else { found.get(asked).cloned() };
            pattern.shown(matches.unwrap_or_default())
        };
        // One question may stand there a thousand times, each with its own answer.
        total += matches.len();
        let (asked, allowed) = (total as u64, api.config.matches_max as u64);
        if asked > allowed {
            return Err(Refusal::Limit { limit: "matches_max", asked, allowed });
        }
        replies.push(FindReply { query, matches });
    }
    Ok((replies, completeness))
}

fn is_tag_query(pattern: &str) -> bool {
    pattern.starts_with("seriesByTag(")
}

/// What the backend finds for the patterns that are no tag queries, by what it was asked; each is asked once.
async fn by_names(
    api: &Api,
    patterns: &[String],
    window: Option<Window>,
    asking: &Asking,
) -> Result<(HashMap<String, Vec<FindMatch>>, Completeness), Refusal> {
    let names = patterns.iter().filter(|pattern| !is_tag_query(pattern));
    let asked: BTreeSet<String> = names.map(|name| FindPattern::new(name).asked).collect();
    let asked: Vec<String> = asked.into_iter().filter(|name| !name.is_empty()).collect();
    let whole = Window::new(0, i64::MAX);
    for pattern in &asked {
        let fetch = Fetch::new(pattern.clone(), whole);
        check_pattern(&fetch, &api.config.query).map_err(|error| match error {
            limit @ EvalError::Limit { .. } => Refusal::Query(limit),
            wrong => Refusal::parameter("query", wrong),
        })?;
    }
    if asked.is_empty() {
        return Ok(Default::default());
    }
    let (replies, completeness) = api.backend.find(asked, window, asking).await?;
    let by_query = replies.into_iter().map(|reply| (reply.query, reply.matches));
    Ok((by_query.collect(), completeness))
}

/// The series of a `seriesByTag(…)`, as leaves.
async fn by_tags(api: &Api, call: &str, asking: &Asking) -> Result<Vec<FindMatch>, Refusal> {
    let query = TagQuery::parse_call(call).map_err(|e| Refusal::parameter("query", e))?;
    let exprs: Vec<String> = query.terms().iter().map(term).collect();
    let pairs: Vec<_> = exprs.iter().map(|expr| ("expr", expr.as_str())).collect();
    let names = api.backend.tags("/tags/findSeries", &pairs, asking).await?;
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    let leaf =
        |name: &str| FindMatch { path: name.to_owned(), is_leaf: true, intervals: Vec::new() };
    Ok(names.iter().filter_map(|name| name.as_str().map(leaf)).collect())
}

fn term(term: &TagExpr) -> String {
    use metric::tag_expr::Operator;
    let operator = match term.operator() {
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Match => "=~",
        Operator::NotMatch => "!=~",
    };
    format!("{}{operator}{}", term.key(), term.value())
}

/// Sorts by path, a branch before the leaf of the same name; drops doubles.
fn tidy(matches: &mut Vec<FindMatch>, leaves_only: bool) {
    matches.retain(|found| found.is_leaf || !leaves_only);
    matches.sort_by(|a, b| a.path.cmp(&b.path).then(a.is_leaf.cmp(&b.is_leaf)));
    matches.dedup_by(|a, b| a.path == b.path && a.is_leaf == b.is_leaf);
}

/// Sorts by node and leaves those of the same node in their order.
fn sort_by_node(matches: &mut Vec<FindMatch>) {
    let node_at = |one: &FindMatch| one.path.len() - node(&one.path).len();
    let mut placed: Vec<_> = matches.drain(..).map(|one| (node_at(&one), one)).collect();
    placed.sort_by(|(at, one), (other_at, other)| one.path[*at..].cmp(&other.path[*other_at..]));
    matches.extend(placed.into_iter().map(|(_, one)| one));
}

/// The last node of a path; a tagged name is one node.
fn node(path: &str) -> &str {
    if metric::tags::is_tagged(path) { path } else { path.rsplit('.').next().unwrap_or(path) }
}

/// A row of the tree that dashboards browse; keys in graphite-web's order.
#[derive(Debug, Serialize)]
struct TreeRow {
    text: String,
    id: String,
    #[serde(rename = "allowChildren")]
    allow_children: u8,
    expandable: u8,
    leaf: u8,
}

impl TreeRow {
    fn new(text: String, id: String, is_leaf: bool) -> Self {
        let branch = u8::from(!is_leaf);
        Self { text, id, allow_children: branch, expandable: branch, leaf: u8::from(is_leaf) }
    }
}

/// Each node once, under the path that was asked for: branches, then leaves.
fn tree(found: &[FindMatch], query: &str, wildcards: bool) -> Vec<TreeRow> {
    let base = query.rfind('.').map_or("", |dot| &query[..=dot]);
    let base = if is_tag_query(query) { "" } else { base };
    let mut rows = Vec::new();
    if wildcards && found.len() > 1 {
        let all_leaves = found.iter().all(|m| m.is_leaf);
        rows.push(TreeRow::new("*".to_owned(), format!("{base}*"), all_leaves));
    }
    let mut seen = HashSet::new();
    let firsts: Vec<_> = found.iter().filter(|m| seen.insert(node(&m.path))).collect();
    for is_leaf in [false, true] {
        rows.extend(firsts.iter().filter(|m| m.is_leaf == is_leaf).map(|m| {
            let name = node(&m.path);
            TreeRow::new(decode(name.as_bytes()), format!("{base}{name}"), is_leaf)
        }));
    }
    rows
}

#[derive(Debug, Serialize)]
struct Listed<'a> {
    path: &'a str,
    is_leaf: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<[Interval; 1]>,
}

#[derive(Debug, Serialize)]
struct Interval {
    start: i64,
    end: i64,
}

fn listed(found: &[FindMatch], time: Window) -> Vec<Listed<'_>> {
    let mut rows = Vec::with_capacity(found.len());
    for FindMatch { path, is_leaf, .. } in found {
        let interval = Interval { start: time.from, end: time.until };
        rows.push(Listed { path, is_leaf: *is_leaf, intervals: is_leaf.then_some([interval]) });
    }
    rows
}

#[derive(Debug, Serialize)]
struct Completions {
    metrics: Vec<Completion>,
}

#[derive(Debug, Serialize)]
struct Completion {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_leaf: Option<&'static str>,
}

fn completions(found: &[FindMatch], wildcards: bool) -> Vec<Completion> {
    let row = |m: &FindMatch| Completion {
        path: Some(if m.is_leaf { m.path.clone() } else { format!("{}.", m.path) }),
        name: node(&m.path).to_owned(),
        is_leaf: Some(if m.is_leaf { "1" } else { "0" }),
    };
    let mut rows: Vec<_> = found.iter().map(row).collect();
    if wildcards && found.len() > 1 {
        rows.push(Completion { path: None, name: "*".to_owned(), is_leaf: None });
    }
    rows
}

#[derive(Debug, Serialize)]
struct Nodes<'a> {
    nodes: BTreeSet<&'a str>,
}

/// The nodes at a position, which may count from the end; the last ones without one.
fn nodes(found: &[FindMatch], position: Option<i64>) -> BTreeSet<&str> {
    let Some(position) = position else {
        return found.iter().map(|m| node(&m.path)).collect();
    };
    let at = |path: &str| {
        let length = i64::try_from(path.split('.').count()).ok()?;
        usize::try_from(if position < 0 { position + length } else { position }).ok()
    };
    found.iter().filter_map(|m| m.path.split('.').nth(at(&m.path)?)).collect()
}

/// A path a line; branches end in a dot.
fn raw(found: &[FindMatch]) -> String {
    let path = |m: &FindMatch| m.path.trim_end_matches('.').to_owned();
    let line = |m: &FindMatch| format!("{}{}\n", path(m), if m.is_leaf { "" } else { "." });
    found.iter().map(line).collect()
}
