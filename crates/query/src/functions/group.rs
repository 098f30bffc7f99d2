//! Functions that sort series into groups, or put groups together.

use std::collections::HashMap;

use crate::aggregate::{Aggregate, without_series};
use crate::args::BoundArgs;
use crate::call::Call;
use crate::error::EvalError;
use crate::fold::{Fold, FoldSpec, FoldedGroup};
use crate::function::{Body, Example, Folding, Function, Group};
use crate::names::{Node, node_key, python_index, python_slice};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST, SERIES_LISTS};
use crate::series::{Series, grouped};
use crate::tags::Tags;
use crate::value::Value;

use super::combine::{combine, combine_folded};

const CALLBACK: Param = Param::required("callback", ParamKind::AggOrSeriesFunc).admits(is_callback);
const NODES: Param = Param::optional("nodes", ParamKind::NodeOrTag).multiple();

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "group",
        group: Group::Combine,
        params: &[Param::optional("seriesLists", ParamKind::SeriesList).multiple()],
        summary: "Puts lists of series together.",
        eval: Body::List(group),
        examples: &[Example { target: "group(a.b,a.c)", shows: "both, for the next function" }],
        ..Function::DEFAULT
    },
    Function {
        name: "unique",
        group: Group::FilterSeries,
        params: &[SERIES_LISTS],
        summary: "Puts lists of series together, each name once.",
        eval: Body::List(unique),
        examples: &[Example { target: "unique(a.*,*.b)", shows: "`a.b` only once" }],
        ..Function::DEFAULT
    },
    Function {
        name: "fallbackSeries",
        group: Group::Special,
        params: &[SERIES_LIST, Param::required("fallback", ParamKind::SeriesList)],
        summary: "Shows other series where there are none.",
        eval: Body::List(fallback_series),
        examples: &[Example {
            target: "fallbackSeries(a.b,constantLine(0))",
            shows: "a line at 0 in place of nothing",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "groupByNode",
        group: Group::Combine,
        params: &[
            SERIES_LIST,
            Param::required("nodeNum", ParamKind::NodeOrTag),
            Param { required: false, default: Literal::Text("average"), ..CALLBACK },
        ],
        summary: "Combines series that share a part of the name, or a tag.",
        fold: Some(&Folding { spec: fold_by_node, finish: finish_groups }),
        eval: Body::List(group_by_node),
        examples: &[Example {
            target: r#"groupByNode(a.*.cpu.*,1,"sum")"#,
            shows: "one series a host",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "groupByNodes",
        group: Group::Combine,
        params: &[SERIES_LIST, CALLBACK, NODES],
        summary: "Combines series that share several parts of the name, or tags.",
        fold: Some(&Folding { spec: fold_by_nodes, finish: finish_groups }),
        eval: Body::List(group_by_nodes),
        examples: &[Example {
            target: r#"groupByNodes(a.*.cpu.*,"sum",0,2)"#,
            shows: "one series of all hosts",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "groupByTags",
        group: Group::Combine,
        params: &[SERIES_LIST, CALLBACK, Param::required("tags", ParamKind::Tag).multiple()],
        summary: "Combines series that share tags.",
        detail: "Every series needs all of the tags. Results are named after the series if all have \
                 the same name, and after the callback if not.",
        eval: Body::List(group_by_tags),
        examples: &[Example {
            target: r#"seriesByTag("name=cpu")|groupByTags("max","host")"#,
            shows: "one series a host",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "applyByNode",
        group: Group::Combine,
        params: &[
            SERIES_LIST,
            Param::required("nodeNum", ParamKind::Node),
            Param::required("templateFunction", ParamKind::String),
            Param::optional("newName", ParamKind::String),
        ],
        summary: "Evaluates a target for every beginning of the names.",
        detail: "The beginning up to the given part takes the place of `%` in the target and in the \
                 new name.",
        eval: Body::List(apply_by_node),
        examples: &[Example {
            target: r#"applyByNode(a.*.free,1,"asPercent(%.free,%.total)","% free")"#,
            shows: "how full each host is",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "mapSeries",
        aliases: &["map"],
        group: Group::Combine,
        params: &[SERIES_LIST, Param::required("mapNodes", ParamKind::NodeOrTag).multiple()],
        summary: "Makes a list of each group of series that share parts of the name, for `reduceSeries`.",
        eval: Body::Lists(map_series),
        examples: &[Example {
            target: r#"reduceSeries(mapSeries(a.*.{free,total},1),"asPercent",2,"free","total")"#,
            shows: "how full each host is",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "reduceSeries",
        aliases: &["reduce"],
        group: Group::Combine,
        params: &[
            Param::required("seriesLists", ParamKind::SeriesLists),
            Param::required("reduceFunction", ParamKind::String),
            Param::required("reduceNode", ParamKind::Node),
            Param::required("reduceMatchers", ParamKind::String).multiple(),
        ],
        summary: "Calls a function once for every group that `mapSeries` made.",
        detail: "Its arguments are the series whose part at `reduceNode` is the first matcher, the \
                 second, and so on.",
        eval: Body::List(reduce_series),
        examples: &[Example {
            target: r#"reduceSeries(mapSeries(a.*.{free,total},1),"asPercent",2,"free","total")"#,
            shows: "how full each host is",
        }],
        ..Function::DEFAULT
    },
];

fn group(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(call.series_lists("seriesLists").into_iter().flatten().collect())
}

fn unique(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series_lists("seriesLists").into_iter().flatten().collect();
    let groups = grouped(list, |series| series.name.clone()).into_iter();
    Ok(groups.filter_map(|(_, same)| same.into_iter().next()).collect())
}

fn fallback_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series("seriesList");
    Ok(if list.is_empty() { call.series("fallback") } else { list })
}

/// The function that a callback names, if it is one that combines series: these two families hold all of
/// them.
pub(super) fn aggregating(callback: &str) -> Option<&'static Function> {
    let mut functions = [super::combine::FAMILY, super::divide::FAMILY].into_iter().flatten();
    functions.find(|function| function.aggregates && function.is_called(callback))
}

fn is_callback(name: &str) -> bool {
    Aggregate::of_rows_by_name(name).is_some() || aggregating(name).is_some()
}

/// One series of a group: by a function that combines series, or else by an aggregation.
fn call_back(call: &mut Call<'_>, callback: &str, list: Vec<Series>) -> Result<Series, EvalError> {
    let combined = if aggregating(callback).is_some() {
        call.apply(callback, vec![Value::List(list)])?.into_iter().next()
    } else {
        combine(call, vec![list], callback, None)
    };
    combined.ok_or_else(|| call.error(format!("{callback} makes nothing of a group")))
}

fn group_by_node(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    group_by(call, "nodeNum")
}

fn group_by_nodes(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    group_by(call, "nodes")
}

fn group_by(call: &mut Call<'_>, parameter: &str) -> Result<Vec<Series>, EvalError> {
    let (callback, nodes) = (call.string("callback"), call.nodes(parameter));
    let groups = grouped(call.series("seriesList"), |series| node_key(series, &nodes));
    let one = |(name, list)| Ok(Series { name, ..call_back(call, &callback, list)? });
    groups.into_iter().map(one).collect()
}

fn fold_by_node(_function: &Function, args: &BoundArgs) -> Option<FoldSpec> {
    fold_by(args, "nodeNum")
}

fn fold_by_nodes(_function: &Function, args: &BoundArgs) -> Option<FoldSpec> {
    fold_by(args, "nodes")
}

fn fold_by(args: &BoundArgs, parameter: &str) -> Option<FoldSpec> {
    let (callback, group_by) = (args.get("callback")?.to_text(), args.nodes(parameter));
    let fold = match aggregating(&callback) {
        Some(function) => {
            let (folding, args) = function.folded_alone()?;
            (folding.spec)(function, &args)?.fold
        }
        None => Fold::by_name(without_series(&callback))?,
    };
    let is_nameless = |node: &Node| matches!(node, Node::Tag(tag) if tag.is_empty());
    let can_be_asked = !group_by.is_empty() && !group_by.iter().any(is_nameless);
    can_be_asked.then_some(FoldSpec { fold, group_by })
}

fn finish_groups(
    call: &mut Call<'_>,
    pattern: &str,
    groups: &[&FoldedGroup],
) -> Result<Vec<Series>, EvalError> {
    let callback = call.string("callback");
    let one = |group: &&FoldedGroup| {
        let combined = match aggregating(&callback) {
            Some(function) => function.finish_folded(call, pattern, group)?.pop(),
            None => Some(combine_folded(call, pattern, group, &callback, None)),
        };
        let combined = combined.ok_or_else(|| call.error("makes nothing of a group"))?;
        Ok(Series { name: group.key.clone(), ..combined })
    };
    groups.iter().map(one).collect()
}

fn group_by_tags(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (callback, tags) = (call.string("callback"), call.strings("tags"));
    let list = call.series("seriesList");
    for tag in &tags {
        if let Some(series) = list.iter().find(|s| !s.tags.contains_key(tag)) {
            let message = format!("{:?} has no tag {tag:?}", series.name);
            return Err(call.argument_error("tags", message));
        }
    }
    let by_name = tags.iter().any(|tag| tag == "name");
    let name_of = |series: &Series| series.tags.get("name").cloned().unwrap_or_default();
    let common = list.first().map(name_of);
    let common = common.filter(|name| list.iter().all(|s| s.tags.get("name") == Some(name)));
    let common = common.unwrap_or_else(|| callback.clone());
    let key = |series: &Series| {
        let others = tags.iter().filter(|tag| *tag != "name");
        let mut parts: Vec<_> = others.map(|tag| format!("{tag}={}", series.tags[tag])).collect();
        parts.sort_unstable();
        parts.insert(0, if by_name { name_of(series) } else { common.clone() });
        parts.join(";")
    };
    let groups = grouped(list, key);
    let one = |(key, list): (String, Vec<Series>)| {
        let name = key.split(';').next().unwrap_or_default();
        let mut common = list.first().map_or_else(Tags::new, |first| first.tags.clone());
        common.retain(|tag, _| tags.contains(tag));
        let series = call_back(call, &callback, list)?.named(&key);
        Ok(Series { tags: common, ..series }.tagged("name", name))
    };
    groups.into_iter().map(one).collect()
}

fn apply_by_node(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (node, target) = (call.int("nodeNum"), call.string("templateFunction"));
    let new_name = call.string_opt("newName").filter(|name| !name.is_empty());
    let list = call.series("seriesList");
    let mut prefixes = Vec::with_capacity(list.len());
    for series in &list {
        let parts: Vec<&str> = series.name.split('.').collect();
        if i64::try_from(parts.len()).is_ok_and(|parts| node >= parts) {
            let message = format!("{:?} has no part {node}", series.name);
            return Err(call.argument_error("nodeNum", message));
        }
        prefixes.push(python_slice(&parts, 0, Some(node.saturating_add(1))).join("."));
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    let mut results = Vec::new();
    let Some(last) = list.last() else { return Ok(results) };
    for prefix in prefixes {
        let target = target.replace('%', &prefix);
        if target.trim().is_empty() {
            continue;
        }
        for mut series in call.evaluate_text(&target)? {
            if let Some(name) = &new_name {
                series.name = name.replace('%', &prefix);
            }
            series.path_expression.clone_from(&prefix);
            (series.start, series.end) = (last.start, last.end);
            results.push(series);
        }
    }
    Ok(results)
}

fn map_series(call: &mut Call<'_>) -> Result<Vec<Vec<Series>>, EvalError> {
    let nodes = call.nodes("mapNodes");
    let groups = grouped(call.series("seriesList"), |series| node_key(series, &nodes));
    Ok(groups.into_iter().map(|(_, list)| list).collect())
}

fn reduce_series(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (function, node) = (call.string("reduceFunction"), call.int("reduceNode"));
    let matchers = call.strings("reduceMatchers");
    let mut matched: Vec<(String, usize, Series)> = Vec::new();
    for series in call.series_lists("seriesLists").into_iter().flatten() {
        let parts: Vec<&str> = series.name.split('.').collect();
        let Some(at) = python_index(node, parts.len()) else {
            let message = format!("{:?} has no part {node}", series.name);
            return Err(call.argument_error("reduceNode", message));
        };
        let Some(argument) = matchers.iter().position(|matcher| matcher == parts[at]) else {
            continue;
        };
        let before = python_slice(&parts, 0, Some(node)).join(".");
        matched.push((format!("{before}.reduce.{function}"), argument, series));
    }
    let mut groups: Vec<(String, Vec<Option<Series>>)> = Vec::new();
    let mut places = HashMap::new();
    for (name, argument, series) in matched {
        let place = *places.entry(name).or_insert_with_key(|name| {
            groups.push((name.clone(), vec![None; matchers.len()]));
            groups.len() - 1
        });
        groups[place].1[argument] = Some(series);
    }
    let one = |(name, arguments): (String, Vec<Option<Series>>)| {
        let missing = arguments.iter().position(Option::is_none);
        if let Some(argument) = missing {
            let message = format!("nothing is {:?} for {name:?}", matchers[argument]);
            return Err(call.argument_error("reduceMatchers", message));
        }
        let arguments = arguments.into_iter().flatten().map(|s| Value::List(vec![s])).collect();
        let reduced = call.apply(&function, arguments)?.into_iter().next();
        let nothing = || call.error(format!("{function} makes nothing of {name:?}"));
        let reduced = reduced.ok_or_else(nothing)?;
        Ok(Series { name, ..reduced })
    };
    groups.into_iter().map(one).collect()
}
