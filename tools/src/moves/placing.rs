//! From what nodes hold and what the ring says to what should move.

use ring::Ring;

use super::holdings::Series;
use super::plan::{Action, Kind, Step};

/// What a plan is made by.
pub(crate) struct Placing<'a> {
    pub(crate) kind: Kind,
    /// The ring that is to hold; its nodes are the first of the fleet.
    pub(crate) ring: &'a Ring,
    /// The node that the plan is about, if it is about one.
    pub(crate) node: Option<u16>,
}

impl Placing<'_> {
    /// What is to happen to a series; nothing if it is where it belongs.
    pub(crate) fn step(&self, series: &Series<'_>) -> Option<Step> {
        let Series { name, holders, bytes } = series;
        let owners = self.ring.owners(name.as_bytes()).to_vec();
        let lacking = owners.iter().copied().filter(|owner| !holders.contains(owner));
        let strays = holders.iter().copied().filter(|holder| !owners.contains(holder));
        let (targets, drop): (Vec<u16>, Vec<u16>) = match self.kind {
            Kind::Rebalance | Kind::Decommission => (lacking.collect(), strays.collect()),
            Kind::Drain => {
                (lacking.collect(), strays.filter(|&node| Some(node) != self.node).collect())
            }
            // It may have them by now because points came, without what was before.
            Kind::Replace | Kind::Fill => {
                let is_asked = |owner: &u16| Some(*owner) == self.node;
                (owners.iter().copied().filter(is_asked).collect(), Vec::new())
            }
        };
        let mut sources: Vec<u16> =
            holders.iter().copied().filter(|holder| !targets.contains(holder)).collect();
        // Who gives it up is asked first: what it has is what must not be lost.
        sources.sort_by_key(|source| !drop.contains(source));
        let filled = targets.iter().any(|target| holders.contains(target));
        let action = match (targets.is_empty(), drop.is_empty()) {
            (true, true) => return None,
            (false, _) if sources.is_empty() => return None,
            (false, true) if filled => Action::Fill,
            (false, true) => Action::Copy,
            (false, false) => Action::Move,
            (true, false) => Action::Drop,
        };
        Some(Step { name: (*name).into(), action, sources, targets, owners, drop, bytes: *bytes })
    }
}

#[cfg(test)]
mod tests {
    use ring::{Node, RingSpec};

    use super::*;

    fn ring() -> Ring {
        let nodes = ["a:1", "b:1", "c:1"].map(|text| Node::parse(text).unwrap());
        Ring::new(RingSpec { copies: 2, ..RingSpec::default() }, nodes.to_vec()).unwrap()
    }

    fn step(kind: Kind, node: Option<u16>, holders: &[u16]) -> Option<Step> {
        let ring = ring();
        let placing = Placing { kind, ring: &ring, node };
        placing.step(&Series { name: "x", holders: holders.to_vec(), bytes: 1 })
    }

    #[test]
    fn a_series_goes_to_its_owners_and_leaves_the_others() {
        let owners = ring().owners(b"x").to_vec();
        let other = (0..3).find(|node| !owners.contains(node)).unwrap();
        let mut both = owners.clone();
        both.sort_unstable();
        assert_eq!(step(Kind::Rebalance, None, &both), None);
        let moved = step(Kind::Rebalance, None, &[owners[0], other]).unwrap();
        assert_eq!(
            (moved.action, &moved.targets, &moved.drop),
            (Action::Move, &vec![owners[1]], &vec![other])
        );
        assert_eq!(moved.sources, [other, owners[0]], "who gives it up is asked first");
        let kept = step(Kind::Drain, Some(other), &[owners[0], other]).unwrap();
        assert_eq!((kept.action, kept.drop), (Action::Copy, Vec::new()));
        let dropped = step(Kind::Rebalance, None, &[0, 1, 2]).unwrap();
        assert_eq!((dropped.action, dropped.drop), (Action::Drop, vec![other]));
    }

    #[test]
    fn only_the_node_that_lost_something_gets_it() {
        let owners = ring().owners(b"x").to_vec();
        let replaced = step(Kind::Replace, Some(owners[1]), &[owners[0]]).unwrap();
        assert_eq!((replaced.action, replaced.targets), (Action::Copy, vec![owners[1]]));
        let other = (0..3).find(|node| !owners.contains(node)).unwrap();
        assert_eq!(step(Kind::Replace, Some(other), &owners), None, "it does not own it");
        assert_eq!(step(Kind::Fill, Some(owners[0]), &[owners[0]]), None, "nobody else has it");
        let filled = step(Kind::Fill, Some(owners[0]), &owners).unwrap();
        assert_eq!((filled.action, filled.sources), (Action::Fill, vec![owners[1]]));
    }
}
