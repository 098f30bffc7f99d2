//! Functions that make one series of many: a value of each row of points.

use crate::aggregate::{Aggregate, has_enough, percentile, without_series};
use crate::args::BoundArgs;
use crate::call::Call;
use crate::error::EvalError;
use crate::fold::{Fold, FoldSpec, FoldedGroup};
use crate::function::{Body, Example, Folding, Function, Group};
use crate::names::path_expressions;
use crate::normalize::{Normalized, normalize};
use crate::number::format_g;
use crate::param::{Literal, Param, ParamKind, SERIES_LIST, SERIES_LISTS};
use crate::series::{Grid, Series, grouped};
use crate::tags::Tags;
use crate::value::Value;

const FUNC: Param = Param::required("func", ParamKind::AggFuncOfRows);
const X_FILES_FACTOR: Param = Param::optional("xFilesFactor", ParamKind::Float);
const POSITION: Param = Param::optional("position", ParamKind::Node).multiple();
const FIRST: Param = Param::required("seriesListFirstPos", ParamKind::SeriesList);
const SECOND: Param = Param::required("seriesListSecondPos", ParamKind::SeriesList);

/// Most rows of this table differ only in what they say of themselves.
const COMBINE: Function = Function {
    group: Group::Combine,
    params: &[SERIES_LISTS],
    aggregates: true,
    fold: Some(&Folding { spec: fold_of_rows, finish: finish_rows }),
    eval: Body::List(combine_rows),
    ..Function::DEFAULT
};
/// carbonapi's and Metrictank's short names. As callbacks these are aggregations, not functions.
const PLAIN: Function = Function {
    detail: "carbonapi's name for the function whose name ends in `Series`.",
    aggregates: false,
    ..COMBINE
};
const WITH_WILDCARDS: Function = Function {
    params: &[SERIES_LIST, POSITION],
    detail: "Series whose names are equal without the parts at these places become one.",
    fold: None,
    eval: Body::List(combine_wildcards),
    ..COMBINE
};
const LISTS: Function = Function {
    params: &[FIRST, SECOND],
    detail: "The first of one list goes with the first of the other, and so on.",
    fold: None,
    eval: Body::List(combine_pairs),
    ..COMBINE
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "sumSeries",
        aliases: &["sum"],
        summary: "Adds series up.",
        examples: &[Example { target: "sumSeries(a.*.requests)", shows: "all hosts together" }],
        ..COMBINE
    },
    Function {
        name: "averageSeries",
        aliases: &["avg"],
        summary: "Shows the mean of series.",
        examples: &[Example { target: "averageSeries(a.*.load)", shows: "a typical host" }],
        ..COMBINE
    },
    Function {
        name: "minSeries",
        summary: "Shows the least of series at each point.",
        examples: &[Example { target: "minSeries(a.*.free)", shows: "the fullest disk" }],
        ..COMBINE
    },
    Function {
        name: "maxSeries",
        summary: "Shows the greatest of series at each point.",
        examples: &[Example { target: "maxSeries(a.*.load)", shows: "the busiest host" }],
        ..COMBINE
    },
    Function {
        name: "diffSeries",
        summary: "Subtracts from the first series all others.",
        examples: &[Example { target: "diffSeries(a.total,a.free)", shows: "what is in use" }],
        ..COMBINE
    },
    Function {
        name: "stddevSeries",
        summary: "Shows the standard deviation of series at each point.",
        examples: &[Example { target: "stddevSeries(a.*.load)", shows: "how even load is" }],
        ..COMBINE
    },
    Function {
        name: "rangeOfSeries",
        summary: "Shows the greatest less the least of series at each point.",
        examples: &[Example { target: "rangeOfSeries(a.*.load)", shows: "how even load is" }],
        ..COMBINE
    },
    Function {
        name: "multiplySeries",
        summary: "Multiplies series; null where one of them is.",
        detail: "A single series stays as it is.",
        eval: Body::List(multiply_series),
        examples: &[Example { target: "multiplySeries(a.rate,a.size)", shows: "bytes a second" }],
        ..COMBINE
    },
    Function {
        name: "count",
        summary: "Shows how many series have a value at each point.",
        detail: "carbonapi's name. `countSeries` counts series whether they have a value or not.",
        examples: &[Example { target: "count(a.*.load)", shows: "how many hosts report" }],
        ..PLAIN
    },
    Function {
        name: "diff",
        summary: "Subtracts from the first series all others.",
        examples: &[Example { target: "diff(a.total,a.free)", shows: "what is in use" }],
        ..PLAIN
    },
    Function {
        name: "max",
        summary: "Shows the greatest of series at each point.",
        examples: &[Example { target: "max(a.*.load)", shows: "the busiest host" }],
        ..PLAIN
    },
    Function {
        name: "min",
        summary: "Shows the least of series at each point.",
        examples: &[Example { target: "min(a.*.free)", shows: "the fullest disk" }],
        ..PLAIN
    },
    Function {
        name: "multiply",
        summary: "Multiplies series; null where one of them is.",
        examples: &[Example { target: "multiply(a.rate,a.size)", shows: "bytes a second" }],
        ..PLAIN
    },
    Function {
        name: "stddev",
        summary: "Shows the standard deviation of series at each point.",
        examples: &[Example { target: "stddev(a.*.load)", shows: "how even load is" }],
        ..PLAIN
    },
    Function {
        name: "aggregate",
        params: &[SERIES_LIST, FUNC, X_FILES_FACTOR],
        summary: "Combines series by an aggregation.",
        detail: "A point needs at least this share of series (`xFilesFactor`) to have a value.",
        aggregates: false,
        fold: Some(&Folding { spec: fold_of_aggregate, finish: finish_aggregate }),
        eval: Body::List(aggregate),
        examples: &[Example {
            target: r#"aggregate(a.*.load,"median",0.5)"#,
            shows: "the middle one, if half of the hosts report",
        }],
        ..COMBINE
    },
    Function {
        name: "aggregateWithWildcards",
        aliases: &["aggregateSeriesWithWildcards"],
        params: &[SERIES_LIST, FUNC, POSITION],
        summary: "Combines series by an aggregation, all that differ only at some places in the name.",
        aggregates: false,
        examples: &[Example {
            target: r#"aggregateWithWildcards(a.*.cpu.*,"max",1)"#,
            shows: "the busiest host for each kind of time",
        }],
        ..WITH_WILDCARDS
    },
    Function {
        name: "sumSeriesWithWildcards",
        summary: "Adds up all series that differ only at some places in the name.",
        examples: &[Example {
            target: "sumSeriesWithWildcards(a.*.cpu.*,1)",
            shows: "all hosts for each kind of time",
        }],
        ..WITH_WILDCARDS
    },
    Function {
        name: "averageSeriesWithWildcards",
        summary: "Shows the mean of all series that differ only at some places in the name.",
        examples: &[Example {
            target: "averageSeriesWithWildcards(a.*.cpu.*,1)",
            shows: "a typical host for each kind of time",
        }],
        ..WITH_WILDCARDS
    },
    Function {
        name: "multiplySeriesWithWildcards",
        summary: "Multiplies all series that differ only at some places in the name.",
        examples: &[Example {
            target: "multiplySeriesWithWildcards(a.*.{rate,size},2)",
            shows: "bytes a second of each host",
        }],
        ..WITH_WILDCARDS
    },
    Function {
        name: "aggregateSeriesLists",
        params: &[FIRST, SECOND, FUNC, X_FILES_FACTOR],
        summary: "Combines two lists of series pair by pair, by an aggregation.",
        aggregates: false,
        examples: &[Example {
            target: r#"aggregateSeriesLists(a.*.in,a.*.out,"max")"#,
            shows: "the busier direction of each host",
        }],
        ..LISTS
    },
    Function {
        name: "sumSeriesLists",
        summary: "Adds two lists of series pair by pair.",
        examples: &[Example {
            target: "sumSeriesLists(a.*.in,a.*.out)",
            shows: "both directions of each host",
        }],
        ..LISTS
    },
    Function {
        name: "diffSeriesLists",
        summary: "Subtracts the second list of series from the first, pair by pair.",
        examples: &[Example {
            target: "diffSeriesLists(a.*.total,a.*.free)",
            shows: "what is in use on each host",
        }],
        ..LISTS
    },
    Function {
        name: "multiplySeriesLists",
        summary: "Multiplies two lists of series pair by pair.",
        examples: &[Example {
            target: "multiplySeriesLists(a.*.rate,a.*.size)",
            shows: "bytes a second of each host",
        }],
        ..LISTS
    },
    Function {
        name: "countSeries",
        params: &[Param::optional("seriesLists", ParamKind::SeriesList).multiple()],
        summary: "Shows how many series there are.",
        fold: Some(&Folding { spec: fold_of_rows, finish: finish_count }),
        eval: Body::List(count_series),
        examples: &[Example { target: "countSeries(a.*.load)", shows: "how many hosts" }],
        ..COMBINE
    },
    Function {
        name: "powSeries",
        params: &[Param::required("seriesList", ParamKind::SeriesList).multiple()],
        summary: "Raises the first series to the power of the second, that to the third, and so on.",
        eval: Body::List(pow_series),
        examples: &[Example { target: "powSeries(a.b,a.c)", shows: "`b` to the power of `c`" }],
        ..COMBINE
    },
    Function {
        name: "percentileOfSeries",
        params: &[
            SERIES_LIST,
            Param::required("n", ParamKind::Float),
            Param::optional("interpolate", ParamKind::Boolean).default(Literal::Bool(false)),
        ],
        summary: "Shows the n-th percentile of series at each point.",
        aggregates: false,
        eval: Body::List(percentile_of_series),
        examples: &[Example {
            target: "percentileOfSeries(a.*.latency,95)",
            shows: "what all but a twentieth of the hosts stay below",
        }],
        ..COMBINE
    },
];

/// `sum` of `sumSeries`, `sumSeriesLists` and `sumSeriesWithWildcards`.
fn method(name: &'static str) -> &'static str {
    name.split_once("Series").map_or(name, |(method, _)| method)
}

/// The aggregation that the call gives, or that its function is named after.
fn func(call: &Call<'_>) -> String {
    let named = call.name().starts_with("aggregate");
    if named {
        without_series(&call.string("func")).to_owned()
    } else {
        method(call.name()).to_owned()
    }
}

/// One series of all, by an aggregation; `None` if there are none.
pub(super) fn combine(
    call: &Call<'_>,
    lists: Vec<Vec<Series>>,
    func: &str,
    x_files_factor: Option<f64>,
) -> Option<Series> {
    let all = normalize(lists)?;
    let func = without_series(func);
    let aggregate = Aggregate::by_name(func).expect("bound as an aggregation, or of the table");
    let x_files_factor = x_files_factor.unwrap_or(call.x_files_factor());
    let of_row = |row: &[f64]| match has_enough(row, x_files_factor) {
        true => aggregate.of(row),
        false => f64::NAN,
    };
    let values = match Fold::by_name(func) {
        Some(fold) => all.fold(fold, x_files_factor),
        None => all.map_rows(of_row),
    };
    let (paths, tags) = (path_expressions(&all.series), common_tags(&all.series));
    Some(combined(call, (func, x_files_factor), (&paths, tags), all.grid, values))
}

/// As [`combine`], of series of one pattern that the store has folded.
pub(super) fn combine_folded(
    call: &Call<'_>,
    pattern: &str,
    group: &FoldedGroup,
    func: &str,
    x_files_factor: Option<f64>,
) -> Series {
    let x_files_factor = x_files_factor.unwrap_or(call.x_files_factor());
    let FoldedGroup { tags, partial, .. } = group;
    let values = partial.finish(x_files_factor);
    let how = (without_series(func), x_files_factor);
    combined(call, how, (pattern, tags.clone()), partial.grid(), values)
}

fn combined(
    call: &Call<'_>,
    (func, x_files_factor): (&str, f64),
    (paths, tags): (&str, Tags),
    grid: Grid,
    values: Vec<f64>,
) -> Series {
    let mut series = call.new_series(format!("{func}Series({paths})"), grid, values);
    (series.x_files_factor, series.tags) = (x_files_factor, tags);
    series.tags.entry("name".to_owned()).or_insert_with(|| series.name.clone());
    series.tagged("aggregatedBy", func)
}

/// The tags that all series have with the same value.
fn common_tags(list: &[Series]) -> Tags {
    let Some((first, others)) = list.split_first() else { return Tags::new() };
    let mut tags = first.tags.clone();
    tags.retain(|tag, value| others.iter().all(|s| s.tags.get(tag) == Some(value)));
    tags
}

fn combine_rows(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let lists = call.series_lists("seriesLists");
    Ok(combine(call, lists, method(call.name()), None).into_iter().collect())
}

/// Of all series in one group.
fn fold_of_all(func: &str) -> Option<FoldSpec> {
    Some(FoldSpec { fold: Fold::by_name(func)?, group_by: Vec::new() })
}

fn fold_of_rows(function: &Function, args: &BoundArgs) -> Option<FoldSpec> {
    fold_of_all(method(function.name)).filter(|_| args.all("seriesLists").len() == 1)
}

fn finish_rows(
    call: &mut Call<'_>,
    pattern: &str,
    groups: &[&FoldedGroup],
) -> Result<Vec<Series>, EvalError> {
    let func = method(call.name());
    Ok(groups.iter().map(|group| combine_folded(call, pattern, group, func, None)).collect())
}

fn multiply_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mut lists = call.series_lists("seriesLists");
    if let [single] = &mut lists[..]
        && single.len() == 1
    {
        return Ok(std::mem::take(single));
    }
    Ok(combine(call, lists, "multiply", None).into_iter().collect())
}

fn aggregate(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (func, x_files_factor) = (func(call), call.float_opt("xFilesFactor"));
    let list = call.series("seriesList");
    Ok(combine(call, vec![list], &func, x_files_factor).into_iter().collect())
}

fn fold_of_aggregate(_function: &Function, args: &BoundArgs) -> Option<FoldSpec> {
    fold_of_all(without_series(&args.get("func")?.to_text()))
}

fn finish_aggregate(
    call: &mut Call<'_>,
    pattern: &str,
    groups: &[&FoldedGroup],
) -> Result<Vec<Series>, EvalError> {
    let (func, x_files_factor) = (func(call), call.float_opt("xFilesFactor"));
    let one = |group: &&FoldedGroup| combine_folded(call, pattern, group, &func, x_files_factor);
    Ok(groups.iter().map(one).collect())
}

fn combine_wildcards(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (func, places) = (func(call), call.ints("position"));
    let wild = |place: usize| i64::try_from(place).is_ok_and(|place| places.contains(&place));
    let rest = |series: &Series| {
        let parts = series.name.split('.').enumerate().filter(|(place, _)| !wild(*place));
        parts.map(|(_, part)| part).collect::<Vec<_>>().join(".")
    };
    let groups = grouped(call.series("seriesList"), rest).into_iter();
    let one = |(name, list)| Some(Series { name, ..combine(call, vec![list], &func, None)? });
    Ok(groups.filter_map(one).collect())
}

fn combine_pairs(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let func = func(call);
    let given = call.name() == "aggregateSeriesLists";
    let x_files_factor = if given { call.float_opt("xFilesFactor") } else { None };
    let (first, second) = (call.series("seriesListFirstPos"), call.series("seriesListSecondPos"));
    if first.len() != second.len() {
        return Err(call.error("both lists have to hold the same number of series"));
    }
    let one = |(a, b): (Series, Series)| {
        let name = format!("{func}Series({},{})", a.name, b.name);
        Some(Series { name, ..combine(call, vec![vec![a, b]], &func, x_files_factor)? })
    };
    Ok(first.into_iter().zip(second).filter_map(one).collect())
}

fn count_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let lists = call.series_lists("seriesLists");
    if lists.is_empty() {
        let mut line = call.apply("constantLine", vec![Value::Int(0)])?;
        for series in &mut line {
            series.name = "0".to_owned();
            series.tags = crate::tags::tags_of("0");
            series.path_expression = "countSeries()".to_owned();
        }
        return Ok(line);
    }
    let Some(all) = normalize(lists) else { return Ok(Vec::new()) };
    let name = format!("countSeries({})", path_expressions(&all.series));
    let values = all.map_rows(|row| row.len() as f64);
    Ok(vec![call.new_series(name, all.grid, values)])
}

fn finish_count(
    call: &mut Call<'_>,
    pattern: &str,
    groups: &[&FoldedGroup],
) -> Result<Vec<Series>, EvalError> {
    let one = |group: &&FoldedGroup| {
        let partial = &group.partial;
        let values = vec![partial.series() as f64; partial.slots()];
        call.new_series(format!("countSeries({pattern})"), partial.grid(), values)
    };
    Ok(groups.iter().map(one).collect())
}

fn pow_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let Some(all) = normalize(call.series_lists("seriesList")) else { return Ok(Vec::new()) };
    let names: Vec<&str> = all.series.iter().map(|s| s.name.as_str()).collect();
    let name = format!("powSeries({})", names.join(","));
    let power = |row: &[f64]| row.iter().copied().reduce(power_or_null).unwrap_or(f64::NAN);
    let values = all.map_rows(power);
    Ok(vec![call.new_series(name, all.grid, values)])
}

/// Null where there is no real power, or where it is too great for a float.
pub(super) fn power_or_null(base: f64, exponent: f64) -> f64 {
    // Without this, a power of 0 would make a 1 of a null.
    if base.is_nan() || exponent.is_nan() {
        return f64::NAN;
    }
    let power = base.powf(exponent);
    let overflow = power.is_infinite() && base.is_finite() && exponent.is_finite();
    if overflow { f64::NAN } else { power }
}

fn percentile_of_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (percent, interpolate) = (call.float("n"), call.bool("interpolate"));
    if percent <= 0.0 {
        return Err(call.argument_error("n", "has to be above 0"));
    }
    let Some(all) = normalize(vec![call.series("seriesList")]) else { return Ok(Vec::new()) };
    let Normalized { series, grid } = &all;
    let has_values = || series.iter().any(|s| s.values.iter().any(|v| !v.is_nan()));
    if percent > 100.0 && has_values() {
        return Err(call.argument_error("n", "has to be at most 100"));
    }
    let path = series.first().map_or("", |s| &s.path_expression);
    let name = format!("percentileOfSeries({path},{})", format_g(percent));
    let values = all.map_rows(|row| percentile(row, percent, interpolate));
    Ok(vec![call.new_series(name, *grid, values)])
}
