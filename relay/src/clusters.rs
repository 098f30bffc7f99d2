//! The clusters that rules send to, and where in each a name belongs.
//!
//! A cluster is a ring, a list that gets everything, a list of which one gets each name, a list of
//! stand-ins, or files. Nodes that two clusters name alike are one node with one connection.

mod build;
mod placement;
mod remembered;
mod sets;
mod text;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub(crate) use build::{build, watched};

use crate::log::LogFull;
use placement::Placement;
use sets::Sets;

/// The name of the cluster that `node` or `cluster` describe.
pub(crate) const DEFAULT: &str = "default";

/// All clusters, and the nodes and files in them.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    clusters: Vec<Cluster>,
    destinations: Vec<Destination>,
    files: Vec<PathBuf>,
    sets: Sets,
}

/// A node as the relay sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Its name in metrics and logs.
    pub(crate) name: String,
    /// Where it takes lines, `HOST:PORT`. Several stand in for one another: the first that
    /// answers is taken.
    pub(crate) addresses: Vec<String>,
    /// They take the acknowledged link; others take carbon lines.
    pub(crate) is_link: bool,
    /// What becomes of its lines when the log is full, where its cluster says it.
    pub(crate) log_full: Option<LogFull>,
}

/// One cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// Its type as the settings write it.
    pub(crate) kind: &'static str,
    placement: Placement,
}

/// Who gets a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The destinations of this set.
    Set(usize),
    /// The file of this number.
    File(usize),
}

impl Clusters {
    /// The clusters; rules know them by their place here.
    pub(crate) fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Every node of any cluster, once.
    pub(crate) fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Every file of any cluster, once.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Who in a cluster gets a line whose name, or what is hashed in its place, is `key`.
    pub(crate) fn place(&self, cluster: usize, key: &str, take: impl FnMut(Place)) {
        self.clusters[cluster].placement.place(key.as_bytes(), &self.sets, take);
    }

    /// The set that gets a line, for each of `keys`, where a cluster has one for every name.
    pub(crate) fn sets<'k>(
        &self,
        cluster: usize,
        keys: impl Iterator<Item = &'k str> + Clone,
    ) -> Option<Vec<u32>> {
        self.clusters[cluster].placement.sets(keys.map(str::as_bytes), &self.sets)
    }

    /// The destinations of a set, the primary first.
    pub(crate) fn members(&self, set: usize) -> Vec<usize> {
        self.sets.members(set)
    }

    /// Where `key` lies on the circle of a cluster that has one.
    pub(crate) fn position(&self, cluster: usize, key: &str) -> Option<u16> {
        self.clusters[cluster].placement.ring()?.position(key.as_bytes())
    }

    /// The fingerprint of the first ring, by which other daemons know it.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let ring = self.clusters.iter().find_map(|cluster| cluster.placement.ring())?;
        Some(ring.fingerprint().to_string())
    }

    /// The fingerprint of the ring that this one's files are leaving, while they move.
    pub(crate) fn leaving(&self) -> Option<String> {
        let ring = self.clusters.iter().find_map(|cluster| cluster.placement.leaving())?;
        Some(ring.fingerprint().to_string())
    }
}
