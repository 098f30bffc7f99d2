//! Which nodes hold what, and so when an answer is complete.
//!
//! Everything is said in groups: a group is a set of nodes of which one must answer. A name has
//! one group in each ring (its owners); the whole key space has one for every set of owners that
//! occurs. Without a ring nobody knows who holds what, and each node is a group of its own.

use std::collections::BTreeSet;

use ring::{Hash, Replicas, Ring};

/// Nodes of which one must answer, the preferred first.
pub(crate) type Group = Vec<usize>;

/// A ring and the places of its nodes among all nodes.
#[derive(Debug)]
pub struct RingView {
    /// The ring.
    pub ring: Ring,
    /// For each node of the ring its index among all nodes.
    pub nodes: Vec<usize>,
}

/// Who holds what.
#[derive(Debug)]
pub struct Topology {
    nodes: usize,
    /// The ring in force, then the one being left; none if unknown.
    rings: Vec<RingView>,
    everything: Vec<Group>,
}

impl Topology {
    /// Nodes in config order, placed by `rings`; the ring in force comes first.
    #[must_use]
    pub fn of(nodes: usize, rings: impl IntoIterator<Item = RingView>) -> Self {
        let rings: Vec<RingView> = rings.into_iter().collect();
        let everything = if rings.is_empty() {
            singletons(nodes)
        } else {
            let sets: BTreeSet<Group> = rings.iter().flat_map(owner_sets).collect();
            sets.into_iter().collect()
        };
        Self { nodes, rings, everything }
    }

    /// The ring's fingerprint; 0 when no ring is known.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.rings.first().map_or(0, |view| view.ring.fingerprint().as_u64())
    }

    /// The fingerprint of the ring that is being left, while files move; else empty.
    pub(crate) fn leaving(&self) -> String {
        let left = self.rings.get(1).map(|view| view.ring.fingerprint().to_string());
        left.unwrap_or_default()
    }

    /// Whether a node that follows this ring holds what the rings here say it holds.
    pub(crate) fn knows(&self, fingerprint: u64) -> bool {
        self.rings.iter().any(|view| view.ring.fingerprint().as_u64() == fingerprint)
    }

    /// The places of these nodes in the ring; empty for a single node without a ring, which holds
    /// everything, and none where nobody can tell who holds what.
    pub(crate) fn places(&self, nodes: &[usize]) -> Option<Vec<u32>> {
        match self.rings.as_slice() {
            [] if self.nodes == 1 => Some(Vec::new()),
            [view] => {
                let place = |node| view.nodes.iter().position(|other| other == node);
                let places = nodes.iter().map(|node| place(node).and_then(|p| p.try_into().ok()));
                places.collect()
            }
            _ => None,
        }
    }

    /// How many nodes hold each series; 1 when that is not known.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.rings.first().map_or(1, |view| view.ring.spec().copies.clamp(1, self.nodes))
    }

    /// Whether every series is in exactly [`Topology::copies`] of the answers of so many nodes: not
    /// when a node is silent, nor while series move between two rings.
    pub(crate) fn copies_are_even(&self, answered: usize) -> bool {
        answered == self.nodes && self.rings.len() < 2
    }

    /// The groups that must answer for one name, owners in ring order.
    #[must_use]
    pub fn owner_groups(&self, name: &str) -> Vec<Group> {
        if self.rings.is_empty() {
            return singletons(self.nodes);
        }
        let limits = metric::Limits::default();
        let canonical = metric::canonicalise(name.as_bytes(), &limits);
        let name = canonical.as_deref().unwrap_or(name);
        let mut groups: Vec<Group> = Vec::with_capacity(self.rings.len());
        for RingView { ring, nodes } in &self.rings {
            let owners = ring.owners(name.as_bytes());
            let group = owners.iter().map(|&owner| nodes[usize::from(owner)]).collect();
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// The groups that must answer for all names.
    pub(crate) fn everything(&self) -> &[Group] {
        &self.everything
    }

    /// All nodes in the order in which their word counts for one name: the owners in ring order,
    /// then the rest in config order.
    pub(crate) fn order(&self, name: &str) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes);
        let owners = self.owner_groups(name).into_iter().flatten();
        for node in owners.chain(0..self.nodes) {
            if !order.contains(&node) {
                order.push(node);
            }
        }
        order
    }
}

fn singletons(nodes: usize) -> Vec<Group> {
    (0..nodes).map(|node| vec![node]).collect()
}

/// Every set of owners that some name may have.
fn owner_sets(view: &RingView) -> BTreeSet<Group> {
    let RingView { ring, nodes } = view;
    let spec = ring.spec();
    let count = nodes.len();
    let place = |owners: &mut dyn Iterator<Item = usize>| {
        let mut set: Group = owners.map(|owner| nodes[owner]).collect();
        set.sort_unstable();
        set
    };
    if spec.hash != Hash::JumpFnv1aCh {
        let at = |position| ring.owners_at(position);
        let owners = (0..=u16::MAX).filter_map(at);
        return owners.map(|owners| place(&mut owners.iter().map(|&o| usize::from(o)))).collect();
    }
    match spec.replicas {
        Replicas::Next => {
            let copies = spec.copies.min(count);
            let from = |first| place(&mut (first..first + copies).map(|owner| owner % count));
            (0..count).map(from).collect()
        }
        // The jump hash has no positions to try, and where its walk leads is known per name only:
        // nobody but all nodes together surely holds everything.
        Replicas::Ring | Replicas::Diverse => nodes.iter().map(|&node| vec![node]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::{Node, RingSpec};

    pub(crate) fn topology(spec: RingSpec, count: usize) -> Topology {
        let node = |n: usize| Node { host: "h".into(), port: 0, instance: Some(n.to_string()) };
        let ring = Ring::new(spec, (0..count).map(node).collect()).unwrap();
        Topology::of(count, [RingView { ring, nodes: (0..count).collect() }])
    }

    fn covered(topology: &Topology, missing: &[usize]) -> bool {
        topology.everything().iter().all(|group| group.iter().any(|node| !missing.contains(node)))
    }

    #[test]
    fn with_two_copies_any_nodes_but_neighbours_may_miss() {
        for hash in [Hash::CarbonCh, Hash::JumpFnv1aCh] {
            let topology = topology(RingSpec { hash, copies: 2, ..RingSpec::default() }, 5);
            assert!(covered(&topology, &[]) && covered(&topology, &[3]));
            assert!(covered(&topology, &[0, 2]));
            assert!(!covered(&topology, &[1, 2]) && !covered(&topology, &[0, 4]));
        }
    }

    #[test]
    fn with_one_copy_or_no_ring_every_node_must_answer() {
        assert!(!covered(&topology(RingSpec::default(), 3), &[1]));
        let unknown = Topology::of(3, None);
        assert!(!covered(&unknown, &[2]));
        assert_eq!(unknown.owner_groups("a"), [[0], [1], [2]]);
        assert_eq!((unknown.fingerprint(), unknown.copies()), (0, 1));
    }

    #[test]
    fn a_names_owners_come_first_whatever_its_spelling() {
        let topology = topology(RingSpec { copies: 2, ..RingSpec::default() }, 4);
        let [group] = &topology.owner_groups("a.b;x=1;y=2")[..] else { panic!("one ring") };
        assert_eq!(topology.owner_groups("a.b;y=2;x=1")[0], *group);
        let order = topology.order("a.b;x=1;y=2");
        assert_eq!((&order[..2], order.len()), (&group[..], 4));
        assert!(topology.everything().iter().all(|group| group.len() == 2));
    }
}
