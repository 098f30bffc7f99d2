//! Folds in groups: of each group what its series come to, and what its name is made of.

use std::collections::BTreeMap;

use metric::SeriesData;

use super::{Fold, Mismatch, Partial};
use crate::consolidate::limit_points;
use crate::names::{Node, key_of};
use crate::series::{Grid, Series};
use crate::tags::{Tags, tags_of};

/// What is to be folded, and in which groups.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoldSpec {
    /// What becomes of the points of a slot.
    pub fold: Fold,
    /// What series of one group share; empty for one group of all.
    pub group_by: Vec<Node>,
}

/// The series of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedGroup {
    /// What they share.
    pub key: String,
    /// The least of their names: groups are shown in the order of these.
    pub first_name: String,
    /// The tags that all of them have with the same value.
    pub tags: Tags,
    /// What they come to.
    pub partial: Partial,
    /// Where the points lay that were merged into bands, if they were.
    pub unmerged: Option<Grid>,
}

impl FoldedGroup {
    /// Adds the tags of one more series: keeps what it shares.
    fn share_tags(&mut self, name: &str) {
        // Most names have no tags, and so differ in the only one that they have.
        if !self.tags.is_empty() {
            self.share(&tags_of(name));
        }
    }

    fn share(&mut self, tags: &Tags) {
        self.tags.retain(|tag, value| tags.get(tag) == Some(value));
    }
}

/// What series come to, group by group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    groups: BTreeMap<String, FoldedGroup>,
}

impl Folded {
    /// Adds a series; NaN is null.
    pub fn add(
        &mut self,
        spec: &FoldSpec,
        name: &str,
        (start, step): (i64, i64),
        column: &[f64],
    ) -> Result<(), Mismatch> {
        let key = key_of(name, &spec.group_by, |tag| tags_of(name).remove(tag));
        let group = self.groups.entry(key).or_insert_with_key(|key| FoldedGroup {
            key: key.clone(),
            first_name: name.to_owned(),
            tags: tags_of(name),
            partial: Partial::carrying(spec.fold, start, step, column.len()),
            unmerged: None,
        });
        let partial = &mut group.partial;
        if (partial.start, partial.step, partial.slots()) != (start, step, column.len()) {
            return Err(Mismatch);
        }
        partial.add(column);
        if name < group.first_name.as_str() {
            name.clone_into(&mut group.first_name);
        }
        group.share_tags(name);
        Ok(())
    }

    /// Adds a series whose points are merged to about so many, as an answer that is shown by itself has them. All
    /// must lie on one grid: by what they span together it is decided what is merged.
    pub fn add_in_bands(&mut self, points_max: u32, data: SeriesData) -> Result<(), Mismatch> {
        let SeriesData { name, start, step, values, consolidation, .. } = data;
        let end = start.saturating_add(step.saturating_mul(values.len() as i64));
        let unmerged = Some(Grid { start, end, step });
        let mut list = [Series { consolidation, ..Series::new(name, start, end, step, values) }];
        limit_points(&mut list, points_max as usize);
        let [series] = list;
        let band = series.step.saturating_mul(series.values_per_point as i64);
        let column = series.points();
        let fold = Fold::Bands(points_max);
        let mut partial = Partial::new(fold, series.start, band, column.len());
        partial.add(&column);
        let (key, first_name) = (series.name.clone(), series.name.clone());
        let tags = series.tags.clone();
        self.merge_group(FoldedGroup { key, first_name, tags, partial, unmerged })
    }

    /// The grid of all series whose points were merged; none if none were.
    pub fn unmerged(&self) -> Option<Grid> {
        self.groups.values().next().and_then(|group| group.unmerged)
    }

    /// Adds what other series come to behind these.
    pub fn merge(&mut self, other: Self) -> Result<(), Mismatch> {
        other.into_unordered().try_for_each(|group| self.merge_group(group))
    }

    pub(super) fn merge_group(&mut self, other: FoldedGroup) -> Result<(), Mismatch> {
        let mut others = self.groups.values();
        if others.next().is_some_and(|group| group.unmerged != other.unmerged) {
            return Err(Mismatch);
        }
        let Some(group) = self.groups.get_mut(&other.key) else {
            self.groups.insert(other.key.clone(), other);
            return Ok(());
        };
        group.partial.merge(&other.partial)?;
        group.share(&other.tags);
        if other.first_name < group.first_name {
            group.first_name = other.first_name;
        }
        Ok(())
    }

    pub(super) fn into_unordered(self) -> impl Iterator<Item = FoldedGroup> {
        self.groups.into_values()
    }

    /// In the order in which groups are shown.
    pub fn groups(&self) -> Vec<&FoldedGroup> {
        let mut groups: Vec<&FoldedGroup> = self.groups.values().collect();
        groups.sort_by(|a, b| a.first_name.cmp(&b.first_name));
        groups
    }

    /// Series that were added.
    pub fn series(&self) -> u64 {
        self.groups.values().map(|group| group.partial.series()).sum()
    }

    /// Points that these series have, nulls among them.
    pub fn points(&self) -> u64 {
        let points = |group: &FoldedGroup| group.partial.series() * group.partial.slots() as u64;
        self.groups.values().map(points).sum()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> u64 {
        let slot_bytes = 3 * size_of::<f64>() as u64;
        let bytes = |group: &FoldedGroup| {
            let texts = 2 * group.key.len() + group.first_name.len();
            crate::series::SERIES_BYTES + texts as u64 + group.partial.slots() as u64 * slot_bytes
        };
        self.groups.values().map(bytes).sum()
    }
}
