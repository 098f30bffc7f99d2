//! Functions that change every value by itself.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::{format_g, format_go_g, python_repr, python_round};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::Series;

const FACTOR: Param = Param::required("factor", ParamKind::Float);

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "scale",
        group: Group::Transform,
        params: &[SERIES_LIST, FACTOR],
        summary: "Multiplies every value by a number.",
        keeps_grids: true,
        eval: Body::List(scale),
        examples: &[Example { target: "scale(net.bytes,8)", shows: "bytes as bits" }],
        ..Function::DEFAULT
    },
    Function {
        name: "scaleAfterTimestamp",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            FACTOR,
            Param::optional("timestamp", ParamKind::Integer).default(Literal::Int(0)),
        ],
        summary: "Multiplies every value from some time on by a number.",
        detail: "carbonapi's. The time is a Unix timestamp.",
        eval: Body::List(scale_after_timestamp),
        examples: &[Example {
            target: "scaleAfterTimestamp(net.bits,0.125,1790000000)",
            shows: "bytes also after the day the unit changed",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "scaleToSeconds",
        group: Group::Transform,
        params: &[SERIES_LIST, Param::required("seconds", ParamKind::Float)],
        summary: "Turns a value per step into a value per so many seconds.",
        detail: "Values are rounded to six digits after the point.",
        keeps_grids: true,
        eval: Body::List(scale_to_seconds),
        examples: &[Example {
            target: "scaleToSeconds(requests.count,1)",
            shows: "requests a second, whatever the step",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "offset",
        group: Group::Transform,
        params: &[SERIES_LIST, FACTOR],
        summary: "Adds a number to every value.",
        keeps_grids: true,
        eval: Body::List(offset),
        examples: &[Example { target: "offset(temperature.kelvin,-273.15)", shows: "Celsius" }],
        ..Function::DEFAULT
    },
    Function {
        name: "add",
        group: Group::Transform,
        params: &[SERIES_LIST, Param::required("constant", ParamKind::Float)],
        summary: "Adds a number to every value.",
        detail: "The same as `offset`, but the name shows only the whole part of the number.",
        eval: Body::List(add),
        examples: &[Example { target: "add(queue.length,10)", shows: "ten more" }],
        ..Function::DEFAULT
    },
    Function {
        name: "absolute",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Drops the sign of every value.",
        keeps_grids: true,
        eval: Body::List(absolute),
        examples: &[Example { target: "absolute(clock.drift)", shows: "how far off" }],
        ..Function::DEFAULT
    },
    Function {
        name: "invert",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Divides 1 by every value.",
        detail: "There is no value where the series is 0.",
        keeps_grids: true,
        eval: Body::List(invert),
        examples: &[Example { target: "invert(requests.seconds)", shows: "requests a second" }],
        ..Function::DEFAULT
    },
    Function {
        name: "pow",
        group: Group::Transform,
        params: &[SERIES_LIST, FACTOR],
        summary: "Raises every value to a power.",
        detail: "There is no value where the result is not a number or too large for one.",
        eval: Body::List(pow),
        examples: &[Example { target: "pow(disk.side,3)", shows: "volume from a side" }],
        ..Function::DEFAULT
    },
    Function {
        name: "squareRoot",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Takes the square root of every value.",
        detail: "There is no value where the series is below 0.",
        eval: Body::List(square_root),
        examples: &[Example { target: "squareRoot(samples.variance)", shows: "deviation" }],
        ..Function::DEFAULT
    },
    Function {
        name: "log",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::optional("base", ParamKind::Integer).default(Literal::Int(10)),
        ],
        summary: "Takes the logarithm of every value.",
        detail: "There is no value where the series is 0 or below.",
        eval: Body::List(log),
        examples: &[Example { target: "log(requests.count,2)", shows: "doublings" }],
        ..Function::DEFAULT
    },
    Function {
        name: "logarithm",
        aliases: &["logarithmic"],
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::optional("base", ParamKind::Integer).default(Literal::Int(10)),
        ],
        summary: "Takes the logarithm of every value.",
        detail: "carbonapi's name for `log`. There is no value where the series is 0 or below.",
        eval: Body::List(logarithm),
        examples: &[Example { target: "logarithm(requests.count,2)", shows: "doublings" }],
        ..Function::DEFAULT
    },
    Function {
        name: "exp",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Raises e to the power of every value.",
        detail: "There is no value where the result is too large for a number.",
        eval: Body::List(exp),
        examples: &[Example { target: "exp(log.value)", shows: "back from a logarithm" }],
        ..Function::DEFAULT
    },
    Function {
        name: "logit",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Takes `log(x / (1 - x))` of every value between 0 and 1.",
        detail: "There is no value outside.",
        eval: Body::List(logit),
        examples: &[Example { target: "logit(cache.hit_ratio)", shows: "a ratio stretched out" }],
        ..Function::DEFAULT
    },
    Function {
        name: "sigmoid",
        group: Group::Transform,
        params: &[SERIES_LIST],
        summary: "Takes `1 / (1 + exp(-x))` of every value.",
        eval: Body::List(sigmoid),
        examples: &[Example { target: "sigmoid(score)", shows: "a score as a ratio" }],
        ..Function::DEFAULT
    },
    Function {
        name: "round",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::optional("precision", ParamKind::Integer).default(Literal::Int(0)),
        ],
        summary: "Rounds every value to so many digits after the point.",
        detail: "A negative number of digits rounds to tens, hundreds and so on. What lies in the \
                 middle goes to the even neighbour.",
        eval: Body::List(round),
        examples: &[Example { target: "round(temperature,1)", shows: "one digit" }],
        ..Function::DEFAULT
    },
];

/// Changes every value that is there; the call and its further arguments (`suffix`) wrap the name,
/// and a tag with the function's name says how.
fn pointwise(
    call: &mut Call<'_>,
    suffix: &str,
    tag: &str,
    change: impl Fn(f64) -> f64,
) -> Vec<Series> {
    let function = call.name();
    let list = call.series("seriesList").into_iter();
    list.map(|series| {
        let name = format!("{function}({}{suffix})", series.name);
        series.named(name).tagged(function, tag).map_values(&change)
    })
    .collect()
}

/// A number as `%d` prints it.
pub(super) fn whole(call: &Call<'_>, parameter: &str) -> Result<String, EvalError> {
    let value = call.float(parameter);
    if !value.is_finite() {
        return Err(call.argument_error(parameter, "has to be finite"));
    }
    let text = format!("{:.0}", value.trunc());
    Ok(if text == "-0" { "0".to_owned() } else { text })
}

fn scale(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let factor = call.float("factor");
    let suffix = format!(",{}", format_g(factor));
    Ok(pointwise(call, &suffix, &python_repr(factor), |v| v * factor))
}

fn scale_to_seconds(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let seconds = call.float("seconds");
    let shown = whole(call, "seconds")?;
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|series| {
            let name = format!("scaleToSeconds({},{shown})", series.name);
            let factor = seconds / series.step as f64;
            let scaled = series.named(name).tagged("scaleToSeconds", python_repr(seconds));
            scaled.map_values(|v| python_round(v * factor, 6))
        })
        .collect())
}

fn offset(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let factor = call.float("factor");
    let suffix = format!(",{}", format_g(factor));
    Ok(pointwise(call, &suffix, &python_repr(factor), |v| v + factor))
}

fn add(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let constant = call.float("constant");
    let suffix = format!(",{}", whole(call, "constant")?);
    Ok(pointwise(call, &suffix, &python_repr(constant), |v| v + constant))
}

fn absolute(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(pointwise(call, "", "1", f64::abs))
}

fn invert(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(pointwise(call, "", "1", |v| power(v, -1.0)))
}

fn pow(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let factor = call.float("factor");
    let suffix = format!(",{}", format_g(factor));
    Ok(pointwise(call, &suffix, &python_repr(factor), |v| power(v, factor)))
}

fn square_root(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(pointwise(call, "", "1", |v| power(v, 0.5)))
}

fn power(value: f64, exponent: f64) -> f64 {
    finite_or_null(value.powf(exponent), value.is_finite() && exponent.is_finite())
}

/// Null where finite operands come to a number too large to hold.
fn finite_or_null(result: f64, finite_operands: bool) -> f64 {
    if finite_operands && result.is_infinite() { f64::NAN } else { result }
}

fn scale_after_timestamp(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (factor, timestamp) = (call.float("factor"), call.int("timestamp"));
    let shown = format_go_g(factor);
    let suffix = if timestamp == 0 { String::new() } else { format!(",{timestamp}") };
    let scaled = |series: Series| {
        let name = format!("scale({},{shown}{suffix})", series.name);
        let times = (0i64..).map(|i| series.start.saturating_add(i.saturating_mul(series.step)));
        let value = |(v, t): (&f64, i64)| if t >= timestamp { v * factor } else { *v };
        let values = series.values.iter().zip(times).map(value).collect();
        Series { values, ..series }.named(name).tagged("scale", shown.clone())
    };
    Ok(call.series("seriesList").into_iter().map(scaled).collect())
}

fn log(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    logarithms(call, |name, base| format!("log({name}, {base})"))
}

fn logarithm(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    logarithms(call, |name, base| match base {
        10 => format!("logarithm({name})"),
        _ => format!("logarithm({name},{base})"),
    })
}

fn logarithms(
    call: &mut Call<'_>,
    name: impl Fn(&str, i64) -> String,
) -> Result<Vec<Series>, EvalError> {
    let base = call.int("base");
    let list = call.series("seriesList");
    // graphite-web looks at the base only when it first takes a logarithm.
    let takes_any = list.iter().any(|series| series.values.iter().any(|v| *v > 0.0));
    if takes_any && (base <= 0 || base == 1) {
        return Err(call.argument_error("base", "has to be above 1"));
    }
    let divisor = (base as f64).ln();
    let logarithm = |v: &f64| if *v > 0.0 { v.ln() / divisor } else { f64::NAN };
    let derived = |series: Series| {
        let values = series.points().iter().map(logarithm).collect();
        series.derived(name(&series.name, base), values).tagged("log", base.to_string())
    };
    Ok(list.into_iter().map(derived).collect())
}

fn exp(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(pointwise(call, "", "e", |v| finite_or_null(v.exp(), v.is_finite())))
}

fn sigmoid(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(pointwise(call, "", "sigmoid", |v| 1.0 / (1.0 + (-v).exp())))
}

fn logit(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let inside = |v: f64| v > 0.0 && v < 1.0;
    Ok(pointwise(call, "", "logit", |v| if inside(v) { (v / (1.0 - v)).ln() } else { f64::NAN }))
}

fn round(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let precision = call.int("precision");
    let digits = precision.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    let suffix = match call.is_given("precision") {
        true => format!(",{}", format_g(precision as f64)),
        false => String::new(),
    };
    Ok(pointwise(call, &suffix, &precision.to_string(), |v| python_round(v, digits)))
}
