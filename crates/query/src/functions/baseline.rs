//! Functions that compare with the same hours of other days. graphite-web has none of them: carbonapi has.

use std::collections::HashMap;

use crate::aggregate::Aggregate;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group, WindowRule};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::{Series, grouped};
use crate::window::shifted;

use super::shift::{check_shifts, shift, stack_windows};

const BASELINE: Function = Function {
    group: Group::Calculate,
    params: &[
        SERIES_LIST,
        Param::optional("timeShiftUnit", ParamKind::Interval)
            .default(Literal::Text("1d"))
            .suggestions(&[Literal::Text("1h"), Literal::Text("1d"), Literal::Text("7d")]),
        Param::optional("timeShiftStart", ParamKind::Integer).default(Literal::Int(0)),
        Param::optional("timeShiftEnd", ParamKind::Integer).default(Literal::Int(7)),
        Param::optional("maxAbsentPercent", ParamKind::Float),
        Param::optional("minAvg", ParamKind::Float),
    ],
    window: WindowRule::Custom(stack_windows),
    eval: Body::List(baseline),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "baseline",
        summary: "Shows the median of the same series at several other times.",
        detail: "One time for each multiple of the unit, from `timeShiftStart` to before \
                 `timeShiftEnd`, without 0. Baselines with more nulls than `maxAbsentPercent` or with \
                 a mean below `minAvg` are left out.",
        examples: &[Example {
            target: r#"baseline(sales.count,"7d",1,5)"#,
            shows: "what is usual on this day of the week",
        }],
        ..BASELINE
    },
    Function {
        name: "baselineAberration",
        summary: "Shows series divided by their baselines.",
        detail: "1 is as usual, 1.1 is 10 % above. Null where the baseline is 0. See `baseline`.",
        examples: &[Example {
            target: r#"baselineAberration(sales.count,"7d",1,5)"#,
            shows: "how far sales are from what is usual",
        }],
        ..BASELINE
    },
];

fn baseline(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let interval = call.interval("timeShiftUnit");
    let (_, seconds) = shift(&interval.text, interval.seconds);
    let shifts = call.int("timeShiftStart")..call.int("timeShiftEnd");
    check_shifts(&shifts, call.limits())?;
    let mut current: HashMap<String, Series> = HashMap::new();
    for series in call.series("seriesList") {
        current.insert(series.name.clone(), series);
    }
    let mut others = Vec::new();
    for count in shifts.filter(|count| *count != 0) {
        let offset = seconds.saturating_mul(count);
        for mut series in call.evaluate_argument(0, shifted(call.window(), offset))? {
            series.start = series.start.saturating_sub(offset);
            series.end = series.end.saturating_sub(offset);
            others.push(series);
        }
    }
    let groups = grouped(others, |series| series.name.clone()).into_iter();
    if call.name() == "baseline" {
        return Ok(groups.filter_map(|(_, group)| usual(call, &group)).collect());
    }
    let aberration = |(name, group): (String, Vec<Series>)| {
        let now = current.get(&name)?;
        Some(aberration(now, &usual(call, &group)?))
    };
    Ok(groups.filter_map(aberration).collect())
}

/// The median of each point; `None` if it does not do as a baseline.
fn usual(call: &Call<'_>, group: &[Series]) -> Option<Series> {
    let first = group.first()?;
    let columns: Vec<_> = group.iter().map(Series::points).collect();
    let median = |i: usize| {
        let row: Vec<f64> = columns.iter().filter_map(|c| c.get(i).copied()).collect();
        Aggregate::Median.of(&row)
    };
    let values: Vec<f64> = (0..first.points().len()).map(median).collect();
    let nulls = values.iter().filter(|v| v.is_nan()).count();
    let absent = 100.0 * nulls as f64 / values.len() as f64;
    let too_many_nulls = call.float_opt("maxAbsentPercent").is_some_and(|max| absent > max);
    let mean = Aggregate::Average.of(&values);
    let too_low = call.float_opt("minAvg").is_some_and(|min| mean < min);
    let name = format!("baseline({})", first.name);
    (!too_many_nulls && !too_low).then(|| first.derived(name, values))
}

fn aberration(now: &Series, usual: &Series) -> Series {
    let share = |(now, usual): (&f64, &f64)| if *usual == 0.0 { f64::NAN } else { now / usual };
    let mut values: Vec<f64> = now.points().iter().zip(usual.values.iter()).map(share).collect();
    values.resize(usual.values.len(), f64::NAN);
    usual.derived(format!("baselineAberration({})", now.name), values)
}
