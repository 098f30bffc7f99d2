//! Functions that fill, find or move gaps, and fit values into a range.

use crate::aggregate::Aggregate;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::{format_g, python_repr};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::Series;

use super::summarize::{Buckets, bucketed};

const LIMIT: Param =
    Param::optional("limit", ParamKind::IntOrInf).default(Literal::Float(f64::INFINITY));

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "keepLastValue",
        group: Group::Transform,
        params: &[SERIES_LIST, LIMIT],
        summary: "Fills gaps with the last value before them.",
        detail: "Gaps of more than `limit` points stay.",
        eval: Body::List(keep_last_value),
        examples: &[Example {
            target: "keepLastValue(sensor.level,5)",
            shows: "short gaps closed",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "interpolate",
        group: Group::Transform,
        params: &[SERIES_LIST, LIMIT],
        summary: "Fills gaps with a straight line between the values around them.",
        detail: "Gaps of more than `limit` points stay.",
        eval: Body::List(interpolate),
        examples: &[Example { target: "interpolate(sensor.level)", shows: "no gaps inside" }],
        ..Function::DEFAULT
    },
    Function {
        name: "transformNull",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::optional("default", ParamKind::Float).default(Literal::Int(0)),
            Param::optional("referenceSeries", ParamKind::SeriesList),
        ],
        summary: "Fills gaps with a number.",
        detail: "With `referenceSeries`, only where any of those has a value.",
        eval: Body::List(transform_null),
        examples: &[Example { target: "transformNull(errors.count,0)", shows: "no news is none" }],
        ..Function::DEFAULT
    },
    Function {
        name: "isNonNull",
        aliases: &["isNotNull"],
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Shows 1 where there is a value and 0 where there is none.",
        eval: Body::List(is_non_null),
        examples: &[Example { target: "isNonNull(hosts.*.uptime)", shows: "which hosts report" }],
        ..Function::DEFAULT
    },
    Function {
        name: "delay",
        group: Group::Transform,
        params: &[SERIES_LIST, Param::required("steps", ParamKind::Integer)],
        summary: "Moves values later by so many points.",
        detail: "Earlier if the number is negative.",
        eval: Body::List(delay),
        examples: &[Example { target: "delay(requests.count,3)", shows: "three steps late" }],
        ..Function::DEFAULT
    },
    Function {
        name: "offsetToZero",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Moves a series so that its least value is 0.",
        eval: Body::List(offset_to_zero),
        examples: &[Example { target: "offsetToZero(disk.used)", shows: "changes alone" }],
        ..Function::DEFAULT
    },
    Function {
        name: "minMax",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Fits a series between 0 and 1.",
        detail: "Its least value becomes 0, its greatest 1; a flat series becomes 0.",
        eval: Body::List(min_max),
        examples: &[Example { target: "minMax(hosts.*.load)", shows: "shapes to compare" }],
        ..Function::DEFAULT
    },
    Function {
        name: "compressPeriodicGaps",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Gives a series that is sent less often than its step the step it is sent at.",
        detail: "The first three values tell how often.",
        eval: Body::List(compress_periodic_gaps),
        examples: &[Example {
            target: "compressPeriodicGaps(backup.size)",
            shows: "hourly values on a grid of minutes",
        }],
        ..Function::DEFAULT
    },
];

/// Replaces the values of each series; the name gets the function around it.
fn rewritten(call: &mut Call<'_>, rewrite: impl Fn(&mut [f64])) -> Vec<Series> {
    let function = call.name();
    let list = call.series("seriesList").into_iter();
    list.map(|mut series| {
        rewrite(series.values.make_mut());
        let name = format!("{function}({})", series.name);
        series.named(name)
    })
    .collect()
}

/// The longest gap that may be filled.
fn gap_max(call: &Call<'_>) -> usize {
    call.int_or_inf("limit").map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0))
}

/// Runs of nulls, as ranges of indexes.
fn gaps(values: &[f64]) -> Vec<std::ops::Range<usize>> {
    let mut gaps = Vec::new();
    let mut at = 0;
    while at < values.len() {
        let length = values[at..].iter().take_while(|v| v.is_nan()).count();
        if length > 0 {
            gaps.push(at..at + length);
        }
        at += length.max(1);
    }
    gaps
}

fn keep_last_value(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let gap_max = gap_max(call);
    Ok(rewritten(call, |values| {
        for gap in gaps(values) {
            if gap.start > 0 && gap.len() <= gap_max {
                let last = values[gap.start - 1];
                values[gap].fill(last);
            }
        }
    }))
}

fn interpolate(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let gap_max = gap_max(call);
    Ok(rewritten(call, |values| {
        for gap in gaps(values) {
            if gap.start == 0 || gap.end == values.len() || gap.len() > gap_max {
                continue;
            }
            let (before, after) = (values[gap.start - 1], values[gap.end]);
            let steps = gap.len() as f64 + 1.0;
            for (i, value) in values[gap].iter_mut().enumerate() {
                *value = before + (i as f64 + 1.0) * (after - before) / steps;
            }
        }
    }))
}

fn transform_null(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let default = call.float("default");
    let references = call.series("referenceSeries");
    let mut fills = Vec::new();
    for reference in &references {
        let points = reference.points();
        fills.resize(fills.len().max(points.len()), f64::NAN);
        for (fill, _) in fills.iter_mut().zip(points.iter()).filter(|(_, v)| !v.is_nan()) {
            *fill = default;
        }
    }
    let suffix = if references.is_empty() { "" } else { ",referenceSeries" };
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|mut series| {
            let fill = |i: usize| match fills.is_empty() {
                true => default,
                false => fills.get(i).copied().unwrap_or(f64::NAN),
            };
            let points = series.points().into_owned();
            let at = |i: usize| points.get(i).copied().filter(|v| !v.is_nan());
            // Longer references lengthen the series; graphite-web keeps as many points as there were,
            // the last ones.
            let length = points.len().max(fills.len());
            let kept = length - points.len()..length;
            series.values = kept.map(|i| at(i).unwrap_or_else(|| fill(i))).collect();
            let name = format!("transformNull({},{}{suffix})", series.name, format_g(default));
            let named = series.named(name).tagged("transformNull", python_repr(default));
            if references.is_empty() { named } else { named.tagged("referenceSeries", "1") }
        })
        .collect())
}

fn is_non_null(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let shown = |values: &mut [f64]| {
        values.iter_mut().for_each(|v| *v = if v.is_nan() { 0.0 } else { 1.0 });
    };
    let list = rewritten(call, shown).into_iter();
    Ok(list.map(|series| series.tagged("isNonNull", "1")).collect())
}

fn delay(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let steps = call.int("steps");
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|series| {
            let points = series.points();
            let moved = usize::try_from(steps.unsigned_abs()).unwrap_or(usize::MAX);
            let moved = moved.min(points.len());
            let nulls = vec![f64::NAN; moved];
            let values = match steps {
                // graphite-web keeps "all but the last 0" values: none.
                0 => Vec::new(),
                1.. => [&nulls, &points[..points.len() - moved]].concat(),
                _ => [&points[moved..], &nulls].concat(),
            };
            let name = format!("delay({},{steps})", series.name);
            series.derived(name, values).tagged("delay", steps.to_string())
        })
        .collect())
}

fn offset_to_zero(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|series| {
            let least = Aggregate::Min.of(&series.values);
            let tag = if least.is_nan() { "None".to_owned() } else { python_repr(least) };
            let name = format!("offsetToZero({})", series.name);
            series.named(name).tagged("offsetToZero", tag).map_values(|v| v - least)
        })
        .collect())
}

fn min_max(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(rewritten(call, |values| {
        let (least, greatest) = (Aggregate::Min.of(values), Aggregate::Max.of(values));
        let fit = |v: f64| if greatest == least { 0.0 } else { (v - least) / (greatest - least) };
        values.iter_mut().filter(|v| !v.is_nan()).for_each(|v| *v = fit(*v));
    }))
}

fn compress_periodic_gaps(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = rewritten(call, |_| {}).into_iter();
    Ok(list.map(compressed).collect())
}

/// The series at the step it is really sent at, if its first three values lie evenly apart.
fn compressed(series: Series) -> Series {
    let Some((first, apart)) = period(&series.points()) else { return series };
    let start = series.start + first * series.step;
    let step = apart * series.step;
    let values =
        bucketed(&series, Aggregate::Last, Buckets { start, end: series.end, seconds: step });
    let end = start + step * (values.len() as i64 - 1);
    // graphite-web makes a new series here, which is drawn plainly.
    Series { start, end, step, ..series.derived(series.name.clone(), values) }
}

/// Index of the first value, and how many points the next ones lie apart; zeros do not count.
fn period(points: &[f64]) -> Option<(i64, i64)> {
    let is_value = |v: f64| !v.is_nan() && v != 0.0;
    let mut seen = (0..points.len()).filter(|i| is_value(points[*i]));
    let (first, second) = (seen.next()?, seen.next()?);
    let third = second + (second - first);
    let alone = second - first > 1
        && third + 2 <= points.len()
        && is_value(points[third])
        && points[third - 1].is_nan()
        && points[third + 1].is_nan();
    alone.then(|| (first as i64, (second - first) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULL: f64 = f64::NAN;

    #[test]
    fn gaps_are_found_at_the_ends_and_in_between() {
        assert_eq!(gaps(&[NULL, 1.0, NULL, NULL, 2.0, NULL]), [0..1, 2..4, 5..6]);
        assert!(gaps(&[]).is_empty() && gaps(&[1.0]).is_empty());
    }

    #[test]
    fn a_period_is_three_values_that_stand_alone() {
        let hourly = [NULL, 1.0, NULL, NULL, 2.0, NULL, NULL, 3.0, NULL];
        assert_eq!(period(&hourly), Some((1, 3)));
        // The last point must be there to show that the third value stands alone.
        assert_eq!(period(&hourly[..8]), None);
        assert_eq!(period(&[1.0, 2.0, 3.0, 4.0]), None);
    }
}
