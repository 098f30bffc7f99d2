//! The ticks of a y axis: where it ends, how far its labels stand apart, and what they say.

use crate::error::GraphError;
use crate::labels::{BINARY, UnitSystem};

/// Shares of a step that count as rounding.
const EPSILON: f64 = 1e-4;
/// Above this many labels the step that was asked for gives way to one of our own.
const STEPS_MAX: f64 = 1000.0;

/// Where an axis is to end at the top.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum Top {
    /// At a round number above the largest value.
    #[default]
    Round,
    /// At the largest value.
    Largest,
    /// Here.
    At(f64),
}

/// What a request says of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct AxisWish {
    pub(crate) min: Option<f64>,
    pub(crate) max: Top,
    pub(crate) limit: Option<f64>,
    pub(crate) step: Option<f64>,
}

/// What it says of all axes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ruler {
    pub(crate) units: UnitSystem,
    pub(crate) log_base: Option<f64>,
    /// How many parts an axis may have.
    pub(crate) divisors: Vec<u32>,
}

/// One y axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    pub(crate) top: f64,
    bottom: f64,
    /// Values at which labels stand, in rising order.
    pub(crate) ticks: Vec<f64>,
    /// What they say.
    pub(crate) labels: Vec<String>,
    log_base: Option<f64>,
}

impl Scale {
    /// The axis for values between these.
    pub(crate) fn choose(
        values: (f64, f64),
        wish: &AxisWish,
        ruler: &Ruler,
    ) -> Result<Self, GraphError> {
        let mut ends = Ends::new(values, wish);
        ends.reconcile()?;
        let (bottom, top, step, ticks) = match ruler.log_base {
            Some(base) => log_ticks(&ends, base)?,
            None => linear_ticks(ends, wish, ruler)?,
        };
        let label = |value: &f64| ruler.units.label(*value, step, top - bottom);
        let labels = ticks.iter().map(label).collect();
        Ok(Self { top, bottom, ticks, labels, log_base: ruler.log_base })
    }

    /// Without labels; lines then take the whole height.
    pub(crate) fn without_labels(self) -> Self {
        Self { ticks: Vec::new(), labels: Vec::new(), ..self }
    }

    /// Where a value stands between the lowest label, 0, and the highest, 1. None where a
    /// logarithm does not exist.
    pub(crate) fn position(&self, value: f64) -> Option<f64> {
        let mut low = self.ticks.first().copied().unwrap_or(self.bottom);
        let mut high = self.ticks.last().copied().unwrap_or(self.top);
        if high <= low {
            (low, high) = (self.bottom, self.top);
        }
        let ratio = match self.log_base {
            Some(_) if value <= 0.0 => return None,
            Some(_) => (value / low).ln() / (high / low).ln(),
            None => (value - low) / (high - low),
        };
        Some(if ratio.is_nan() { 0.0 } else { ratio })
    }
}

/// The range that an axis must cover, and which of its ends may move.
struct Ends {
    min: f64,
    max: f64,
    min_is_fixed: bool,
    max_is_fixed: bool,
    /// The end may be rounded up.
    max_is_round: bool,
    limit: Option<f64>,
}

impl Ends {
    fn new((min, max): (f64, f64), wish: &AxisWish) -> Self {
        let mut ends = Self {
            min: wish.min.unwrap_or(min),
            max: if let Top::At(max) = wish.max { max } else { max },
            min_is_fixed: wish.min.is_some(),
            max_is_fixed: matches!(wish.max, Top::At(_)),
            max_is_round: wish.max == Top::Round,
            limit: wish.limit,
        };
        if let Some(limit) = wish.limit.filter(|limit| *limit < ends.max) {
            (ends.max, ends.limit) = (limit, None);
            (ends.max_is_fixed, ends.max_is_round) = (true, false);
        }
        ends
    }

    /// Makes room where there is none between the ends.
    fn reconcile(&mut self) -> Result<(), GraphError> {
        if self.min < self.max {
            return Ok(());
        }
        let room = |x: f64| if x.abs() < 1e-9 { 1.0 } else { 0.1 * x.abs() };
        match (self.min_is_fixed, self.max_is_fixed) {
            (true, true) => {
                let (min, max) = (self.min, self.max);
                return Err(GraphError::Axis(format!("from {min} to {max} there is nothing")));
            }
            (true, false) => self.max = self.min + room(self.min),
            (false, true) => self.min = self.max - room(self.max),
            (false, false) => {
                let delta = room(self.min.abs().max(self.max.abs()));
                let middle = self.min / 2.0 + self.max / 2.0;
                (self.min, self.max) = (middle - delta, middle + delta);
            }
        }
        Ok(())
    }
}

/// Bottom, top, step and label values.
type Ticks = (f64, f64, Option<f64>, Vec<f64>);

fn linear_ticks(ends: Ends, wish: &AxisWish, ruler: &Ruler) -> Result<Ticks, GraphError> {
    let mut step = match wish.step {
        Some(step) => step,
        None => choose_step(&ends, &ruler.divisors, ruler.units == BINARY)?,
    };
    if !(step > 0.0 && step.is_finite()) {
        return Err(GraphError::Axis(format!("its step is {step}")));
    }
    let bottom =
        if ends.min_is_fixed { ends.min } else { step * (ends.min / step + EPSILON).floor() };
    let mut top = ends.max;
    if ends.max_is_round {
        top = step * (ends.max / step - EPSILON).ceil();
        top = ends.limit.filter(|limit| top > limit + EPSILON * step).unwrap_or(top);
    }
    if top == bottom {
        top += 1.0;
    }
    if top - bottom > STEPS_MAX * step {
        step = choose_step(&ends, &[4, 5, 6], false)?;
    }
    let first = step * (bottom / step - EPSILON).ceil();
    let last = top + EPSILON * step;
    // A wide limit can still ask for more than anybody reads.
    let count = ((last - first) / step).floor().clamp(-1.0, STEPS_MAX) + 1.0;
    let ticks = (0..count as u32).map(|i| first + f64::from(i) * step).collect();
    Ok((bottom, top, Some(step), ticks))
}

/// The step that, with one of the allowed numbers of parts, leaves the least room unused.
fn choose_step(ends: &Ends, divisors: &[u32], is_binary: bool) -> Result<f64, GraphError> {
    let range = ends.max - ends.min;
    let fewest = f64::from(divisors.iter().copied().min().unwrap_or(1));
    let most = f64::from(divisors.iter().copied().max().unwrap_or(1));
    let smallest = range / most;
    let mut best: Option<(f64, f64)> = None;
    for step in steps_from(smallest, is_binary) {
        if best.is_some_and(|(slop, _)| step * fewest >= 2.0 * slop + range) {
            break;
        }
        for divisor in divisors {
            let slop = slop(ends, step, f64::from(*divisor));
            if let Some(slop) = slop.filter(|slop| best.is_none_or(|(least, _)| *slop < least)) {
                best = Some((slop, step));
            }
        }
    }
    let nowhere = || GraphError::Axis(format!("from {} to {} is too far", ends.min, ends.max));
    best.map(|(_, step)| step).ok_or_else(nowhere)
}

/// Round steps in rising order, not smaller than the one given.
fn steps_from(smallest: f64, is_binary: bool) -> impl Iterator<Item = f64> {
    let (base, mantissas): (f64, &[f64]) =
        if is_binary { (2.0, &[1.0]) } else { (10.0, &[1.0, 2.0, 5.0]) };
    let exponent = if is_binary { smallest.ln() / base.ln() } else { smallest.log10() };
    let first = (exponent - EPSILON).floor();
    let powers = (0..64).map(move |i| base.powf(first + f64::from(i)));
    powers
        .flat_map(move |power| mantissas.iter().map(move |mantissa| mantissa * power))
        .filter(move |step| *step >= smallest * (1.0 - EPSILON) && step.is_finite())
}

/// Room left over at the larger side; None if so many steps do not reach.
fn slop(ends: &Ends, step: f64, divisor: f64) -> Option<f64> {
    let bottom = step * (ends.min / step + EPSILON).floor();
    let top = bottom + step * divisor;
    (top >= ends.max - EPSILON * step).then(|| (top - ends.max).max(ends.min - bottom))
}

fn log_ticks(ends: &Ends, base: f64) -> Result<Ticks, GraphError> {
    if ends.min <= 0.0 {
        let problem = format!("a logarithmic scale begins above 0, not at {}", ends.min);
        return Err(GraphError::Axis(problem));
    }
    let log = |x: f64| x.ln() / base.ln();
    let bottom = base.powf(log(ends.min).floor());
    let mut top = base.powf(log(ends.max).ceil());
    if top == bottom {
        top *= base;
    }
    let first = base.powf((log(bottom) - EPSILON).ceil());
    if !(first > 0.0 && top.is_finite()) || log(top) - log(bottom) > STEPS_MAX {
        let (min, max) = (ends.min, ends.max);
        return Err(GraphError::Axis(format!("from {min} to {max} has too many powers of {base}")));
    }
    let powers = std::iter::successors(Some(first), |value| Some(value * base));
    let ticks = powers.take_while(|value| *value < top * (1.0 + EPSILON));
    let ticks = ticks.take(STEPS_MAX as usize).collect();
    Ok((bottom, top, None, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::SI;

    fn ruler(log_base: Option<f64>) -> Ruler {
        Ruler { units: SI, log_base, divisors: vec![4, 5, 6] }
    }

    #[test]
    fn round_steps_cover_the_values() {
        let scale = Scale::choose((3.0, 97.0), &AxisWish::default(), &ruler(None)).unwrap();
        assert_eq!(scale.labels, ["0 ", "20.0 ", "40.0 ", "60.0 ", "80.0 ", "100.0 "]);
        assert_eq!(scale.position(50.0), Some(0.5));
    }

    #[test]
    fn no_range_of_values_breaks_an_axis() {
        let odd = [0.0, -1.0, 1e-300, f64::MIN_POSITIVE, f64::MAX, f64::MIN, 1e16, 1e16 + 2.0, 7.0];
        for min in odd {
            for max in odd {
                for step in [None, Some(1e-9), Some(0.0), Some(1e300)] {
                    let wish = AxisWish { step, ..AxisWish::default() };
                    let count = [None, Some(2.0), Some(1.0 + 1e-9)]
                        .map(|base| Scale::choose((min, max), &wish, &ruler(base)))
                        .map(|scale| scale.map_or(0, |scale| scale.ticks.len()));
                    assert!(count.iter().all(|c| *c <= 1001), "{min} {max} {step:?}: {count:?}");
                }
            }
        }
    }

    #[test]
    fn ends_that_are_asked_for_stay() {
        let wish = AxisWish { min: Some(1.0), max: Top::Largest, ..AxisWish::default() };
        let scale = Scale::choose((3.0, 9.5), &wish, &ruler(None)).unwrap();
        assert_eq!((scale.bottom, scale.top), (1.0, 9.5));
        let wish = AxisWish { limit: Some(5.0), ..AxisWish::default() };
        assert_eq!(Scale::choose((0.0, 97.0), &wish, &ruler(None)).unwrap().top, 5.0);
        let wish = AxisWish { min: Some(2.0), max: Top::At(1.0), ..AxisWish::default() };
        assert!(Scale::choose((0.0, 97.0), &wish, &ruler(None)).is_err());
    }

    #[test]
    fn logarithms_need_values_above_zero() {
        assert!(Scale::choose((0.0, 9.0), &AxisWish::default(), &ruler(Some(10.0))).is_err());
        let scale = Scale::choose((0.2, 90.0), &AxisWish::default(), &ruler(Some(10.0))).unwrap();
        assert_eq!(scale.labels, ["0.10 ", "1.0 ", "10.0 ", "100.0 "]);
        assert_eq!(scale.position(-1.0), None);
        assert!((scale.position(10.0).unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }
}
