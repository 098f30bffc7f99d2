//! `/render`: series of many targets.

mod pump;

use std::collections::VecDeque;
use std::sync::Arc;

use metric::Window;
use prost::Message as _;
use remote::{FetchPlan, FetchRequest, Target};
use wire::pb_v3::{self, Folded, FoldedRange, MultiFetchResponse};
use wire::reply::Format;

use super::asked::plan_of;
use super::{Answer, Asked};
use crate::failure::Failure;
use crate::gate::weight_of;
use crate::view::{Merging, Tally, View};
use pump::Pump;

/// A render without `from` asks for the last day, as graphite-web has it.
const WINDOW_SECONDS: i64 = 24 * 60 * 60;

pub(super) async fn render(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let requests = if asked.message.is_empty() {
        from_pairs(&view, &asked)?
    } else {
        from_message(&view, &asked)?
    };
    let targets = requests.iter().flat_map(|request| &request.targets);
    let weight = weight_of(targets.map(|target| target.pattern.as_str()));
    let pass = view.enter(&asked.tenant, weight, &asked.deadline).await?;
    if let [request] = requests.as_slice()
        && request.plan.fold.is_some()
    {
        return Ok(fold(&view, &asked, request.clone()).await);
    }
    let manner = (asked.format, asked.partial_allowed);
    let shadow = view.shadow.as_ref();
    let turn = shadow.and_then(|shadow| shadow.take_render(&requests, &asked.deadline));
    let (mergings, tally) = fetch_all(&view, &asked, requests).await?;
    let pump = Pump::new(Arc::clone(&view), manner, mergings, tally, pass);
    let (body, tally) = pump.body().await?;
    if let Some(turn) = turn {
        turn.begin(&view);
    }
    Ok(Answer { content_type: asked.format.content_type(), body, tally })
}

/// What the series come to, or why they must be asked for as they are.
async fn fold(view: &View, asked: &Asked, request: FetchRequest) -> Answer {
    let (ranges, refused, tally) = match view.fold(request, &asked.deadline).await {
        Ok((folded, tally)) => {
            let whole =
                FoldedRange { is_read: true, series: folded.series(), ..Default::default() };
            let whole = FoldedRange { groups: folded.into_messages(), ..whole };
            (vec![whole], String::new(), tally)
        }
        Err(refusal) => (Vec::new(), refusal.to_string(), Tally::default()),
    };
    let outcome = if refused.is_empty() { "folded" } else { "refused" };
    view.context.metrics.counter_with("plumbago_zipper_folds_total", &[outcome]).inc();
    tracing::debug!(refused, "a fold");
    let (meta, folded) = (Some(tally.meta(view)), Some(Folded { ranges, refused }));
    let body = MultiFetchResponse { metrics: Vec::new(), meta, folded }.encode_to_vec();
    Answer { content_type: asked.format.content_type(), body: body.into(), tally }
}

/// All windows at once, in order.
async fn fetch_all(
    view: &Arc<View>,
    asked: &Asked,
    requests: Vec<FetchRequest>,
) -> Result<(VecDeque<(Window, Merging)>, Tally), Failure> {
    let fetches = requests.into_iter().map(async |request| {
        let window = request.window;
        (window, view.fetch(request, &asked.deadline).await)
    });
    let (mut mergings, mut tally) = (VecDeque::new(), Tally::default());
    for (window, fetched) in daemon::together(fetches).await {
        let (merging, part) = fetched?;
        tally.join(part);
        mergings.push_back((window, merging));
    }
    Ok((mergings, tally))
}

fn from_pairs(view: &View, asked: &Asked) -> Result<Vec<FetchRequest>, Failure> {
    let targets = asked.all("target");
    if targets.is_empty() {
        return Err(Failure::BadRequest("no target is given".to_owned()));
    }
    view.within("targets_max", targets.len(), view.limits.targets_max)?;
    let now = asked.number("now")?.unwrap_or_else(|| view.context.clock.now_unix_seconds());
    let until = asked.number("until")?.unwrap_or(now);
    let from = asked.number("from")?.unwrap_or_else(|| until.saturating_sub(WINDOW_SECONDS));
    let max_data_points = asked.number("maxDataPoints")?.unwrap_or(0);
    let target = |pattern| Target { max_data_points, ..Target::new(pattern) };
    Ok(vec![FetchRequest {
        targets: targets.into_iter().map(target).collect(),
        window: ordered(from, until),
        plan: FetchPlan { now, ..FetchPlan::default() },
    }])
}

/// A reversed range is swapped, as graphite-web does.
fn ordered(from: i64, until: i64) -> Window {
    Window::new(from.min(until), from.max(until))
}

fn from_message(view: &View, asked: &Asked) -> Result<Vec<FetchRequest>, Failure> {
    let message: pb_v3::MultiFetchRequest = asked.decode(view)?;
    view.within("targets_max", message.metrics.len(), view.limits.targets_max)?;
    let mut plan = plan_of(view, message.plan);
    // Of several targets each has its own sum: they are answered as series.
    plan.fold = plan.fold.filter(|_| message.metrics.len() == 1 && asked.format == Format::V3);
    let mut requests: Vec<FetchRequest> = Vec::new();
    for one in message.metrics {
        let window = ordered(one.start_time, one.stop_time);
        let path_expression = match one.path_expression.as_str() {
            "" => one.name.clone(),
            _ => one.path_expression,
        };
        let max_data_points = one.max_data_points;
        let target = Target { pattern: one.name, path_expression, max_data_points };
        match requests.iter_mut().find(|request| request.window == window) {
            Some(request) => request.targets.push(target),
            None => {
                requests.push(FetchRequest { targets: vec![target], window, plan: plan.clone() });
            }
        }
    }
    Ok(requests)
}
