//! Folds as messages: what is asked of a node, and what it answers.

use wire::{packed, pb_v3};

use super::{Fold, FoldSpec, Folded, FoldedGroup, Mismatch, Partial};
use crate::names::Node;
use crate::series::Grid;

impl FoldSpec {
    /// The message, for whoever reads everything.
    pub fn to_message(&self) -> pb_v3::Fold {
        let part = |node: &Node| match node {
            Node::Index(index) => pb_v3::GroupPart { index: *index, ..Default::default() },
            Node::Tag(tag) => pb_v3::GroupPart { tag: tag.clone(), ..Default::default() },
        };
        let group_by = self.group_by.iter().map(part).collect();
        let points_max = if let Fold::Bands(points_max) = self.fold { points_max } else { 0 };
        let op = self.fold.name().to_owned();
        pb_v3::Fold { op, group_by, readers: Vec::new(), points_max }
    }

    /// From the message; none for what this version does not know.
    pub fn from_message(message: &pb_v3::Fold) -> Option<Self> {
        let part = |part: &pb_v3::GroupPart| match part.tag.as_str() {
            "" => Node::Index(part.index),
            tag => Node::Tag(tag.to_owned()),
        };
        let bands = Fold::Bands(message.points_max);
        let is_bands = message.op == bands.name() && message.points_max > 0;
        let fold = if is_bands { bands } else { Fold::by_name(&message.op)? };
        Some(Self { fold, group_by: message.group_by.iter().map(part).collect() })
    }
}

impl Folded {
    /// The groups of a range.
    pub fn into_messages(self) -> Vec<pb_v3::FoldedGroup> {
        self.into_unordered().map(FoldedGroup::into_message).collect()
    }

    /// Adds the groups of a range behind these.
    ///
    /// # Errors
    /// Groups on another grid, or whose columns do not fit together.
    pub fn merge_messages(
        &mut self,
        fold: Fold,
        groups: Vec<pb_v3::FoldedGroup>,
    ) -> Result<(), Mismatch> {
        let group = |message| FoldedGroup::from_message(fold, message);
        groups.into_iter().try_for_each(|message| self.merge_group(group(message)?))
    }
}

impl FoldedGroup {
    fn into_message(self) -> pb_v3::FoldedGroup {
        let Partial { start, step, series, values, mut rest, counts, .. } = self.partial;
        let mut counts: Vec<u32> =
            counts.iter().map(|&count| u32::try_from(count).unwrap_or(u32::MAX)).collect();
        // A count needs its counts: without them nothing says how many slots there are.
        if !values.is_empty() && counts.iter().all(|&count| u64::from(count) == series) {
            counts.clear();
        }
        if rest.iter().all(|&rest| rest == 0.0) {
            rest.clear();
        }
        let (values, rest) = (packed(&values), packed(&rest));
        let Self { key, first_name, tags, unmerged, .. } = self;
        let unmerged = unmerged.map(|Grid { start, end, step }| pb_v3::Grid { start, end, step });
        pb_v3::FoldedGroup {
            key,
            first_name,
            tags,
            start,
            step,
            series,
            values,
            rest,
            counts,
            unmerged,
        }
    }

    fn from_message(fold: Fold, message: pb_v3::FoldedGroup) -> Result<Self, Mismatch> {
        let pb_v3::FoldedGroup { start, step, series, values, rest, counts, .. } = message;
        let (values, mut rest) = (unpacked(&values)?, unpacked(&rest)?);
        let slots = if fold == Fold::Count { counts.len() } else { values.len() };
        let fits = |length: usize| length == 0 || length == slots;
        if step <= 0 || !fits(values.len()) || !fits(rest.len()) || !fits(counts.len()) {
            return Err(Mismatch);
        }
        if matches!(fold, Fold::Sum | Fold::Average) {
            rest.resize(slots, 0.0);
        }
        let mut counts: Vec<u64> = counts.into_iter().map(u64::from).collect();
        if counts.is_empty() {
            counts.resize(slots, series);
        }
        let partial = Partial { fold, start, step, series, values, rest, counts };
        let pb_v3::FoldedGroup { key, first_name, tags, unmerged, .. } = message;
        let unmerged = unmerged.map(|pb_v3::Grid { start, end, step }| Grid { start, end, step });
        Ok(Self { key, first_name, tags, partial, unmerged })
    }
}

fn packed(values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packed::push(&mut bytes, values);
    bytes
}

fn unpacked(bytes: &[u8]) -> Result<Vec<f64>, Mismatch> {
    let mut values = Vec::new();
    packed::read(bytes, &mut values).or(Err(Mismatch))?;
    Ok(values)
}
