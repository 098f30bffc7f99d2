//! Functions that look at how values are spread. graphite-web has none of them: carbonapi has.

use std::collections::BTreeMap;

use crate::call::{Call, IntOrInterval};
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::Series;

/// Points by which `heatMap` tells which series lies below which.
const WEIGHT_POINTS: usize = 5;

const TUKEY: Function = Function {
    group: Group::Transform,
    params: &[
        SERIES_LIST,
        Param::required("basis", ParamKind::Float),
        Param::required("n", ParamKind::Integer),
        Param::optional("interval", ParamKind::IntOrInterval).default(Literal::Int(0)),
    ],
    detail: "Tukey's fences: the quartiles of all values, widened by `basis` times the distance between \
             them; 1.5 finds outliers, 3 extreme ones. A positive `interval` looks only at the last so \
             many points (or so much time), a negative one only at what is before these.",
    eval: Body::List(tukey),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "tukeyAbove",
        summary: "Keeps the n series with most values far above what is usual for all of them.",
        examples: &[Example { target: "tukeyAbove(a.*.latency,1.5,5)", shows: "who has outliers" }],
        ..TUKEY
    },
    Function {
        name: "tukeyBelow",
        summary: "Keeps the n series with most values far below what is usual for all of them.",
        examples: &[Example {
            target: r#"tukeyBelow(a.*.requests,1.5,5,"1h")"#,
            shows: "who lost its work in the last hour",
        }],
        ..TUKEY
    },
    Function {
        name: "heatMap",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Subtracts from each bucket of a cumulative histogram the bucket below it.",
        detail: "Series are ordered by the sum of their first five points at which all have a value. They \
                 have to share start and step. One fewer comes out than goes in.",
        eval: Body::List(heat_map),
        examples: &[Example {
            target: "heatMap(web.latency.le_*)",
            shows: "how many requests took how long",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "countValues",
        group: Group::Combine,
        params: &[
            SERIES_LIST,
            Param::optional("valuesLimit", ParamKind::Integer).default(Literal::Int(32)),
        ],
        summary: "Shows for each whole value how many series have it.",
        detail: "What stands after the point is cut off. Above so many different values \
                 (`valuesLimit`) there is only one series of zeros, `valuesLimitReached`.",
        eval: Body::List(count_values),
        examples: &[Example {
            target: "countValues(web.*.status)",
            shows: "how many hosts are in which state",
        }],
        ..Function::DEFAULT
    },
];

/// Which of so many points count.
fn span(call: &Call<'_>, first: &Series, length: usize) -> std::ops::Range<usize> {
    let asked = match call.int_or_interval("interval") {
        IntOrInterval::Points { count, .. } => count,
        IntOrInterval::Time(interval) => interval.seconds / first.step.max(1),
    };
    let points = usize::try_from(asked.unsigned_abs()).unwrap_or(usize::MAX);
    match asked {
        0 => 0..length,
        _ if points >= length => 0..length,
        1.. => length - points..length,
        _ => 0..length - points,
    }
}

fn tukey(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (basis, n) = (call.float("basis"), call.int("n"));
    if basis <= 0.0 {
        return Err(call.argument_error("basis", "has to be above 0"));
    }
    let n = usize::try_from(n).ok().filter(|n| *n > 0);
    let n = n.ok_or_else(|| call.argument_error("n", "has to be at least 1"))?;
    let list = call.series("seriesList");
    let Some(first) = list.first() else { return Ok(list) };
    let span = span(call, first, first.points().len());
    let values = |series: &Series| -> Vec<f64> {
        let points = series.points();
        let end = span.end.min(points.len());
        let part = points.get(span.start..end).unwrap_or_default();
        part.iter().copied().filter(|v| !v.is_nan()).collect()
    };
    let mut all: Vec<f64> = list.iter().flat_map(values).collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    all.sort_unstable_by(f64::total_cmp);
    // The casts cut towards zero.
    let quartile = |share: f64| all[(share * all.len() as f64) as usize];
    let (low, high) = (quartile(0.25), quartile(0.75));
    let (floor, ceiling) = (low - basis * (high - low), high + basis * (high - low));
    let above = call.name() == "tukeyAbove";
    let outside = |v: &f64| if above { *v >= ceiling } else { *v <= floor };
    let outliers = |series: &Series| values(series).into_iter().filter(outside).count();
    let mut ranked: Vec<(usize, Series)> =
        list.into_iter().map(|series| (outliers(&series), series)).collect();
    ranked.retain(|(outliers, _)| *outliers > 0);
    ranked.sort_by_key(|(outliers, _)| std::cmp::Reverse(*outliers));
    Ok(ranked.into_iter().take(n).map(|(_, series)| series).collect())
}

fn heat_map(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series("seriesList");
    let grid = |s: &Series| (s.start, s.end, s.step, s.points().len());
    if list.windows(2).any(|pair| grid(&pair[0]) != grid(&pair[1])) {
        return Err(call.error("needs series of one start, end and step"));
    }
    let list = lowest_first(list);
    let difference = |pair: &[Series]| {
        let (lower, upper) = (&pair[0], &pair[1]);
        let points = upper.points();
        let values = points.iter().zip(lower.points().iter()).map(|(u, l)| u - l).collect();
        upper.derived(format!("heatMap({},{})", upper.name, lower.name), values)
    };
    Ok(list.windows(2).map(difference).collect())
}

fn lowest_first(list: Vec<Series>) -> Vec<Series> {
    let columns: Vec<_> = list.iter().map(Series::points).collect();
    let length = columns.iter().map(|c| c.len()).min().unwrap_or(0);
    let complete = (0..length).filter(|i| columns.iter().all(|c| !c[*i].is_nan()));
    let places: Vec<usize> = complete.take(WEIGHT_POINTS).collect();
    let weight = |column: &[f64]| places.iter().map(|i| column[*i]).sum::<f64>();
    let weights: Vec<f64> = columns.iter().map(|c| weight(c)).collect();
    drop(columns);
    let mut weighted: Vec<(f64, Series)> = weights.into_iter().zip(list).collect();
    weighted.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    weighted.into_iter().map(|(_, series)| series).collect()
}

fn count_values(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let limit = usize::try_from(call.int("valuesLimit")).unwrap_or(0);
    let list = call.series("seriesList");
    let Some(first) = list.first() else { return Ok(list) };
    let length = list.iter().map(|s| s.points().len()).max().unwrap_or(0);
    let mut counts: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for series in &list {
        for (i, value) in series.points().iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            // The cast cuts towards zero.
            let value = *value as i64;
            if !counts.contains_key(&value) {
                if counts.len() >= limit {
                    return Ok(vec![first.derived("valuesLimitReached", vec![0.0; length])]);
                }
                call.generate(i64::try_from(length).unwrap_or(i64::MAX))?;
            }
            counts.entry(value).or_insert_with(|| vec![0.0; length])[i] += 1.0;
        }
    }
    Ok(counts.into_iter().map(|(v, counts)| first.derived(v.to_string(), counts)).collect())
}
