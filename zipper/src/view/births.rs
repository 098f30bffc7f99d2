//! Nodes that began on an empty disk when others had points already: they lack what is older, and no hole of theirs
//! says so.

use metric::Window;
use wire::birth::Birth;
use wire::pb_v3::Hole;

use super::View;
use crate::merge::Replica;
use crate::topology::Group;

/// So long after its birth a node may still be given what relays have kept for it; how long it was away before nobody
/// knows.
const REFILL_S: i64 = 3_600;

/// What the nodes have said of their births, for one window.
#[derive(Debug, Clone)]
pub(super) struct Births {
    /// None of a node that was never heard.
    said: Vec<Option<Birth>>,
    window: Window,
    now: i64,
}

impl View {
    /// The births that matter for this window; none if nobody lacks what another one may have, as nearly always.
    pub(super) fn births(&self, window: Window, now: i64) -> Option<Births> {
        let said = self.nodes.iter().map(|node| node.client.birth()).collect();
        Some(Births { said, window, now }).filter(Births::has_doubts)
    }
}

impl Births {
    fn has_doubts(&self) -> bool {
        (0..self.said.len()).any(|node| self.doubts(node, 0..self.said.len()))
    }

    /// The time in which this node may lack what the `others` have.
    pub(super) fn hole(
        &self,
        node: usize,
        mut others: impl Iterator<Item = usize>,
    ) -> Option<Hole> {
        let born_s = self.said.get(node)?.as_ref().map_or(0, |birth| birth.born_s);
        let concerns = self.window.from < born_s || self.now < born_s.saturating_add(REFILL_S);
        let is_younger = born_s != 0
            && concerns
            && others.any(|other| self.takes_since(other).is_some_and(|since| since < born_s));
        is_younger.then_some(Hole { from_s: i64::MIN, until_s: born_s })
    }

    /// Whether this node may lack what the `others` have.
    pub(super) fn doubts(&self, node: usize, others: impl Iterator<Item = usize>) -> bool {
        self.hole(node, others).is_some()
    }

    /// Since when a node takes points; none if it has not. One that was never heard is as old as the oldest that was.
    fn takes_since(&self, node: usize) -> Option<i64> {
        let since =
            |birth: &Birth| if birth.born_s == 0 { Some(i64::MIN) } else { birth.takes_since_s };
        match &self.said[node] {
            Some(birth) => since(birth),
            None => self.said.iter().flatten().filter_map(since).min(),
        }
    }

    /// The same groups with the nodes last that may lack what others of them have.
    pub(super) fn sort(&self, groups: &mut [Group]) {
        for group in groups {
            let all = group.clone();
            group.sort_by_key(|&node| self.doubts(node, all.iter().copied()));
        }
    }

    /// Adds to copies of one series what their nodes may lack that other owners have. Of an owner that answered without
    /// a copy there is nothing to lack.
    pub(super) fn add_holes(
        &self,
        groups: &[Group],
        answered: impl Fn(usize) -> bool,
        copies: &mut [Replica],
    ) {
        let holders: Vec<usize> = copies.iter().map(|copy| copy.node).collect();
        for copy in copies {
            let node = copy.node;
            let groups = groups.iter().filter(|group| group.contains(&node)).flatten().copied();
            let others = groups.filter(|other| holders.contains(other) || !answered(*other));
            if let Some(hole) = self.hole(node, others) {
                copy.holes = copy.holes.iter().cloned().chain([hole]).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn births(said: &[Option<(i64, Option<i64>)>], from: i64) -> Births {
        let birth = |&(born_s, takes_since_s): &(i64, Option<i64>)| Birth { born_s, takes_since_s };
        let said = said.iter().map(|one| one.as_ref().map(birth)).collect();
        Births { said, window: Window::new(from, NOW), now: NOW }
    }

    fn young(said: &[Option<(i64, Option<i64>)>], from: i64) -> Vec<bool> {
        let births = births(said, from);
        (0..said.len()).map(|node| births.doubts(node, 0..said.len())).collect()
    }

    #[test]
    fn a_node_lacks_what_others_took_before_it_was_born() {
        let old = Some((100, Some(110)));
        let new = Some((5_000, Some(5_001)));
        assert_eq!(young(&[old, new], 4_999), [false, true]);
        assert_eq!(young(&[old, new], 5_000), [false, false], "the window is younger");
        assert_eq!(young(&[Some((0, None)), new], 0), [false, true], "one that has been always");
        let back = Some((NOW - 60, Some(NOW)));
        assert_eq!(young(&[old, back], NOW - 10), [false, true], "relays may be sending still");
    }

    #[test]
    fn nodes_that_began_before_the_first_point_lack_nothing() {
        assert_eq!(young(&[Some((100, Some(800))), Some((700, Some(801)))], 0), [false; 2]);
        assert_eq!(young(&[Some((100, None)), Some((700, Some(801)))], 0), [false; 2]);
        assert_eq!(young(&[Some((0, None)), Some((0, None))], 0), [false; 2]);
    }

    #[test]
    fn a_node_that_was_never_heard_is_as_old_as_the_oldest() {
        let (old, new) = (Some((100, Some(110))), Some((5_000, Some(5_001))));
        let births = births(&[old, new, None], 0);
        assert!(births.doubts(1, [2].into_iter()) && !births.doubts(0, [2].into_iter()));
        assert_eq!(young(&[new, None], 0), [false; 2], "nobody else was heard either");
    }

    #[test]
    fn who_lacks_something_is_asked_last() {
        let births = births(&[Some((5_000, Some(5_001))), Some((0, None)), Some((0, None))], 0);
        let mut groups = vec![vec![0, 1], vec![2, 0], vec![2, 1]];
        births.sort(&mut groups);
        assert_eq!(groups, [[1, 0], [2, 0], [2, 1]]);
    }
}
