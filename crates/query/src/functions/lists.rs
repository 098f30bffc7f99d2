//! Functions of two lists of series. graphite-web has none of them: carbonapi has.

use std::collections::{HashMap, HashSet};

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::normalize::normalize;
use crate::param::{Literal, Param, ParamKind};
use crate::series::Series;

use super::combine::power_or_null;

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "join",
        group: Group::Transform,
        params: &[
            Param::required("seriesA", ParamKind::SeriesList),
            Param::required("seriesB", ParamKind::SeriesList),
            Param::optional("type", ParamKind::String).default(Literal::Text("AND")).suggestions(
                &[
                    Literal::Text("AND"),
                    Literal::Text("OR"),
                    Literal::Text("XOR"),
                    Literal::Text("SUB"),
                ],
            ),
        ],
        summary: "Makes one list of two, by the names of their series.",
        detail: "`AND` keeps series of the first list that are in the second, `OR` those of both, each \
                 once, `XOR` those that are in one list only, `SUB` those of the first list that are \
                 not in the second.",
        eval: Body::List(join),
        examples: &[Example {
            target: r#"join(highestMax(a.*,9),highestAverage(a.*,9),"AND")"#,
            shows: "who is busy and has peaks",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "powSeriesLists",
        group: Group::Combine,
        params: &[
            Param::required("sourceSeriesList", ParamKind::SeriesList),
            Param::required("factorSeriesList", ParamKind::SeriesList),
            Param::optional("matching", ParamKind::Boolean),
            Param::optional("default", ParamKind::Float),
        ],
        summary: "Raises one list of series to the power of another, pair by pair.",
        detail: "Both lists are taken in the order of names; a single exponent serves all. With \
                 `matching` (and where lists differ in length) those of one name go together, and \
                 `default` stands in for those that are missing.",
        eval: Body::List(pow_series_lists),
        examples: &[Example {
            target: "powSeriesLists(a.*.side,a.*.dimensions)",
            shows: "volumes from sides",
        }],
        ..Function::DEFAULT
    },
];

fn names(list: &[Series]) -> HashSet<String> {
    list.iter().map(|series| series.name.clone()).collect()
}

fn join(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let kind = call.string("type").to_uppercase();
    let (mut a, mut b) = (call.series("seriesA"), call.series("seriesB"));
    let (names_a, names_b) = (names(&a), names(&b));
    match kind.as_str() {
        "AND" => a.retain(|series| names_b.contains(&series.name)),
        "SUB" => a.retain(|series| !names_b.contains(&series.name)),
        "XOR" => {
            a.retain(|series| !names_b.contains(&series.name));
            b.retain(|series| !names_a.contains(&series.name));
            a.append(&mut b);
        }
        "OR" => {
            b.retain(|series| !names_a.contains(&series.name));
            a.append(&mut b);
        }
        _ => return Err(call.argument_error("type", "has to be AND, OR, XOR or SUB")),
    }
    Ok(a)
}

/// What a series is raised to.
enum Exponent<'s> {
    Series(&'s Series),
    Number(f64),
}

fn pow_series_lists(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (given, default) = (call.is_given("matching"), call.float_opt("default"));
    let mut sources = call.series("sourceSeriesList");
    let mut factors = call.series("factorSeriesList");
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    factors.sort_by(|a, b| a.name.cmp(&b.name));
    let same_length = factors.len() == 1 || factors.len() == sources.len();
    let matching = if given { call.bool("matching") } else { !same_length };
    let by_name: HashMap<&str, &Series> = factors.iter().map(|s| (s.name.as_str(), s)).collect();
    if sources.is_empty() {
        let constant = |base| factors.iter().map(move |s| raised_constant(base, s)).collect();
        return Ok(default.map(constant).unwrap_or_default());
    }
    let mut answer = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        let partner = match &factors[..] {
            [] => None,
            _ if matching => by_name.get(source.name.as_str()).copied(),
            [single] => Some(single),
            _ if factors.len() == sources.len() => factors.get(place),
            _ => return Err(call.error("both lists have to hold the same number of series")),
        };
        let exponent = partner.map(Exponent::Series).or(default.map(Exponent::Number));
        answer.extend(exponent.and_then(|exponent| raised(source, &exponent)));
    }
    Ok(answer)
}

fn raised(base: &Series, exponent: &Exponent<'_>) -> Option<Series> {
    match exponent {
        Exponent::Number(number) => {
            let values = base.points().iter().map(|v| power_or_null(*v, *number)).collect();
            Some(base.derived(format!("powSeries({},{number})", base.name), values))
        }
        Exponent::Series(exponent) => {
            let name = format!("powSeries({},{})", base.name, exponent.name);
            let both = normalize(vec![vec![base.clone()], vec![(*exponent).clone()]])?;
            let values = both.map_rows(|row| power_or_null(row[0], row[1]));
            let mut series = base.derived(name, values);
            (series.start, series.end, series.step) =
                (both.grid.start, both.grid.end, both.grid.step);
            Some(series)
        }
    }
}

fn raised_constant(base: f64, exponent: &Series) -> Series {
    let values = exponent.points().iter().map(|v| power_or_null(base, *v)).collect();
    exponent.derived(format!("powSeries({base},{})", exponent.name), values)
}
