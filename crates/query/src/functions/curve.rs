//! Functions that draw a smooth line through values. graphite-web has none of them: carbonapi has.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::Series;

/// Beyond this degree a polynomial follows noise and nothing else.
const DEGREE_MAX: i64 = 32;

const WEIGHTED: Function = Function {
    group: Group::Calculate,
    params: &[SERIES_LIST, Param::required("alpha", ParamKind::Float)],
    summary: "Shows a moving mean in which a value weighs less the older it is.",
    detail: "Each mean is `alpha` times the value and 1 - `alpha` times the mean before. Nulls stay null.",
    eval: Body::List(weighted),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "exponentialWeightedMovingAverage",
        examples: &[Example {
            target: "exponentialWeightedMovingAverage(web.load,0.1)",
            shows: "load without its noise",
        }],
        ..WEIGHTED
    },
    Function {
        name: "ewma",
        examples: &[Example { target: "ewma(web.load,0.1)", shows: "the same, shorter" }],
        ..WEIGHTED
    },
    Function {
        name: "polyfit",
        group: Group::Combine,
        params: &[
            SERIES_LIST,
            Param::optional("degree", ParamKind::Integer).default(Literal::Int(1)),
            Param::optional("offset", ParamKind::Interval)
                .default(Literal::Text("0d"))
                .suggestions(&[Literal::Text("1h"), Literal::Text("1d"), Literal::Text("7d")]),
        ],
        summary: "Draws the polynomial that fits the values best.",
        detail: "A straight line for degree 1, a parabola for degree 2, at most degree 32. With an \
                 offset the line goes on so much longer. Null everywhere if there are fewer than two \
                 values.",
        eval: Body::List(polyfit),
        examples: &[Example {
            target: r#"polyfit(disk.used,1,"7d")"#,
            shows: "how full the disk will be in a week",
        }],
        ..Function::DEFAULT
    },
];

fn weighted(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let alpha = call.float("alpha");
    let list = call.series("seriesList").into_iter();
    let smooth = |series: Series| {
        let mut mean = f64::NAN;
        let next = |value: &f64| {
            if value.is_nan() {
                return f64::NAN;
            }
            mean = if mean.is_nan() { *value } else { alpha * value + (1.0 - alpha) * mean };
            mean
        };
        let values = series.points().iter().map(next).collect();
        series.derived(format!("ewma({},{alpha})", series.name), values)
    };
    Ok(list.map(smooth).collect())
}

fn polyfit(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (degree, offset) = (call.int("degree"), call.interval("offset"));
    if !(1..=DEGREE_MAX).contains(&degree) {
        let message = format!("has to be between 1 and {DEGREE_MAX}");
        return Err(call.argument_error("degree", message));
    }
    let suffix = match (call.is_given("degree"), call.is_given("offset")) {
        (_, true) => format!(",{degree},'{}'", offset.text),
        (true, false) => format!(",{degree}"),
        (false, false) => String::new(),
    };
    let mut answer = Vec::new();
    for series in call.series("seriesList") {
        let points = series.points();
        let more = offset.seconds / series.step.max(1);
        call.generate(more)?;
        let known = i64::try_from(points.len()).unwrap_or(i64::MAX);
        let length = known.saturating_add(more).max(0);
        let places = usize::try_from(length).unwrap_or(0);
        let values = fitted(&points, usize::try_from(degree).unwrap_or(1), places);
        let mut fit = series.derived(format!("polyfit({}{suffix})", series.name), values);
        fit.end = fit.end.saturating_add(offset.seconds).max(fit.start);
        answer.push(fit);
    }
    Ok(answer)
}

/// One of a family of polynomials that are orthogonal over the points that have a value.
struct Term {
    /// How much of it there is in the values.
    share: f64,
    /// Together with `back`: how the next one follows from this one and the one before.
    middle: f64,
    back: f64,
}

impl Term {
    fn next(&self, x: f64, now: f64, before: f64) -> f64 {
        (x - self.middle) * now - self.back * before
    }
}

/// Values at the first `places` points of the polynomial that fits best.
///
/// It is put together from orthogonal polynomials (Forsythe's method): no matrix, and digits hold where
/// powers of x would swamp them.
fn fitted(points: &[f64], degree: usize, places: usize) -> Vec<f64> {
    let half = points.len() as f64 / 2.0;
    let x = |i: usize| i as f64 / half - 1.0;
    let present = points.iter().enumerate().filter(|(_, v)| !v.is_nan());
    let present: Vec<(f64, f64)> = present.map(|(i, v)| (x(i), *v)).collect();
    if present.len() < 2 {
        return vec![f64::NAN; places];
    }
    let terms = terms(&present, degree.min(present.len() - 1));
    let value = |i: usize| {
        let (mut before, mut now, mut sum) = (0.0, 1.0, 0.0);
        for term in &terms {
            sum += term.share * now;
            (before, now) = (now, term.next(x(i), now, before));
        }
        sum
    };
    (0..places).map(value).collect()
}

/// The polynomials up to a degree, for points (x, y).
fn terms(present: &[(f64, f64)], degree: usize) -> Vec<Term> {
    let (mut before, mut now) = (vec![0.0; present.len()], vec![1.0; present.len()]);
    let mut norm_before = 0.0;
    let mut terms = Vec::new();
    for _ in 0..=degree {
        let (mut norm, mut share, mut middle) = (0.0, 0.0, 0.0);
        for ((x, y), p) in present.iter().zip(&now) {
            norm += p * p;
            share += p * y;
            middle += x * p * p;
        }
        let back = if norm_before == 0.0 { 0.0 } else { norm / norm_before };
        let term = Term { share: share / norm, middle: middle / norm, back };
        for (((x, _), p), q) in present.iter().zip(&mut now).zip(&mut before) {
            (*q, *p) = (*p, term.next(*x, *p, *q));
        }
        norm_before = norm;
        terms.push(term);
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_fits_itself_and_goes_on() {
        let cubic = |i: usize| {
            let x = i as f64;
            0.5 * x * x * x - 20.0 * x * x + 3.0 * x - 7.0
        };
        let mut points: Vec<f64> = (0..100).map(cubic).collect();
        points[3..20].fill(f64::NAN);
        for degree in [3, 5] {
            for (i, value) in fitted(&points, degree, 120).iter().enumerate() {
                let want = cubic(i);
                assert!((value - want).abs() <= 1e-9 * want.abs().max(1e4), "{i} {value} {want}");
            }
        }
    }

    #[test]
    fn few_points_are_met_exactly_whatever_the_degree() {
        let fit = fitted(&[1.0, f64::NAN, 5.0], 9, 3);
        assert!((fit[0] - 1.0).abs() < 1e-12 && (fit[1] - 3.0).abs() < 1e-12);
        assert!(fitted(&[1.0, f64::NAN], 1, 2).iter().all(|v| v.is_nan()));
    }
}
