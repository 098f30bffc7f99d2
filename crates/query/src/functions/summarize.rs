//! Functions that merge values into buckets of time.

use crate::aggregate::Aggregate;
use crate::args::BoundArgs;
use crate::call::{Call, Interval};
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group, WindowRule};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::request::Request;
use crate::series::Series;
use crate::time_expr::parse_interval;
use crate::value::Value;
use crate::window::Window;

use super::calendar::{self, Unit};

const INTERVAL: Param = Param::required("intervalString", ParamKind::Interval).suggestions(&[
    Literal::Text("10min"),
    Literal::Text("1h"),
    Literal::Text("1d"),
]);
const FUNC: Param = Param::optional("func", ParamKind::AggFunc).default(Literal::Text("sum"));

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "summarize",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            INTERVAL,
            FUNC,
            Param::optional("alignToFrom", ParamKind::Boolean).default(Literal::Bool(false)),
        ],
        summary: "Merges values into one per interval.",
        detail: "Intervals start at multiples of their length since 1970, or, with `alignToFrom`, at \
                 the first value.",
        eval: Body::List(summarize),
        examples: &[
            Example { target: r#"summarize(sales.count,"1h","sum")"#, shows: "sales an hour" },
            Example {
                target: r#"summarize(hosts.*.load,"1d","max",true)"#,
                shows: "peaks of the days up to now",
            },
        ],
        ..Function::DEFAULT
    },
    Function {
        name: "smartSummarize",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            INTERVAL,
            FUNC,
            Param::optional("alignTo", ParamKind::String).suggestions(&[
                Literal::Text("years"),
                Literal::Text("months"),
                Literal::Text("weeks"),
                Literal::Text("days"),
                Literal::Text("hours"),
                Literal::Text("minutes"),
                Literal::Text("seconds"),
                Literal::Bool(true),
                Literal::Bool(false),
            ]),
        ],
        summary: "Merges values into one per interval, counted from the first value.",
        detail: "With `alignTo`, the window starts earlier, where a unit of the calendar begins; \
                 `weeks3` is a week that begins on its third day, Wednesday. True and false have no \
                 effect.",
        window: WindowRule::Custom(smart_windows),
        eval: Body::List(smart_summarize),
        examples: &[Example {
            target: r#"smartSummarize(sales.count,"1d","sum","days")"#,
            shows: "sales per day of the request's time zone",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "hitcount",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            INTERVAL,
            Param::optional("alignToInterval", ParamKind::Boolean).default(Literal::Bool(false)),
        ],
        summary: "Turns a rate per second into a count per interval.",
        detail: "Intervals are counted back from the end, or, with `alignToInterval`, on from the \
                 start of the minute, hour or day.",
        window: WindowRule::Custom(hitcount_windows),
        eval: Body::List(hitcount),
        examples: &[Example {
            target: r#"hitcount(requests.per_second,"1d")"#,
            shows: "requests a day",
        }],
        ..Function::DEFAULT
    },
];

/// Where buckets of one length lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckets {
    /// Start of the first, seconds.
    pub(super) start: i64,
    /// The last one begins before this, seconds.
    pub(super) end: i64,
    /// Length of each; above 0.
    pub(super) seconds: i64,
}

impl Buckets {
    fn count(self) -> i64 {
        let span = self.end.saturating_sub(self.start).max(0);
        span / self.seconds + i64::from(span % self.seconds > 0)
    }
}

/// One aggregate a bucket; null where too few of a bucket's points have a value.
pub(super) fn bucketed(series: &Series, aggregate: Aggregate, buckets: Buckets) -> Vec<f64> {
    let points = series.points();
    let step = series.step.max(1);
    // How many of the points before `series.end` lie before a time.
    let before = |time: i64| {
        let span = time.min(series.end).saturating_sub(series.start).max(0);
        let count = span / step + i64::from(span % step > 0);
        usize::try_from(count).unwrap_or(usize::MAX).min(points.len())
    };
    let per_bucket = buckets.seconds as f64 / step as f64;
    let starts = (0..buckets.count()).map(|i| buckets.start + i * buckets.seconds);
    starts
        .map(|start| {
            let from = before(start);
            let row = &points[from..before(start.saturating_add(buckets.seconds)).max(from)];
            let present = row.iter().filter(|v| !v.is_nan()).count();
            if present == 0 || (present as f64 / per_bucket) < series.x_files_factor {
                return f64::NAN;
            }
            aggregate.of(row)
        })
        .collect()
}

/// Buckets finer than the values they come from are points made out of nothing.
fn check_count(call: &Call<'_>, series: &Series, buckets: Buckets) -> Result<(), EvalError> {
    let length = i64::try_from(series.values.len()).unwrap_or(i64::MAX);
    call.generate(buckets.count().saturating_sub(length))
}

/// The interval, which has to be longer than nothing wherever there is a series to cut up.
fn interval_for(call: &Call<'_>, list: &[Series]) -> Result<Interval, EvalError> {
    let interval = call.interval("intervalString");
    if interval.seconds <= 0 && !list.is_empty() {
        return Err(call.argument_error("intervalString", "has to be longer than nothing"));
    }
    Ok(interval)
}

fn summarize(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (func, aggregate) = (call.string("func"), call.agg("func"));
    let align_to_from = call.bool("alignToFrom");
    let list = call.series("seriesList");
    let interval = interval_for(call, &list)?;
    let suffix = if align_to_from { ", true" } else { "" };
    let mut summarized = Vec::with_capacity(list.len());
    for series in list {
        let seconds = interval.seconds;
        let mut buckets = Buckets { start: series.start, end: series.end, seconds };
        if align_to_from {
            buckets.end = series.start + buckets.count() * seconds;
        } else {
            buckets.start -= series.start.rem_euclid(seconds);
            buckets.end += seconds - series.end.rem_euclid(seconds);
        }
        check_count(call, &series, buckets)?;
        let values = bucketed(&series, aggregate, buckets);
        let name = format!(r#"summarize({}, "{}", "{func}"{suffix})"#, series.name, interval.text);
        let derived = series
            .derived(name, values)
            .tagged("summarize", interval.text.clone())
            .tagged("summarizeFunction", func.clone());
        let (start, end) = (buckets.start, buckets.end);
        summarized.push(Series { start, end, step: seconds, ..derived });
    }
    Ok(summarized)
}

fn smart_summarize(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (func, aggregate) = (call.string("func"), call.agg("func"));
    let mut list = call.series("seriesList");
    if let Some(Value::Text(align_to)) = call.value("alignTo") {
        let unit = Unit::by_name(align_to)
            .ok_or_else(|| call.argument_error("alignTo", "is no unit of the calendar"))?;
        let from = calendar::start_of(unit, call.from(), call.tz());
        list = call.evaluate_argument(0, Window::new(from, call.until()))?;
    }
    let interval = interval_for(call, &list)?;
    let mut summarized = Vec::with_capacity(list.len());
    for series in list {
        let seconds = interval.seconds;
        let buckets = Buckets { start: series.start, end: series.end, seconds };
        check_count(call, &series, buckets)?;
        let values = bucketed(&series, aggregate, buckets);
        let end = series.start + buckets.count() * seconds;
        let name = format!(r#"smartSummarize({}, "{}", "{func}")"#, series.name, interval.text);
        let derived = series
            .derived(name, values)
            .tagged("smartSummarize", interval.text.clone())
            .tagged("smartSummarizeFunction", func.clone());
        summarized.push(Series { end, step: seconds, ..derived });
    }
    Ok(summarized)
}

fn smart_windows(args: &BoundArgs, window: Window, request: &Request) -> Vec<Window> {
    let unit = match args.get("alignTo") {
        Some(Value::Text(text)) => Unit::by_name(text),
        _ => None,
    };
    let from = unit.map(|unit| calendar::start_of(unit, window.from, &request.tz));
    from.map(|from| Window::new(from, window.until)).into_iter().collect()
}

/// What an aligned count of hits starts at: the greatest unit that is no longer than the interval.
fn unit_within(seconds: i64) -> Unit {
    match seconds {
        86_400.. => Unit::Day,
        3_600.. => Unit::Hour,
        60.. => Unit::Minute,
        _ => Unit::Second,
    }
}

fn hitcount(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let align = call.bool("alignToInterval");
    let seconds = call.interval("intervalString").seconds;
    let mut list = call.series("seriesList");
    if align && seconds > 0 {
        let from = calendar::start_of(unit_within(seconds), call.from(), call.tz());
        list = call.evaluate_argument(0, Window::new(from, call.until()))?;
        for series in &mut list {
            let whole = (series.end - series.start).div_euclid(seconds);
            series.end = series.start + whole * seconds + seconds;
        }
    }
    let interval = interval_for(call, &list)?;
    let suffix = if align { ", true" } else { "" };
    let mut counted = Vec::with_capacity(list.len());
    for series in list {
        let mut buckets = Buckets { start: series.start, end: series.end, seconds };
        buckets.start = series.end - buckets.count() * seconds;
        check_count(call, &series, buckets)?;
        let name = format!(r#"hitcount({}, "{}"{suffix})"#, series.name, interval.text);
        let derived = series.derived(name, hits(&series, buckets));
        let derived = derived.tagged("hitcount", interval.text.clone());
        counted.push(Series { start: buckets.start, step: seconds, ..derived });
    }
    Ok(counted)
}

/// Each value counts for every second until the next one, in whatever buckets these lie.
fn hits(series: &Series, buckets: Buckets) -> Vec<f64> {
    let mut totals = vec![f64::NAN; usize::try_from(buckets.count()).unwrap_or(0)];
    let points = series.points();
    let starts = (0..).map(|i| series.start + i * series.step);
    for (value, start) in points.iter().zip(starts).filter(|(v, _)| !v.is_nan()) {
        let end = (start + series.step).min(buckets.end);
        let mut at = start;
        while at < end {
            let bucket = (at - buckets.start).div_euclid(buckets.seconds);
            let next = (buckets.start + (bucket + 1) * buckets.seconds).min(end);
            if let Some(total) = usize::try_from(bucket).ok().and_then(|b| totals.get_mut(b)) {
                let hits = value * (next - at) as f64;
                *total = if total.is_nan() { hits } else { *total + hits };
            }
            at = next;
        }
    }
    totals
}

fn hitcount_windows(args: &BoundArgs, window: Window, request: &Request) -> Vec<Window> {
    let interval = match (args.get("alignToInterval"), args.get("intervalString")) {
        (Some(Value::Bool(true)), Some(Value::Text(text))) => parse_interval(text).ok(),
        _ => None,
    };
    let seconds = interval.filter(|seconds| *seconds > 0);
    let from = seconds.map(|s| calendar::start_of(unit_within(s), window.from, &request.tz));
    from.map(|from| Window::new(from, window.until)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new("a", 60, 60 + 60 * values.len() as i64, 60, values.to_vec())
    }

    #[test]
    fn hits_fall_into_the_buckets_that_their_seconds_lie_in() {
        let buckets = Buckets { start: 50, end: 180, seconds: 65 };
        assert_eq!(hits(&series(&[1.0, 2.0]), buckets), [55.0, 5.0 + 120.0]);
        let coarse = Buckets { start: 0, end: 120, seconds: 30 };
        let fine = hits(&series(&[2.0]), coarse);
        assert!(fine[0].is_nan() && fine[1].is_nan());
        assert_eq!(fine[2..], [60.0, 60.0]);
    }

    #[test]
    fn a_bucket_needs_its_share_of_points_that_fit_into_it() {
        let mut half = series(&[1.0, f64::NAN, 3.0]);
        half.x_files_factor = 0.5;
        let buckets = Buckets { start: 60, end: 240, seconds: 120 };
        assert_eq!(bucketed(&half, Aggregate::Sum, buckets), [1.0, 3.0]);
        half.x_files_factor = 0.6;
        assert!(bucketed(&half, Aggregate::Sum, buckets).iter().all(|v| v.is_nan()));
    }

    #[test]
    fn points_before_the_first_bucket_are_left_out() {
        let buckets = Buckets { start: 120, end: 240, seconds: 120 };
        assert_eq!(bucketed(&series(&[1.0, 2.0, 3.0]), Aggregate::Sum, buckets), [5.0]);
    }

    fn refusal(target: &str) -> EvalError {
        let mut request = Request::new(vec![target.to_owned()], 0, 3600, 3600);
        request.limits.generated_points_max = 1000;
        let prepared = crate::prepare(&request).unwrap();
        prepared.evaluate(&crate::Data::default()).unwrap_err()
    }

    #[test]
    fn buckets_finer_than_the_data_count_as_points_made() {
        for call in ["summarize", "smartSummarize", "hitcount"] {
            let error = refusal(&format!("{call}(constantLine(1),\"1s\")"));
            assert_eq!(error.status(), 422, "{call}: {error}");
        }
    }

    #[test]
    fn intervals_that_lead_nowhere_are_refused() {
        for call in ["summarize", "smartSummarize", "hitcount"] {
            for interval in ["0s", "-5min"] {
                let error = refusal(&format!("{call}(constantLine(1),\"{interval}\")"));
                assert!(error.to_string().contains("intervalString"), "{call}: {error}");
            }
        }
    }
}
