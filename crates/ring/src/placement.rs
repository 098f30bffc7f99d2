//! The ring: a spec and nodes in order in, owners of names out.

use thiserror::Error;

use crate::circle::Circle;
use crate::dialect::{Dialect, Hash, Replicas, RingSpec};
use crate::fingerprint::Fingerprint;
use crate::hashes::{fnv1a_position, md5_position};
use crate::jump::Jump;
use crate::md5_lanes::md5_positions;
use crate::node::{Node, NodeError};
use crate::owners::{COPIES_MAX, Owners};

/// Most nodes in one ring.
pub const NODES_MAX: usize = 4096;

/// Why nodes and rules make no ring.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RingError {
    /// A ring needs a node.
    #[error("a ring needs at least one node")]
    NoNodes,
    /// Too many nodes.
    #[error("the ring has {count} nodes, the most is {NODES_MAX}")]
    TooManyNodes {
        /// How many were given.
        count: usize,
    },
    /// Zero copies.
    #[error("a ring needs at least one copy of each series")]
    NoCopies,
    /// Too many copies.
    #[error("the ring is asked for {copies} copies, the most is {COPIES_MAX}")]
    TooManyCopies {
        /// How many were asked for, and there are nodes for.
        copies: usize,
    },
    /// Two nodes that the hash cannot tell apart.
    #[error(
        "nodes `{first}` and `{second}` have the same host and instance: to the hash they are one"
    )]
    SameNode {
        /// The earlier node.
        first: String,
        /// The later node.
        second: String,
        /// The later node's index.
        index: usize,
    },
    /// A dialect that hashes ports, and a node whose port is not known.
    #[error("node `{host}` needs an instance or a line port: {hash} with collision `{collision}` hashes it", hash = spec.hash, collision = spec.collision)]
    PortUnknown {
        /// The node's host.
        host: String,
        /// The rules that need the port.
        spec: RingSpec,
        /// The node's index.
        index: usize,
    },
    /// A node that cannot be hashed.
    #[error("{cause}")]
    Node {
        /// Why not.
        cause: NodeError,
        /// The node's index.
        index: usize,
    },
}

/// Nodes in config order and the rules that place names on them.
#[derive(Debug)]
pub struct Ring {
    spec: RingSpec,
    nodes: Vec<Node>,
    /// For each node the first node on the same host.
    hosts: Vec<u16>,
    placement: Placement,
    fingerprint: Fingerprint,
}

#[derive(Debug)]
enum Placement {
    Circle(Circle),
    Jump(Jump),
}

impl Ring {
    /// Builds the ring; the order of the nodes is part of its identity.
    pub fn new(spec: RingSpec, nodes: Vec<Node>) -> Result<Self, RingError> {
        check(spec, &nodes)?;
        let dialect = Dialect::of(spec.hash, spec.collision);
        let placement = match spec.hash {
            Hash::CarbonCh | Hash::Fnv1aCh => {
                Placement::Circle(Circle::new(spec.hash, dialect, &nodes))
            }
            Hash::JumpFnv1aCh => Placement::Jump(Jump::new(dialect, &nodes)),
        };
        let first_on_host = |node: &Node| nodes.iter().position(|other| other.host == node.host);
        let hosts = nodes.iter().filter_map(first_on_host).map(|index| index as u16).collect();
        let fingerprint = Fingerprint::of(spec, &nodes);
        Ok(Self { spec, nodes, hosts, placement, fingerprint })
    }

    /// The owners of a name, the primary first.
    pub fn owners(&self, key: &[u8]) -> Owners {
        match (&self.placement, self.spec.replicas) {
            (Placement::Circle(circle), _) => self.owners_on(circle, self.circle_position(key)),
            (Placement::Jump(jump), Replicas::Next) => self.next_from(jump.primary(key)),
            (Placement::Jump(jump), _) => self.first_of(jump.walk(key)),
        }
    }

    /// The first owner of a name.
    pub fn primary(&self, key: &[u8]) -> u16 {
        match &self.placement {
            Placement::Circle(circle) => circle.primary(self.circle_position(key)),
            Placement::Jump(jump) => jump.primary(key),
        }
    }

    /// Where a name lies on the circle; the jump hash has none.
    pub fn position(&self, key: &[u8]) -> Option<u16> {
        match self.placement {
            Placement::Circle(_) => Some(self.circle_position(key)),
            Placement::Jump(_) => None,
        }
    }

    /// Where many names lie on the circle, which costs less than asking for each alone; the jump hash has none.
    pub fn positions(&self, keys: &[&[u8]]) -> Option<Vec<u16>> {
        match (&self.placement, self.spec.hash) {
            (Placement::Jump(_), _) => None,
            (Placement::Circle(_), Hash::CarbonCh) => Some(md5_positions(keys)),
            (Placement::Circle(_), _) => {
                Some(keys.iter().map(|key| self.circle_position(key)).collect())
            }
        }
    }

    /// The owners of every name at a position of the circle; the jump hash has none.
    pub fn owners_at(&self, position: u16) -> Option<Owners> {
        match &self.placement {
            Placement::Circle(circle) => Some(self.owners_on(circle, position)),
            Placement::Jump(_) => None,
        }
    }

    /// Every set of owners that a name can have. Of a jump hash that walks on for its copies: each
    /// two nodes, since any may meet.
    pub fn owner_sets(&self) -> Vec<Owners> {
        let count = self.nodes.len() as u16;
        let mut sets = match (&self.placement, self.spec.replicas) {
            (Placement::Circle(circle), _) => {
                let mut sets = Vec::new();
                for position in 0..=u16::MAX {
                    let owners = self.owners_on(circle, position);
                    if sets.last() != Some(&owners) {
                        sets.push(owners);
                    }
                }
                sets
            }
            (Placement::Jump(_), Replicas::Next) => (0..count).map(|n| self.next_from(n)).collect(),
            (Placement::Jump(_), _) if self.copies() > 1 => {
                let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| [a, b]));
                pairs.map(|pair| self.first_of(pair.into_iter())).collect()
            }
            (Placement::Jump(_), _) => (0..count).map(|n| self.first_of([n].into_iter())).collect(),
        };
        sets.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
        sets.dedup();
        sets
    }

    /// The nodes in config order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The rules.
    pub const fn spec(&self) -> RingSpec {
        self.spec
    }

    /// Names this ring; equal for two programs only if they place every name alike.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The fraction of all names that each node is the primary of, in config order.
    pub fn shares(&self) -> Vec<f64> {
        let nodes = self.nodes.len();
        match &self.placement {
            Placement::Circle(circle) => circle
                .positions_per_node(nodes)
                .into_iter()
                .map(|count| f64::from(count) / 65_536.0)
                .collect(),
            Placement::Jump(_) => vec![1.0 / nodes as f64; nodes],
        }
    }

    fn circle_position(&self, key: &[u8]) -> u16 {
        match self.spec.hash {
            Hash::CarbonCh => md5_position(key),
            _ => fnv1a_position(
                key,
                Dialect::of(self.spec.hash, self.spec.collision).fnv1a_sign_extends,
            ),
        }
    }

    fn owners_on(&self, circle: &Circle, position: u16) -> Owners {
        match self.spec.replicas {
            Replicas::Next => self.next_from(circle.primary(position)),
            Replicas::Ring | Replicas::Diverse => self.first_of(circle.walk(position)),
        }
    }

    fn copies(&self) -> usize {
        self.spec.copies.min(self.nodes.len())
    }

    /// A node and those after it in config order.
    fn next_from(&self, primary: u16) -> Owners {
        let mut owners = Owners::none();
        let mut node = usize::from(primary);
        for _ in 0..self.copies() {
            owners.push(node as u16);
            node = if node + 1 == self.nodes.len() { 0 } else { node + 1 };
        }
        owners
    }

    /// The first nodes of a walk that may own a copy beside the earlier ones.
    fn first_of(&self, walk: impl Iterator<Item = u16>) -> Owners {
        let mut owners = Owners::none();
        let diverse = self.spec.replicas == Replicas::Diverse;
        let host = |node: u16| self.hosts[usize::from(node)];
        for node in walk {
            if owners.iter().any(|&owner| owner == node || diverse && host(owner) == host(node)) {
                continue;
            }
            owners.push(node);
            if owners.len() == self.copies() {
                break;
            }
        }
        owners
    }
}

fn check(spec: RingSpec, nodes: &[Node]) -> Result<(), RingError> {
    if nodes.is_empty() {
        return Err(RingError::NoNodes);
    }
    if nodes.len() > NODES_MAX {
        return Err(RingError::TooManyNodes { count: nodes.len() });
    }
    if spec.copies == 0 {
        return Err(RingError::NoCopies);
    }
    let copies = spec.copies.min(nodes.len());
    if copies > COPIES_MAX {
        return Err(RingError::TooManyCopies { copies });
    }
    let dialect = Dialect::of(spec.hash, spec.collision);
    let hashes_ports = spec.hash == Hash::Fnv1aCh;
    let mut seen = std::collections::HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        node.check().map_err(|cause| RingError::Node { cause, index })?;
        if hashes_ports && dialect.hashes_port_of(node) && node.port == 0 {
            return Err(RingError::PortUnknown { host: node.host.clone(), spec, index });
        }
        if let Some(first) = seen.insert(node.identity(), index) {
            let (first, second) = (nodes[first].to_string(), node.to_string());
            return Err(RingError::SameNode { first, second, index });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
