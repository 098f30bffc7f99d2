//! How values are merged where there are too many, and how many of them a merged one needs.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::python_repr;
use crate::param::{Param, ParamKind, SERIES_LIST};
use crate::series::{Consolidation, Series};

/// What graphite-web can consolidate by; every one is the name of a [`Consolidation`].
const METHODS: &[&str] = &["sum", "average", "avg", "avg_zero", "min", "max", "first", "last"];

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "consolidateBy",
        group: Group::Special,
        params: &[
            SERIES_LIST,
            Param::required("consolidationFunc", ParamKind::String).options(METHODS),
        ],
        summary: "Says how values are merged where there are more of them than can be shown.",
        eval: Body::List(consolidate_by),
        examples: &[Example {
            target: r#"consolidateBy(sales.count,"sum")"#,
            shows: "counts that stay counts when zoomed out",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "cumulative",
        group: Group::Special,
        params: &[SERIES_LIST],
        summary: "Merges values by their sum; short for `consolidateBy` with `sum`.",
        eval: Body::List(cumulative),
        examples: &[Example { target: "cumulative(sales.count)", shows: "counts stay counts" }],
        ..Function::DEFAULT
    },
    Function {
        name: "setXFilesFactor",
        aliases: &["xFilesFactor"],
        group: Group::Special,
        params: &[SERIES_LIST, Param::required("xFilesFactor", ParamKind::Float)],
        summary: "Says what share of values has to be there for a merged one to exist.",
        detail: "It also holds for everything that the request evaluates afterwards.",
        eval: Body::List(set_x_files_factor),
        examples: &[Example {
            target: r#"summarize(setXFilesFactor(sensor.level,0.5),"1h","avg")"#,
            shows: "no mean of an hour that is more than half empty",
        }],
        ..Function::DEFAULT
    },
];

fn consolidate_by(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let method = call.string("consolidationFunc");
    let unknown = || call.argument_error("consolidationFunc", "is no way to consolidate");
    let consolidation = Consolidation::parse(&method).ok_or_else(unknown)?;
    Ok(consolidated(call, &method, consolidation))
}

fn cumulative(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(consolidated(call, "sum", Consolidation::Sum))
}

fn consolidated(call: &mut Call<'_>, method: &str, by: Consolidation) -> Vec<Series> {
    let list = call.series("seriesList").into_iter();
    list.map(|mut series| {
        series.consolidation = by;
        let name = format!("consolidateBy({},\"{method}\")", series.name);
        series.named(name).tagged("consolidateBy", method)
    })
    .collect()
}

fn set_x_files_factor(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let share = call.float("xFilesFactor");
    call.set_x_files_factor(share);
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|mut series| {
            series.x_files_factor = share;
            series.tagged("xFilesFactor", python_repr(share))
        })
        .collect())
}
