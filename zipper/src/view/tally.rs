//! What an answer rests on, and what it misses.

use std::collections::BTreeSet;

use remote::{RemoteError, RemoteErrorKind};
use wire::pb_v3::{Hole, Meta};

use super::View;
use super::births::Births;
use crate::failure::Failure;
use crate::fan_out::Gathered;
use crate::topology::Group;

/// Notes that one answer carries; a broken cluster has more to say than a panel can show.
const NOTES_MAX: usize = 20;

/// What an answer rests on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    asked: BTreeSet<usize>,
    answered: BTreeSet<usize>,
    /// Nodes whose share is missing, or was itself incomplete.
    missing: BTreeSet<usize>,
    notes: BTreeSet<String>,
    series_pruned: u64,
    index_nodes_visited: u64,
    pub(crate) divergent_points: u64,
}

/// Whether the node was away so lately that relays may still be sending what it has missed. They
/// need no longer for that than it was away.
pub(super) fn is_refilled(holes: &[Hole], now: i64) -> bool {
    holes.iter().any(|Hole { from_s, until_s }| {
        now < until_s.saturating_add(until_s.saturating_sub(*from_s))
    })
}

impl Tally {
    /// Adds what came of one question.
    ///
    /// # Errors
    /// When nobody answered it: as the nodes refused it, or else as unavailable.
    pub(crate) fn add<T>(&mut self, view: &View, gathered: &Gathered<T>) -> Result<(), Failure> {
        self.asked.extend(&gathered.asked);
        self.answered.extend(gathered.answers.iter().map(|(node, _)| *node));
        self.missing.extend(&gathered.missing);
        for (node, error) in &gathered.failures {
            if gathered.missing.contains(node) {
                self.note(format!("{}: {}", view.nodes[*node].name, error.kind));
            }
        }
        if gathered.answers.is_empty() {
            return Err(no_answer(view, &gathered.failures));
        }
        Ok(())
    }

    /// Adds what a node says of its own answer.
    pub(crate) fn add_meta(&mut self, view: &View, node: usize, meta: Option<&Meta>) {
        let Some(meta) = meta else { return };
        let name = &view.nodes[node].name;
        self.series_pruned = self.series_pruned.saturating_add(meta.series_pruned);
        self.index_nodes_visited =
            self.index_nodes_visited.saturating_add(meta.index_nodes_visited);
        self.divergent_points = self.divergent_points.saturating_add(meta.divergent_points);
        for note in &meta.notes {
            self.note(format!("{name}: {note}"));
        }
        if meta.partial {
            self.missing.insert(node);
        }
        let theirs = meta.ring_fingerprint;
        if view.topology.fingerprint() != 0 && theirs != 0 && !view.topology.knows(theirs) {
            // Who holds what is then not known, and so nothing is proven complete.
            self.missing.insert(node);
            self.note(format!("{name}: knows another ring, {theirs:016x}"));
        }
    }

    /// Adds empty slots of a series whose points all of its copies may have missed.
    pub(crate) fn add_unfilled(&mut self, view: &View, holders: &[usize], name: &str) {
        self.missing.extend(holders);
        let nodes: Vec<&str> = holders.iter().map(|&node| view.nodes[node].name.as_str()).collect();
        self.note(format!("{name}: may lack points that {} missed", nodes.join(" and ")));
    }

    /// A node's answer broke off, and these groups have nobody else.
    pub(crate) fn lose<'g>(
        &mut self,
        view: &View,
        node: usize,
        groups: impl Iterator<Item = &'g Group>,
        error: &RemoteError,
    ) {
        self.answered.remove(&node);
        for group in groups {
            self.missing.extend(group);
            self.note(format!("{}: {}", view.nodes[node].name, error.kind));
        }
    }

    /// Marks owners without an answer where those that answered are still given what they have
    /// missed, or began later than they: they may not even know all names.
    pub(super) fn add_unproven(
        &mut self,
        groups: &[Group],
        answered: &[(usize, &[Hole])],
        births: Option<&Births>,
        now: i64,
    ) {
        let refilled = answered.iter().filter(|(_, holes)| is_refilled(holes, now));
        let refilled: Vec<usize> = refilled.map(|(node, _)| *node).collect();
        if refilled.is_empty() && births.is_none() {
            return;
        }
        for group in groups {
            let (heard, silent): (Group, Group) =
                group.iter().partition(|node| answered.iter().any(|(other, _)| other == *node));
            let lacks = |node: &usize| {
                let is_younger =
                    births.is_some_and(|births| births.doubts(*node, silent.iter().copied()));
                refilled.contains(node) || is_younger
            };
            if !heard.is_empty() && heard.iter().all(lacks) {
                self.missing.extend(silent);
            }
        }
    }

    pub(crate) fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.insert(note);
        }
    }

    /// Adds the tally of another part of the same answer.
    pub(crate) fn join(&mut self, other: Self) {
        self.asked.extend(other.asked);
        self.answered.extend(other.answered);
        self.missing.extend(other.missing);
        other.notes.into_iter().for_each(|note| self.note(note));
        self.series_pruned = self.series_pruned.saturating_add(other.series_pruned);
        self.index_nodes_visited =
            self.index_nodes_visited.saturating_add(other.index_nodes_visited);
        self.divergent_points = self.divergent_points.saturating_add(other.divergent_points);
    }

    /// Whether something is missing.
    pub(crate) fn is_partial(&self) -> bool {
        !self.missing.is_empty()
    }

    /// The nodes whose share is missing, `nodes=a,b`.
    pub(crate) fn missing_nodes(&self, view: &View) -> String {
        let names = self.missing.iter().map(|&node| view.nodes[node].name.as_str());
        format!("nodes={}", names.collect::<Vec<_>>().join(","))
    }

    /// For formats that can carry it.
    pub(crate) fn meta(&self, view: &View) -> Meta {
        let count = |set: &BTreeSet<usize>| u32::try_from(set.len()).unwrap_or(u32::MAX);
        Meta {
            partial: self.is_partial(),
            notes: self.notes.iter().cloned().collect(),
            ring_fingerprint: view.topology.fingerprint(),
            series_pruned: self.series_pruned,
            index_nodes_visited: self.index_nodes_visited,
            nodes_asked: count(&self.asked),
            nodes_answered: count(&self.answered),
            divergent_points: self.divergent_points,
            // Another copy may have what one node has missed.
            holes: Vec::new(),
        }
    }
}

/// Where no node answered: the first node's refusal, or else what each of them said.
fn no_answer(view: &View, failures: &[(usize, RemoteError)]) -> Failure {
    for (_, error) in failures.iter().filter(|(_, error)| error.kind.is_refusal()) {
        if let RemoteErrorKind::Status { code, line } = &error.kind {
            return Failure::Refused { code: *code, line: line.clone() };
        }
    }
    let said = |(node, error): &(usize, RemoteError)| {
        format!("{}: {}", view.nodes[*node].name, error.kind)
    };
    let all: Vec<String> = failures.iter().map(said).collect();
    Failure::Unavailable(format!("no node answered: {}", all.join("; ")))
}
