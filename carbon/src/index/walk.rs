//! One walk down a tree of names along the matchers of a pattern.

use metric::NodeMatcher;

use super::{FindLimits, IndexError};
use crate::series::SeriesId;

/// What comes next among the children of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    /// One that may have been active since the hour asked for.
    Active(u32),
    /// So many that had fallen silent before it.
    Silent(usize),
}

/// The node of every tree that stands above all first components.
pub(super) const ROOT: u32 = 0;

/// A tree of names by components, as a walk sees it, from [`ROOT`] down.
pub(super) trait Branches {
    /// The child of `node` called `text`.
    fn child(&self, node: u32, text: &str) -> Option<u32>;

    /// All children, in any order; of those that were silent since the hour `since` only their number.
    fn children(&self, node: u32, since: u32) -> impl Iterator<Item = Child>;

    /// The text of a node.
    fn component(&self, node: u32) -> &str;

    /// Latest hour of activity at or below the node; never too early.
    fn last_hour(&self, node: u32) -> u32;

    /// Whether a walk may find something below.
    fn may_have_children(&self, node: u32) -> bool;

    /// Whether there is a series below.
    fn is_branch(&self, node: u32) -> bool;

    /// The series that ends at the node.
    fn series(&self, node: u32) -> Option<SeriesId>;

    /// The full name that leads to the node.
    fn path(&self, node: u32) -> String;
}

/// What one walk may look at, and what came of it.
pub(super) struct Walk<'a, T> {
    pub(super) tree: &'a T,
    /// Nodes that fell silent before this hour are passed over: their names are not looked at.
    pub(super) since: u32,
    pub(super) limits: &'a FindLimits,
    /// Nodes whose names were looked at.
    pub(super) visited: u64,
    /// Nodes passed over for their silence.
    pub(super) pruned: u64,
    /// Nodes that match.
    pub(super) hits: Vec<u32>,
}

impl<T: Branches> Walk<'_, T> {
    /// Adds the nodes that the matchers lead to.
    pub(super) fn run(&mut self, matchers: &[NodeMatcher]) -> Result<(), IndexError> {
        let start = with_skipped_globstars(matchers, vec![0]);
        let mut waiting = vec![(ROOT, start)];
        while let Some((node, positions)) = waiting.pop() {
            let tree = self.tree;
            if let [position] = positions[..]
                && let Some(texts) = matchers[position].literals()
            {
                let named = texts.iter().filter_map(|text| tree.child(node, text));
                let (active, silent): (Vec<u32>, Vec<u32>) =
                    named.partition(|&child| tree.last_hour(child) >= self.since);
                self.pass_over(silent.len())?;
                for child in active {
                    self.step(matchers, child, vec![position + 1], &mut waiting)?;
                }
                continue;
            }
            for child in tree.children(node, self.since) {
                let child = match child {
                    Child::Active(child) => child,
                    Child::Silent(count) => {
                        self.pass_over(count)?;
                        continue;
                    }
                };
                let component = tree.component(child);
                let next = positions.iter().filter_map(|&at| match &matchers[at] {
                    NodeMatcher::Globstar => Some(at),
                    matcher => matcher.matches(component).then_some(at + 1),
                });
                let next: Vec<usize> = next.collect();
                self.step(matchers, child, next, &mut waiting)?;
            }
        }
        Ok(())
    }

    fn pass_over(&mut self, count: usize) -> Result<(), IndexError> {
        self.pruned += count as u64;
        self.check_cost()
    }

    fn check_cost(&self) -> Result<(), IndexError> {
        let limit = self.limits.visited_max;
        let cost = self.visited + self.pruned;
        if cost > limit as u64 { Err(IndexError::TooManyVisited { limit }) } else { Ok(()) }
    }

    /// Takes note of a child reached with `positions` and, if something may follow, of the way on.
    fn step(
        &mut self,
        matchers: &[NodeMatcher],
        child: u32,
        positions: Vec<usize>,
        waiting: &mut Vec<(u32, Vec<usize>)>,
    ) -> Result<(), IndexError> {
        self.visited += 1;
        self.check_cost()?;
        if positions.is_empty() {
            return Ok(());
        }
        let mut positions = with_skipped_globstars(matchers, positions);
        if positions.last() == Some(&matchers.len()) {
            positions.pop();
            self.hits.push(child);
        }
        if !positions.is_empty() && self.tree.may_have_children(child) {
            waiting.push((child, positions));
        }
        Ok(())
    }
}

/// Positions, sorted, with those that a `**` standing for nothing leads to.
fn with_skipped_globstars(matchers: &[NodeMatcher], mut positions: Vec<usize>) -> Vec<usize> {
    let mut at = 0;
    while let Some(&position) = positions.get(at) {
        if matchers.get(position).is_some_and(NodeMatcher::is_globstar) {
            positions.push(position + 1);
        }
        at += 1;
    }
    positions.sort_unstable();
    positions.dedup();
    positions
}
