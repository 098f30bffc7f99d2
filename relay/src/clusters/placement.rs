//! From a name to the set of destinations, for each type of cluster.

use ring::{Hash, Ring};

use super::Place;
use super::remembered::Remembered;
use super::sets::Sets;

/// Where the names of one cluster go.
#[derive(Debug)]
pub(super) enum Placement {
    /// The owners on a ring, and while files move those on the old one too.
    Ring(Box<RingPlacement>),
    /// One set gets everything.
    All(usize),
    /// Each name goes to one set of several, always the same one.
    Spread(Vec<usize>),
    /// Files get everything.
    Files(Vec<usize>),
}

/// A ring and the destinations of its nodes.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) ring: Ring,
    pub(super) destinations: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct RingPlacement {
    now: Members,
    old: Option<Members>,
    /// For each position of the circle the set of owners, where one circle decides.
    by_position: Option<Box<[u32]>>,
    remembered: Remembered,
}

impl RingPlacement {
    /// The placement by `now`, and by `old` as well while files move.
    pub(super) fn new(now: Members, old: Option<Members>, sets: &Sets) -> Self {
        let mut placement = Self { now, old, by_position: None, remembered: Remembered::new() };
        let one_circle =
            placement.old.as_ref().is_none_or(|old| same_positions(&placement.now.ring, &old.ring));
        if one_circle && placement.now.ring.owners_at(0).is_some() {
            let numbers = (0..=u16::MAX).map(|position| placement.set_at(position, sets));
            placement.by_position = Some(numbers.collect());
        }
        placement
    }

    fn set_at(&self, position: u16, sets: &Sets) -> u32 {
        let owners = |members: &Members| {
            let owners = members.ring.owners_at(position);
            owners.map(|owners| members.of(&owners)).unwrap_or_default()
        };
        sets.number(&union(owners(&self.now), self.old.as_ref().map(owners))) as u32
    }

    fn set(&self, key: &[u8], sets: &Sets) -> usize {
        self.remembered.set(key, || self.placed(key, sets)) as usize
    }

    fn sets<'k>(&self, keys: impl Iterator<Item = &'k [u8]> + Clone, sets: &Sets) -> Vec<u32> {
        self.remembered.sets(keys, |key| self.placed(key, sets))
    }

    fn placed(&self, key: &[u8], sets: &Sets) -> u32 {
        if let (Some(sets), Some(position)) = (&self.by_position, self.now.ring.position(key)) {
            return sets[usize::from(position)];
        }
        let owners = |members: &Members| members.of(&members.ring.owners(key));
        sets.number(&union(owners(&self.now), self.old.as_ref().map(owners))) as u32
    }
}

impl Members {
    fn of(&self, owners: &[u16]) -> Vec<usize> {
        owners.iter().map(|&owner| self.destinations[usize::from(owner)]).collect()
    }
}

/// Whether a name lies at the same position on both circles.
fn same_positions(now: &Ring, old: &Ring) -> bool {
    let (now, old) = (now.spec(), old.spec());
    now.hash == old.hash && (now.hash == Hash::CarbonCh || now.collision == old.collision)
}

/// The new owners, then the old ones that are not among them.
fn union(mut owners: Vec<usize>, old: Option<Vec<usize>>) -> Vec<usize> {
    for owner in old.unwrap_or_default() {
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    owners
}

impl Placement {
    /// The ring, where there is one.
    pub(super) fn ring(&self) -> Option<&Ring> {
        match self {
            Self::Ring(placement) => Some(&placement.now.ring),
            _ => None,
        }
    }

    /// The ring that is being left, where there is one.
    pub(super) fn leaving(&self) -> Option<&Ring> {
        match self {
            Self::Ring(placement) => placement.old.as_ref().map(|old| &old.ring),
            _ => None,
        }
    }

    /// The set that gets a line, for each of `keys`; none where not every name has one set.
    pub(super) fn sets<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        sets: &Sets,
    ) -> Option<Vec<u32>> {
        match self {
            Self::Ring(placement) => Some(placement.sets(keys, sets)),
            _ => None,
        }
    }

    /// Tells `take` of everyone who gets a line placed by `key`.
    pub(super) fn place(&self, key: &[u8], sets: &Sets, mut take: impl FnMut(Place)) {
        match self {
            Self::Ring(placement) => take(Place::Set(placement.set(key, sets))),
            Self::All(set) => take(Place::Set(*set)),
            Self::Spread(lanes) => {
                let lane = ring::fnv1a_32(key, false) as usize % lanes.len();
                take(Place::Set(lanes[lane]));
            }
            Self::Files(files) => files.iter().for_each(|file| take(Place::File(*file))),
        }
    }
}
