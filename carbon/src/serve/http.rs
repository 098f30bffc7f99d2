//! The read API: go-carbon's paths and formats, and tags beside them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daemon::Registry;
use metric::Window;
use prost::Message;
use serde_json::json;
use wire::pb_v2;
use wire::pb_v3::{CapabilityResponse, ListMetricsResponse};
use wire::pb_v3::{Meta, MultiFetchRequest, MultiGlobRequest, MultiMetricsInfoRequest, Plan};
use wire::reply::{Format, encode_find, encode_info};

use super::params::{self, Params};
use super::reply;
use super::watch::Watch;
use crate::keeper::Keeper;
use crate::read::details::Details;
use crate::read::find::Query;
use crate::read::fold::{self, FoldRequest};
use crate::read::render::{Fetch, Render, RenderRequest};
use crate::read::tags::{self, COMPLETIONS_DEFAULT, Narrowing};
use crate::read::usage::{self, Usage, UsageRequest};
use crate::read::{Asker, ReadFault, Reader, details, find, info, list};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Render,
    Find,
    Info,
    List,
    IndexJson,
    ListQuery,
    Details,
    Capabilities,
    CompleteTags,
    CompleteValues,
    FindSeries,
    Tags,
    Tag,
    DeleteSeries,
    Robots,
}

/// One row per path: what it is called in metrics. Each path answers with a slash at its end, too.
const PATHS: &[(&str, Endpoint, &str)] = &[
    ("/render", Endpoint::Render, "render"),
    ("/metrics/find", Endpoint::Find, "find"),
    ("/info", Endpoint::Info, "info"),
    ("/metrics/list", Endpoint::List, "list"),
    ("/metrics/index.json", Endpoint::IndexJson, "index"),
    ("/metrics/list_query", Endpoint::ListQuery, "usage"),
    ("/metrics/details", Endpoint::Details, "details"),
    ("/_internal/capabilities", Endpoint::Capabilities, "capabilities"),
    ("/tags/autoComplete/tags", Endpoint::CompleteTags, "tags"),
    ("/tags/autoComplete/values", Endpoint::CompleteValues, "tags"),
    ("/tags/findSeries", Endpoint::FindSeries, "tags"),
    ("/tags", Endpoint::Tags, "tags"),
    ("/tags/{tag}", Endpoint::Tag, "tags"),
    ("/tags/delSeries", Endpoint::DeleteSeries, "delete"),
    ("/robots.txt", Endpoint::Robots, "robots"),
];

/// Names in an answer about usage if nothing is said, as go-carbon has it.
const LIST_QUERY_DEFAULT: usize = 65_536;

/// What carbonapi calls the ways in which it may ask, best first.
const PROTOCOLS: [&str; 5] = [
    "carbonapi_v3_pb",
    "carbonapi_v2_pb",
    "graphite-web-pickle",
    "graphite-web-pickle-1.1",
    "carbonapi_v2_json",
];

/// What all requests share.
#[derive(Debug)]
struct Service {
    reader: Arc<Reader>,
    keeper: Arc<Keeper>,
    registry: Arc<Registry>,
}

/// The routes of the read API.
pub(crate) fn router(reader: Arc<Reader>, keeper: Arc<Keeper>, registry: Arc<Registry>) -> Router {
    let mut router = Router::new();
    for &(path, endpoint, label) in PATHS {
        let answer = move |State(service): State<Arc<Service>>, request: Request| async move {
            let response = service.answer(endpoint, label, request).await;
            reply::with_birth(response, service.keeper.born.birth())
        };
        for path in [path.to_owned(), format!("{path}/")] {
            // What changes something is no link that a crawler might follow.
            let methods = match endpoint {
                Endpoint::DeleteSeries => post(answer),
                _ => get(answer).post(answer),
            };
            router = router.route(&path, methods);
        }
    }
    let unknown = || async { (StatusCode::NOT_FOUND, "no such path\n") };
    let other = || async { (StatusCode::METHOD_NOT_ALLOWED, "expected GET or POST\n") };
    let router = router.fallback(unknown).method_not_allowed_fallback(other);
    router.with_state(Arc::new(Service { reader, keeper, registry }))
}

impl Service {
    async fn answer(&self, endpoint: Endpoint, label: &'static str, request: Request) -> Response {
        let watch = Watch::new(Arc::clone(&self.registry), Arc::clone(&self.reader.clock), label);
        let answered = match Params::read(request, self.reader.limits).await {
            Ok(params) if endpoint == Endpoint::Render => {
                return match self.render(&params, watch).await {
                    Ok(response) => response,
                    Err((fault, watch)) => refuse(&fault, watch),
                };
            }
            Ok(params) => self.small(endpoint, &params).await,
            Err(fault) => Err(fault),
        };
        match answered {
            Ok(response) => {
                watch.end(response.status());
                response
            }
            Err(fault) => refuse(&fault, watch),
        }
    }

    /// Every answer that is written whole.
    async fn small(&self, endpoint: Endpoint, params: &Params) -> Result<Response, ReadFault> {
        let reader = &self.reader;
        let asker = &reader.asker(params.wait, params.caller.within.clone());
        Ok(match endpoint {
            Endpoint::Find => self.find(params).await?,
            Endpoint::Info => self.info(params, asker).await?,
            Endpoint::List => list_reply(params.format, list::names(reader, asker).await?)?,
            Endpoint::IndexJson => reply::json(&list::names(reader, asker).await?),
            Endpoint::ListQuery => self.usage(params, asker).await?,
            Endpoint::Details => {
                details_reply(params.format, details::details(reader, asker).await?)?
            }
            Endpoint::Capabilities => capabilities(params.format, &reader.name),
            Endpoint::CompleteTags => {
                let by = narrowing(params, "tagPrefix", COMPLETIONS_DEFAULT)?;
                reply::json(&tags::keys(reader, by, asker).await?)
            }
            Endpoint::CompleteValues => {
                let tag = params.one("tag").ok_or_else(|| ReadFault::bad("no tag is given"))?;
                let by = narrowing(params, "valuePrefix", COMPLETIONS_DEFAULT)?;
                let values = tags::values(reader, tag.to_owned(), by, asker).await?;
                reply::json(&values.into_iter().map(|(value, _)| value).collect::<Vec<_>>())
            }
            Endpoint::FindSeries => {
                let exprs = owned(params.all("expr"));
                let limit = params.limit(usize::MAX)?;
                reply::json(&tags::find_series(reader, &exprs, limit, asker).await?)
            }
            Endpoint::Tags => {
                let keys = tags::keys(reader, narrowing(params, "", usize::MAX)?, asker).await?;
                let numbered = (1..).zip(keys);
                let tag = |(id, tag): (u64, String)| json!({"id": id, "tag": tag});
                reply::json(&numbered.map(tag).collect::<Vec<_>>())
            }
            Endpoint::Tag => self.tag(params, asker).await?,
            Endpoint::DeleteSeries => self.delete(params, asker).await?,
            Endpoint::Robots => "User-agent: *\nDisallow: /\n".into_response(),
            Endpoint::Render => return Err(ReadFault::Lost),
        })
    }

    async fn render(&self, params: &Params, watch: Watch) -> Result<Response, (ReadFault, Watch)> {
        let reader = &self.reader;
        let (request, wait, fold) = match render_request(reader, params) {
            Ok(request) => request,
            Err(fault) => return Err((fault, watch)),
        };
        let content_type = request.format.content_type();
        if let Some(fold) = fold {
            let asker = reader.asker(wait, params.caller.within.clone());
            let reply = match fold::fold(reader, fold, &asker).await {
                Ok(reply) => reply,
                Err(fault) => return Err((fault, watch)),
            };
            watch.end(StatusCode::OK);
            return Ok(reply::bytes(content_type, reply.encode_to_vec()));
        }
        match Render::begin(
            Arc::clone(reader),
            request,
            reader.asker(wait, params.caller.within.clone()),
        )
        .await
        {
            Ok(render) => reply::render(render, content_type, watch).await,
            Err(fault) => Err((fault, watch)),
        }
    }

    async fn find(&self, params: &Params) -> Result<Response, ReadFault> {
        let reader = &self.reader;
        let message: Option<MultiGlobRequest> = params.message()?;
        let (texts, window, plan) = match &message {
            Some(request) => {
                let window = params::window(request.start_time, request.stop_time);
                let texts = request.metrics.iter().map(String::as_str).collect();
                (texts, window, request.plan.as_ref())
            }
            None => (params.all("query"), params.window()?, None),
        };
        let queries = find::parse_all(reader, texts.into_iter(), "query")?;
        let waits = wait(reader, params, plan);
        let asker = &reader.asker(waits, params.caller.within.clone());
        let (replies, cost) = find::find(reader, queries, window, asker).await?;
        let meta = Meta {
            ring_fingerprint: reader.ring_fingerprint(),
            series_pruned: cost.pruned,
            index_nodes_visited: cost.visited,
            nodes_asked: 1,
            nodes_answered: 1,
            ..Meta::default()
        };
        let body = encode_find(params.format, &replies, Some(meta));
        Ok(reply::bytes(params.format.content_type(), body))
    }

    async fn info(&self, params: &Params, asker: &Asker) -> Result<Response, ReadFault> {
        let names = match params.message::<MultiMetricsInfoRequest>()? {
            Some(request) => request.names,
            None => owned(params.all("target")),
        };
        let infos = info::info(&self.reader, names, asker).await?;
        let body = encode_info(params.format, &infos);
        let body = body.map_err(|error| ReadFault::bad(error.to_string()))?;
        Ok(reply::bytes(params.format.content_type(), body))
    }

    /// `du` by series and branch, in go-carbon's words.
    async fn usage(&self, params: &Params, asker: &Asker) -> Result<Response, ReadFault> {
        let text = params.one("target").ok_or_else(|| ReadFault::bad("no target is given"))?;
        let is_on = |key| matches!(params.one(key), Some("true" | "1"));
        let request = UsageRequest {
            limit: params.limit(LIST_QUERY_DEFAULT)?,
            sums_only: is_on("stats_only"),
            leaves_only: is_on("leaf_only"),
        };
        let query = Query::parse(text)?;
        let (all, each) = usage::usage(&self.reader, query, request, asker).await?;
        let row = |one: Usage| json!({"Name": one.name, "Count": one.count, "PhysicalSize": one.physical, "LogicalSize": one.logical});
        let rows: Vec<_> = each.into_iter().map(row).collect();
        Ok(reply::json(&json!({
            "Count": all.count, "PhysicalSize": all.physical, "LogicalSize": all.logical,
            "Metrics": rows,
        })))
    }

    /// Names and nothing else: a pattern would delete more than its author sees.
    async fn delete(&self, params: &Params, asker: &Asker) -> Result<Response, ReadFault> {
        let names = owned(params.all("path"));
        let caller = &params.caller;
        if !caller.may_delete || !names.iter().all(|name| caller.within.holds(name)) {
            return Err(ReadFault::Forbidden);
        }
        let allowed = self.reader.limits.targets_max;
        if names.len() > allowed {
            let what = format!("{} series to delete", names.len());
            return Err(ReadFault::limit(what, allowed, "targets_max"));
        }
        let keeper = Arc::clone(&self.keeper);
        let deleted = self.reader.run(asker, move || keeper.delete(&names)).await?;
        let deleted = deleted.map_err(|error| ReadFault::NotDeleted(error.to_string()))?;
        Ok(reply::json(&json!({ "deleted": deleted })))
    }

    async fn tag(&self, params: &Params, asker: &Asker) -> Result<Response, ReadFault> {
        let tag = last_part(&params.path)?;
        let by = narrowing(params, "", usize::MAX)?;
        let values = tags::values(&self.reader, tag.clone(), by, asker).await?;
        if values.is_empty() {
            return Ok(reply::json(&serde_json::Value::Null));
        }
        let numbered = (1..).zip(values);
        let value = |(id, (value, count)): (u64, (String, usize))| json!({"id": id, "value": value, "count": count});
        let values: Vec<_> = numbered.map(value).collect();
        Ok(reply::json(&json!({"id": 1, "tag": tag, "values": values})))
    }
}

fn refuse(fault: &ReadFault, watch: Watch) -> Response {
    watch.met(fault);
    let response = reply::fault(fault);
    watch.end(response.status());
    response
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn narrowing(params: &Params, prefix: &str, limit: usize) -> Result<Narrowing, ReadFault> {
    Ok(Narrowing {
        exprs: owned(params.all("expr")),
        prefix: params.one(prefix).unwrap_or_default().to_owned(),
        filter: params.one("filter").map(str::to_owned),
        limit: params.limit(limit)?,
    })
}

/// The last part of a path, without its escapes.
fn last_part(path: &str) -> Result<String, ReadFault> {
    let part = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    // A part of a path is escaped as a parameter is, save that a plus stands for itself.
    let uri = format!("/?tag={}", part.replace('+', "%2B").replace('&', "%26"));
    let uri = uri.parse().map_err(|error| ReadFault::bad(format!("path: {error}")))?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let pairs = pairs.map_err(|error| ReadFault::bad(format!("path: {error}")))?;
    Ok(pairs.0.into_iter().next().map(|(_, tag)| tag).unwrap_or_default())
}

/// One target to be folded; several are answered as series.
fn fold_request(
    message: Option<MultiFetchRequest>,
    request: &RenderRequest,
) -> Option<FoldRequest> {
    let plan = message?.plan?;
    let [fetch] = request.fetches.as_slice() else { return None };
    let (fetch, ring_fingerprint) = (fetch.clone(), plan.ring_fingerprint);
    let (now, points_max) = (request.now, request.points_max);
    Some(FoldRequest { fold: plan.fold?, ring_fingerprint, fetch, now, points_max })
}

/// How long the asker waits: as its header says, or its plan.
fn wait(reader: &Reader, params: &Params, plan: Option<&Plan>) -> Option<Duration> {
    let planned = plan.filter(|plan| plan.deadline_unix_ms > 0).map(|plan| {
        let left = plan.deadline_unix_ms.saturating_sub(reader.clock.now_unix_ms());
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    });
    params.wait.or(planned)
}

/// Refuses a window that ends before it begins.
pub(super) fn check_windows(windows: &[Window]) -> Result<(), ReadFault> {
    match windows.iter().find(|window| window.until < window.from) {
        None => Ok(()),
        Some(Window { from, until }) => {
            Err(ReadFault::bad(format!("from {from} is later than until {until}")))
        }
    }
}

fn render_request(
    reader: &Reader,
    params: &Params,
) -> Result<(RenderRequest, Option<Duration>, Option<FoldRequest>), ReadFault> {
    let message: Option<MultiFetchRequest> = params.message()?;
    let plan = message.as_ref().and_then(|request| request.plan.as_ref());
    let (texts, windows) = match &message {
        Some(request) => {
            let windows = request.metrics.iter().map(|m| Window::new(m.start_time, m.stop_time));
            let texts = request.metrics.iter().map(|m| m.name.as_str()).collect::<Vec<_>>();
            (texts, windows.collect::<Vec<_>>())
        }
        None => {
            let texts = params.all("target");
            let missing = |key| ReadFault::bad(format!("no {key} is given, expected seconds"));
            let from = params.int("from")?.ok_or_else(|| missing("from"))?;
            let until = params.int("until")?.ok_or_else(|| missing("until"))?;
            let windows = vec![Window::new(from, until); texts.len()];
            (texts, windows)
        }
    };
    check_windows(&windows)?;
    let queries = find::parse_all(reader, texts.into_iter(), "target")?;
    let fetches = queries.into_iter().zip(windows);
    let mut fetches: Vec<Fetch> =
        fetches.map(|((text, query), window)| Fetch { text, query, window }).collect();
    // carbonapi asks for the names that it found, and wants to be told for which pattern.
    let asked = message.iter().flat_map(|request| &request.metrics);
    for (fetch, asked) in fetches.iter_mut().zip(asked) {
        if !asked.path_expression.is_empty() {
            fetch.text.clone_from(&asked.path_expression);
        }
    }
    let planned = plan.map(|plan| plan.now).filter(|&now| now > 0);
    let now = planned.or(params.int("now")?).unwrap_or_else(|| reader.clock.now_unix_seconds());
    let budget = plan.map_or(0, |plan| plan.budget_points);
    let points_max = match budget {
        0 => reader.limits.points_max,
        budget => budget.min(reader.limits.points_max),
    };
    let request = RenderRequest { format: params.format, fetches, now, points_max };
    let waits = wait(reader, params, plan);
    let fold = fold_request(message, &request);
    Ok((request, waits, fold))
}

fn no_such(what: &str, format: Format) -> ReadFault {
    ReadFault::bad(format!("{what} does not exist as {}", format.name()))
}

fn list_reply(format: Format, metrics: Vec<String>) -> Result<Response, ReadFault> {
    Ok(match format {
        Format::Json => reply::json(&json!({"Metrics": metrics})),
        // The message is the same in both protocols.
        Format::V2 | Format::V3 => {
            reply::bytes(format.content_type(), ListMetricsResponse { metrics }.encode_to_vec())
        }
        Format::Pickle | Format::Msgpack => return Err(no_such("list", format)),
    })
}

fn details_reply(format: Format, details: Details) -> Result<Response, ReadFault> {
    let Details { response: all, free_inodes, total_inodes } = details;
    Ok(match format {
        Format::Json => {
            let metric = |(name, one): (&String, &wire::pb_v3::MetricDetails)| {
                json!({
                    "Name": name, "Size": one.size, "ModTime": one.mod_time,
                    "ATime": one.a_time, "RdTime": one.rd_time, "RealSize": one.real_size,
                })
            };
            let metrics: Vec<_> = all.metrics.iter().map(metric).collect();
            let (free, total) = (all.free_space, all.total_space);
            reply::json(&json!({
                "Metrics": metrics, "FreeSpace": free, "TotalSpace": total,
                "FreeInodes": free_inodes, "TotalInodes": total_inodes,
            }))
        }
        Format::V3 => reply::bytes(format.content_type(), all.encode_to_vec()),
        Format::V2 => {
            let narrow = |one: wire::pb_v3::MetricDetails| pb_v2::MetricDetails {
                size: one.size,
                mod_time: one.mod_time,
                a_time: one.a_time,
                rd_time: one.rd_time,
            };
            let metrics = all.metrics.into_iter().map(|(name, one)| (name, narrow(one)));
            let (free_space, total_space) = (all.free_space, all.total_space);
            let metrics = metrics.collect();
            let all = pb_v2::MetricDetailsResponse { metrics, free_space, total_space };
            reply::bytes(format.content_type(), all.encode_to_vec())
        }
        Format::Pickle | Format::Msgpack => return Err(no_such("details", format)),
    })
}

/// carbonapi takes an empty answer for "speaks v2 only", which is what a client asking in v2 wants to hear.
fn capabilities(format: Format, name: &str) -> Response {
    let supported_protocols = PROTOCOLS.map(str::to_owned).to_vec();
    match format {
        Format::V2 => reply::bytes(format.content_type(), Vec::new()),
        Format::V3 => {
            let capabilities = CapabilityResponse {
                supported_protocols,
                name: name.to_owned(),
                like_splitted_requests: true,
                ..CapabilityResponse::default()
            };
            reply::bytes(format.content_type(), capabilities.encode_to_vec())
        }
        Format::Json | Format::Pickle | Format::Msgpack => reply::json(&json!({
            "supportedProtocols": supported_protocols,
            "name": name,
            "likeSplittedRequests": true,
        })),
    }
}
