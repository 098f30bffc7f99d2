//! `/render`: targets in, series out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use daemon::threads::PoolError;
use metric::SeriesData;
use query::ast::Expr;
use query::parse::parse;
use query::{
    Answer, Data, EvalError, Fetch, Outcome, ROUNDS_MAX, Request, Series, consolidate,
    prepare_parsed, prepared_before,
};
use serde_json::json;
use tokio::sync::oneshot;
use wire::pb_v3::MultiFetchRequest;

use super::answers::{self, Found, Place};
use super::{Api, Call, QUERY_RANGE, mark_partial, with_type};
use crate::backend::{Asking, Completeness};
use crate::errors::Refusal;
use crate::format::image::{self, Picture};
use crate::format::{self, Format, Options, json as json_text};
use crate::params::Params;
use crate::queries::Query;

/// How long a parsed target is kept: it never changes, but it should not outlive its dashboard.
const PLANS_GOOD_FOR: Duration = Duration::from_secs(3600);

/// What a parsed target takes for each byte of its text, at most about.
const TREE_BYTES_PER_BYTE: u64 = 16;

/// Shorter requests are planned where they are read: handing them over would take longer.
const INLINE_BYTES_MAX: usize = 2000;

/// What becomes of the series.
enum Wanted {
    Listing(Format),
    Picture(image::Kind),
}

pub(super) async fn answer(api: &Arc<Api>, call: &Call) -> Result<Response, Refusal> {
    match wanted(call)? {
        Wanted::Listing(format) => listing(api, call, format).await,
        Wanted::Picture(kind) => picture(api, call, kind).await,
    }
}

async fn picture(api: &Arc<Api>, call: &Call, kind: image::Kind) -> Result<Response, Refusal> {
    let mut picture = Picture::read(&call.params, kind)?;
    let mut request = request(api, call, false)?;
    picture.take_slices(&mut request.targets);
    let planned = plan(api, request)?;
    let good_for = answers::good_for(api, call)?;
    let place = Place::of(api, call, &planned.request, &planned.targets, good_for);
    let turn = match &place {
        None => None,
        Some(place) => match place.find_or_wait(api).await {
            Found::Kept(kept) => return Ok(kept),
            Found::Turn(turn) => turn,
        },
    };
    let Evaluated { series, completeness, .. } = evaluate(api, call, &planned, good_for).await?;
    drop(turn);
    within("reply_series_max", series.len() as u64, api.config.reply_series_max)?;
    let zone = planned.request.tz.clone();
    let drawn = run(api, &call.query, move || picture.draw(&series, &zone)).await??;
    mark_partial(api, call, &completeness, || {
        let response = with_window(with_type(kind.content_type(), drawn), &planned.request);
        Ok(kept_in(place, api, response))
    })
}

async fn listing(api: &Arc<Api>, call: &Call, format: Format) -> Result<Response, Refusal> {
    let wrapping = call.wrapping()?;
    let request = request(api, call, format == Format::V3 && !call.message.is_empty())?;
    let mut planned = plan(api, request)?;
    if format == Format::Json && !call.params.is_on("meta") {
        planned = planned.in_bands();
    }
    let good_for = answers::good_for(api, call)?;
    let place = Place::of(api, call, &planned.request, &planned.targets, good_for);
    let turn = match &place {
        None => None,
        Some(place) => match place.find_or_wait(api).await {
            Found::Kept(kept) => return Ok(kept),
            Found::Turn(turn) => turn,
        },
    };
    let evaluated = evaluate(api, call, &planned, good_for).await?;
    drop(turn);
    let request = &planned.request;
    let mut series = evaluated.series;
    // As in graphite-web: if not one series has a point, there is nothing to show.
    if series.iter().all(|one| one.values.is_empty()) {
        series.clear();
    }
    let place = place.filter(|_| !series.is_empty() && !evaluated.completeness.partial);
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
        Ok(kept_in(place, api, with_window(with_type(content_type, body), request)))
    })
}

fn kept_in(place: Option<Place>, api: &Arc<Api>, response: Response) -> Response {
    match place {
        Some(place) => place.keep(api, response),
        None => response,
    }
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
pub(super) fn request(api: &Api, call: &Call, is_message: bool) -> Result<Request, Refusal> {
    let params = &call.params;
    let zone = params.zone(&api.config.timezone);
    let now = params.now(api.clock.now_unix_seconds(), &zone)?;
    let mut request = if is_message {
        from_message(call, now)?
    } else {
        let window = params.render_window(now, &zone)?;
        Request::new(params.all("target"), window.from, window.until, now)
    };
    if let Some(text) = params.given("xFilesFactor") {
        let parsed = text.parse().map_err(|e| Refusal::parameter("xFilesFactor", e));
        request.x_files_factor = parsed?;
    }
    request.tz = zone;
    request.max_data_points = points_wanted(params)?;
    request.no_null_points = params.has("noNullPoints");
    request.max_step = params.get("maxStep").and_then(|text| text.parse().ok());
    request.template = params.template();
    request.limits = api.config.query.clone();
    request.push_down = api.config.push_down;
    Ok(request)
}

/// `maxDataPoints`; what is no number means nothing, as in graphite-web, but less than none is a
/// mistake that should not stay hidden.
fn points_wanted(params: &Params) -> Result<Option<usize>, Refusal> {
    let asked = params.get("maxDataPoints").and_then(|text| text.trim().parse::<i64>().ok());
    if asked.is_some_and(i64::is_negative) {
        return Err(Refusal::parameter("maxDataPoints", "is below 0"));
    }
    Ok(asked.and_then(|points| usize::try_from(points).ok()))
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

/// A request whose targets are understood.
pub(super) struct Planned {
    pub(super) request: Arc<Request>,
    pub(super) targets: Vec<Arc<Expr>>,
}

impl Planned {
    /// Leaves it to the store to merge points, where nothing else is done with them.
    fn in_bands(self) -> Self {
        let Self { request, targets } = self;
        let request = Arc::unwrap_or_clone(request).in_bands(&targets);
        Self { request: Arc::new(request), targets }
    }
}

/// Parses the targets, or takes them from those parsed before.
pub(super) fn plan(api: &Api, request: Request) -> Result<Planned, Refusal> {
    let mut targets = Vec::with_capacity(request.targets.len());
    for text in request.targets_to_parse()? {
        targets.push(match api.plans.get(text) {
            Some((target, _)) => target,
            None => {
                let target = Arc::new(parse(text).map_err(EvalError::from)?);
                let bytes = text.len() as u64 * TREE_BYTES_PER_BYTE;
                api.plans.put(text, Arc::clone(&target), bytes, PLANS_GOOD_FOR);
                target
            }
        });
    }
    Ok(Planned { request: Arc::new(request), targets })
}

/// What a request came to.
pub(super) struct Evaluated {
    pub(super) series: Vec<Series>,
    pub(super) completeness: Completeness,
    pub(super) stats: Stats,
}

/// What it took.
#[derive(Default)]
pub(super) struct Stats {
    pub(super) planning: Duration,
    pub(super) fetching: Duration,
    pub(super) evaluating: Duration,
    pub(super) rounds: usize,
    pub(super) series_read: u64,
    pub(super) points_read: u64,
    pub(super) memory_bytes: u64,
}

impl Stats {
    fn add(&mut self, found: &Answer) {
        self.series_read += found.series();
        self.points_read += found.points();
    }

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
pub(super) async fn evaluate(
    api: &Api,
    call: &Call,
    planned: &Planned,
    good_for: Duration,
) -> Result<Evaluated, Refusal> {
    let asking = api
        .backend
        .begin(planned.request.now)
        .of(&call.caller)
        .cached(good_for)
        .counted(&call.query);
    let mut stats = Stats::default();
    let began = api.clock.monotonic();
    let mut fetches = first_round(api, call, planned).await?;
    stats.planning = api.clock.monotonic().saturating_sub(began);
    let mut data = Data::default();
    let mut completeness = Completeness::default();
    for _ in 0..ROUNDS_MAX {
        let began = api.clock.monotonic();
        if !fetches.is_empty() {
            api.queries.check_memory()?;
            call.query.enter("fetching");
            let (events, reads) = fetches.into_iter().partition(|f| f.event_tags().is_some());
            read_events(api, events, &mut data).await?;
            completeness.join(read(api, reads, &asking, (&mut data, &mut stats)).await?);
            stats.rounds += 1;
        }
        let fetched = api.clock.monotonic();
        stats.fetching += fetched.saturating_sub(began);
        stats.memory_bytes = data.bytes();
        call.query.enter("evaluating");
        let (outcome, back) = evaluate_once(api, call, planned, data).await?;
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

/// Reads series. Of what was read before for a later start only the time before that is asked for, as functions over
/// windows of so many points do in their second round.
async fn read(
    api: &Api,
    fetches: Vec<Fetch>,
    asking: &Asking,
    (data, stats): (&mut Data, &mut Stats),
) -> Result<Completeness, Refusal> {
    let lacking: Vec<Fetch> = fetches.iter().map(|fetch| data.lacking(fetch)).collect();
    let mut wanted: HashMap<Fetch, Fetch> = lacking.iter().cloned().zip(fetches).collect();
    let (answers, mut completeness) = api.backend.fetch(lacking, asking).await?;
    let mut unfit = Vec::new();
    for (read, found) in answers {
        stats.add(&found);
        match wanted.remove(&read) {
            Some(fetch) if fetch != read => {
                if !data.complete(&fetch, &found) {
                    unfit.push(fetch);
                }
            }
            _ => data.insert_answer(read, found),
        }
    }
    if !unfit.is_empty() {
        let (answers, more) = api.backend.fetch(unfit, asking).await?;
        completeness.join(more);
        for (fetch, found) in answers {
            stats.add(&found);
            data.insert_answer(fetch, found);
        }
    }
    Ok(completeness)
}

/// Events are read like series: so many in each second that had some.
async fn read_events(api: &Api, events: Vec<Fetch>, data: &mut Data) -> Result<(), Refusal> {
    for fetch in events {
        let tags = fetch.event_tags().unwrap_or_default();
        let tags = tags.into_iter().map(str::to_owned).collect();
        let counts = api.events.counts(tags, fetch.window).await.map_err(super::events::failed)?;
        let (Some((first, _)), Some((last, _))) = (counts.first(), counts.last()) else {
            data.insert(fetch, Vec::new());
            continue;
        };
        let seconds = last.saturating_sub(*first).unsigned_abs().saturating_add(1);
        within("generated_points_max", seconds, api.config.query.generated_points_max)?;
        let mut values = vec![f64::NAN; usize::try_from(seconds).unwrap_or(0)];
        for (at, count) in &counts {
            let place = usize::try_from(at - first).ok().and_then(|place| values.get_mut(place));
            place.into_iter().for_each(|value| *value = *count as f64);
        }
        data.insert(fetch, vec![SeriesData::new("events", *first, 1, values)]);
    }
    Ok(())
}

async fn evaluate_once(
    api: &Api,
    call: &Call,
    planned: &Planned,
    data: Data,
) -> Result<(Result<Outcome, EvalError>, Data), Refusal> {
    let (request, targets) = (Arc::clone(&planned.request), planned.targets.clone());
    let brake = Arc::clone(&call.query.brake);
    // Series as they were read are no work: no thread need wake up for them.
    let is_plain = targets.iter().all(|t| matches!(**t, Expr::Path(_) | Expr::Tagged { .. }));
    let job = move || {
        let outcome = prepared_before(&request, targets).evaluate_until(&data, &brake);
        (outcome, data)
    };
    if is_plain { Ok(job()) } else { run(api, &call.query, job).await }
}

/// The first round of reads.
pub(super) async fn first_round(
    api: &Api,
    call: &Call,
    planned: &Planned,
) -> Result<Vec<Fetch>, Refusal> {
    let (request, targets) = (Arc::clone(&planned.request), planned.targets.clone());
    let is_small = request.targets.iter().map(String::len).sum::<usize>() < INLINE_BYTES_MAX;
    let job = move || prepare_parsed(&request, targets).map(|plan| plan.fetches().to_vec());
    let fetches = if is_small { job()? } else { run(api, &call.query, job).await?? };
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

/// Work for a processor, away from the sockets: waited for only so long, ended when its time is
/// over, and not begun once nobody waits for it.
async fn run<T: Send + 'static>(
    api: &Api,
    query: &Arc<Query>,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let allowed = Duration::from_millis(api.config.evaluation_ms_max);
    let left = allowed.saturating_sub(query.evaluated());
    let (clock, worked_on) = (Arc::clone(&api.clock), Arc::clone(query));
    let (begins, mut begun) = oneshot::channel::<()>();
    let work = api.evaluators.run(move || {
        if worked_on.brake.is_pulled() {
            return None;
        }
        drop(begins);
        let began = clock.monotonic();
        let done = job();
        worked_on.add_evaluated(clock.monotonic().saturating_sub(began));
        Some(done)
    });
    let mut work = std::pin::pin!(work);
    let wait = api.config.evaluation_wait;
    let waited = tokio::time::timeout(wait, async {
        tokio::select! {
            biased;
            done = &mut work => Some(done),
            _ = &mut begun => None,
        }
    });
    let done = match waited.await {
        Ok(Some(done)) => done,
        Ok(None) => match tokio::time::timeout(left, work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                query.brake.pull();
                let (asked, allowed) =
                    (api.config.evaluation_ms_max + 1, api.config.evaluation_ms_max);
                return Err(Refusal::Limit { limit: "evaluation_ms_max", asked, allowed });
            }
        },
        Err(_elapsed) => return Err(too_late(wait)),
    };
    match done {
        Ok(Some(done)) => Ok(done),
        Ok(None) => Err(EvalError::Stopped.into()),
        Err(PoolError::Full) => {
            let allowed = api.config.evaluations_max as u64;
            Err(Refusal::Overload { limit: "evaluations_max", asked: allowed + 1, allowed })
        }
        Err(_) => Err(Refusal::Lost),
    }
}

fn too_late(wait: Duration) -> Refusal {
    let allowed = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Refusal::Overload { limit: "evaluation_wait", asked: allowed.saturating_add(1), allowed }
}

fn check_size(api: &Api, format: Format, series: &[Series]) -> Result<(), Refusal> {
    within("reply_series_max", series.len() as u64, api.config.reply_series_max)?;
    within("reply_bytes_max", format.bytes_estimated(series), api.config.reply_bytes_max)
}

fn within(limit: &'static str, asked: u64, allowed: u64) -> Result<(), Refusal> {
    if asked > allowed { Err(Refusal::Limit { limit, asked, allowed }) } else { Ok(()) }
}
