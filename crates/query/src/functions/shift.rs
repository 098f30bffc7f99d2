//! Functions that move data in time, or keep a part of it.

use crate::args::BoundArgs;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group, WindowRule};
use crate::limits::Limits;
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::request::Request;
use crate::series::Series;
use crate::time_expr::parse_interval;
use crate::value::Value;
use crate::window::{Window, back_by_default, shifted};

use super::calendar::{server_time, wall_clock};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "timeShift",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::required("timeShift", ParamKind::Interval).suggestions(&[
                Literal::Text("1h"),
                Literal::Text("6h"),
                Literal::Text("12h"),
                Literal::Text("1d"),
                Literal::Text("7d"),
            ]),
            Param::optional("resetEnd", ParamKind::Boolean).default(Literal::Bool(true)),
            Param::optional("alignDst", ParamKind::Boolean).default(Literal::Bool(false)),
        ],
        summary: "Shows data of another time as if they were of now.",
        detail: "A length of time without a sign goes back. With `resetEnd` false, data that reach \
                 beyond the end are kept. `alignDst` has no effect, as on a graphite-web server \
                 that runs in UTC.",
        window: WindowRule::Shifted("timeShift"),
        eval: Body::List(time_shift),
        examples: &[Example {
            target: r#"timeShift(sales.count,"7d")"#,
            shows: "a week ago, to compare with",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "timeStack",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::optional("timeShiftUnit", ParamKind::Interval)
                .default(Literal::Text("1d"))
                .suggestions(&[Literal::Text("1h"), Literal::Text("1d"), Literal::Text("7d")]),
            Param::optional("timeShiftStart", ParamKind::Integer).default(Literal::Int(0)),
            Param::optional("timeShiftEnd", ParamKind::Integer).default(Literal::Int(7)),
        ],
        summary: "Shows data of several other times as if they were of now.",
        detail: "Once for each multiple of the unit, from `timeShiftStart` to before \
                 `timeShiftEnd`.",
        window: WindowRule::Custom(stack_windows),
        eval: Body::List(time_stack),
        examples: &[Example {
            target: r#"timeStack(sales.count,"1d",0,7)"#,
            shows: "the last seven days, one over the other",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "timeSlice",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::required("startSliceAt", ParamKind::Date),
            Param::optional("endSliceAt", ParamKind::Date).default(Literal::Text("now")),
        ],
        summary: "Drops all values before one time and after another.",
        eval: Body::List(time_slice),
        examples: &[Example {
            target: r#"timeSlice(sales.count,"00:00_20260921","12:00_20260921")"#,
            shows: "one morning",
        }],
        ..Function::DEFAULT
    },
];

/// A shift as names show it, with a sign, and in seconds.
pub(super) fn shift(text: &str, seconds: i64) -> (String, i64) {
    let signed = back_by_default(text, seconds);
    let sign = if text.starts_with(|c: char| c.is_ascii_digit()) { "-" } else { "" };
    (format!("{sign}{text}"), signed)
}

fn time_shift(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let interval = call.interval("timeShift");
    let (text, seconds) = shift(&interval.text, interval.seconds);
    let reset_end = call.bool("resetEnd");
    let list = call.series("seriesList");
    let Some(original) = list.first() else { return Ok(Vec::new()) };
    let moved = call.evaluate_argument(0, shifted(call.window(), seconds))?.into_iter();
    Ok(moved
        .map(|mut series| {
            let end = series.end - series.start + original.start;
            series.end = if reset_end { original.end } else { end };
            series.start = original.start;
            series.name = format!("timeShift({}, \"{text}\")", series.name);
            series.tagged("timeShift", text.clone())
        })
        .collect())
}

fn time_stack(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let interval = call.interval("timeShiftUnit");
    let (text, seconds) = shift(&interval.text, interval.seconds);
    let shifts = call.int("timeShiftStart")..call.int("timeShiftEnd");
    check_shifts(&shifts, call.limits())?;
    let list = call.series("seriesList");
    let Some(original) = list.first() else { return Ok(Vec::new()) };
    let mut stacked = Vec::new();
    for count in shifts {
        let window = shifted(call.window(), seconds.saturating_mul(count));
        for mut series in call.evaluate_argument(0, window)? {
            (series.start, series.end) = (original.start, original.end);
            let name = format!("timeShift({}, {text}, {count})", series.name);
            let series = series.named(name).tagged("timeShiftUnit", text.clone());
            stacked.push(series.tagged("timeShift", count.to_string()));
        }
    }
    Ok(stacked)
}

pub(super) fn check_shifts(
    shifts: &std::ops::Range<i64>,
    limits: &Limits,
) -> Result<(), EvalError> {
    let asked = if shifts.is_empty() { 0 } else { shifts.end.abs_diff(shifts.start) };
    let allowed = limits.time_stack_shifts_max;
    if asked <= allowed {
        return Ok(());
    }
    Err(EvalError::Limit { limit: "time_stack_shifts_max", asked, allowed })
}

pub(super) fn stack_windows(args: &BoundArgs, window: Window, request: &Request) -> Vec<Window> {
    let (Some(Value::Text(unit)), Some(Value::Int(start)), Some(Value::Int(end))) =
        (args.get("timeShiftUnit"), args.get("timeShiftStart"), args.get("timeShiftEnd"))
    else {
        return Vec::new();
    };
    let shifts = *start..*end;
    let Ok(seconds) = parse_interval(unit) else { return Vec::new() };
    if check_shifts(&shifts, &request.limits).is_err() {
        return Vec::new();
    }
    let (_, seconds) = shift(unit, seconds);
    shifts.map(|count| shifted(window, seconds.saturating_mul(count))).collect()
}

fn time_slice(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (start, end) = (server_time(call, "startSliceAt")?, server_time(call, "endSliceAt")?);
    let from = wall_clock(call, call.from());
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|mut series| {
            // graphite-web counts from the start of the window, not from the first value.
            let times = (0..).map(|i| from + i * series.step);
            for (value, time) in series.values.make_mut().iter_mut().zip(times) {
                if time < start || time > end {
                    *value = f64::NAN;
                }
            }
            series.name = format!("timeSlice({}, {start}, {end})", series.name);
            series
                .tagged("timeSliceStart", start.to_string())
                .tagged("timeSliceEnd", end.to_string())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_go_back_unless_they_say_otherwise() {
        assert_eq!(shift("1h", 3600), ("-1h".to_owned(), -3600));
        assert_eq!(shift("-1h", -3600), ("-1h".to_owned(), -3600));
        assert_eq!(shift("+1h", 3600), ("+1h".to_owned(), 3600));
    }

    #[test]
    fn a_stack_has_a_limit_before_anything_is_read() {
        let target = "timeStack(a,\"1d\",-9223372036854775808,9223372036854775807)";
        let request = Request::new(vec![target.to_owned()], 0, 3600, 3600);
        let prepared = crate::prepare(&request).unwrap();
        assert_eq!(prepared.fetches().len(), 1);
        let mut data = crate::Data::default();
        data.insert(prepared.fetches()[0].clone(), Vec::new());
        assert_eq!(prepared.evaluate(&data).unwrap_err().status(), 422);
    }
}
