//! Functions that go from time to frequencies and back. graphite-web has none of them: carbonapi has.

use std::f64::consts::PI;
use std::ops::{Add, Mul, Sub};

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::format_go_g;
use crate::param::{Param, ParamKind, SERIES_LIST};
use crate::series::Series;

const LOW_PASS: Function = Function {
    group: Group::Transform,
    params: &[SERIES_LIST, Param::required("cutPercent", ParamKind::Float)],
    summary: "Drops so many percent of the values, from the middle.",
    detail: "Meant for what `fft` answers, where high frequencies lie in the middle.",
    eval: Body::List(low_pass),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "fft",
        group: Group::Transform,
        params: &[
            SERIES_LIST,
            Param::optional("mode", ParamKind::String)
                .options(&["", "abs", "phase", "both", "all"]),
        ],
        summary: "Shows how strong each frequency is, and its phase.",
        detail: "`abs` shows strengths only, `phase` phases only. Point k stands for k periods in the \
                 window. Nulls count as 0.",
        eval: Body::List(fft),
        examples: &[Example {
            target: r#"fft(web.load,"abs")"#,
            shows: "how often load comes back",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "ifft",
        group: Group::Transform,
        params: &[SERIES_LIST, Param::optional("phaseSeriesList", ParamKind::SeriesList)],
        summary: "Goes back from frequencies, as `fft` shows them, to values over time.",
        detail: "The first list holds strengths, the second phases; without it all phases are 0. \
                 Values have lost their sign. Nulls count as 0.",
        eval: Body::List(ifft),
        examples: &[Example {
            target: r#"ifft(lowPass(fft(web.load,"abs"),40),fft(web.load,"phase"))"#,
            shows: "load without its fast changes",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "lowPass",
        examples: &[Example {
            target: r#"lowPass(fft(web.load,"abs"),40)"#,
            shows: "frequencies without the 40 % highest",
        }],
        ..LOW_PASS
    },
    Function {
        name: "lpf",
        examples: &[Example { target: "lpf(web.load,40)", shows: "the same under its short name" }],
        ..LOW_PASS
    },
];

#[derive(Clone, Copy, Debug, PartialEq)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    const ZERO: Self = Self { re: 0.0, im: 0.0 };

    fn polar(length: f64, angle: f64) -> Self {
        Self { re: length * angle.cos(), im: length * angle.sin() }
    }

    fn conjugate(self) -> Self {
        Self { im: -self.im, ..self }
    }

    fn length(self) -> f64 {
        self.re.hypot(self.im)
    }

    fn angle(self) -> f64 {
        self.im.atan2(self.re)
    }
}

impl Add for Complex {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Sub for Complex {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
}

impl Mul for Complex {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let re = self.re * other.re - self.im * other.im;
        Self { re, im: self.re * other.im + self.im * other.re }
    }
}

/// The discrete Fourier transform, of any length.
fn transformed(mut values: Vec<Complex>) -> Vec<Complex> {
    if values.len().is_power_of_two() || values.is_empty() {
        halve_and_join(&mut values);
        return values;
    }
    as_convolution(&values)
}

/// The inverse of [`transformed`].
fn transformed_back(values: Vec<Complex>) -> Vec<Complex> {
    let length = values.len() as f64;
    let turned = values.into_iter().map(Complex::conjugate).collect();
    let back = transformed(turned).into_iter();
    back.map(|c| Complex { re: c.re / length, im: -c.im / length }).collect()
}

/// Cooley and Tukey's transform in place; the length has to be a power of 2.
fn halve_and_join(values: &mut [Complex]) {
    let length = values.len();
    if length < 2 {
        return;
    }
    let bits = length.trailing_zeros();
    for i in 0..length {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
    let mut half = 1;
    while half < length {
        let roots: Vec<_> =
            (0..half).map(|k| Complex::polar(1.0, -PI * k as f64 / half as f64)).collect();
        for block in values.chunks_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((a, b), root) in low.iter_mut().zip(high).zip(&roots) {
                let turned = *b * *root;
                (*a, *b) = (*a + turned, *a - turned);
            }
        }
        half *= 2;
    }
}

/// Bluestein's transform: any length is a convolution, which powers of 2 can do.
fn as_convolution(values: &[Complex]) -> Vec<Complex> {
    let length = values.len();
    // Squares are kept small, so that the angle keeps its digits.
    let chirp = |k: usize| {
        let square = (k as u128 * k as u128) % (2 * length as u128);
        Complex::polar(1.0, -PI * square as f64 / length as f64)
    };
    let chirps: Vec<Complex> = (0..length).map(chirp).collect();
    let padded = (2 * length - 1).next_power_of_two();
    let mut signal = vec![Complex::ZERO; padded];
    let mut kernel = vec![Complex::ZERO; padded];
    for (k, (value, chirp)) in values.iter().zip(&chirps).enumerate() {
        signal[k] = *value * *chirp;
        kernel[k] = chirp.conjugate();
        kernel[(padded - k) % padded] = chirp.conjugate();
    }
    halve_and_join(&mut signal);
    halve_and_join(&mut kernel);
    let product = signal.into_iter().zip(kernel).map(|(a, b)| a * b).collect();
    let folded = transformed_back(product);
    folded.into_iter().zip(chirps).map(|(value, chirp)| value * chirp).collect()
}

fn or_zero(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// Counts the points that a transform of a column needs and makes.
fn charge(call: &Call<'_>, points: usize) -> Result<(), EvalError> {
    call.generate(i64::try_from(points.saturating_mul(2)).unwrap_or(i64::MAX))
}

fn fft(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mode = call.string_opt("mode").unwrap_or_default();
    let mut answer = Vec::new();
    for series in call.series("seriesList") {
        let points = series.points();
        charge(call, points.len())?;
        let real = |v: &f64| Complex { re: or_zero(*v), im: 0.0 };
        let frequencies = transformed(points.iter().map(real).collect());
        for (part, of) in [("abs", Complex::length as fn(_) -> _), ("phase", Complex::angle)] {
            if mode == "abs" && part != "abs" || mode == "phase" && part != "phase" {
                continue;
            }
            let values = frequencies.iter().copied().map(of).collect();
            answer.push(series.derived(format!("fft({},{part})", series.name), values));
        }
    }
    Ok(answer)
}

fn ifft(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let phases = call.series("phaseSeriesList");
    let mut answer = Vec::new();
    for (place, series) in call.series("seriesList").into_iter().enumerate() {
        let points = series.points();
        charge(call, points.len())?;
        let phase = phases.get(place);
        let angles = phase.map(Series::points).unwrap_or_default();
        let angle = |i: usize| angles.get(i).copied().map_or(0.0, or_zero);
        let polar = points.iter().enumerate().map(|(i, v)| Complex::polar(or_zero(*v), angle(i)));
        let back = transformed_back(polar.collect());
        let name = match phase {
            Some(phase) => format!("ifft({},{})", series.name, phase.name),
            None => format!("ifft({})", series.name),
        };
        answer.push(series.derived(name, back.into_iter().map(Complex::length).collect()));
    }
    Ok(answer)
}

fn low_pass(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let percent = call.float("cutPercent");
    let list = call.series("seriesList").into_iter();
    let cut = |series: Series| {
        let points = series.points();
        // The cast cuts towards zero, and takes what is below it for zero.
        let kept = (percent / 200.0 * points.len() as f64) as usize;
        let dropped = kept..points.len().saturating_sub(kept);
        let value = |(i, v): (usize, &f64)| if dropped.contains(&i) { f64::NAN } else { *v };
        let values = points.iter().enumerate().map(value).collect();
        series.derived(format!("lowPass({},{})", series.name, format_go_g(percent)), values)
    };
    Ok(list.map(cut).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Straight from the definition.
    fn slowly(values: &[Complex]) -> Vec<Complex> {
        let length = values.len();
        let of = |k: usize| {
            let angle = |i: usize| -2.0 * PI * ((i * k) % length) as f64 / length as f64;
            let turned = values.iter().enumerate().map(|(i, v)| *v * Complex::polar(1.0, angle(i)));
            turned.fold(Complex::ZERO, Complex::add)
        };
        (0..length).map(of).collect()
    }

    #[test]
    fn every_length_has_a_transform_and_a_way_back() {
        for length in [0, 1, 2, 3, 7, 8, 60, 64, 181] {
            let wave = |i: usize| Complex { re: (i * i % 17) as f64 - 8.0, im: (i % 5) as f64 };
            let values: Vec<_> = (0..length).map(wave).collect();
            let fast = transformed(values.clone());
            let close = |a: &Complex, b: &Complex| (*a - *b).length() < 1e-9;
            assert!(fast.iter().zip(&slowly(&values)).all(|(a, b)| close(a, b)), "{length}");
            let back = transformed_back(fast);
            assert!(back.iter().zip(&values).all(|(a, b)| close(a, b)), "{length}");
        }
    }
}
