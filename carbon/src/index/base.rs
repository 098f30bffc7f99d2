//! The sealed names as a tree that knows when its branches were active.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use metric::TagQuery;

use super::hours::Hours;
use super::tree::NONE;
use super::walk::{Branches, Child};
use crate::sealed::{Place, Sealed, SealedValue};
use crate::series::{SeriesId, SeriesTable};

/// Nodes whose latest hour is kept as one number besides: siblings lie side by side, so a search that finds a whole
/// block silent passes over it at once.
const BLOCK_NODES: u32 = 64;

/// A seal and the activity of its branches.
#[derive(Debug)]
pub(super) struct Base {
    sealed: Arc<Sealed>,
    /// By node: latest hour at or below it, `NONE` where one of unknown activity is.
    last_hours: Vec<AtomicU32>,
    /// By block of nodes: the latest of their hours.
    block_hours: Vec<AtomicU32>,
}

fn zeros(count: u32) -> Vec<AtomicU32> {
    let mut zeros = Vec::new();
    zeros.resize_with(count as usize, AtomicU32::default);
    zeros
}

impl Base {
    pub(super) fn new(sealed: Arc<Sealed>, hours: &Hours) -> Self {
        let nodes = sealed.node_count();
        let (last_hours, block_hours) = (zeros(nodes), zeros(nodes.div_ceil(BLOCK_NODES)));
        let base = Self { sealed, last_hours, block_hours };
        base.settle(hours);
        base
    }

    /// Takes the activity of all branches from that of the series.
    pub(super) fn settle(&self, hours: &Hours) {
        // A child has a higher number than its parent, so one pass from the end settles all.
        let all = self.last_hours.iter().chain(&self.block_hours);
        all.for_each(|hour| hour.store(0, Ordering::Relaxed));
        for node in (0..self.sealed.node_count()).rev() {
            if let Some(id) = self.sealed.series(node) {
                let last = hours.of(SeriesId(id)).map_or(NONE, |(_, last)| last);
                self.raise_node(node, last);
            }
            if let Some(parent) = self.sealed.parent(node) {
                self.raise_node(parent, self.last_hour(node));
            }
        }
    }

    fn last_hour(&self, node: u32) -> u32 {
        self.last_hours[node as usize].load(Ordering::Relaxed)
    }

    /// Notes an hour for one node; says whether it is its latest so far.
    fn raise_node(&self, node: u32, hour: u32) -> bool {
        let is_later = self.last_hours[node as usize].fetch_max(hour, Ordering::Relaxed) < hour;
        if is_later {
            self.block_hours[(node / BLOCK_NODES) as usize].fetch_max(hour, Ordering::Relaxed);
        }
        is_later
    }

    /// The first of these nodes that was active since `since`, or their end.
    fn first_active(&self, nodes: Range<u32>, since: u32) -> u32 {
        let mut node = nodes.start;
        while node < nodes.end {
            let block = &self.block_hours[(node / BLOCK_NODES) as usize];
            if node.is_multiple_of(BLOCK_NODES) && block.load(Ordering::Relaxed) < since {
                node = node.saturating_add(BLOCK_NODES).min(nodes.end);
            } else if self.last_hour(node) < since {
                node += 1;
            } else {
                break;
            }
        }
        node
    }

    /// Lets all branches above a series know of activity. False if the series is not in here.
    pub(super) fn raise(&self, id: SeriesId, hour: u32) -> bool {
        let Some(place) = self.sealed.place(id.0) else { return false };
        let Place::Node(node) = place else { return true };
        let mut node = Some(node);
        while let Some(at) = node {
            if !self.raise_node(at, hour) {
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
        (self.last_hours.capacity() + self.block_hours.capacity()) * size_of::<AtomicU32>()
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

    fn children(&self, node: u32, since: u32) -> impl Iterator<Item = Child> {
        let mut left = self.base.sealed.children(node);
        std::iter::from_fn(move || {
            let first = left.start;
            left.start = self.base.first_active(left.clone(), since);
            match left.start - first {
                0 => left.next().map(Child::Active),
                silent => Some(Child::Silent(silent as usize)),
            }
        })
    }

    fn component(&self, node: u32) -> &str {
        self.base.sealed.component(node)
    }

    fn last_hour(&self, node: u32) -> u32 {
        self.base.last_hour(node)
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
