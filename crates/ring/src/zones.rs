//! The check that no series has all its copies in one failure domain.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::placement::Ring;

/// Why the zones of a ring's nodes do not keep copies apart.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// A node whose zone is not known.
    #[error("node `{node}` has no `zone`, and `require_zones` asks for one")]
    NoZone {
        /// The node.
        node: String,
        /// Its index.
        index: usize,
    },
    /// Two nodes of one zone that hold copies of one series.
    #[error(
        "nodes `{first}` and `{second}` are both in zone `{zone}` and hold copies of the same series; \
         change the order of the nodes so that neighbours are in different zones"
    )]
    SameZone {
        /// The earlier node.
        first: String,
        /// The later node.
        second: String,
        /// Their zone.
        zone: String,
        /// The later node's index.
        index: usize,
    },
}

impl ZoneError {
    /// The node it is about.
    pub const fn index(&self) -> usize {
        match self {
            Self::NoZone { index, .. } | Self::SameZone { index, .. } => *index,
        }
    }
}

/// Whether any two nodes that hold copies of one series are in different zones. `zones` are those
/// of the ring's nodes, in order.
///
/// # Errors
/// The first node without a zone, or the first two that may not hold copies together.
pub fn check_zones(ring: &Ring, zones: &[Option<&str>]) -> Result<(), ZoneError> {
    let node = |index: usize| ring.nodes()[index].to_string();
    let mut known = Vec::with_capacity(zones.len());
    for (index, zone) in zones.iter().enumerate() {
        known.push(zone.ok_or_else(|| ZoneError::NoZone { node: node(index), index })?);
    }
    for (first, index) in ring.copy_pairs() {
        let (first, zone) = (usize::from(first), known[usize::from(index)]);
        let index = usize::from(index);
        if known[first] == zone {
            let (first, second) = (node(first), node(index));
            return Err(ZoneError::SameZone { first, second, zone: zone.to_owned(), index });
        }
    }
    Ok(())
}

impl Ring {
    /// Each two nodes that hold copies of one name, the earlier in config order first.
    fn copy_pairs(&self) -> BTreeSet<(u16, u16)> {
        let mut pairs = BTreeSet::new();
        for owners in self.owner_sets() {
            for (place, &owner) in owners.iter().enumerate() {
                let others = &owners[place + 1..];
                pairs.extend(others.iter().map(|&other| (owner.min(other), owner.max(other))));
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Hash, Replicas, RingSpec};
    use crate::node::Node;

    fn ring(hash: Hash, replicas: Replicas, nodes: usize) -> Ring {
        let spec = RingSpec { hash, replicas, copies: 2, ..RingSpec::default() };
        let node = |i| Node { host: format!("h{i}"), port: 2003, instance: None };
        Ring::new(spec, (0..nodes).map(node).collect()).unwrap()
    }

    fn check(ring: &Ring, zones: &[&str]) -> Result<(), String> {
        let zones: Vec<Option<&str>> =
            zones.iter().map(|zone| Some(*zone).filter(|zone| !zone.is_empty())).collect();
        check_zones(ring, &zones).map_err(|error| error.to_string())
    }

    #[test]
    fn neighbours_in_the_config_may_not_share_a_zone_and_the_last_is_the_firsts_neighbour() {
        for hash in [Hash::CarbonCh, Hash::JumpFnv1aCh] {
            let ring = ring(hash, Replicas::Next, 4);
            assert_eq!(check(&ring, &["a", "b", "a", "b"]), Ok(()));
            let error = check(&ring, &["a", "b", "c", "a"]).unwrap_err();
            assert!(
                error.starts_with("nodes `h0:2003` and `h3:2003` are both in zone `a`"),
                "{error}"
            );
            assert!(
                check(&ring, &["a", "b", "", "d"]).unwrap_err().contains("`h2:2003` has no `zone`")
            );
        }
    }

    #[test]
    fn along_the_ring_any_two_nodes_may_meet() {
        for hash in [Hash::CarbonCh, Hash::JumpFnv1aCh] {
            let ring = ring(hash, Replicas::Ring, 4);
            assert!(check(&ring, &["a", "b", "a", "b"]).is_err(), "{hash}");
            assert_eq!(check(&ring, &["a", "b", "c", "d"]), Ok(()));
        }
    }
}
