//! How a coarser point is made from finer ones.

use std::fmt;

/// One row a method: what the header stores, and what the method is called.
const METHODS: [(u32, &str, Method); 8] = [
    (1, "average", Method::Average),
    (2, "sum", Method::Sum),
    (3, "last", Method::Last),
    (4, "max", Method::Max),
    (5, "min", Method::Min),
    (6, "avg_zero", Method::AvgZero),
    (7, "absmax", Method::AbsMax),
    (8, "absmin", Method::AbsMin),
];

/// An aggregation method, with the meaning Python whisper gives its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// Mean of the known values.
    #[default]
    Average,
    /// Sum of the known values.
    Sum,
    /// The newest known value.
    Last,
    /// The greatest known value, the first of equals.
    Max,
    /// The least known value, the first of equals.
    Min,
    /// Sum of the known values over the number of slots: null counts as 0.
    AvgZero,
    /// The value furthest from zero, sign kept, the first of equals.
    AbsMax,
    /// The value nearest to zero, sign kept, the first of equals.
    AbsMin,
}

impl Method {
    /// Every method, in the order of their ids.
    pub fn all() -> impl Iterator<Item = Self> {
        METHODS.iter().map(|row| row.2)
    }

    /// The method a header's id stands for.
    pub fn from_id(id: u32) -> Option<Self> {
        METHODS.iter().find(|row| row.0 == id).map(|row| row.2)
    }

    /// The method of that name, exactly as Python whisper spells it.
    pub fn from_name(name: &str) -> Option<Self> {
        METHODS.iter().find(|row| row.1 == name).map(|row| row.2)
    }

    /// What the header stores.
    pub fn id(self) -> u32 {
        self.row().0
    }

    /// Python whisper's spelling.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> &'static (u32, &'static str, Self) {
        METHODS.iter().find(|row| row.2 == self).expect("METHODS lists every method")
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The coarser value for `known` finer ones, oldest first, out of `slots`; NaN if none is known.
///
/// Sums run left to right without compensation, as go-whisper's and Python's up to 3.11 do: other
/// orders change the last bits.
pub fn aggregate(method: Method, known: &[f64], slots: usize) -> f64 {
    let Some(&last) = known.last() else {
        return f64::NAN;
    };
    // Starts at +0.0, not at the -0.0 of `Iterator::sum`: a sum of negative zeros is +0.0.
    let sum = || known.iter().fold(0.0, |sum, &value| add(sum, value));
    match method {
        Method::Average => sum() / known.len() as f64,
        Method::Sum => sum(),
        Method::Last => last,
        Method::Max => first_best(known, |value, best| value > best),
        Method::Min => first_best(known, |value, best| value < best),
        Method::AvgZero => sum() / slots as f64,
        Method::AbsMax => first_best(known, |value, best| value.abs() > best.abs()),
        Method::AbsMin => first_best(known, |value, best| value.abs() < best.abs()),
    }
}

/// Of two NaNs the newer one's bits stay, as Python's `sum` leaves them; the machine's own choice
/// would depend on the order in which the compiler puts the operands.
fn add(sum: f64, value: f64) -> f64 {
    if sum.is_nan() && value.is_nan() { value } else { sum + value }
}

/// The first value that no later one beats. A leading NaN is never beaten, a later one never wins.
fn first_best(known: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
    let mut best = known[0];
    for &value in &known[1..] {
        if beats(value, best) {
            best = value;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_round_trip() {
        for method in Method::all() {
            assert_eq!(Method::from_id(method.id()), Some(method));
            assert_eq!(Method::from_name(method.name()), Some(method));
        }
        assert_eq!(Method::from_id(0), None);
        assert_eq!(Method::from_id(9), None);
        assert_eq!(Method::from_name("avg"), None);
    }

    #[test]
    fn first_of_equals_wins() {
        assert!(aggregate(Method::Max, &[-0.0, 0.0], 2).is_sign_negative());
        assert!(aggregate(Method::Min, &[0.0, -0.0], 2).is_sign_positive());
        assert_eq!(aggregate(Method::AbsMax, &[-3.0, 3.0, 1.0], 3), -3.0);
        assert_eq!(aggregate(Method::AbsMin, &[2.0, -1.0, 1.0], 3), -1.0);
    }

    #[test]
    fn average_of_zero_counts_empty_slots() {
        assert_eq!(aggregate(Method::AvgZero, &[4.0, 6.0], 5), 2.0);
        assert_eq!(aggregate(Method::Average, &[4.0, 6.0], 5), 5.0);
    }

    #[test]
    fn sums_run_left_to_right_from_positive_zero() {
        assert_eq!(aggregate(Method::Sum, &[1e16, 1.0, -1e16], 3), 0.0);
        assert!(aggregate(Method::Sum, &[-0.0], 1).is_sign_positive());
    }

    #[test]
    fn of_two_nans_the_newer_stays() {
        let sum = aggregate(Method::Sum, &[f64::INFINITY, f64::NEG_INFINITY, f64::NAN], 3);
        assert_eq!(sum.to_bits(), f64::NAN.to_bits());
        let sum = aggregate(Method::Sum, &[f64::NAN, -f64::NAN], 2);
        assert_eq!(sum.to_bits(), (-f64::NAN).to_bits());
    }

    #[test]
    fn nan_first_stays_and_nan_later_loses() {
        assert!(aggregate(Method::Max, &[f64::NAN, 1.0], 2).is_nan());
        assert_eq!(aggregate(Method::Max, &[1.0, f64::NAN], 2), 1.0);
    }
}
