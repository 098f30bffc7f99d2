//! Service level objectives. graphite-web has none of them: carbonapi has.

use crate::args::BoundArgs;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group, WindowRule};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::request::Request;
use crate::series::Series;
use crate::time_expr::parse_interval;
use crate::value::Value;
use crate::window::{Window, earlier};

const INTERVAL: Param = Param::required("interval", ParamKind::Interval).suggestions(&[
    Literal::Text("10min"),
    Literal::Text("1h"),
    Literal::Text("1d"),
]);
const METHOD: Param = Param::optional("method", ParamKind::String)
    .default(Literal::Text("above"))
    .options(&["above", "aboveOrEqual", "below", "belowOrEqual"]);
const VALUE: Param = Param::optional("value", ParamKind::Float).default(Literal::Float(0.0));
const OBJECTIVE: Param =
    Param::optional("objective", ParamKind::Float).default(Literal::Float(0.9999));

const SLO: Function = Function {
    group: Group::Transform,
    window: WindowRule::Custom(windows),
    eval: Body::List(slo),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "slo",
        params: &[SERIES_LIST, INTERVAL, METHOD, VALUE],
        summary: "Shows the share of points, interval by interval, that are above or below a value.",
        detail: "Null where an interval has no point at all, and where it is shorter than the step. An \
                 interval longer than the window reads data from before it.",
        examples: &[Example {
            target: r#"slo(web.latency,"1h","below",200)"#,
            shows: "the share of each hour in which pages came fast",
        }],
        ..SLO
    },
    Function {
        name: "sloErrorBudget",
        params: &[SERIES_LIST, INTERVAL, METHOD, VALUE, OBJECTIVE],
        summary: "Shows how many seconds of each interval are left before an objective is missed.",
        detail: "The share that `slo` shows less the objective, times the seconds of the interval; \
                 below 0 the objective is missed.",
        examples: &[Example {
            target: r#"sloErrorBudget(web.latency,"1d","below",200,0.99)"#,
            shows: "how much slowness a day still allows",
        }],
        ..SLO
    },
];

/// An interval longer than the window needs data from before it.
fn windows(args: &BoundArgs, window: Window, _: &Request) -> Vec<Window> {
    let Some(Value::Text(text)) = args.get("interval") else { return Vec::new() };
    let Ok(seconds) = parse_interval(text) else { return Vec::new() };
    longer(window, seconds).into_iter().collect()
}

fn longer(window: Window, seconds: i64) -> Option<Window> {
    let lacking = seconds.saturating_sub(window.seconds());
    (lacking > 0).then(|| earlier(window, lacking))
}

fn slo(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let interval = call.interval("interval");
    if interval.seconds <= 0 {
        return Err(call.argument_error("interval", "has to be above 0"));
    }
    let (method, value) = (call.string("method"), call.float("value"));
    let budget = call.name() == "sloErrorBudget";
    let objective = if budget { Some(call.float("objective")) } else { None };
    let shown = call.series("seriesList");
    let read = match longer(call.window(), interval.seconds) {
        Some(window) => call.evaluate_argument(0, window)?,
        None => shown.clone(),
    };
    if shown.len() != read.len() {
        let (now, before) = (shown.len(), read.len());
        return Err(call.error(format!("finds {now} series in the window, {before} before it")));
    }
    let is_met: fn(f64, f64) -> bool = match method.as_str() {
        "above" => |v, than| v > than,
        "aboveOrEqual" => |v, than| v >= than,
        "below" => |v, than| v < than,
        _ => |v, than| v <= than,
    };
    let suffix = objective.map(|objective| format!(", {objective}")).unwrap_or_default();
    let mut answer = Vec::new();
    for (shown, read) in shown.iter().zip(&read) {
        let name = shown.name.as_str();
        let function = call.name();
        let name = format!("{function}({name}, {}, {method}, {value}{suffix})", interval.text);
        let values = if shown.step > interval.seconds {
            let seconds = shown.end.saturating_sub(shown.start).max(0);
            let buckets = seconds.div_euclid(interval.seconds)
                + i64::from(seconds.rem_euclid(interval.seconds) > 0);
            call.generate(buckets)?;
            vec![f64::NAN; usize::try_from(buckets).unwrap_or(0)]
        } else {
            shares(read, interval.seconds, objective, |v| is_met(v, value))
        };
        let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let mut series = shown.derived(name, values);
        series.step = interval.seconds;
        series.end = series.start.saturating_add(series.step.saturating_mul(length));
        answer.push(series);
    }
    Ok(answer)
}

/// Points met, and points there are, in one interval.
#[derive(Default)]
struct Bucket {
    met: u64,
    present: u64,
    points: u64,
}

impl Bucket {
    fn finish(&mut self, objective: Option<f64>, seconds: i64) -> f64 {
        let Self { met, present, .. } = std::mem::take(self);
        if present == 0 {
            return f64::NAN;
        }
        let share = met as f64 / present as f64;
        objective.map_or(share, |objective| (share - objective) * seconds as f64)
    }
}

/// One value for each interval; the last one may be cut short by the end of the series.
fn shares(
    series: &Series,
    interval: i64,
    objective: Option<f64>,
    is_met: impl Fn(f64) -> bool,
) -> Vec<f64> {
    let mut values = Vec::new();
    let mut bucket = Bucket::default();
    let (mut start, mut end, mut time) = (0i64, interval, 0i64);
    for value in series.points().iter() {
        bucket.points += 1;
        bucket.present += u64::from(!value.is_nan());
        bucket.met += u64::from(is_met(*value));
        time = time.saturating_add(series.step.max(1));
        if time >= end {
            values.push(bucket.finish(objective, interval));
            start = time;
            end = end.saturating_add(interval);
        }
    }
    if bucket.points > 0 {
        values.push(bucket.finish(objective, time - start));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_without_a_point_is_null_and_a_short_one_counts_its_own_seconds() {
        let values = vec![1.0, f64::NAN, f64::NAN, f64::NAN, 3.0];
        let series = Series::new("a", 0, 300, 60, values);
        let above = |v: f64| v > 2.0;
        let plain = shares(&series, 120, None, above);
        assert!(plain[0] == 0.0 && plain[1].is_nan() && plain[2] == 1.0);
        let budget = shares(&series, 120, Some(0.5), above);
        assert!(budget[0] == -60.0 && budget[1].is_nan() && budget[2] == 30.0);
    }
}
