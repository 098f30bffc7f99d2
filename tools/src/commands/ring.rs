//! `plumbago ring`: asks the hash ring where series live.

use std::path::{Path, PathBuf};

use ::ring::cluster::Cluster;
use ::ring::{Collision, Hash, Node, NodeError, Replicas, RingSpec};

use crate::invocation::Failure;

mod check;
mod lookup;
mod show;

pub(crate) use check::CheckRing;
pub(crate) use lookup::LookupNames;
pub(crate) use show::ShowRing;

/// Which ring: a cluster file, or nodes on the command line; flags win over the file.
#[derive(clap::Args)]
struct RingArgs {
    /// A node, HOST:PORT or HOST:PORT=INSTANCE; the order of nodes counts.
    #[arg(long = "node", value_name = "NODE", value_parser = GivenNode::parse, required_unless_present = "cluster")]
    nodes: Vec<GivenNode>,
    /// Cluster file with the ring and its nodes.
    #[arg(long, value_name = "FILE", conflicts_with = "nodes")]
    cluster: Option<PathBuf>,
    /// carbon_ch (default), fnv1a_ch or jump_fnv1a_ch.
    #[arg(long = "ring", value_name = "HASH")]
    hash: Option<Hash>,
    /// bump (default, Python carbon), first (carbon-c-relay) or keep (carbon-relay-ng v1, buckytools).
    #[arg(long, value_name = "RULE")]
    collision: Option<Collision>,
    /// next (default, config order), ring or diverse.
    #[arg(long, value_name = "RULE")]
    replicas: Option<Replicas>,
    /// Copies of each series; 1 without a cluster file.
    #[arg(long, value_name = "COPIES")]
    replication: Option<usize>,
}

/// A node and the text it was given as, which is how it is printed.
#[derive(Clone)]
struct GivenNode {
    text: String,
    node: Node,
}

impl GivenNode {
    fn parse(text: &str) -> Result<Self, NodeError> {
        Ok(Self { text: text.to_owned(), node: Node::parse(text)? })
    }
}

/// A ring and what its nodes are called.
struct NamedRing {
    ring: ::ring::Ring,
    names: Vec<String>,
}

impl RingArgs {
    fn build(self) -> Result<NamedRing, Failure> {
        let (base, nodes, names) = match &self.cluster {
            Some(path) => {
                let cluster = read_cluster(path)?;
                let names = cluster.nodes().iter().map(|node| node.name.clone()).collect();
                (cluster.ring().spec(), cluster.ring().nodes().to_vec(), names)
            }
            None => {
                let (nodes, names) =
                    self.nodes.into_iter().map(|given| (given.node, given.text)).unzip();
                (RingSpec::default(), nodes, names)
            }
        };
        let spec = RingSpec {
            hash: self.hash.unwrap_or(base.hash),
            collision: self.collision.unwrap_or(base.collision),
            replicas: self.replicas.unwrap_or(base.replicas),
            copies: self.replication.unwrap_or(base.copies),
        };
        let ring = ::ring::Ring::new(spec, nodes);
        Ok(NamedRing { ring: ring.map_err(|error| Failure::new(error.to_string()))?, names })
    }
}

fn read_cluster(path: &Path) -> Result<Cluster, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::of(path, &error))?;
    Cluster::parse(&text).map_err(|error| Failure::of(path, &error))
}
