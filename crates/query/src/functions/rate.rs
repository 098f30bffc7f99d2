//! Differences from one value to the next, and sums over time.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::python_round;
use crate::param::{Param, ParamKind, SERIES_LIST};
use crate::series::Series;
use crate::time_expr::parse_interval;

use super::calendar::wall_clock;

const MAX_VALUE: Param = Param::optional("maxValue", ParamKind::Float);
const MIN_VALUE: Param = Param::optional("minValue", ParamKind::Float);

const LIMITS: &str = "With `maxValue`, a fall counts as the counter's turn from there to `minValue` \
                      (or 0); with `minValue` alone, as a new start from there. Values outside the \
                      limits are left out.";

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "derivative",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Shows by how much each value differs from the one before.",
        keeps_grids: true,
        eval: Body::List(derivative),
        examples: &[Example { target: "derivative(disk.used)", shows: "growth per step" }],
        ..Function::DEFAULT
    },
    Function {
        name: "nonNegativeDerivative",
        group: Group::Transform,
        params: &[SERIES_LIST, MAX_VALUE, MIN_VALUE],
        summary: "Shows by how much each value exceeds the one before; falls are left out.",
        detail: LIMITS,
        keeps_grids: true,
        eval: Body::List(non_negative_derivative),
        examples: &[
            Example { target: "nonNegativeDerivative(net.bytes)", shows: "a counter's growth" },
            Example {
                target: "nonNegativeDerivative(net.bytes,4294967295)",
                shows: "a counter that wraps at 32 bits",
            },
        ],
        ..Function::DEFAULT
    },
    Function {
        name: "perSecond",
        group: Group::Transform,
        params: &[SERIES_LIST, MAX_VALUE, MIN_VALUE],
        summary: "Turns a growing counter into a rate per second.",
        detail: "As `nonNegativeDerivative`, divided by the step and rounded to six digits after \
                 the point.",
        keeps_grids: true,
        eval: Body::List(per_second),
        examples: &[Example { target: "perSecond(net.bytes)", shows: "bytes a second" }],
        ..Function::DEFAULT
    },
    Function {
        name: "integral",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Adds up all values so far.",
        keeps_grids: true,
        eval: Body::List(integral),
        examples: &[Example { target: "integral(sales.count)", shows: "sales since the start" }],
        ..Function::DEFAULT
    },
    Function {
        name: "integralByInterval",
        group: Group::Transform,
        params: &[SERIES_LIST, Param::required("intervalUnit", ParamKind::String)],
        summary: "Adds up all values so far and starts again after each interval.",
        detail: "Intervals are counted from the start of the window.",
        eval: Body::List(integral_by_interval),
        examples: &[Example {
            target: r#"integralByInterval(sales.count,"1d")"#,
            shows: "sales since the start of the day",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "integralWithReset",
        group: Group::Transform,
        params: &[SERIES_LIST, Param::required("resettingSeries", ParamKind::SeriesList)],
        summary: "Adds up all values so far and starts again where another series is neither null nor 0.",
        detail: "carbonapi's. Both need one step and as many points.",
        eval: Body::List(integral_with_reset),
        examples: &[Example {
            target: "integralWithReset(sales.count,shop.opens)",
            shows: "sales since the shop opened",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "changed",
        group: Group::Special,
        params: &[SERIES_LIST],
        summary: "Shows 1 where a value differs from the last one there was, and 0 elsewhere.",
        eval: Body::List(changed),
        examples: &[Example { target: "changed(app.version)", shows: "deployments" }],
        ..Function::DEFAULT
    },
];

/// A series of each of the list, its values computed from all values of the original.
fn derived(
    call: &mut Call<'_>,
    mut compute: impl FnMut(&Series, &[f64]) -> Vec<f64>,
) -> Vec<Series> {
    let function = call.name();
    let list = call.series("seriesList").into_iter();
    list.map(|series| {
        let values = compute(&series, &series.points());
        let name = format!("{function}({})", series.name);
        series.derived(name, values).tagged(function, "1")
    })
    .collect()
}

fn derivative(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(derived(call, |_, values| {
        let mut previous = f64::NAN;
        let difference = |v: &f64| *v - std::mem::replace(&mut previous, *v);
        values.iter().map(difference).collect()
    }))
}

fn non_negative_derivative(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let counter = Counter::of(call);
    Ok(derived(call, |_, values| counter.growth(values).collect()))
}

fn per_second(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let counter = Counter::of(call);
    Ok(derived(call, |series, values| {
        let step = series.step as f64;
        counter.growth(values).map(|growth| python_round(growth / step, 6)).collect()
    }))
}

/// A counter and where it turns over.
#[derive(Clone, Copy)]
struct Counter {
    max: Option<f64>,
    min: Option<f64>,
}

impl Counter {
    fn of(call: &Call<'_>) -> Self {
        Self { max: call.float_opt("maxValue"), min: call.float_opt("minValue") }
    }

    /// By how much it grew at each value; null after a gap, and where it fell without a known turn.
    fn growth(self, values: &[f64]) -> impl Iterator<Item = f64> {
        let outside = move |v: f64| {
            self.max.is_some_and(|max| v > max) || self.min.is_some_and(|min| v < min)
        };
        let mut previous = f64::NAN;
        values.iter().map(move |value| {
            let value = if outside(*value) { f64::NAN } else { *value };
            let before = std::mem::replace(&mut previous, value);
            self.grown(before, value)
        })
    }

    fn grown(self, before: f64, value: f64) -> f64 {
        if before.is_nan() || value.is_nan() || value >= before {
            return value - before;
        }
        match (self.max, self.min) {
            (Some(max), min) => max + 1.0 + value - before - min.unwrap_or(0.0),
            (None, Some(min)) => value - min,
            (None, None) => f64::NAN,
        }
    }
}

fn integral(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(derived(call, |_, values| {
        let mut total = 0.0;
        let mut add = |v: &f64| {
            if v.is_nan() {
                return f64::NAN;
            }
            total += v;
            total
        };
        values.iter().map(&mut add).collect()
    }))
}

fn integral_with_reset(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series("seriesList");
    let resets = call.series("resettingSeries");
    let [resetting] = &resets[..] else {
        let message = format!("starts again by one series, not {}", resets.len());
        return Err(call.error(message));
    };
    let marks = resetting.points();
    let like = |s: &Series| s.step == resetting.step && s.points().len() == marks.len();
    if let Some(series) = list.iter().find(|series| !like(series)) {
        let (a, b) = (&series.name, &resetting.name);
        return Err(call.error(format!("{a:?} lies on another grid than {b:?}")));
    }
    let summed = |series: Series| {
        let mut total = 0.0;
        let add = |(value, mark): (&f64, &f64)| {
            if value.is_nan() {
                return f64::NAN;
            }
            total = if mark.is_nan() || *mark == 0.0 { total + value } else { 0.0 };
            total
        };
        let values = series.points().iter().zip(marks.iter()).map(add).collect();
        let name = format!("integralWithReset({},{})", series.name, resetting.name);
        series.derived(name, values)
    };
    Ok(list.into_iter().map(summed).collect())
}

fn integral_by_interval(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let text = call.string("intervalUnit");
    let interval = parse_interval(&text)
        .map_err(|e| call.argument_error("intervalUnit", e.to_string()))?
        .saturating_abs();
    let from = wall_clock(call, call.from());
    let list = call.series("seriesList");
    if interval == 0 && !list.is_empty() {
        return Err(call.argument_error("intervalUnit", "has to be longer than nothing"));
    }
    Ok(list
        .into_iter()
        .map(|series| {
            let points = series.points();
            let (mut total, mut time) = (0.0, series.start - from);
            let mut values = Vec::with_capacity(points.len());
            for value in points.iter() {
                if time.div_euclid(interval) != (time - series.step).div_euclid(interval) {
                    total = 0.0;
                }
                if !value.is_nan() {
                    total += value;
                }
                values.push(total);
                time += series.step;
            }
            let name = format!("integralByInterval({},'{text}')", series.name);
            series.derived(name, values).tagged("integralByInterval", text.clone())
        })
        .collect())
}

fn changed(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|mut series| {
            let mut last = f64::NAN;
            for value in series.values.make_mut() {
                let differs = !last.is_nan() && !value.is_nan() && *value != last;
                if !value.is_nan() {
                    last = *value;
                }
                *value = if differs { 1.0 } else { 0.0 };
            }
            let name = format!("changed({})", series.name);
            series.named(name)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(max: Option<f64>, min: Option<f64>, values: &[f64]) -> Vec<Option<f64>> {
        let growth = Counter { max, min }.growth(values);
        growth.map(|v| (!v.is_nan()).then_some(v)).collect()
    }

    #[test]
    fn a_fall_is_a_gap_unless_the_turn_of_the_counter_is_known() {
        let values = [250.0, 3.0, 5.0];
        assert_eq!(growth(None, None, &values), [None, None, Some(2.0)]);
        assert_eq!(growth(Some(255.0), None, &values), [None, Some(9.0), Some(2.0)]);
        assert_eq!(growth(Some(255.0), Some(1.0), &values), [None, Some(8.0), Some(2.0)]);
        assert_eq!(growth(None, Some(1.0), &values), [None, Some(2.0), Some(2.0)]);
    }

    #[test]
    fn a_value_outside_the_limits_is_as_good_as_none() {
        let values = [1.0, 300.0, 4.0, 7.0];
        assert_eq!(growth(Some(255.0), None, &values), [None, None, None, Some(3.0)]);
    }
}
