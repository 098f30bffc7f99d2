//! Functions that order series.

use std::cmp::Ordering;

use crate::aggregate::Aggregate;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::Series;

/// Digits to which natural order fills numbers up with zeros.
const NATURAL_DIGITS: usize = 10;

const REVERSE: Param = Param::optional("reverse", ParamKind::Boolean).default(Literal::Bool(false));

const SORT: Function =
    Function { group: Group::Sorting, params: &[SERIES_LIST], ..Function::DEFAULT };

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "sortBy",
        params: &[
            SERIES_LIST,
            Param::optional("func", ParamKind::AggFunc).default(Literal::Text("average")),
            REVERSE,
        ],
        summary: "Orders series by an aggregation, the lowest first.",
        detail: "Series without a value come before all others.",
        eval: Body::List(sort_by),
        examples: &[Example { target: r#"sortBy(a.*,"median",true)"#, shows: "the busiest first" }],
        ..SORT
    },
    Function {
        name: "sortByName",
        params: &[
            SERIES_LIST,
            Param::optional("natural", ParamKind::Boolean).default(Literal::Bool(false)),
            REVERSE,
        ],
        summary: "Orders series by name.",
        detail: "In natural order, `web2` comes before `web10`.",
        eval: Body::List(sort_by_name),
        examples: &[Example { target: "sortByName(a.*,true)", shows: "hosts as people count" }],
        ..SORT
    },
    Function {
        name: "sortByTotal",
        summary: "Orders series by their sum, the greatest first.",
        eval: Body::List(sort_by_total),
        examples: &[Example { target: "sortByTotal(a.*)", shows: "the busiest first" }],
        ..SORT
    },
    Function {
        name: "sortByMaxima",
        summary: "Orders series by their greatest value, the greatest first.",
        eval: Body::List(sort_by_maxima),
        examples: &[Example { target: "sortByMaxima(a.*)", shows: "the highest peaks first" }],
        ..SORT
    },
    Function {
        name: "sortByMinima",
        summary: "Orders series by their least value, the least first.",
        detail: "Series that never rise above 0 are dropped.",
        eval: Body::List(sort_by_minima),
        examples: &[Example { target: "sortByMinima(a.*)", shows: "the deepest lows first" }],
        ..SORT
    },
];

/// Orders by a value; nothing is the lowest, and equals stay in the order they were in.
pub(super) fn sort_by_value(
    list: Vec<Series>,
    aggregate: Aggregate,
    highest_first: bool,
) -> Vec<Series> {
    let value = |series: &Series| match aggregate.of(&series.points()) {
        nothing if nothing.is_nan() => f64::NEG_INFINITY,
        value => value,
    };
    let mut keyed: Vec<(f64, Series)> = list.into_iter().map(|s| (value(&s), s)).collect();
    keyed.sort_by(|(a, _), (b, _)| {
        let order = a.partial_cmp(b).unwrap_or(Ordering::Equal);
        if highest_first { order.reverse() } else { order }
    });
    keyed.into_iter().map(|(_, series)| series).collect()
}

fn sort_by(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (aggregate, reverse) = (call.agg("func"), call.bool("reverse"));
    Ok(sort_by_value(call.series("seriesList"), aggregate, reverse))
}

fn sort_by_total(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(sort_by_value(call.series("seriesList"), Aggregate::Sum, true))
}

fn sort_by_maxima(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(sort_by_value(call.series("seriesList"), Aggregate::Max, true))
}

fn sort_by_minima(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mut list = call.series("seriesList");
    list.retain(|series| Aggregate::Max.of(&series.points()) > 0.0);
    Ok(sort_by_value(list, Aggregate::Min, false))
}

fn sort_by_name(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (natural, reverse) = (call.bool("natural"), call.bool("reverse"));
    let key = |series: &Series| {
        if natural { natural_key(&series.name) } else { series.name.clone() }
    };
    let mut keyed: Vec<(String, Series)> =
        call.series("seriesList").into_iter().map(|s| (key(&s), s)).collect();
    keyed.sort_by(|(a, _), (b, _)| if reverse { b.cmp(a) } else { a.cmp(b) });
    Ok(keyed.into_iter().map(|(_, series)| series).collect())
}

/// The name with every number filled up with zeros.
fn natural_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + NATURAL_DIGITS);
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (before, from_digit) = rest.split_at(text);
        let digits = from_digit.find(|c: char| !c.is_ascii_digit()).unwrap_or(from_digit.len());
        let (number, after) = from_digit.split_at(digits);
        key.push_str(before);
        if !number.is_empty() {
            let number = number.trim_start_matches('0');
            key.push_str(&format!("{number:0>NATURAL_DIGITS$}"));
        }
        rest = after;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order_counts_as_people_do() {
        assert!(natural_key("web2.cpu") < natural_key("web10.cpu"));
        assert_eq!(natural_key("a007"), natural_key("a7"));
        assert_eq!(natural_key("10.b"), "0000000010.b");
    }

    #[test]
    fn equals_keep_their_order_in_both_directions() {
        let list = || ["b", "a", "c"].map(|name| Series::new(name, 0, 60, 60, vec![1.0])).to_vec();
        for highest_first in [false, true] {
            let sorted = sort_by_value(list(), Aggregate::Max, highest_first);
            let names: Vec<_> = sorted.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, ["b", "a", "c"]);
        }
    }
}
