//! Functions that keep some series and drop the others.

use regex::Regex;

use crate::aggregate::{Aggregate, has_enough, percentile};
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::names::python_slice;
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::pattern::regex;
use crate::series::Series;

use super::alias::search_and_replace;
use super::sort::sort_by_value;

const N: Param = Param::required("n", ParamKind::Integer);
const THRESHOLD: Param = Param::required("n", ParamKind::Float);
const PERCENT: Param = Param::required("n", ParamKind::Float);
const PATTERN: Param = Param::required("pattern", ParamKind::String);
const FUNC: Param = Param::optional("func", ParamKind::AggFunc).default(Literal::Text("average"));

const COMPARE: Function = Function {
    group: Group::FilterSeries,
    params: &[SERIES_LIST, THRESHOLD],
    eval: Body::List(compare),
    ..Function::DEFAULT
};
const RANK: Function = Function {
    group: Group::FilterSeries,
    params: &[SERIES_LIST, N],
    eval: Body::List(rank),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "highest",
        params: &[SERIES_LIST, N, FUNC],
        summary: "Keeps the n series of highest value, by an aggregation.",
        examples: &[Example { target: r#"highest(a.*,3,"max")"#, shows: "the highest peaks" }],
        ..RANK
    },
    Function {
        name: "highestAverage",
        summary: "Keeps the n series of highest mean.",
        examples: &[Example { target: "highestAverage(a.*,3)", shows: "the busiest" }],
        ..RANK
    },
    Function {
        name: "highestCurrent",
        summary: "Keeps the n series of highest last value.",
        examples: &[Example { target: "highestCurrent(a.*,3)", shows: "the busiest now" }],
        ..RANK
    },
    Function {
        name: "highestMax",
        summary: "Keeps the n series of highest peak.",
        examples: &[Example { target: "highestMax(a.*,3)", shows: "the highest peaks" }],
        ..RANK
    },
    Function {
        name: "lowest",
        params: &[SERIES_LIST, N, FUNC],
        summary: "Keeps the n series of lowest value, by an aggregation.",
        examples: &[Example { target: r#"lowest(a.*,3,"min")"#, shows: "the deepest lows" }],
        ..RANK
    },
    Function {
        name: "lowestAverage",
        summary: "Keeps the n series of lowest mean.",
        examples: &[Example { target: "lowestAverage(a.*,3)", shows: "the idlest" }],
        ..RANK
    },
    Function {
        name: "lowestCurrent",
        summary: "Keeps the n series of lowest last value.",
        examples: &[Example { target: "lowestCurrent(a.*,3)", shows: "the idlest now" }],
        ..RANK
    },
    Function {
        name: "highestMin",
        summary: "Keeps the n series of highest least value.",
        examples: &[Example { target: "highestMin(a.*,3)", shows: "who is never idle" }],
        ..RANK
    },
    Function {
        name: "lowestMax",
        summary: "Keeps the n series of lowest peak.",
        examples: &[Example { target: "lowestMax(a.*,3)", shows: "who is never busy" }],
        ..RANK
    },
    Function {
        name: "lowestMin",
        summary: "Keeps the n series of lowest least value.",
        examples: &[Example { target: "lowestMin(a.*,3)", shows: "the deepest lows" }],
        ..RANK
    },
    Function {
        name: "averageAbove",
        summary: "Keeps series whose mean is above a value.",
        examples: &[Example { target: "averageAbove(a.*,25)", shows: "who is busy" }],
        ..COMPARE
    },
    Function {
        name: "averageBelow",
        summary: "Keeps series whose mean is at or below a value.",
        examples: &[Example { target: "averageBelow(a.*,25)", shows: "who is idle" }],
        ..COMPARE
    },
    Function {
        name: "currentAbove",
        summary: "Keeps series whose last value is above a value.",
        examples: &[Example { target: "currentAbove(a.*,25)", shows: "who is busy now" }],
        ..COMPARE
    },
    Function {
        name: "currentBelow",
        summary: "Keeps series whose last value is at or below a value.",
        examples: &[Example { target: "currentBelow(a.*,25)", shows: "who is idle now" }],
        ..COMPARE
    },
    Function {
        name: "maximumAbove",
        summary: "Keeps series whose greatest value is above a value.",
        examples: &[Example { target: "maximumAbove(a.*,25)", shows: "who has peaks" }],
        ..COMPARE
    },
    Function {
        name: "maximumBelow",
        summary: "Keeps series whose greatest value is at or below a value.",
        examples: &[Example { target: "maximumBelow(a.*,25)", shows: "who has no peaks" }],
        ..COMPARE
    },
    Function {
        name: "minimumAbove",
        summary: "Keeps series whose least value is above a value.",
        examples: &[Example { target: "minimumAbove(a.*,25)", shows: "who is never idle" }],
        ..COMPARE
    },
    Function {
        name: "minimumBelow",
        summary: "Keeps series whose least value is at or below a value.",
        examples: &[Example { target: "minimumBelow(a.*,25)", shows: "who is idle at times" }],
        ..COMPARE
    },
    Function {
        name: "filterSeries",
        params: &[
            SERIES_LIST,
            Param::required("func", ParamKind::AggFunc),
            Param::required("operator", ParamKind::String)
                .options(&["!=", "<", "<=", "=", ">", ">="]),
            Param::required("threshold", ParamKind::Float),
        ],
        summary: "Keeps series whose value, by an aggregation, compares well with a threshold.",
        detail: "Nothing counts as below every threshold.",
        eval: Body::List(filter_series),
        examples: &[Example {
            target: r#"filterSeries(a.*,"max",">",95)"#,
            shows: "who has peaks",
        }],
        ..COMPARE
    },
    Function {
        name: "limit",
        params: &[SERIES_LIST, N],
        summary: "Keeps the first n series.",
        eval: Body::List(limit),
        examples: &[Example { target: "limit(a.*,10)", shows: "as many as a graph can show" }],
        ..RANK
    },
    Function {
        name: "mostDeviant",
        summary: "Keeps the n series of greatest variance.",
        eval: Body::List(most_deviant),
        examples: &[Example { target: "mostDeviant(a.*,3)", shows: "what moves" }],
        ..RANK
    },
    Function {
        name: "grep",
        params: &[SERIES_LIST, PATTERN],
        summary: "Keeps series whose name a regular expression finds something in.",
        eval: Body::List(grep),
        examples: &[Example { target: r#"grep(a.*,"web[0-9]")"#, shows: "one kind of host" }],
        ..RANK
    },
    Function {
        name: "exclude",
        params: &[SERIES_LIST, PATTERN],
        summary: "Drops series whose name a regular expression finds something in.",
        eval: Body::List(exclude),
        examples: &[Example { target: r#"exclude(a.*,"web[0-9]")"#, shows: "all other hosts" }],
        ..RANK
    },
    Function {
        name: "removeEmptySeries",
        params: &[SERIES_LIST, Param::optional("xFilesFactor", ParamKind::Float)],
        summary: "Drops series without any value, or with a smaller share of values.",
        eval: Body::List(remove_empty_series),
        examples: &[Example { target: "removeEmptySeries(a.*,0.5)", shows: "who reports" }],
        ..RANK
    },
    Function {
        name: "removeZeroSeries",
        params: &[SERIES_LIST, Param::optional("xFilesFactor", ParamKind::Float)],
        summary: "Drops series of nothing but zeros and nulls, or with a smaller share of other values.",
        eval: Body::List(remove_zero_series),
        examples: &[Example { target: "removeZeroSeries(a.*.errors)", shows: "who has errors" }],
        ..RANK
    },
    Function {
        name: "averageOutsidePercentile",
        params: &[SERIES_LIST, PERCENT],
        summary: "Keeps series whose mean lies at or outside the n-th percentiles of all means.",
        detail: "The lower bound is the percentile of 100 - n. Series without a value are dropped.",
        eval: Body::List(average_outside_percentile),
        examples: &[Example {
            target: "averageOutsidePercentile(a.*,95)",
            shows: "who stands out",
        }],
        ..RANK
    },
    Function {
        name: "removeBetweenPercentile",
        params: &[SERIES_LIST, PERCENT],
        summary: "Drops series that at all times lie between the n-th percentiles of all series.",
        detail: "The lower bound is the percentile of 100 - n. Nulls take no part.",
        eval: Body::List(remove_between_percentile),
        examples: &[Example { target: "removeBetweenPercentile(a.*,95)", shows: "who stands out" }],
        ..RANK
    },
    Function {
        name: "useSeriesAbove",
        params: &[
            SERIES_LIST,
            Param::required("value", ParamKind::Float),
            Param::required("search", ParamKind::String),
            Param::required("replace", ParamKind::String),
        ],
        summary: "Shows other series in place of those that reach above a value.",
        detail: "The other series are found by replacing in the names. Series with nulls are left out.",
        eval: Body::List(use_series_above),
        examples: &[Example {
            target: r#"useSeriesAbove(a.*.requests,10,"requests","latency")"#,
            shows: "latency where there is work",
        }],
        ..RANK
    },
];

fn kept(
    mut list: Vec<Series>,
    keep: impl FnMut(&Series) -> bool,
) -> Result<Vec<Series>, EvalError> {
    list.retain(keep);
    Ok(list)
}

/// The functions are called after the aggregation that they rank or compare by, unless it is given.
fn named_after(call: &Call<'_>, rest: &str) -> Aggregate {
    let aggregate = Aggregate::by_name(&rest.to_lowercase());
    aggregate.unwrap_or_else(|| call.agg("func"))
}

fn rank(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let name = call.name();
    let lowest = name.strip_prefix("lowest");
    let rest = lowest.or(name.strip_prefix("highest")).unwrap_or(name);
    let (aggregate, n) = (named_after(call, rest), call.int("n"));
    let list = sort_by_value(call.series("seriesList"), aggregate, lowest.is_none());
    Ok(python_slice(&list, 0, Some(n)).to_vec())
}

fn compare(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let name = call.name();
    let above = name.strip_suffix("Above");
    let rest = above.or(name.strip_suffix("Below")).unwrap_or(name);
    let operator = if above.is_some() { ">" } else { "<=" };
    let (aggregate, threshold) = (named_after(call, rest), call.float("n"));
    kept(call.series("seriesList"), |s| holds(aggregate.of(&s.points()), operator, threshold))
}

fn filter_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (aggregate, operator) = (call.agg("func"), call.string("operator"));
    let threshold = call.float("threshold");
    kept(call.series("seriesList"), |s| holds(aggregate.of(&s.points()), &operator, threshold))
}

/// Null is unlike and below everything.
fn holds(value: f64, operator: &str, threshold: f64) -> bool {
    match operator {
        "=" => value == threshold,
        "!=" => value != threshold,
        ">" => value > threshold,
        ">=" => value >= threshold,
        "<" => value.is_nan() || value < threshold,
        _ => value.is_nan() || value <= threshold,
    }
}

fn limit(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let n = call.int("n");
    Ok(python_slice(&call.series("seriesList"), 0, Some(n)).to_vec())
}

fn most_deviant(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let n = call.int("n");
    let list = call.series("seriesList").into_iter();
    let mut deviants: Vec<(f64, Series)> =
        list.filter_map(|s| Some((variance(&s.points())?, s))).collect();
    deviants.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let list: Vec<Series> = deviants.into_iter().map(|(_, series)| series).collect();
    Ok(python_slice(&list, 0, Some(n)).to_vec())
}

/// `None` without any value.
fn variance(points: &[f64]) -> Option<f64> {
    let mean = Aggregate::Average.of(points);
    if mean.is_nan() {
        return None;
    }
    let squares: Vec<f64> = points.iter().map(|v| (v - mean) * (v - mean)).collect();
    Some(Aggregate::Average.of(&squares))
}

fn pattern(call: &Call<'_>) -> Result<Regex, EvalError> {
    regex(&call.string("pattern")).map_err(|e| call.argument_error("pattern", e))
}

fn grep(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let pattern = pattern(call)?;
    kept(call.series("seriesList"), |s| pattern.is_match(&s.name))
}

fn exclude(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let pattern = pattern(call)?;
    kept(call.series("seriesList"), |s| !pattern.is_match(&s.name))
}

fn remove_empty_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let share = call.float_opt("xFilesFactor").unwrap_or(0.0);
    kept(call.series("seriesList"), |s| has_enough(&s.points(), share))
}

fn remove_zero_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let share = call.float_opt("xFilesFactor").unwrap_or(0.0);
    let has_enough_values = |series: &Series| {
        let values: Vec<f64> =
            series.points().iter().map(|v| if *v == 0.0 { f64::NAN } else { *v }).collect();
        has_enough(&values, share)
    };
    let list = kept(call.series("seriesList"), has_enough_values)?.into_iter();
    Ok(list.map(|series| series.tagged("removeZeroSeries", share.to_string())).collect())
}

/// The percent of the upper bound; the lower bound is as far from 0 as it is from 100.
fn upper_percent(call: &Call<'_>, list: &[Series]) -> Result<f64, EvalError> {
    let n = call.float("n");
    if !list.is_empty() && !(0.0..=100.0).contains(&n) {
        return Err(call.argument_error("n", "has to be between 0 and 100"));
    }
    Ok(if n < 50.0 { 100.0 - n } else { n })
}

/// Bounds of a row: what lies between them is not outside.
fn bounds(row: &[f64], upper_percent: f64) -> (f64, f64) {
    (percentile(row, 100.0 - upper_percent, false), percentile(row, upper_percent, false))
}

fn outside(value: f64, (low, high): (f64, f64)) -> bool {
    value <= low || value >= high
}

fn average_outside_percentile(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series("seriesList");
    let upper = upper_percent(call, &list)?;
    let average = |s: &Series| Aggregate::Average.of(&s.points());
    let averages: Vec<f64> = list.iter().map(average).collect();
    let bounds = bounds(&averages, upper);
    kept(list, |s| outside(average(s), bounds))
}

fn remove_between_percentile(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series("seriesList");
    let upper = upper_percent(call, &list)?;
    let columns: Vec<_> = list.iter().map(Series::points).collect();
    let longest = columns.iter().map(|c| c.len()).max().unwrap_or(0);
    let row = |i: usize| columns.iter().filter_map(|c| c.get(i).copied()).collect::<Vec<f64>>();
    let bounds: Vec<_> = (0..longest).map(|i| bounds(&row(i), upper)).collect();
    let sometimes_outside =
        |s: &Series| s.points().iter().zip(&bounds).any(|(value, bounds)| outside(*value, *bounds));
    let keep: Vec<bool> = list.iter().map(sometimes_outside).collect();
    drop(columns);
    let kept = list.into_iter().zip(keep).filter_map(|(series, keep)| keep.then_some(series));
    Ok(kept.collect())
}

fn use_series_above(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let value = call.float("value");
    let list = call.series("seriesList");
    if list.is_empty() {
        return Ok(list);
    }
    let (search, replace) = search_and_replace(call)?;
    let reaches_above =
        |s: &&Series| !s.values.iter().any(|v| v.is_nan()) && Aggregate::Max.of(&s.values) > value;
    let names: Vec<_> = list
        .iter()
        .filter(reaches_above)
        .map(|s| replace.replace_all(&search, &s.name).into_owned())
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found = call.evaluate_text(&format!("group({})", names.join(",")))?;
    kept(found, |s| !s.values.is_empty())
}
