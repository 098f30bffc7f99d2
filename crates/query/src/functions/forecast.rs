//! Holt-Winters: what a series with a daily or other rhythm should do, and where it does not.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group, WindowRule};
use crate::names::python_slice;
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::{Grid, Series};
use crate::window::Window;

/// How fast the level follows the values.
const ALPHA: f64 = 0.1;
/// How fast the trend follows the level.
const BETA: f64 = 0.0035;
/// How fast the season and the deviation follow the values.
const GAMMA: f64 = 0.1;

const DELTA: Param = Param::optional("delta", ParamKind::Integer).default(Literal::Int(3));
const BOOTSTRAP: Param = Param::optional("bootstrapInterval", ParamKind::Interval)
    .default(Literal::Text("7d"))
    .suggestions(&[Literal::Text("7d"), Literal::Text("30d")]);
const SEASONALITY: Param = Param::optional("seasonality", ParamKind::Interval)
    .default(Literal::Text("1d"))
    .suggestions(&[Literal::Text("1d"), Literal::Text("7d")]);

const DETAIL: &str = "It learns from data of `bootstrapInterval` before the window, which repeat \
                      every `seasonality`.";

/// What the rows of this family share.
const HOLT_WINTERS: Function = Function {
    group: Group::Calculate,
    params: &[SERIES_LIST, DELTA, BOOTSTRAP, SEASONALITY],
    detail: DETAIL,
    window: WindowRule::Earlier("bootstrapInterval"),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "holtWintersForecast",
        params: &[SERIES_LIST, BOOTSTRAP, SEASONALITY],
        summary: "Shows what a series was expected to be at each point.",
        eval: Body::List(forecast),
        examples: &[Example {
            target: r#"holtWintersForecast(requests.count,"7d","1d")"#,
            shows: "an ordinary day",
        }],
        ..HOLT_WINTERS
    },
    Function {
        name: "holtWintersConfidenceBands",
        summary: "Shows the limits that a series was expected to stay within.",
        eval: Body::List(confidence_bands),
        examples: &[Example {
            target: "holtWintersConfidenceBands(requests.count,3)",
            shows: "three deviations below and above the forecast",
        }],
        ..HOLT_WINTERS
    },
    Function {
        name: "holtWintersConfidenceArea",
        summary: "Fills the area that one series was expected to stay within.",
        eval: Body::List(confidence_area),
        examples: &[Example {
            target: "holtWintersConfidenceArea(requests.count)",
            shows: "a band to draw the series over",
        }],
        ..HOLT_WINTERS
    },
    Function {
        name: "holtWintersAberration",
        summary: "Shows by how much a series leaves the limits it was expected to stay within.",
        eval: Body::List(aberration),
        examples: &[Example {
            target: "holtWintersAberration(requests.count)",
            shows: "0 on ordinary days",
        }],
        ..HOLT_WINTERS
    },
];

/// A series with the time before the window, what was expected of it, and how far off that was.
struct Analysis {
    series: Series,
    /// Where the window lies.
    grid: Grid,
    /// Over the window alone.
    predictions: Vec<f64>,
    /// Over the window alone.
    deviations: Vec<f64>,
}

impl Analysis {
    /// Reads the first argument again from the bootstrap interval earlier, and analyses each series.
    fn of_all(call: &mut Call<'_>) -> Result<Vec<Self>, EvalError> {
        let seconds = call.interval("bootstrapInterval").seconds;
        let season = call.interval("seasonality").seconds;
        let window = Window::new(call.from().saturating_sub(seconds), call.until());
        let list = call.evaluate_argument(0, window)?;
        Ok(list.into_iter().map(|series| Self::of(series, seconds, season)).collect())
    }

    fn of(mut series: Series, bootstrap: i64, season: i64) -> Self {
        let step = series.step.max(1);
        let season = usize::try_from(season.div_euclid(step)).unwrap_or(0).max(2);
        let (predictions, deviations) = analyse(&series.points(), season);
        for tag in ["holtWintersForecast", "holtWintersDeviation"] {
            series = series.tagged(tag, "1");
        }
        let start = series.start.saturating_add(bootstrap);
        let in_window =
            |values: &[f64]| python_slice(values, bootstrap.div_euclid(step), None).to_vec();
        Self {
            grid: Grid { start, end: series.end, step: series.step },
            predictions: in_window(&predictions),
            deviations: in_window(&deviations),
            series,
        }
    }

    /// A series over the window, with the tags of the analysed one.
    fn shown(&self, call: &Call<'_>, function: &str, values: Vec<f64>) -> Series {
        let name = format!("{function}({})", self.series.name);
        let (x_files_factor, tags) = (self.series.x_files_factor, self.series.tags.clone());
        Series { x_files_factor, tags, ..call.new_series(name, self.grid, values) }
    }

    /// The lower and the upper limit.
    fn bands(mut self, call: &Call<'_>, delta: f64) -> [Series; 2] {
        for tag in ["holtWintersConfidenceUpper", "holtWintersConfidenceLower"] {
            self.series = self.series.tagged(tag, "1");
        }
        let pairs = || self.predictions.iter().zip(&self.deviations);
        let lower = pairs().map(|(prediction, deviation)| prediction - delta * deviation);
        let upper = pairs().map(|(prediction, deviation)| prediction + delta * deviation);
        [
            ("holtWintersConfidenceLower", lower.collect()),
            ("holtWintersConfidenceUpper", upper.collect()),
        ]
        .map(|(function, values)| {
            let path_expression = self.series.path_expression.clone();
            Series { path_expression, ..self.shown(call, function, values) }
        })
    }
}

/// Predictions and smoothed deviations, one for each value; a season has at least two points.
fn analyse(actuals: &[f64], season: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut seasonals, mut predictions) = (Vec::new(), Vec::new());
    let mut deviations: Vec<f64> = Vec::new();
    let (mut intercept, mut slope, mut next) = (f64::NAN, 0.0, f64::NAN);
    for (i, actual) in actuals.iter().copied().enumerate() {
        let a_season_ago = |kept: &[f64], i: usize| i.checked_sub(season).map_or(0.0, |j| kept[j]);
        if actual.is_nan() {
            predictions.push(next);
            seasonals.push(0.0);
            deviations.push(0.0);
            (intercept, slope, next) = (f64::NAN, 0.0, f64::NAN);
            continue;
        }
        let prediction = if i == 0 { actual } else { next };
        // After a gap it starts anew from what is there.
        let last_intercept = if intercept.is_nan() { actual } else { intercept };
        let last_seasonal = a_season_ago(&seasonals, i);
        let expected = if prediction.is_nan() { 0.0 } else { prediction };
        intercept = ALPHA * (actual - last_seasonal) + (1.0 - ALPHA) * (last_intercept + slope);
        slope = BETA * (intercept - last_intercept) + (1.0 - BETA) * slope;
        next = intercept + slope + a_season_ago(&seasonals, i + 1);
        let last_deviation = a_season_ago(&deviations, i);
        predictions.push(prediction);
        seasonals.push(GAMMA * (actual - intercept) + (1.0 - GAMMA) * last_seasonal);
        deviations.push(GAMMA * (actual - expected).abs() + (1.0 - GAMMA) * last_deviation);
    }
    (predictions, deviations)
}

fn forecast(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let analyses = Analysis::of_all(call)?;
    let shown = |a: &Analysis| a.shown(call, "holtWintersForecast", a.predictions.clone());
    Ok(analyses.iter().map(shown).collect())
}

fn bands(call: &mut Call<'_>) -> Result<Vec<[Series; 2]>, EvalError> {
    let delta = call.int("delta") as f64;
    let analyses = Analysis::of_all(call)?;
    Ok(analyses.into_iter().map(|analysis| analysis.bands(call, delta)).collect())
}

fn confidence_bands(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(bands(call)?.into_iter().flatten().collect())
}

fn confidence_area(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mut bands = bands(call)?;
    let (Some([mut lower, mut upper]), true) = (bands.pop(), bands.is_empty()) else {
        return Err(call.error("takes exactly one series"));
    };
    let name = format!("areaBetween({})", upper.path_expression);
    let name = name.replace("areaBetween", "holtWintersConfidenceArea");
    (lower.style.stacked, lower.style.invisible, upper.style.stacked) = (true, true, true);
    let shown = |band: Series| band.named(&name).tagged("holtWintersConfidenceArea", "1");
    Ok([lower, upper].map(shown).into())
}

fn aberration(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let bands = bands(call)?;
    let list = call.series("seriesList");
    let mut aberrations = Vec::with_capacity(list.len());
    for series in list {
        let lower_name = format!("holtWintersConfidenceLower({})", series.name);
        let Some([lower, upper]) = bands.iter().rfind(|[lower, _]| lower.name == lower_name) else {
            return Err(call.error(format!("no data to learn {} from", series.name)));
        };
        let points = series.points();
        let values = points.iter().enumerate().map(|(i, value)| {
            let limit = |band: &Series| band.values.get(i).copied().unwrap_or(f64::NAN);
            let (lower, upper) = (limit(lower), limit(upper));
            match *value {
                v if v > upper => v - upper,
                v if v < lower => v - lower,
                _ => 0.0,
            }
        });
        let values = values.collect();
        let grid = Grid { start: series.start, end: series.end, step: series.step };
        let name = format!("holtWintersAberration({})", series.name);
        let (x_files_factor, tags) = (series.x_files_factor, series.tags.clone());
        let shown = Series { x_files_factor, tags, ..call.new_series(name, grid, values) };
        aberrations.push(shown.tagged("holtWintersAberration", "1"));
    }
    Ok(aberrations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_series_is_expected_to_stay_as_it_is() {
        let (predictions, deviations) = analyse(&[7.0; 20], 4);
        assert!(predictions.iter().all(|p| (p - 7.0).abs() < 1e-9));
        assert!(deviations.iter().all(|d| d.abs() < 1e-9));
    }

    #[test]
    fn after_a_gap_nothing_is_expected_until_a_value_came() {
        let (predictions, _) = analyse(&[7.0, f64::NAN, 7.0, 7.0], 2);
        assert!(!predictions[1].is_nan() && predictions[2].is_nan() && !predictions[3].is_nan());
    }
}
