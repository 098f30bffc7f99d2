//! Functions that divide series by series.

use std::collections::{BTreeSet, HashMap};

use crate::aggregate::Aggregate;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::names::{Node, node_key, path_expressions};
use crate::normalize::normalize;
use crate::param::{Param, ParamKind, SERIES_LIST};
use crate::series::{Grid, Series, grouped};
use crate::value::Value;

use super::combine::combine;

const DIVIDENDS: Param = Param::required("dividendSeriesList", ParamKind::SeriesList);
const NODES: Param = Param::optional("nodes", ParamKind::NodeOrTag).multiple();

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "divideSeries",
        group: Group::Combine,
        params: &[DIVIDENDS, Param::required("divisorSeries", ParamKind::SeriesList)],
        summary: "Divides every series by another one.",
        detail: "Null where the divisor is null or 0, and everywhere if there is no divisor.",
        eval: Body::List(divide_series),
        examples: &[Example { target: "divideSeries(a.time,a.count)", shows: "time a request" }],
        ..Function::DEFAULT
    },
    Function {
        name: "divideSeriesLists",
        group: Group::Combine,
        params: &[DIVIDENDS, Param::required("divisorSeriesList", ParamKind::SeriesList)],
        summary: "Divides one list of series by another, pair by pair.",
        eval: Body::List(divide_series_lists),
        examples: &[Example {
            target: "divideSeriesLists(a.*.time,a.*.count)",
            shows: "time a request of each host",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "asPercent",
        aliases: &["pct"],
        group: Group::Combine,
        params: &[SERIES_LIST, Param::optional("total", ParamKind::Any), NODES],
        summary: "Shows series as percent of a total.",
        detail: "The total is a number, a series, a series for each, or the sum of all if it is left \
                 out. With nodes, series and totals go together that share those parts of the name.",
        aggregates: true,
        eval: Body::List(as_percent),
        examples: &[
            Example { target: "asPercent(a.*.requests)", shows: "how work is shared" },
            Example { target: "asPercent(a.used,a.size)", shows: "how full it is" },
            Example { target: "asPercent(a.*.used,a.*.size,1)", shows: "how full each is" },
        ],
        ..Function::DEFAULT
    },
    Function {
        name: "weightedAverage",
        group: Group::Combine,
        params: &[
            Param::required("seriesListAvg", ParamKind::SeriesList),
            Param::required("seriesListWeight", ParamKind::SeriesList),
            NODES,
        ],
        summary: "Shows the mean of series by weight.",
        detail: "Values and weights go together that share the given parts of the name.",
        eval: Body::List(weighted_average),
        examples: &[Example {
            target: "weightedAverage(a.*.latency,a.*.requests,1)",
            shows: "latency as users see it",
        }],
        ..Function::DEFAULT
    },
];

/// Null if either is, or if it would be a division by 0.
fn quotient(dividend: f64, divisor: f64) -> f64 {
    if divisor == 0.0 { f64::NAN } else { dividend / divisor }
}

fn percent(value: f64, total: f64) -> f64 {
    quotient(value, total) * 100.0
}

/// Values of two columns of any lengths, nulls where one has ended.
fn zip_longest(a: &[f64], b: &[f64], f: fn(f64, f64) -> f64) -> Vec<f64> {
    let at = |column: &[f64], i: usize| column.get(i).copied().unwrap_or(f64::NAN);
    (0..a.len().max(b.len())).map(|i| f(at(a, i), at(b, i))).collect()
}

/// A series of two, on their common grid.
fn pairwise(
    call: &Call<'_>,
    function: &str,
    (a, b): (Series, Series),
    f: fn(f64, f64) -> f64,
) -> Series {
    let name = format!("{function}({},{})", a.name, b.name);
    let both = normalize(vec![vec![a, b]]).expect("two series");
    let values = both.map_rows(|row| f(row[0], row[1]));
    call.new_series(name, both.grid, values)
}

fn divide_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let dividends = call.series("dividendSeriesList");
    let divisors = call.series("divisorSeries");
    let nothing = |series: Series| {
        let name = format!("divideSeries({},MISSING)", series.name);
        series.named(name).map_values(|_| f64::NAN)
    };
    match &divisors[..] {
        [] => Ok(dividends.into_iter().map(nothing).collect()),
        [divisor] => {
            let one = |s| pairwise(call, "divideSeries", (s, divisor.clone()), quotient);
            Ok(dividends.into_iter().map(one).collect())
        }
        _ => {
            let message = format!("has to be one series, not {}", divisors.len());
            Err(call.argument_error("divisorSeries", message))
        }
    }
}

fn divide_series_lists(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let dividends = call.series("dividendSeriesList");
    let divisors = call.series("divisorSeriesList");
    if dividends.len() != divisors.len() {
        return Err(call.error("both lists have to hold the same number of series"));
    }
    let pairs = dividends.into_iter().zip(divisors);
    Ok(pairs.map(|pair| pairwise(call, "divideSeries", pair, quotient)).collect())
}

/// What series are a share of.
enum Total {
    Sum,
    Number { text: String, value: f64 },
    List(Vec<Series>),
}

fn total(call: &mut Call<'_>) -> Result<Total, EvalError> {
    match call.value("total") {
        None | Some(Value::None) => Ok(Total::Sum),
        Some(Value::List(_)) => Ok(Total::List(call.series("total"))),
        Some(number @ (Value::Int(_) | Value::Float(_))) => {
            let text = number.to_text();
            Ok(Total::Number { text, value: call.float("total") })
        }
        Some(_) => Err(call.argument_error("total", "is neither a number nor a list of series")),
    }
}

fn as_percent(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (nodes, list, total) = (call.nodes("nodes"), call.series("seriesList"), total(call)?);
    if list.is_empty() {
        return Ok(Vec::new());
    }
    match total {
        Total::Number { .. } if !nodes.is_empty() => {
            Err(call.argument_error("total", "has to be a list of series where nodes are given"))
        }
        Total::Sum if !nodes.is_empty() => Ok(percent_by_nodes(call, list, None, &nodes)),
        Total::List(t) if !nodes.is_empty() => Ok(percent_by_nodes(call, list, Some(t), &nodes)),
        Total::Sum => {
            let (list, text, totals) = summed(list);
            Ok(percent_of_one(call, list, &text, &totals))
        }
        Total::Number { text, value } => {
            let (list, _, _) = summed(list);
            // graphite-web has as many totals as the first series has values before it is merged.
            let totals = list.first().map_or(0, |first| first.values.len());
            Ok(percent_of_one(call, list, &text, &vec![value; totals]))
        }
        Total::List(totals) if totals.len() == list.len() => {
            Ok(percent_of_each(call, list, totals))
        }
        Total::List(totals) => match <[Series; 1]>::try_from(totals) {
            Ok([total]) => {
                let all = normalize(vec![list, vec![total]]).expect("at least one series");
                let mut list = all.series;
                let total = list.pop().expect("the total");
                Ok(percent_of_one(call, list, &total.name, &total.points()))
            }
            Err(totals) => {
                let message =
                    format!("has to be one series, or one for each, not {}", totals.len());
                Err(call.argument_error("total", message))
            }
        },
    }
}

/// Brings series to their common step and adds them up; also answers what the sum is called.
fn summed(list: Vec<Series>) -> (Vec<Series>, String, Vec<f64>) {
    let Some(all) = normalize(vec![list]) else { return Default::default() };
    let sums = all.map_rows(|row| Aggregate::Sum.of(row));
    let name = format!("sumSeries({})", path_expressions(&all.series));
    (all.series, name, sums)
}

/// Each series keeps its own start, end and step, as it does in graphite-web.
fn percent_of_one(
    call: &Call<'_>,
    list: Vec<Series>,
    total_name: &str,
    totals: &[f64],
) -> Vec<Series> {
    let one = |series: Series| {
        let name = format!("asPercent({},{total_name})", series.name);
        let values = zip_longest(&series.points(), totals, percent);
        let Series { start, end, step, .. } = series;
        call.new_series(name, Grid { start, end, step }, values)
    };
    list.into_iter().map(one).collect()
}

/// Pairs are made in the order of names.
fn percent_of_each(call: &Call<'_>, mut list: Vec<Series>, mut totals: Vec<Series>) -> Vec<Series> {
    list.sort_by(|a, b| a.name.cmp(&b.name));
    totals.sort_by(|a, b| a.name.cmp(&b.name));
    let pairs = list.into_iter().zip(totals);
    pairs.map(|pair| pairwise(call, "asPercent", pair, percent)).collect()
}

/// The total of a group: a single series is its own.
fn total_of_group(call: &Call<'_>, group: Vec<Series>) -> Series {
    if let [single] = &group[..] {
        return single.clone();
    }
    let all = normalize(vec![group.clone()]).expect("groups are not empty");
    let (_, name, sums) = summed(group);
    call.new_series(name, all.grid, sums)
}

fn percent_by_nodes(
    call: &Call<'_>,
    list: Vec<Series>,
    totals: Option<Vec<Series>>,
    nodes: &[Node],
) -> Vec<Series> {
    let key = |series: &Series| node_key(series, nodes);
    let list = normalize(vec![list]).map(|all| all.series).unwrap_or_default();
    let groups = grouped(list, key);
    let total_groups = match totals {
        Some(totals) => grouped(totals, key),
        None => groups.clone(),
    };
    let added_up = total_groups.iter().rposition(|(_, group)| group.len() > 1);
    let totals: Vec<(String, Series)> =
        total_groups.into_iter().map(|(key, group)| (key, total_of_group(call, group))).collect();
    let places: HashMap<&str, &Series> = totals.iter().map(|(k, s)| (k.as_str(), s)).collect();
    let mut results: Vec<Series> = Vec::new();
    let first_like = added_up.map(|at| &totals[at].1);
    let mut known = BTreeSet::new();
    for (key, group) in groups {
        for series in group {
            let result = match places.get(key.as_str()) {
                Some(total) => pairwise(call, "asPercent", (series, (*total).clone()), percent),
                None => {
                    let name = format!("asPercent({},MISSING)", series.name);
                    unmatched(call, name, &series, results.last().or(first_like))
                }
            };
            results.push(result);
        }
        known.insert(key);
    }
    for (_, total) in totals.iter().filter(|(key, _)| !known.contains(key)) {
        let name = format!("asPercent(MISSING,{})", total.name);
        let result = unmatched(call, name, total, results.last().or(first_like));
        results.push(result);
    }
    results
}

/// Nulls for a series or a total without partner, on the grid of what was computed before it, as in
/// graphite-web.
fn unmatched(call: &Call<'_>, name: String, series: &Series, before: Option<&Series>) -> Series {
    let like = before.unwrap_or(series);
    let grid = Grid { start: like.start, end: like.end, step: like.step };
    call.new_series(name, grid, vec![f64::NAN; series.points().len()])
}

fn weighted_average(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let nodes = call.nodes("nodes");
    let averages = call.series("seriesListAvg");
    let weights = call.series("seriesListWeight");
    if averages.len() != weights.len() {
        let (a, w) = (averages.len(), weights.len());
        return Err(call.error(format!("needs as many weights as values, not {w} for {a}")));
    }
    let products = weighted(call, &averages, &weights, &nodes);
    let paths = |list: &[Series]| {
        let paths: BTreeSet<&str> = list.iter().map(|s| s.path_expression.as_str()).collect();
        paths.into_iter().collect::<Vec<_>>().join(",")
    };
    let nodes: Vec<String> = nodes
        .into_iter()
        .map(|node| match node {
            Node::Index(index) => index.to_string(),
            Node::Tag(tag) => tag,
        })
        .collect();
    let (of, by, nodes) = (paths(&averages), paths(&weights), nodes.join(","));
    let name = format!("weightedAverage({of}, {by}, {nodes})");
    let Some(product) = combine(call, vec![products], "sum", None) else { return Ok(Vec::new()) };
    let Some(weight) = combine(call, vec![weights], "sum", None) else { return Ok(Vec::new()) };
    let values = zip_longest(&product.values, &weight.values, quotient);
    let Series { start, end, step, .. } = product;
    Ok(vec![call.new_series(name, Grid { start, end, step }, values)])
}

/// The products of values and weights that share a key; of several with one key, the last.
fn weighted(
    call: &Call<'_>,
    averages: &[Series],
    weights: &[Series],
    nodes: &[Node],
) -> Vec<Series> {
    let mut places = HashMap::new();
    let mut pairs: Vec<(Option<&Series>, Option<&Series>)> = Vec::new();
    let mut place = |series: &Series, pairs: &mut Vec<_>| {
        *places.entry(node_key(series, nodes)).or_insert_with(|| {
            pairs.push((None, None));
            pairs.len() - 1
        })
    };
    for (average, weight) in averages.iter().zip(weights) {
        let at = place(average, &mut pairs);
        pairs[at].0 = Some(average);
        let at = place(weight, &mut pairs);
        pairs[at].1 = Some(weight);
    }
    let product = |(average, weight): (Option<&Series>, Option<&Series>)| {
        let (average, weight) = (average?, weight?);
        let name = format!("product({},{})", weight.name, average.name);
        let values = zip_longest(&average.points(), &weight.points(), |a, b| a * b);
        let Series { start, end, step, .. } = *average;
        Some(call.new_series(name, Grid { start, end, step }, values))
    };
    pairs.into_iter().filter_map(product).collect()
}
