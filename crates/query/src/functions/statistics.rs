//! Statistics of a series over its own values.

use crate::aggregate::percentile;
use crate::args::BoundArgs;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group, WindowRule};
use crate::number::{format_g, python_repr};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::request::Request;
use crate::series::{Grid, Series};
use crate::time_expr::parse_time;
use crate::value::Value;
use crate::window::Window;

use super::calendar::{SERVER_ZONE, server_time, wall_clock};
use super::generate::flat_line;

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "nPercentile",
        group: Group::Calculate,
        params: &[SERIES_LIST, Param::required("n", ParamKind::Float)],
        summary: "Draws a line at the value that n percent of a series lie below.",
        detail: "Series without any value are left out.",
        eval: Body::List(n_percentile),
        examples: &[Example { target: "nPercentile(net.bytes,95)", shows: "what gets billed" }],
        ..Function::DEFAULT
    },
    Function {
        name: "aggregateLine",
        group: Group::Calculate,
        params: &[
            SERIES_LIST,
            Param::optional("func", ParamKind::AggFunc).default(Literal::Text("average")),
            Param::optional("keepStep", ParamKind::Boolean).default(Literal::Bool(false)),
        ],
        summary: "Draws a line at an aggregate of all values of a series.",
        detail: "With `keepStep`, the line has as many points as the series.",
        eval: Body::List(aggregate_line),
        examples: &[Example { target: r#"aggregateLine(hosts.*.load,"max")"#, shows: "peaks" }],
        ..Function::DEFAULT
    },
    Function {
        name: "stdev",
        group: Group::Calculate,
        params: &[
            SERIES_LIST,
            Param::required("points", ParamKind::Integer),
            Param::optional("windowTolerance", ParamKind::Float).default(Literal::Float(0.1)),
        ],
        summary: "Shows the standard deviation of the last so many points.",
        detail: "There is no value where a smaller share of the window than `windowTolerance` is \
                 there.",
        eval: Body::List(stdev),
        examples: &[Example { target: "stdev(response.ms,30)", shows: "how restless it is" }],
        ..Function::DEFAULT
    },
    Function {
        name: "linearRegression",
        group: Group::Calculate,
        params: &[
            SERIES_LIST,
            Param::optional("startSourceAt", ParamKind::Date),
            Param::optional("endSourceAt", ParamKind::Date),
        ],
        summary: "Draws the straight line that fits a series best (least squares).",
        detail: "The line is fitted to data between the two times, or to those of the window. \
                 Series with fewer than two values are left out.",
        window: WindowRule::Custom(regression_windows),
        eval: Body::List(linear_regression),
        examples: &[Example {
            target: r#"linearRegression(disk.used,"00:00_20260901")"#,
            shows: "where this month's growth leads",
        }],
        ..Function::DEFAULT
    },
];

fn n_percentile(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let n = call.float("n");
    let refused = call.argument_error("n", "has to be above 0 and at most 100");
    if n == 0.0 {
        return Err(refused);
    }
    let mut lines = Vec::new();
    for series in call.series("seriesList") {
        let value = percentile(&series.points(), n, false);
        if value.is_nan() || series.step <= 0 {
            continue;
        }
        if n > 100.0 {
            return Err(refused);
        }
        let length = (series.end - series.start) / series.step;
        let made_up = length.saturating_sub(i64::try_from(series.values.len()).unwrap_or(i64::MAX));
        call.generate(made_up)?;
        let values = vec![value; usize::try_from(length).unwrap_or(0)];
        let name = format!("nPercentile({}, {})", series.name, format_g(n));
        lines.push(series.derived(name, values).tagged("nPercentile", python_repr(n)));
    }
    Ok(lines)
}

fn aggregate_line(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (aggregate, keep_step) = (call.agg("func"), call.bool("keepStep"));
    let list = call.series("seriesList").into_iter();
    Ok(list
        .map(|series| {
            let value = aggregate.of(&series.points());
            let shown = if value.is_nan() { "None".to_owned() } else { format_g(value) };
            let name = format!("aggregateLine({}, {shown})", series.name);
            match keep_step {
                true => series.derived(name, vec![value; series.values.len()]),
                false => flat_line(call, value).named(name),
            }
        })
        .collect())
}

fn stdev(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let points = call.int("points");
    let tolerance = call.float("windowTolerance");
    let list = call.series("seriesList");
    if points < 0 && !list.is_empty() {
        return Err(call.argument_error("points", "has to be positive"));
    }
    let window = usize::try_from(points).unwrap_or(0);
    let derived = |series: Series| {
        let values = deviations(&series.points(), window, tolerance);
        let name = format!("stdev({},{points})", series.name);
        series.derived(name, values).tagged("stdev", points.to_string())
    };
    Ok(list.into_iter().map(derived).collect())
}

/// From running sums, as graphite-web does it: digits cancel where values are large and close.
fn deviations(points: &[f64], window: usize, tolerance: f64) -> Vec<f64> {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    let mut deviations = Vec::with_capacity(points.len());
    for (i, value) in points.iter().enumerate() {
        let dropped = i.checked_sub(window).map_or(f64::NAN, |at| points[at]);
        if !dropped.is_nan() {
            count -= 1.0;
            sum -= dropped;
            squares -= square(dropped);
        }
        if !value.is_nan() {
            count += 1.0;
            sum += value;
            squares += square(*value);
        }
        let enough = count > 0.0 && count / window as f64 >= tolerance;
        // Below 0, where rounding can bring the difference, there is no root: null.
        let deviation = (count * squares - square(sum)).sqrt() / count;
        deviations.push(if enough { deviation } else { f64::NAN });
    }
    deviations
}

/// Python squares with `pow`, whose last digit differs from a product's once in a thousand numbers.
/// Where the sums cancel, that digit is all that is left; the box keeps it from being compiled to a
/// product.
fn square(value: f64) -> f64 {
    value.powf(std::hint::black_box(2.0))
}

fn linear_regression(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let date = |parameter: &str, time: i64| match call.has(parameter) {
        // The name shows what the clock on the wall says.
        false => Ok((time, wall_clock(call, time))),
        true => server_time(call, parameter).map(|time| (time, time)),
    };
    let (from, from_shown) = date("startSourceAt", call.from())?;
    let (until, until_shown) = date("endSourceAt", call.until())?;
    let list = call.series("seriesList");
    let sources = call.evaluate_argument(0, Window::new(from, until))?;
    let mut lines = Vec::new();
    for (source, series) in sources.iter().zip(list) {
        let Some((factor, offset)) = least_squares(source) else { continue };
        let at = |i: usize| offset + (series.start + i as i64 * series.step) as f64 * factor;
        let values = (0..series.values.len()).map(at).collect();
        let name = format!("linearRegression({}, {from_shown}, {until_shown})", series.name);
        let grid = Grid { start: series.start, end: series.end, step: series.step };
        let line = call.new_series(name, grid, values);
        let (x_files_factor, tags) = (series.x_files_factor, series.tags);
        let line = Series { x_files_factor, tags, ..line };
        lines.push(line.tagged("linearRegressions", format!("{from_shown}, {until_shown}")));
    }
    Ok(lines)
}

/// Slope per second and value at time 0 of the best line; `None` below two values.
fn least_squares(series: &Series) -> Option<(f64, f64)> {
    let (mut n, mut sum_i, mut sum_ii) = (0i128, 0i128, 0i128);
    let (mut sum_v, mut sum_iv) = (0.0, 0.0);
    for (i, value) in series.points().iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        let index = i as i128;
        n += 1;
        sum_i += index;
        sum_ii += index * index;
        sum_v += value;
        sum_iv += i as f64 * value;
    }
    let denominator = (n * sum_ii - sum_i * sum_i) as f64;
    if denominator == 0.0 {
        return None;
    }
    let (n, sum_i, sum_ii) = (n as f64, sum_i as f64, sum_ii as f64);
    let factor = (n * sum_iv - sum_i * sum_v) / denominator / series.step as f64;
    let offset = (sum_ii * sum_v - sum_iv * sum_i) / denominator - factor * series.start as f64;
    Some((factor, offset))
}

fn regression_windows(args: &BoundArgs, window: Window, request: &Request) -> Vec<Window> {
    let date = |parameter: &str, default: i64| match args.get(parameter) {
        None => Some(default),
        Some(Value::List(_) | Value::Lists(_)) => None,
        Some(value) => parse_time(&value.to_text(), request.now, &SERVER_ZONE).ok(),
    };
    let from = date("startSourceAt", window.from);
    let until = date("endSourceAt", window.until);
    from.zip(until).map(|(from, until)| Window::new(from, until)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_line_goes_through_points_that_lie_on_one() {
        let values = vec![5.0, f64::NAN, 9.0, 11.0];
        let (factor, offset) = least_squares(&Series::new("a", 120, 360, 60, values)).unwrap();
        assert!((factor - 2.0 / 60.0).abs() < 1e-12 && (offset - 1.0).abs() < 1e-12);
        assert_eq!(least_squares(&Series::new("a", 0, 120, 60, vec![f64::NAN, 1.0])), None);
    }

    #[test]
    fn a_deviation_needs_its_share_of_the_window() {
        let deviations = deviations(&[1.0, 3.0, f64::NAN, f64::NAN, 4.0], 2, 1.0);
        assert!(deviations[0].is_nan() && deviations[2].is_nan() && deviations[4].is_nan());
        assert_eq!(deviations[1], 1.0);
    }
}
