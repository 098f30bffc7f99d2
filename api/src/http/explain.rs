//! `/explain`: what a render would do and cost, and with `timings=1` what it did and took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::response::Response;
use query::Fetch;
use query::ast::{CallExpr, Expr};
use serde_json::{Value, json};
use wire::reply::InfoReply;

use super::render::{self, Planned};
use super::{Api, Call, find};
use crate::backend::Asking;
use crate::errors::Refusal;
use crate::patterns::after_globstars;

/// Reads that are explained one by one; the numbers of the others are only added up.
const READS_SHOWN_MAX: usize = 100;

/// Bytes of a point on the wire from the backend, at most.
const POINT_BYTES: u64 = 9;

pub(super) async fn answer(api: &Arc<Api>, call: &Call) -> Result<Response, Refusal> {
    let request = render::request(api, call, false)?;
    let planned = render::plan(api, request)?;
    let fetches = render::first_round(api, call, &planned).await?;
    let asking = api.backend.begin(planned.request.now).of(&call.caller);
    let reads = reads(api, call, &planned, &fetches, &asking).await?;
    let total = |number: fn(&Read) -> u64| reads.iter().map(number).sum::<u64>();
    let (series, points) = (total(|read| read.series), total(|read| read.points));
    let bytes = points.saturating_mul(POINT_BYTES);
    let request = &planned.request;
    let limits = &request.limits;
    let near = |limit: &str, asked: u64, allowed: u64| json!({ "limit": limit, "asked": asked, "allowed": allowed });
    let targets = planned.targets.iter();
    let mut explained = json!({
        "window": { "from": request.from, "until": request.until, "now": request.now },
        "targets": targets
            .map(|target| json!({ "target": target.to_string(), "tree": tree(target) }))
            .collect::<Vec<_>>(),
        "reads": reads.iter().take(READS_SHOWN_MAX).map(Read::shown).collect::<Vec<_>>(),
        "estimate": {
            "reads": fetches.len(),
            "series": series,
            "points": points,
            "wire_bytes": bytes,
            "memory_bytes": points.saturating_mul(8),
        },
        "limits": [
            near("fetches_max", fetches.len() as u64, limits.fetches_max),
            near("series_max", series, limits.series_max),
            near("points_max", points, limits.points_max),
            near("memory_bytes_max", bytes.saturating_mul(2), limits.memory_bytes_max),
        ],
    });
    if call.params.is_on("timings") {
        explained["timings"] = timings(api, call, &planned).await?;
    }
    call.json(&explained)
}

/// Runs it, past all caches.
async fn timings(api: &Arc<Api>, call: &Call, planned: &Planned) -> Result<Value, Refusal> {
    let evaluated = render::evaluate(api, call, planned, Duration::ZERO).await?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let stats = &evaluated.stats;
    Ok(json!({
        "planning_ms": ms(stats.planning),
        "fetching_ms": ms(stats.fetching),
        "evaluating_ms": ms(stats.evaluating),
        "processor_ms": ms(call.query.evaluated()),
        "rounds": stats.rounds,
        "series_read": stats.series_read,
        "points_read": stats.points_read,
        "memory_bytes": stats.memory_bytes,
        "reply_bytes_peak": call.query.memory.used(),
        "series_answered": evaluated.series.len(),
        "series_pruned": evaluated.completeness.series_pruned,
        "partial": evaluated.completeness.partial,
        "notes": evaluated.completeness.notes,
        "nodes_asked": evaluated.completeness.nodes_asked,
        "nodes_answered": evaluated.completeness.nodes_answered,
        "backend_series": call.query.series.load(Ordering::Relaxed),
    }))
}

/// One read, and what it will come to.
struct Read {
    pattern: String,
    from: i64,
    until: i64,
    series: u64,
    points: u64,
    /// What the first series has, and which of it is read.
    archives: Value,
}

impl Read {
    fn shown(&self) -> Value {
        json!({
            "pattern": self.pattern,
            "from": self.from,
            "until": self.until,
            "series": self.series,
            "points": self.points,
            "archives": self.archives,
        })
    }
}

async fn reads(
    api: &Arc<Api>,
    call: &Call,
    planned: &Planned,
    fetches: &[Fetch],
    asking: &Asking,
) -> Result<Vec<Read>, Refusal> {
    let reads = fetches.iter().filter(|fetch| fetch.event_tags().is_none());
    let patterns: BTreeMap<&str, Fetch> =
        reads.clone().map(|fetch| (after_globstars(&fetch.pattern), fetch.clone())).collect();
    let asked: Vec<String> = patterns.keys().map(|pattern| (*pattern).to_owned()).collect();
    let (found, _) = find::matches(api, call, asked, None).await?;
    let mut leaves: BTreeMap<&str, (u64, Option<&str>)> = BTreeMap::new();
    for reply in &found {
        let mut paths = reply.matches.iter().filter(|m| m.is_leaf).map(|m| m.path.as_str());
        let first = paths.next();
        let count = paths.count() as u64 + u64::from(first.is_some());
        leaves.insert(&reply.query, (count, first));
    }
    let names: Vec<String> = leaves
        .values()
        .filter_map(|(_, first)| first.map(str::to_owned))
        .take(READS_SHOWN_MAX)
        .collect();
    let infos = api.backend.info(&names, asking).await?;
    let mut answer = Vec::new();
    for fetch in reads {
        let found = leaves.get(after_globstars(&fetch.pattern));
        let (series, first) = found.copied().unwrap_or_default();
        let info = infos.iter().find(|info| Some(info.name.as_str()) == first);
        let (archives, points) = match info {
            Some(info) => archives(info, fetch, planned.request.now),
            None => (Value::Null, 0),
        };
        let metric::Window { from, until } = fetch.window;
        let points = series.saturating_mul(points);
        answer.push(Read { pattern: fetch.pattern.clone(), from, until, series, points, archives });
    }
    Ok(answer)
}

/// All archives of a file with the one that covers the window, and how many points that gives.
fn archives(info: &InfoReply, fetch: &Fetch, now: i64) -> (Value, u64) {
    let age = now.saturating_sub(fetch.window.from);
    let retention = |r: &wire::reply::Retention| r.seconds_per_point.saturating_mul(r.points);
    let covers = info.retentions.iter().position(|r| retention(r) >= age);
    let chosen = covers.unwrap_or(info.retentions.len().saturating_sub(1));
    let shown = info.retentions.iter().enumerate().map(|(place, r)| {
        json!({
            "seconds_per_point": r.seconds_per_point,
            "points": r.points,
            "retention_seconds": retention(r),
            "is_read": place == chosen,
        })
    });
    let of = json!({
        "series": info.name,
        "consolidation": info.consolidation.as_str(),
        "because": format!("the window begins {age} s ago: the first archive that reaches so far"),
        "archives": shown.collect::<Vec<_>>(),
    });
    let step = info.retentions.get(chosen).map_or(1, |r| r.seconds_per_point.max(1));
    let seconds = fetch.window.until.min(now).saturating_sub(fetch.window.from).max(0);
    (of, seconds.unsigned_abs() / step.unsigned_abs())
}

fn tree(expr: &Expr) -> Value {
    let named = |list: &[(String, Expr)]| -> Value {
        list.iter().map(|(name, value)| (name.clone(), tree(value))).collect()
    };
    match expr {
        Expr::Int(number) => json!(number),
        Expr::Float(number) => json!(number),
        Expr::Text(text) => json!(text),
        Expr::Bool(flag) => json!(flag),
        Expr::None => Value::Null,
        Expr::Path(path) => json!({ "read": path }),
        Expr::Tagged { raw } => json!({ "read": raw }),
        Expr::Call(call) => call_tree(call, named(&call.kwargs)),
        Expr::Template(template) => {
            json!({ "template": tree(&template.body), "variables": named(&template.variables) })
        }
    }
}

fn call_tree(call: &CallExpr, named: Value) -> Value {
    let args: Vec<Value> = call.args.iter().map(tree).collect();
    let mut shown = json!({ "call": call.name, "arguments": args });
    if !call.kwargs.is_empty() {
        shown["named"] = named;
    }
    shown
}
