//! Fetched data: one series over one window, as it travels between nodes, zipper and api.

use crate::window::Window;

/// How several points become one when a series is read at a coarser step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Consolidation {
    /// Mean of the known points.
    #[default]
    Average,
    /// Sum of the known points.
    Sum,
    /// Smallest known point.
    Min,
    /// Largest known point.
    Max,
    /// First known point.
    First,
    /// Last known point.
    Last,
    /// Sum divided by all slots, unknown ones counting as zero.
    AverageZero,
    /// The point farthest from zero.
    AbsMax,
    /// The point nearest to zero.
    AbsMin,
}

/// One row per function: the name whisper and graphite-web print, and what else is read as it.
const CONSOLIDATIONS: [(Consolidation, &str, &[&str]); 9] = [
    (Consolidation::Average, "average", &["avg"]),
    (Consolidation::Sum, "sum", &["total"]),
    (Consolidation::Min, "min", &[]),
    (Consolidation::Max, "max", &[]),
    (Consolidation::First, "first", &[]),
    (Consolidation::Last, "last", &["current"]),
    (Consolidation::AverageZero, "avg_zero", &[]),
    (Consolidation::AbsMax, "absmax", &[]),
    (Consolidation::AbsMin, "absmin", &[]),
];

impl Consolidation {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        CONSOLIDATIONS.iter().find(|row| row.0 == self).map_or("average", |row| row.1)
    }

    /// The function called `name`, aliases included; `None` when there is no such function.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        CONSOLIDATIONS
            .iter()
            .find(|(_, main, aliases)| *main == name || aliases.contains(&name))
            .map(|row| row.0)
    }
}

/// One series over one window: a column of values at equal distances, NaN where nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesData {
    /// Canonical name of the series.
    pub name: String,
    /// The expression of the request that found it.
    pub path_expression: String,
    /// Time of the first value.
    pub start: i64,
    /// First second after the last value's slot.
    pub stop: i64,
    /// Seconds between two values; positive.
    pub step: i64,
    /// The values from `start` on; NaN means null.
    pub values: Vec<f64>,
    /// How the series wants to be consolidated.
    pub consolidation: Consolidation,
    /// Least share of known points that makes a consolidated point known.
    pub x_files_factor: f32,
}

impl SeriesData {
    /// A series with the given values from `start` on; the rest has whisper's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, start: i64, step: i64, values: Vec<f64>) -> Self {
        let name = name.into();
        let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
        Self {
            path_expression: name.clone(),
            name,
            start,
            stop: start.saturating_add(step.saturating_mul(length)),
            step,
            values,
            consolidation: Consolidation::Average,
            x_files_factor: 0.0,
        }
    }

    /// The time that the values cover.
    #[must_use]
    pub const fn window(&self) -> Window {
        Window::new(self.start, self.stop)
    }

    /// The value whose slot holds `timestamp`; `None` outside or where nothing is known.
    #[must_use]
    pub fn value_at(&self, timestamp: i64) -> Option<f64> {
        let offset = timestamp.checked_sub(self.start)?.checked_div_euclid(self.step)?;
        let value = *self.values.get(usize::try_from(offset).ok()?)?;
        (!value.is_nan()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_consolidation_reads_back_its_own_name_and_aliases() {
        for (function, name, aliases) in CONSOLIDATIONS {
            assert_eq!(function.as_str(), name);
            assert_eq!(Consolidation::parse(name), Some(function));
            for alias in aliases {
                assert_eq!(Consolidation::parse(alias), Some(function));
            }
        }
        assert_eq!(Consolidation::parse("averag"), None);
    }

    #[test]
    fn values_are_found_by_time_and_null_is_none() {
        let series = SeriesData::new("a.b", 120, 60, vec![1.0, f64::NAN, 3.0]);
        assert_eq!(series.window(), Window::new(120, 300));
        assert_eq!(series.value_at(120), Some(1.0));
        assert_eq!(series.value_at(179), Some(1.0));
        assert_eq!(series.value_at(180), None);
        assert_eq!(series.value_at(240), Some(3.0));
        assert_eq!(series.value_at(119), None);
        assert_eq!(series.value_at(300), None);
    }
}
