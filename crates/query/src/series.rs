//! A series: a name, its tags and a column of values on a regular grid of seconds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Deref;
use std::sync::Arc;

pub use metric::Consolidation;

use crate::tags::{Tags, tags_of};

/// A column of values, NaN for "no point". Clones share the column until one of them writes.
#[derive(Clone, Debug, Default)]
#[expect(clippy::rc_buffer, reason = "columns are made as Vec, and an Arc<[f64]> would copy each")]
pub struct Values(Arc<Vec<f64>>);

impl Values {
    /// The column for writing; copies it first if a clone still reads it.
    pub fn make_mut(&mut self) -> &mut [f64] {
        Arc::make_mut(&mut self.0).as_mut_slice()
    }

    /// Bytes of the column, none if others share it.
    fn bytes(&self) -> u64 {
        let is_shared = Arc::strong_count(&self.0) > 1;
        if is_shared { 0 } else { (self.0.capacity() * size_of::<f64>()) as u64 }
    }
}

impl Deref for Values {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.0
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Self(Arc::new(values))
    }
}

impl FromIterator<f64> for Values {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(Arc::new(values.into_iter().collect()))
    }
}

impl PartialEq for Values {
    /// Bit for bit, so that nulls are equal to each other.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|(a, b)| a.to_bits() == b.to_bits())
    }
}

/// What a series takes besides its values and texts, about.
pub(crate) const SERIES_BYTES: u64 = 400;

/// How a graph draws a series; JSON, csv and the like ignore it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Style {
    /// Colour by name or `#rrggbb`.
    pub color: Option<String>,
    /// Opacity, 0 to 1.
    pub alpha: Option<f64>,
    /// Width of the line in pixels.
    pub line_width: Option<f64>,
    /// Length of the dashes in pixels.
    pub dashed: Option<f64>,
    /// Drawn on top of the series stacked before it.
    pub stacked: bool,
    /// Drawn against the right-hand axis.
    pub second_y_axis: bool,
    /// Non-zero points become vertical lines over the whole height.
    pub draw_as_infinite: bool,
    /// Left out of the legend.
    pub invisible: bool,
    /// Connects over this many nulls.
    pub connected_limit: Option<f64>,
}

/// Where points lie in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// First point, seconds.
    pub start: i64,
    /// End, seconds.
    pub end: i64,
    /// Seconds between points.
    pub step: i64,
}

/// One series.
///
/// `end` is kept apart from `start + step * values.len()` because several functions move one without
/// the other, and the timestamps that an answer shows stop at `end`.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend shows.
    pub name: String,
    /// The pattern that found it, or the call that made it: what an outer call's name is built from.
    pub path_expression: String,
    /// Its tags.
    pub tags: Tags,
    /// Time of the first value, seconds.
    pub start: i64,
    /// Time after the last value (the last one itself for lines drawn by functions), seconds.
    pub end: i64,
    /// Seconds from one value to the next.
    pub step: i64,
    /// NaN is null.
    pub values: Values,
    /// How values are merged when there are too many.
    pub consolidation: Consolidation,
    /// Share of points a bucket needs to have a value.
    pub x_files_factor: f64,
    /// Values per point shown; above 1, [`Series::points`] merges them.
    pub values_per_point: usize,
    /// How it is drawn.
    pub style: Style,
}

impl Series {
    /// A series as graphite-web makes one: tags from the name, average, one value per point.
    pub fn new(name: impl Into<String>, start: i64, end: i64, step: i64, values: Vec<f64>) -> Self {
        let name = name.into();
        Self {
            path_expression: name.clone(),
            tags: tags_of(&name),
            name,
            start,
            end,
            step,
            values: values.into(),
            consolidation: Consolidation::Average,
            x_files_factor: 0.0,
            values_per_point: 1,
            style: Style::default(),
        }
    }

    /// The same series with other values and a new name, which also becomes its path expression;
    /// back to one value per point and the plain style, as graphite-web's `copy` does.
    pub fn derived(&self, name: impl Into<String>, values: Vec<f64>) -> Self {
        let name = name.into();
        Self {
            path_expression: name.clone(),
            name,
            tags: self.tags.clone(),
            start: self.start,
            end: self.end,
            step: self.step,
            values: values.into(),
            consolidation: self.consolidation,
            x_files_factor: self.x_files_factor,
            values_per_point: 1,
            style: Style::default(),
        }
    }

    /// About how much memory it takes that nothing else holds.
    pub(crate) fn bytes(&self) -> u64 {
        let texts = self.name.len() + self.path_expression.len();
        SERIES_BYTES + texts as u64 + self.values.bytes()
    }

    /// Sets name and path expression together.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self.path_expression.clone_from(&self.name);
        self
    }

    /// Sets a tag.
    #[must_use]
    pub fn tagged(mut self, tag: &str, value: impl Into<String>) -> Self {
        self.tags.insert(tag.to_owned(), value.into());
        self
    }

    /// Replaces every value that is there; nulls stay. An answer of NaN makes a null.
    #[must_use]
    pub fn map_values(mut self, f: impl Fn(f64) -> f64) -> Self {
        for v in self.values.make_mut() {
            if !v.is_nan() {
                *v = f(*v);
            }
        }
        self
    }

    /// The values as they show: merged by [`Series::values_per_point`] where that is above 1.
    pub fn points(&self) -> Cow<'_, [f64]> {
        if self.values_per_point <= 1 {
            return Cow::Borrowed(&self.values);
        }
        let per_point = self.values_per_point;
        Cow::Owned(self.values.chunks(per_point).map(|bucket| self.merge(bucket)).collect())
    }

    fn merge(&self, bucket: &[f64]) -> f64 {
        let present = bucket.iter().filter(|v| !v.is_nan()).count();
        // The share is of a whole bucket, also for the short one at the end.
        let share = present as f64 / self.values_per_point as f64;
        if present == 0 || share < self.x_files_factor {
            return f64::NAN;
        }
        consolidate(self.consolidation, bucket)
    }

    /// (value, seconds) pairs as an answer shows them.
    pub fn datapoints(&self) -> Vec<(f64, i64)> {
        self.points().iter().copied().zip(self.times()).collect()
    }

    /// The seconds of [`Series::points`], as far as an answer shows them.
    pub fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let per_point = i64::try_from(self.values_per_point.max(1)).unwrap_or(i64::MAX);
        let step = self.step.saturating_mul(per_point);
        let first = (step > 0).then_some(self.start);
        let end = self.end;
        std::iter::successors(first, move |t| t.checked_add(step)).take_while(move |t| *t <= end)
    }
}

/// One value for a bucket that holds at least one point.
fn consolidate(method: Consolidation, bucket: &[f64]) -> f64 {
    let mut present = bucket.iter().copied().filter(|v| !v.is_nan());
    let (mut sum, mut count) = (0.0, 0usize);
    for v in present.clone() {
        sum += v;
        count += 1;
    }
    let pick = |better: fn(f64, f64) -> bool| {
        let best = present.clone().reduce(|a, v| if better(v, a) { v } else { a });
        best.unwrap_or(f64::NAN)
    };
    match method {
        Consolidation::Sum => sum,
        Consolidation::Min => pick(|v, a| v < a),
        Consolidation::Max => pick(|v, a| v > a),
        Consolidation::AbsMax => pick(|v, a| v.abs() > a.abs()),
        Consolidation::AbsMin => pick(|v, a| v.abs() < a.abs()),
        Consolidation::First => present.next().unwrap_or(f64::NAN),
        Consolidation::Last => present.next_back().unwrap_or(f64::NAN),
        Consolidation::AverageZero => sum / bucket.len() as f64,
        // The mean is also what a method unknown to this version falls back to.
        _ => sum / count as f64,
    }
}

/// Series by a key, groups in the order in which they first appear.
pub(crate) fn grouped(
    list: Vec<Series>,
    key: impl Fn(&Series) -> String,
) -> Vec<(String, Vec<Series>)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(String, Vec<Series>)> = Vec::new();
    for series in list {
        match places.entry(key(&series)) {
            Entry::Occupied(place) => groups[*place.get()].1.push(series),
            Entry::Vacant(place) => {
                groups.push((place.key().clone(), vec![series]));
                place.insert(groups.len() - 1);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new("a.b", 0, 60 * values.len() as i64, 60, values.to_vec())
    }

    #[test]
    fn a_clone_shares_its_column_until_one_writes() {
        let a = series(&[1.0, 2.0]);
        let mut b = a.clone();
        assert!(std::ptr::eq(a.values.as_ptr(), b.values.as_ptr()));
        b.values.make_mut()[0] = 9.0;
        assert_eq!((a.values[0], b.values[0]), (1.0, 9.0));
    }

    #[test]
    fn merging_counts_the_share_of_a_whole_bucket() {
        let mut s = series(&[1.0, f64::NAN, 3.0, 5.0, 7.0]);
        s.values_per_point = 2;
        s.x_files_factor = 0.6;
        let points = s.points().into_owned();
        assert!(points[0].is_nan() && points[2].is_nan());
        assert_eq!(points[1], 4.0);
    }

    #[test]
    fn timestamps_stop_at_the_end_of_the_series() {
        let mut s = series(&[1.0, 2.0, 3.0]);
        s.end = 60;
        assert_eq!(s.datapoints(), vec![(1.0, 0), (2.0, 60)]);
    }
}
