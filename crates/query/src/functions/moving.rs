//! Functions over a window that moves along with time.

use std::ops::Range;

use crate::aggregate::{Aggregate, middle};
use crate::brake::Brake;
use crate::call::{Call, IntOrInterval};
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group, WindowRule};
use crate::names::python_slice;
use crate::number::python_round;
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::Series;
use crate::window::earlier;

const WINDOW_SIZE: Param = Param::required("windowSize", ParamKind::IntOrInterval).suggestions(&[
    Literal::Int(5),
    Literal::Int(10),
    Literal::Text("1min"),
    Literal::Text("5min"),
    Literal::Text("1hour"),
]);
const X_FILES_FACTOR: Param = Param::optional("xFilesFactor", ParamKind::Float);

const WINDOW: &str = "The window is a number of points or a length of time. Data from before the \
                      start fill the first windows.";

/// What the rows of this family share.
const MOVING: Function = Function {
    group: Group::Calculate,
    params: &[SERIES_LIST, WINDOW_SIZE, X_FILES_FACTOR],
    detail: WINDOW,
    window: WindowRule::EarlierPoints("windowSize"),
    ..Function::DEFAULT
};

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "movingWindow",
        params: &[
            SERIES_LIST,
            WINDOW_SIZE,
            Param::optional("func", ParamKind::AggFunc).default(Literal::Text("average")),
            X_FILES_FACTOR,
        ],
        summary: "Shows an aggregate of the values up to each point.",
        eval: Body::List(moving_window),
        examples: &[Example {
            target: r#"movingWindow(hosts.*.load,"10min","stddev")"#,
            shows: "how restless each host is",
        }],
        ..MOVING
    },
    Function {
        name: "movingAverage",
        summary: "Shows the mean of the values up to each point.",
        eval: Body::List(|call| moving(call, "average")),
        examples: &[Example { target: "movingAverage(hosts.*.load,10)", shows: "smooth lines" }],
        ..MOVING
    },
    Function {
        name: "movingMedian",
        summary: "Shows the median of the values up to each point.",
        eval: Body::List(|call| moving(call, "median")),
        examples: &[Example {
            target: r#"movingMedian(sensor.level,"5min")"#,
            shows: "a level without its spikes",
        }],
        ..MOVING
    },
    Function {
        name: "movingSum",
        summary: "Shows the sum of the values up to each point.",
        eval: Body::List(|call| moving(call, "sum")),
        examples: &[Example {
            target: r#"movingSum(errors.count,"1h")"#,
            shows: "errors in the last hour",
        }],
        ..MOVING
    },
    Function {
        name: "movingMin",
        summary: "Shows the least of the values up to each point.",
        eval: Body::List(|call| moving(call, "min")),
        examples: &[Example { target: r#"movingMin(disk.free,"1d")"#, shows: "how tight it got" }],
        ..MOVING
    },
    Function {
        name: "movingMax",
        summary: "Shows the greatest of the values up to each point.",
        eval: Body::List(|call| moving(call, "max")),
        examples: &[Example { target: "movingMax(queue.length,30)", shows: "the upper edge" }],
        ..MOVING
    },
    Function {
        name: "exponentialMovingAverage",
        params: &[SERIES_LIST, WINDOW_SIZE],
        summary: "Shows a mean in which values count the less the longer ago they are.",
        detail: "It starts from the mean of the window before the start and moves by 2/(window + 1) \
                 of the way to each value. Values are rounded to six digits after the point.",
        eval: Body::List(exponential),
        examples: &[Example {
            target: r#"exponentialMovingAverage(hosts.*.load,"10min")"#,
            shows: "smooth lines that follow quickly",
        }],
        ..MOVING
    },
];

/// A window, and the time before the start that it needs.
struct Preview {
    window: IntOrInterval,
    seconds: i64,
    series: Vec<Series>,
}

impl Preview {
    /// Reads the first argument again from a window earlier; a number of points is counted in the
    /// greatest step.
    fn of(call: &mut Call<'_>) -> Result<Self, EvalError> {
        let step = call.greatest_step("seriesList");
        let window = call.int_or_interval("windowSize");
        let seconds = match &window {
            IntOrInterval::Points { count, .. } => step.unwrap_or(0).saturating_mul(*count),
            IntOrInterval::Time(interval) => interval.seconds.saturating_abs(),
        };
        let series = match step {
            None => Vec::new(),
            Some(_) => call.evaluate_argument(0, earlier(call.window(), seconds))?,
        };
        Ok(Self { window, seconds, series })
    }

    /// The window in points of this series.
    fn points(&self, series: &Series) -> i64 {
        match &self.window {
            IntOrInterval::Points { count, .. } => *count,
            IntOrInterval::Time(_) => self.seconds.div_euclid(series.step.max(1)),
        }
    }

    fn text(&self) -> &str {
        match &self.window {
            IntOrInterval::Points { text, .. } => text,
            IntOrInterval::Time(interval) => &interval.text,
        }
    }

    /// A series of the window's values, which begins where the request does.
    fn finish(&self, series: &Series, function: &str, values: Vec<f64>) -> Series {
        let text = self.text();
        let name = match &self.window {
            IntOrInterval::Points { .. } => format!("{function}({},{text})", series.name),
            IntOrInterval::Time(_) => format!("{function}({},\"{text}\")", series.name),
        };
        let start = series.start.saturating_add(self.seconds);
        Series { start, ..series.derived(name, values).tagged(function, text) }
    }
}

fn moving_window(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let func = call.string("func");
    moving(call, &func)
}

fn moving(call: &mut Call<'_>, func: &str) -> Result<Vec<Series>, EvalError> {
    let unknown = || call.argument_error("func", format!("is no aggregation: {func}"));
    let aggregate = Aggregate::by_name(func).ok_or_else(unknown)?;
    let x_files_factor = call.float_opt("xFilesFactor");
    let function = format!("moving{}", capitalized(func));
    let preview = Preview::of(call)?;
    let shown = |series: &Series| {
        let share_min = x_files_factor.unwrap_or(series.x_files_factor);
        let needed = Needed { aggregate, share_min, points: preview.points(series) };
        let values = aggregates(&series.points(), &needed, call.brake())?;
        Ok(preview.finish(series, &function, values))
    };
    preview.series.iter().map(shown).collect()
}

/// First letter large, all others small.
fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + &letters.as_str().to_lowercase()
}

/// What a window comes to.
struct Needed {
    points: i64,
    aggregate: Aggregate,
    /// Null where a smaller share of the window is there.
    share_min: f64,
}

/// The aggregate of each window, the first of which ends a point after it would fit.
fn aggregates(values: &[f64], needed: &Needed, brake: &Brake) -> Result<Vec<f64>, EvalError> {
    let &Needed { points, aggregate, share_min } = needed;
    let Some(window) = usize::try_from(points).ok().filter(|points| *points > 0) else {
        // Windows of no points, or fewer, have no value; graphite-web goes through them all the same.
        let extra = usize::try_from(points.unsigned_abs()).unwrap_or(usize::MAX);
        return Ok(vec![f64::NAN; values.len() + extra.min(values.len())]);
    };
    // What is there without its gaps, and how much of it lies before each point: any window is then
    // one slice.
    let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let mut before = Vec::with_capacity(values.len() + 1);
    before.push(0);
    let mut count = 0;
    for value in values {
        count += usize::from(!value.is_nan());
        before.push(count);
    }
    let mut sorted = SortedWindow::default();
    let mut shown = Vec::with_capacity(values.len().saturating_sub(window));
    for end in window.saturating_add(1)..=values.len() {
        let place = before[end - window]..before[end];
        if place.is_empty() || (place.len() as f64 / window as f64) < share_min {
            shown.push(f64::NAN);
            continue;
        }
        brake.check()?;
        shown.push(match aggregate {
            Aggregate::Median => middle(sorted.moved_to(&present, place)),
            _ => aggregate.of(&present[place]),
        });
    }
    Ok(shown)
}

/// The values of a window in order, kept in order as it moves on: sorting each anew would take as
/// long again for every point.
#[derive(Default)]
struct SortedWindow {
    place: Range<usize>,
    sorted: Vec<f64>,
}

impl SortedWindow {
    /// Both ends only move forward.
    fn moved_to(&mut self, values: &[f64], place: Range<usize>) -> &[f64] {
        for entering in &values[self.place.end..place.end] {
            let at = self.sorted.partition_point(|v| v.total_cmp(entering).is_lt());
            self.sorted.insert(at, *entering);
        }
        for leaving in &values[self.place.start..place.start] {
            let at = self.sorted.partition_point(|v| v.total_cmp(leaving).is_lt());
            self.sorted.remove(at);
        }
        self.place = place;
        &self.sorted
    }
}

fn exponential(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let preview = Preview::of(call)?;
    let window = match &preview.window {
        IntOrInterval::Points { count, .. } => *count,
        IntOrInterval::Time(_) => preview.seconds,
    };
    if window == -1 {
        return Err(call.argument_error("windowSize", "has to be positive"));
    }
    let weight = 2.0 / (window as f64 + 1.0);
    let shown = |series: &Series| {
        let points = series.points();
        let at = preview.points(series);
        let first = python_slice(&points, 0, Some(at));
        // As Python's indexes do, a negative window counts from the end and then goes round.
        let (tail, rest) = match at {
            0.. => (&points[..0], &points[first.len()..]),
            _ => (python_slice(&points, at, None), &points[..]),
        };
        let mean = Aggregate::Average.of(first);
        let mut average = if mean.is_nan() { 0.0 } else { mean };
        let mut values = vec![python_round(average, 6)];
        for value in tail.iter().chain(rest) {
            if value.is_nan() {
                values.push(f64::NAN);
                continue;
            }
            average = weight * value + (1.0 - weight) * average;
            values.push(python_round(average, 6));
        }
        preview.finish(series, "exponentialMovingAverage", values)
    };
    Ok(preview.series.iter().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(length: u32) -> Vec<f64> {
        let value = |i: u32| match i % 7 {
            3 | 4 => f64::NAN,
            _ => f64::from(i * 37 % 101) - f64::from(i % 5) * 20.0,
        };
        (0..length).map(value).collect()
    }

    #[test]
    fn a_sorted_window_has_the_median_of_a_window_sorted_anew() {
        let values = wave(400);
        for window in [1usize, 2, 3, 10, 99, 400] {
            let points = i64::try_from(window).unwrap();
            let needed = Needed { points, aggregate: Aggregate::Median, share_min: 0.3 };
            let moved = aggregates(&values, &needed, &Brake::default()).unwrap();
            assert_eq!(moved.len(), values.len() - window);
            for (i, got) in moved.into_iter().enumerate() {
                let row = &values[i + 1..i + 1 + window];
                let present = row.iter().filter(|v| !v.is_nan()).count();
                let enough = present as f64 / window as f64 >= 0.3;
                let want = if enough { Aggregate::Median.of(row) } else { f64::NAN };
                assert!(got == want || got.is_nan() && want.is_nan(), "{window} {i}");
            }
        }
    }

    #[test]
    fn windows_longer_than_the_data_or_without_points_have_no_values() {
        let sums = |points| {
            let needed = Needed { points, aggregate: Aggregate::Sum, share_min: 0.0 };
            aggregates(&wave(5), &needed, &Brake::default()).unwrap()
        };
        assert!(sums(i64::MAX).is_empty());
        let none = sums(i64::MIN);
        assert!(none.len() == 10 && none.iter().all(|v| v.is_nan()));
    }

    #[test]
    fn a_pulled_brake_ends_it_at_the_next_window() {
        let needed = Needed { points: 2, aggregate: Aggregate::Sum, share_min: 0.0 };
        let brake = Brake::default();
        brake.pull();
        assert_eq!(aggregates(&wave(5), &needed, &brake), Err(EvalError::Stopped));
    }

    #[test]
    fn names_capitalize_as_python_does() {
        assert_eq!(capitalized("rangeOf"), "Rangeof");
        assert_eq!(capitalized("avg_zero"), "Avg_zero");
    }
}
