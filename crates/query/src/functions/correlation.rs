//! Functions that say how alike two series are. graphite-web has none of them: carbonapi has.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::normalize::normalize;
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::{Grid, Series};

const OTHER: Param = Param::required("otherSeriesList", ParamKind::SeriesList);

const KOLMOGOROV_SMIRNOV: Function = Function {
    group: Group::Transform,
    params: &[SERIES_LIST, OTHER, Param::required("window", ParamKind::Integer)],
    summary: "Shows how likely two series come from one distribution, over a moving window.",
    detail: "The p-value of the two-sample Kolmogorov-Smirnov test over the last `window` points: \
             near 0 where the series behave differently. Each list has to be one series.",
    eval: Body::List(kolmogorov_smirnov),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "kolmogorovSmirnovTest2",
        examples: &[Example {
            target: "kolmogorovSmirnovTest2(canary.latency,stable.latency,60)",
            shows: "whether a new release behaves like the old one",
        }],
        ..KOLMOGOROV_SMIRNOV
    },
    Function {
        name: "ksTest2",
        examples: &[Example {
            target: "ksTest2(canary.latency,stable.latency,60)",
            shows: "the same under its short name",
        }],
        ..KOLMOGOROV_SMIRNOV
    },
    Function {
        name: "pearson",
        group: Group::Transform,
        params: &[SERIES_LIST, OTHER, Param::required("windowSize", ParamKind::Integer)],
        summary: "Shows how two series go together, over a moving window.",
        detail: "Pearson's coefficient: 1 if they move alike, -1 if they move against each other, 0 if \
                 neither. Each list has to be one series.",
        eval: Body::List(pearson),
        examples: &[Example {
            target: "pearson(web.requests,db.load,60)",
            shows: "when requests are what loads the database",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "pearsonClosest",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            OTHER,
            Param::required("n", ParamKind::Integer),
            Param::optional("direction", ParamKind::String)
                .default(Literal::Text("abs"))
                .options(&["abs", "pos", "neg"]),
        ],
        summary: "Keeps the n series of the second list that go best with the series in the first.",
        detail: "By Pearson's coefficient over the whole window. `pos` looks only for series that move \
                 alike, `neg` only for those that move against it.",
        eval: Body::List(pearson_closest),
        examples: &[Example {
            target: "pearsonClosest(web.errors,a.*.load,3)",
            shows: "where errors may come from",
        }],
        ..Function::DEFAULT
    },
];

/// Two columns of one length, and the series of the answer that waits for its values.
struct Pair {
    first: Vec<f64>,
    second: Vec<f64>,
    window: usize,
    answer: Series,
}

impl Pair {
    /// `function` is the name that the answer shows. `None` if one of the lists is empty.
    fn of(call: &mut Call<'_>, function: &str, parameter: &str) -> Result<Option<Self>, EvalError> {
        let size = call.int(parameter);
        let (mut first, mut second) = (call.series("seriesList"), call.series("otherSeriesList"));
        if first.len() > 1 || second.len() > 1 {
            return Err(call.error("compares one series with one other, not whole lists"));
        }
        let (Some(a), Some(b)) = (first.pop(), second.pop()) else { return Ok(None) };
        let window = usize::try_from(size).ok().filter(|window| *window > 0);
        let too_small = || call.argument_error(parameter, "has to be at least 1");
        let window = window.ok_or_else(too_small)?;
        let name = format!("{function}({},{},{size})", a.name, b.name);
        let answer = a.derived(name, Vec::new());
        let Some(both) = normalize(vec![vec![a], vec![b]]) else { return Ok(None) };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        both.map_rows(|row| {
            first.push(row[0]);
            second.push(row[1]);
            row[0]
        });
        let Grid { start, end, step } = both.grid;
        let pair = Self { first, second, window, answer: Series { start, end, step, ..answer } };
        pair.within_limit(call.limits().window_points_max)?;
        Ok(Some(pair))
    }

    /// As many windows as points, as many points as a window has.
    fn within_limit(&self, allowed: u64) -> Result<(), EvalError> {
        let points = self.first.len() as u64;
        let asked = points.saturating_mul((self.window as u64).min(points));
        if asked <= allowed {
            return Ok(());
        }
        Err(EvalError::Limit { limit: "window_points_max", asked, allowed })
    }

    /// One value for each full window, of which the first ends at point `first`; nulls before.
    fn slide(self, first: usize, value: impl Fn(&[f64], &[f64]) -> f64) -> Series {
        let Self { window, .. } = self;
        let of = |end: usize| {
            let span = (end + 1).saturating_sub(window)..end + 1;
            let full = end >= first && end + 1 >= window;
            if full { value(&self.first[span.clone()], &self.second[span]) } else { f64::NAN }
        };
        let values: Vec<f64> = (0..self.first.len()).map(of).collect();
        Series { values: values.into(), ..self.answer }
    }
}

fn pearson(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let pair = Pair::of(call, "pearson", "windowSize")?;
    Ok(pair.into_iter().map(|pair| pair.slide(0, coefficient)).collect())
}

fn kolmogorov_smirnov(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let pair = Pair::of(call, "kolmogorovSmirnovTest2", "window")?;
    let slide = |pair: Pair| {
        // carbonapi leaves out the first full window.
        let first = pair.window;
        pair.slide(first, same_distribution)
    };
    Ok(pair.into_iter().map(slide).collect())
}

fn pearson_closest(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (n, direction) = (call.int("n"), call.string("direction"));
    let reference = call.series("seriesList");
    let list = call.series("otherSeriesList");
    let [reference] = &reference[..] else {
        return match reference.is_empty() {
            true => Ok(Vec::new()),
            false => Err(call.error("compares with one series, not with a list")),
        };
    };
    let reference = reference.points();
    let strength = |series: &Series| {
        let points = series.points();
        let same_length = points.len() == reference.len();
        let found = if same_length { coefficient(&reference, &points) } else { f64::NAN };
        match direction.as_str() {
            "pos" => (found >= 0.0).then_some(found),
            "neg" => (found <= 0.0).then_some(-found),
            _ => (!found.is_nan()).then_some(found.abs()),
        }
    };
    let mut ranked: Vec<(f64, Series)> =
        list.into_iter().filter_map(|series| Some((strength(&series)?, series))).collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let n = usize::try_from(n).unwrap_or(0);
    Ok(ranked.into_iter().take(n).map(|(_, series)| series).collect())
}

/// Pearson's coefficient of the points that both have; NaN if one of them does not move.
fn coefficient(a: &[f64], b: &[f64]) -> f64 {
    let both = || a.iter().zip(b).filter(|(x, y)| !x.is_nan() && !y.is_nan());
    let count = both().count() as f64;
    let (sum_a, sum_b) = both().fold((0.0, 0.0), |(s, t), (x, y)| (s + x, t + y));
    let (mean_a, mean_b) = (sum_a / count, sum_b / count);
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (x, y) in both() {
        let (x, y) = (x - mean_a, y - mean_b);
        product += x * y;
        square_a += x * x;
        square_b += y * y;
    }
    product / (square_a.sqrt() * square_b.sqrt())
}

/// How likely it is that both samples come from one distribution; NaN if one of them is empty.
fn same_distribution(a: &[f64], b: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        present.sort_unstable_by(f64::total_cmp);
        present
    };
    let (a, b) = (sorted(a), sorted(b));
    if a.is_empty() || b.is_empty() {
        return f64::NAN;
    }
    let (length_a, length_b) = (a.len() as f64, b.len() as f64);
    let (mut at_a, mut at_b, mut distance) = (0, 0, 0.0f64);
    while at_a < a.len() && at_b < b.len() {
        let least = a[at_a].min(b[at_b]);
        at_a += a[at_a..].iter().take_while(|v| **v == least).count();
        at_b += b[at_b..].iter().take_while(|v| **v == least).count();
        distance = distance.max((at_b as f64 / length_b - at_a as f64 / length_a).abs());
    }
    let size = length_a * length_b / (length_a + length_b);
    kolmogorov_tail(size.sqrt() * distance)
}

/// The share of Kolmogorov's distribution above z: one of two series, whichever converges faster.
fn kolmogorov_tail(z: f64) -> f64 {
    const TURN: f64 = 1.18;
    if z <= 0.0 {
        return 1.0;
    }
    if z < TURN {
        let y = (-std::f64::consts::PI.powi(2) / (8.0 * z * z)).exp();
        let terms = y + y.powi(9) + y.powi(25) + y.powi(49);
        let below = (2.0 * std::f64::consts::PI).sqrt() / z * terms;
        return 1.0 - below;
    }
    let x = (-2.0 * z * z).exp();
    2.0 * (x - x.powi(4) + x.powi(9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_series_of_the_tail_meet() {
        let (below, above) = (kolmogorov_tail(1.18 - 1e-12), kolmogorov_tail(1.18));
        assert!((below - above).abs() < 1e-9, "{below} {above}");
        assert_eq!(kolmogorov_tail(0.0), 1.0);
    }

    #[test]
    fn a_sample_of_nothing_has_no_distribution() {
        assert!(same_distribution(&[f64::NAN], &[1.0]).is_nan());
        assert_eq!(same_distribution(&[1.0, 2.0], &[2.0, 1.0]), 1.0);
    }

    #[test]
    fn what_does_not_move_goes_with_nothing() {
        assert!(coefficient(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
        let opposed = coefficient(&[1.0, f64::NAN, 2.0], &[4.0, 9.0, 2.0]);
        assert!((opposed + 1.0).abs() < 1e-12, "{opposed}");
    }
}
