//! What the nodes say of their series, put together.

use std::collections::{BTreeMap, BTreeSet};

use wire::moves::Held;

use super::select::Wanted;
use crate::invocation::{Context, Failure};
use crate::nodes::Nodes;

/// What all nodes say of a series.
#[derive(Default)]
pub(super) struct Told {
    /// Of all its files.
    pub(super) bytes: u64,
    /// The latest hour that any node knows of; none if one does not know.
    pub(super) last: Option<i64>,
    /// The nodes that have it, by their places.
    pub(super) holders: BTreeSet<usize>,
}

/// Series by their names.
pub(super) type All = BTreeMap<String, Told>;

/// What the nodes say of all series. All of them must answer: a series is stale only if every owner says so.
pub(super) fn by_all(nodes: &Nodes) -> Result<All, Failure> {
    let mut all = All::new();
    for (place, node) in nodes.all.iter().enumerate() {
        for held in nodes.held(node)? {
            add(&mut all, place, held);
        }
    }
    Ok(all)
}

/// What those nodes that answer say of the series that are wanted; the others are named.
pub(super) fn by_those_that_answer(
    context: &mut Context<'_>,
    nodes: &Nodes,
    wanted: &Wanted,
) -> All {
    let mut all = All::new();
    for (place, node) in nodes.all.iter().enumerate() {
        match nodes.held(node) {
            Ok(series) => {
                let wanted = series.into_iter().filter(|held| wanted.has(&held.name));
                wanted.for_each(|held| add(&mut all, place, held));
            }
            Err(error) => context.skip(&node.name, &error),
        }
    }
    all
}

fn add(all: &mut All, place: usize, held: Held) {
    let told = all.entry(held.name).or_default();
    let is_first = told.holders.is_empty();
    told.last = match (told.last, held.last) {
        (None, last) if is_first => last,
        (Some(known), Some(last)) => Some(known.max(last)),
        _ => None,
    };
    told.bytes += held.bytes;
    told.holders.insert(place);
}
