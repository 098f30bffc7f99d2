//! Where this node stands in its ring.

use ring::cluster::Cluster;
use ring::{Fingerprint, Owners, Ring};

/// The ring of the cluster file, and the node's own place in it.
#[derive(Debug)]
pub struct Placement {
    ring: Ring,
    /// Not known if the node has no name there, and nothing to build on while files move to another ring.
    own: Option<u16>,
}

impl Placement {
    /// Of the node of this name.
    pub(crate) fn of(cluster: Cluster, name: Option<&str>) -> Self {
        let is_settled = cluster.transition().is_none();
        let is_own = |node: &ring::cluster::ClusterNode| Some(node.name.as_str()) == name;
        let own = cluster.nodes().iter().position(is_own).filter(|_| is_settled);
        Self { own: own.and_then(|own| u16::try_from(own).ok()), ring: cluster.into_ring() }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.ring.fingerprint()
    }

    /// The node's place in the ring, if that says which series are its own.
    pub(crate) fn own(&self) -> Option<u16> {
        self.own
    }

    /// Who holds a series.
    pub(crate) fn owners(&self, name: &str) -> Owners {
        self.ring.owners(name.as_bytes())
    }
}
