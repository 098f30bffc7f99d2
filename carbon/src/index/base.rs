//! The sealed names as a tree that knows when its branches were active.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use metric::TagQuery;

use super::hours::Hours;
use super::tree::NONE;
use super::walk::Branches;
use crate::sealed::{Place, Sealed, SealedValue};
use crate::series::{SeriesId, SeriesTable};

/// A seal and the activity of its branches.
#[derive(Debug)]
pub(super) struct Base {
    sealed: Arc<Sealed>,
    /// By node: latest hour at or below it, `NONE` where one of unknown activity is.
    last_hours: Vec<AtomicU32>,
}

impl Base {
    pub(super) fn new(sealed: Arc<Sealed>, hours: &Hours) -> Self {
        let nodes = sealed.node_count() as usize;
        let mut last_hours = Vec::new();
        last_hours.resize_with(nodes, AtomicU32::default);
        let base = Self { sealed, last_hours };
        base.settle(hours);
        base
    }

    /// Takes the activity of all branches from that of the series.
    pub(super) fn settle(&self, hours: &Hours) {
        // A child has a higher number than its parent, so one pass from the end settles all.
        self.last_hours.iter().for_each(|hour| hour.store(0, Ordering::Relaxed));
        for node in (0..self.sealed.node_count()).rev() {
            if let Some(id) = self.sealed.series(node) {
                let last = hours.of(SeriesId(id)).map_or(NONE, |(_, last)| last);
                self.last_hours[node as usize].fetch_max(last, Ordering::Relaxed);
            }
            if let Some(parent) = self.sealed.parent(node) {
                let last = self.last_hours[node as usize].load(Ordering::Relaxed);
                self.last_hours[parent as usize].fetch_max(last, Ordering::Relaxed);
            }
        }
    }

    /// Lets all branches above a series know of activity. False if the series is not in here.
    pub(super) fn raise(&self, id: SeriesId, hour: u32) -> bool {
        let Some(place) = self.sealed.place(id.0) else { return false };
        let Place::Node(node) = place else { return true };
        let mut node = Some(node);
        while let Some(at) = node {
            if self.last_hours[at as usize].fetch_max(hour, Ordering::Relaxed) >= hour {
                break;
            }
            node = self.sealed.parent(at);
        }
        true
    }

    /// A superset of the series that satisfy the query's rarest term that needs a value.
    pub(super) fn candidates(&self, query: &TagQuery) -> Vec<u32> {
        let tags = self.sealed.tags();
        let needy = query.terms().iter().filter(|term| !term.matches_empty());
        let values = needy.map(|term| {
            let fitting =
                tags.values(term.key(), "").filter(|value| term.matches_value(value.text));
            fitting.collect::<Vec<_>>()
        });
        let size = |values: &Vec<_>| {
            values.iter().map(|value: &SealedValue<'_>| u64::from(value.count)).sum::<u64>()
        };
        let rarest = values.min_by_key(size).unwrap_or_default();
        rarest.iter().flat_map(|value| value.ids()).collect()
    }

    /// The keys with this prefix, in order.
    pub(super) fn tag_keys<'a>(
        &'a self,
        prefix: &'a str,
        table: &'a SeriesTable,
    ) -> impl Iterator<Item = String> + 'a {
        let has_removed = table.removed_sealed() > 0;
        let lives = move |key: &str| {
            let mut values = self.sealed.tags().values(key, "");
            !has_removed || values.any(|value| value.ids().any(|id| table.is_living(SeriesId(id))))
        };
        self.sealed.tags().keys(prefix).filter(move |key| lives(key)).map(str::to_owned)
    }

    /// The values of a key with this prefix, in order, with the number of their series.
    pub(super) fn tag_values<'a>(
        &'a self,
        key: &str,
        prefix: &'a str,
        table: &'a SeriesTable,
    ) -> impl Iterator<Item = (String, usize)> + 'a {
        let has_removed = table.removed_sealed() > 0;
        let count = move |value: &SealedValue<'_>| {
            let is_living = |id: &u32| table.is_living(SeriesId(*id));
            if has_removed { value.ids().filter(is_living).count() } else { value.count as usize }
        };
        let values = self.sealed.tags().values(key, prefix);
        values
            .map(move |value| (value.text.to_owned(), count(&value)))
            .filter(|(_, count)| *count > 0)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.last_hours.capacity() * size_of::<AtomicU32>()
    }
}

/// The tree of a base, less the series that were removed since.
#[derive(Debug, Clone, Copy)]
pub(super) struct LivingBase<'a> {
    base: &'a Base,
    table: &'a SeriesTable,
    has_removed: bool,
}

impl<'a> LivingBase<'a> {
    pub(super) fn new(base: &'a Base, table: &'a SeriesTable) -> Self {
        Self { base, table, has_removed: table.removed_sealed() > 0 }
    }

    fn lives_below(&self, node: u32) -> bool {
        let mut waiting = vec![self.base.sealed.children(node)];
        while let Some(siblings) = waiting.last_mut() {
            let Some(node) = siblings.next() else {
                waiting.pop();
                continue;
            };
            if self.series(node).is_some() {
                return true;
            }
            waiting.push(self.base.sealed.children(node));
        }
        false
    }
}

impl Branches for LivingBase<'_> {
    fn child(&self, node: u32, text: &str) -> Option<u32> {
        self.base.sealed.child(node, text)
    }

    fn children(&self, node: u32) -> impl Iterator<Item = u32> {
        self.base.sealed.children(node)
    }

    fn component(&self, node: u32) -> &str {
        self.base.sealed.component(node)
    }

    fn last_hour(&self, node: u32) -> u32 {
        self.base.last_hours[node as usize].load(Ordering::Relaxed)
    }

    fn may_have_children(&self, node: u32) -> bool {
        !self.base.sealed.children(node).is_empty()
    }

    fn is_branch(&self, node: u32) -> bool {
        self.may_have_children(node) && (!self.has_removed || self.lives_below(node))
    }

    fn series(&self, node: u32) -> Option<SeriesId> {
        let id = self.base.sealed.series(node).map(SeriesId)?;
        (!self.has_removed || self.table.is_living(id)).then_some(id)
    }

    fn path(&self, node: u32) -> String {
        self.base.sealed.path(node)
    }
}
