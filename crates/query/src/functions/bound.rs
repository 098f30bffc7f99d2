//! Functions that drop values beyond a bound.

use crate::aggregate::percentile;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::{format_g, python_repr};
use crate::param::{Param, ParamKind, SERIES_LIST};
use crate::series::Series;

const BOUND: Function = Function {
    group: Group::FilterData,
    params: &[SERIES_LIST, Param::required("n", ParamKind::Float)],
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "removeAboveValue",
        summary: "Drops values above a bound.",
        eval: Body::List(remove_by_value),
        examples: &[Example { target: "removeAboveValue(a.*,1000)", shows: "no false peaks" }],
        ..BOUND
    },
    Function {
        name: "removeBelowValue",
        summary: "Drops values below a bound.",
        eval: Body::List(remove_by_value),
        examples: &[Example { target: "removeBelowValue(a.*,0)", shows: "no negative values" }],
        ..BOUND
    },
    Function {
        name: "removeAbovePercentile",
        summary: "Drops values above the n-th percentile of their series.",
        eval: Body::List(remove_by_percentile),
        examples: &[Example { target: "removeAbovePercentile(a.*,95)", shows: "no rare peaks" }],
        ..BOUND
    },
    Function {
        name: "removeBelowPercentile",
        summary: "Drops values below the n-th percentile of their series.",
        eval: Body::List(remove_by_percentile),
        examples: &[Example { target: "removeBelowPercentile(a.*,5)", shows: "no rare lows" }],
        ..BOUND
    },
];

fn name_of(call: &Call<'_>, series: &Series, n: f64) -> String {
    format!("{}({}, {})", call.name(), series.name, format_g(n))
}

/// Drops what lies beyond the bound, on the side that the function's name tells.
fn removed(call: &Call<'_>, series: Series, n: f64, bound: f64) -> Series {
    let above = call.name().contains("Above");
    let beyond = |v: f64| if above { v > bound } else { v < bound };
    let name = name_of(call, &series, n);
    series.named(name).map_values(|v| if beyond(v) { f64::NAN } else { v })
}

fn remove_by_value(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let n = call.float("n");
    let list = call.series("seriesList").into_iter();
    Ok(list.map(|series| removed(call, series, n, n)).collect())
}

fn remove_by_percentile(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (n, list) = (call.float("n"), call.series("seriesList"));
    if n == 0.0 && !list.is_empty() {
        return Err(call.argument_error("n", "has to be above 0"));
    }
    let removed = list.into_iter().map(|series| match percentile_in_range(&series.points(), n) {
        None => {
            let name = name_of(call, &series, n);
            series.named(name)
        }
        // graphite-web leaves the percent on the series that it found the percentile of.
        Some(bound) => removed(call, series, n, bound).tagged("nPercentile", python_repr(n)),
    });
    Ok(removed.collect())
}

/// `None` without any value, and for a percent that there is not.
fn percentile_in_range(points: &[f64], percent: f64) -> Option<f64> {
    if percent.abs() > 100.0 {
        return None;
    }
    let value = percentile(points, percent, false);
    (!value.is_nan()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_held_in_at_both_ends_but_not_beyond() {
        let points = [3.0, f64::NAN, 1.0, 2.0];
        for (percent, value) in [
            (1.0, Some(1.0)),
            (50.0, Some(2.0)),
            (100.0, Some(3.0)),
            (130.0, None),
            (-20.0, Some(1.0)),
        ] {
            assert_eq!(percentile_in_range(&points, percent), value, "{percent}");
        }
        assert_eq!(percentile_in_range(&[f64::NAN], 50.0), None);
    }
}
