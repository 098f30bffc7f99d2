//! `/render`: targets in, series out.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use daemon::threads::PoolError;
use query::{Data, EvalError, Fetch, Outcome, ROUNDS_MAX, Request, Series, consolidate, prepare};
use serde_json::json;
use wire::pb_v3::MultiFetchRequest;

use super::{Api, Call, QUERY_RANGE, mark_partial, with_type};
use crate::backend::Completeness;
use crate::errors::Refusal;
use crate::format::image::{self, Picture};
use crate::format::{self, Format, Options, json as json_text};

/// What becomes of the series.
enum Wanted {
    Listing(Format),
    Picture(image::Kind),
}

pub(super) async fn answer(api: &Api, call: &Call) -> Result<Response, Refusal> {
    match wanted(call)? {
        Wanted::Listing(format) => listing(api, call, format).await,
        Wanted::Picture(kind) => picture(api, call, kind).await,
    }
}

async fn picture(api: &Api, call: &Call, kind: image::Kind) -> Result<Response, Refusal> {
    let mut picture = Picture::read(&call.params, kind)?;
    let mut request = request(api, call, false)?;
    picture.take_slices(&mut request.targets);
    let Evaluated { series, completeness, .. } = evaluate(api, request.clone()).await?;
    within("reply_series_max", series.len() as u64, api.config.reply_series_max)?;
    let zone = request.tz.clone();
    let drawn = run(api, move || picture.draw(&series, &zone)).await??;
    mark_partial(api, call, &completeness, || {
        Ok(with_window(with_type(kind.content_type(), drawn), &request))
    })
}

async fn listing(api: &Api, call: &Call, format: Format) -> Result<Response, Refusal> {
    let wrapping = call.wrapping()?;
    let request = request(api, call, format == Format::V3 && !call.message.is_empty())?;
    let evaluated = evaluate(api, request.clone()).await?;
    let mut series = evaluated.series;
    // As in graphite-web: if not one series has a point, there is nothing to show.
    if series.iter().all(|one| one.values.is_empty()) {
        series.clear();
    }
    if let Some(points_max) = request.max_data_points.filter(|_| format == Format::Json) {
        consolidate::limit_points(&mut series, points_max);
    }
    check_size(api, format, &series)?;
    let meta = call
        .params
        .is_on("meta")
        .then(|| json_text::text(&evaluated.stats.meta(&evaluated.completeness, series.len())));
    let is_called = format.is_json() && wrapping.jsonp.is_some();
    let options = Options {
        window: metric::Window::new(request.from, request.until),
        zone: request.tz.clone(),
        no_null_points: request.no_null_points,
        wrapping,
        meta: meta.and_then(|text| String::from_utf8(text).ok()),
    };
    mark_partial(api, call, &evaluated.completeness, || {
        let content_type = if is_called { "text/javascript" } else { format.content_type() };
        let body = format::body(format, series, options);
        Ok(with_window(with_type(content_type, body), &request))
    })
}

/// Says in its headers which window a response shows.
fn with_window(mut response: Response, request: &Request) -> Response {
    let headers = response.headers_mut();
    let range = format!("from={}, until={}", request.from, request.until);
    headers.extend(HeaderValue::try_from(range).ok().map(|range| (QUERY_RANGE, range)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The format: a shortcut, what `format` names, or JSON where nothing is said.
fn wanted(call: &Call) -> Result<Wanted, Refusal> {
    let params = &call.params;
    let Some(name) = params.given("format") else {
        let raw = params.has("rawData") || params.is_on("rawdata");
        return Ok(Wanted::Listing(match (raw, params.has("pickle")) {
            (true, _) => Format::Raw,
            (false, true) => Format::Pickle,
            (false, false) => Format::Json,
        }));
    };
    let listing = Format::parse(name).map(Wanted::Listing);
    listing.or_else(|| image::Kind::parse(name).map(Wanted::Picture)).ok_or_else(|| {
        let (listings, pictures) = (Format::names(), image::Kind::names());
        let problem = format!("{name:?} is not known; this server knows {listings}, {pictures}");
        Refusal::parameter("format", problem)
    })
}

/// The request as the query language has it; `is_message` where the body says it.
fn request(api: &Api, call: &Call, is_message: bool) -> Result<Request, Refusal> {
    let params = &call.params;
    let zone = params.zone(&api.config.timezone);
    let now = params.now(api.clock.now_unix_seconds(), &zone)?;
    let mut request = if is_message {
        from_message(call, now)?
    } else {
        let window = params.render_window(now, &zone)?;
        Request::new(params.all("target"), window.from, window.until, now)
    };
    params.integer("cacheTimeout")?;
    if let Some(text) = params.given("xFilesFactor") {
        let parsed = text.parse().map_err(|e| Refusal::parameter("xFilesFactor", e));
        request.x_files_factor = parsed?;
    }
    request.tz = zone;
    request.max_data_points = params.get("maxDataPoints").and_then(|text| text.parse().ok());
    request.no_null_points = params.has("noNullPoints");
    request.max_step = params.get("maxStep").and_then(|text| text.parse().ok());
    request.template = params.template();
    request.limits = api.config.query.clone();
    Ok(request)
}

/// A request as carbonapi's zipper sends it: a protobuf message in the body.
fn from_message(call: &Call, now: i64) -> Result<Request, Refusal> {
    let malformed = |e: &dyn std::fmt::Display| Refusal::parameter("body", e);
    let message: MultiFetchRequest =
        prost::Message::decode(call.message.clone()).map_err(|error| malformed(&error))?;
    let Some(first) = message.metrics.first() else {
        return Err(malformed(&"the message asks for nothing"));
    };
    let (from, until) = (first.start_time, first.stop_time);
    let now = message.plan.as_ref().map_or(now, |plan| plan.now);
    let targets = message.metrics.into_iter().map(|metric| metric.name).collect();
    Ok(Request::new(targets, from, until, now))
}

/// What a request came to.
struct Evaluated {
    series: Vec<Series>,
    completeness: Completeness,
    stats: Stats,
}

/// What it took.
#[derive(Default)]
struct Stats {
    fetching: Duration,
    evaluating: Duration,
    rounds: usize,
    series_read: usize,
    points_read: usize,
}

impl Stats {
    fn meta(&self, completeness: &Completeness, series: usize) -> serde_json::Value {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        json!({
            "stats": {
                "executeplan.get-targets.ms": ms(self.fetching),
                "executeplan.plan-run.ms": ms(self.evaluating),
                "executeplan.rounds.count": self.rounds,
                "executeplan.series-fetch.count": self.series_read,
                "executeplan.points-fetch.count": self.points_read,
                "executeplan.series-return.count": series,
                "executeplan.series-pruned.count": completeness.series_pruned,
            },
            "partial": completeness.partial,
            "notes": completeness.notes,
            "replicas-asked": completeness.nodes_asked,
            "replicas-answered": completeness.nodes_answered,
            "divergent-points": completeness.divergent_points,
        })
    }
}

/// Fetches and evaluates, round by round.
async fn evaluate(api: &Api, request: Request) -> Result<Evaluated, Refusal> {
    let asking = api.backend.begin(request.now);
    let request = Arc::new(request);
    let mut fetches = planned(api, Arc::clone(&request)).await?;
    let mut data = Data::default();
    let mut completeness = Completeness::default();
    let mut stats = Stats::default();
    for _ in 0..ROUNDS_MAX {
        let began = api.clock.monotonic();
        if !fetches.is_empty() {
            let (answers, complete) = api.backend.fetch(&fetches, &asking).await?;
            completeness.join(complete);
            for (fetch, found) in answers {
                stats.series_read += found.len();
                stats.points_read += found.iter().map(|one| one.values.len()).sum::<usize>();
                data.insert(fetch, found);
            }
            stats.rounds += 1;
        }
        let fetched = api.clock.monotonic();
        stats.fetching += fetched.saturating_sub(began);
        let job = Arc::clone(&request);
        let (outcome, back) = run(api, move || {
            let outcome = prepare(&job).and_then(|prepared| prepared.evaluate(&data));
            (outcome, data)
        })
        .await?;
        data = back;
        stats.evaluating += api.clock.monotonic().saturating_sub(fetched);
        match outcome? {
            Outcome::Done(series) => return Ok(Evaluated { series, completeness, stats }),
            Outcome::Need(more) => fetches = more,
        }
    }
    let message = format!("the targets need more than {ROUNDS_MAX} rounds of reads");
    Err(EvalError::Request(message).into())
}

/// The first round of reads.
async fn planned(api: &Api, request: Arc<Request>) -> Result<Vec<Fetch>, Refusal> {
    let fetches = run(api, move || prepare(&request).map(|plan| plan.fetches().to_vec())).await??;
    // Grafana replaces `#A` by the query of that letter before it sends; one that is left has none.
    match fetches.iter().find(|fetch| is_reference(&fetch.pattern)) {
        Some(fetch) => {
            let message = format!("{} refers to a query that does not exist", fetch.pattern);
            Err(EvalError::Request(message).into())
        }
        None => Ok(fetches),
    }
}

fn is_reference(pattern: &str) -> bool {
    matches!(pattern.as_bytes(), [b'#', letter] if letter.is_ascii_uppercase())
}

/// Work for a processor, away from the sockets.
async fn run<T: Send + 'static>(
    api: &Api,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    api.evaluators.run(job).await.map_err(|error| match error {
        PoolError::Full => Refusal::Busy,
        _ => Refusal::Lost,
    })
}

fn check_size(api: &Api, format: Format, series: &[Series]) -> Result<(), Refusal> {
    within("reply_series_max", series.len() as u64, api.config.reply_series_max)?;
    within("reply_bytes_max", format.bytes_estimated(series), api.config.reply_bytes_max)
}

fn within(limit: &'static str, asked: u64, allowed: u64) -> Result<(), Refusal> {
    if asked > allowed { Err(Refusal::Limit { limit, asked, allowed }) } else { Ok(()) }
}
