//! `plumbago ring check`: whether all programs follow the same ring.

use std::path::{Path, PathBuf};

use remote::{Endpoint, RemoteError};
use serde_json::json;

use super::read_cluster;
use crate::invocation::{Context, EXIT_FAILED, Failure, Run};
use crate::moves::fleet::Health;
use crate::nodes::NodesArgs;

#[derive(clap::Args)]
pub(crate) struct CheckRing {
    /// Cluster file with the ring that all are to follow; its nodes are asked.
    #[arg(long, value_name = "FILE")]
    cluster: PathBuf,
    /// Admin address of a relay or zipper to ask besides; repeats.
    #[arg(long, value_name = "HOST:PORT")]
    admin: Vec<Endpoint>,
}

impl Run for CheckRing {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let expected = Expected::of(&self.cluster)?;
        let programs = NodesArgs::of(&self.cluster, self.admin).load()?;
        let mut differ = 0;
        for (place, program) in programs.all.iter().enumerate() {
            let name = program.name.as_str();
            let health: Result<Health, RemoteError> = programs.get(program, "/health");
            let health = match health {
                Ok(health) => health,
                Err(error) => {
                    context.skip(name, &error);
                    continue;
                }
            };
            let node = (place < expected.nodes).then_some(name);
            let (verdict, is_fine) = match expected.fault(node, &health) {
                Some(fault) => (fault, false),
                None if health.ring_fingerprint.is_empty() => ("knows no ring", true),
                None => ("ok", true),
            };
            differ += u32::from(!is_fine);
            let theirs = health.ring_fingerprint;
            if context.json {
                let line = json!({"program": name, "ring": theirs, "verdict": verdict});
                writeln!(context.out, "{line}")?;
            } else {
                writeln!(context.out, "{name}\t{theirs}\t{verdict}")?;
            }
        }
        if differ == 0 { Ok(()) } else { Err(Failure::silent(EXIT_FAILED)) }
    }
}

/// What all are to follow.
struct Expected {
    ring: String,
    /// The ring that is being left, empty for none.
    leaving: String,
    /// How many nodes there are.
    nodes: usize,
}

impl Expected {
    fn of(path: &Path) -> Result<Self, Failure> {
        let cluster = read_cluster(path)?;
        let leaving = cluster.transition().map(|old| old.ring().fingerprint().to_string());
        Ok(Self {
            ring: cluster.ring().fingerprint().to_string(),
            leaving: leaving.unwrap_or_default(),
            nodes: cluster.nodes().len(),
        })
    }

    /// What is wrong with a program that is to be this node, or a relay.
    fn fault(&self, node: Option<&str>, health: &Health) -> Option<&'static str> {
        let Health { node: is, ring_fingerprint: ring, ring_leaving: leaving } = health;
        match node {
            Some(node) if !is.is_empty() && is != node => Some("another node"),
            // A node may do without a ring: it serves what it has.
            Some(_) => (!ring.is_empty() && *ring != self.ring).then_some("another ring"),
            None if *ring != self.ring => Some("another ring"),
            None => (*leaving != self.leaving).then_some("another ring is being left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_must_follow_the_ring_and_nodes_no_other() {
        let expected = Expected { ring: "1".to_owned(), leaving: "0".to_owned(), nodes: 1 };
        let health = |node: &str, ring: &str, leaving: &str| Health {
            node: node.to_owned(),
            ring_fingerprint: ring.to_owned(),
            ring_leaving: leaving.to_owned(),
        };
        let node = Some("n");
        assert_eq!(expected.fault(node, &health("n", "1", "")), None);
        assert_eq!(expected.fault(node, &health("", "", "")), None);
        assert_eq!(expected.fault(node, &health("m", "1", "")), Some("another node"));
        assert_eq!(expected.fault(node, &health("n", "2", "")), Some("another ring"));
        assert_eq!(expected.fault(None, &health("", "1", "0")), None);
        assert_eq!(expected.fault(None, &health("", "", "0")), Some("another ring"));
        assert_eq!(expected.fault(None, &health("", "1", "")), Some("another ring is being left"));
    }
}
