//! The storage nodes by their admin addresses, and the programs that send to them and read from them.

use std::collections::BTreeMap;
use std::time::Duration;

use remote::{AdminClient, RemoteError, Traffic};
use ring::cluster::{Cluster, ClusterNode};
use serde::{Deserialize, Serialize};

use super::holdings::Holdings;
use crate::invocation::Failure;
use crate::node::Node;

/// How long a node may take for a small answer.
const WAIT: Duration = Duration::from_secs(20);

/// How often a relay is asked whether lines have arrived, and the rest in between.
const DELIVERY_TRIES: u32 = 300;
const DELIVERY_REST: Duration = Duration::from_millis(200);

/// What a plan keeps of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeAddress {
    pub(crate) name: String,
    /// `HOST:PORT`.
    pub(crate) admin: String,
}

/// All nodes of a job; they are known by their numbers here.
#[derive(Debug)]
pub(crate) struct Fleet {
    nodes: Vec<Node>,
}

/// What a daemon says of the rings it follows.
#[derive(Debug, Deserialize)]
pub(crate) struct Health {
    /// The name that it goes by in the ring.
    #[serde(default)]
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) ring_fingerprint: String,
    /// Of the ring that is being left; empty where none is.
    #[serde(default)]
    pub(crate) ring_leaving: String,
}

/// Nodes that do not answer, and what came instead.
pub(crate) type Away = BTreeMap<u16, RemoteError>;

/// The rings that programs must follow before a job acts, by their fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rings {
    pub(crate) ring: String,
    pub(crate) leaving: Option<String>,
}

impl Fleet {
    /// The nodes of a cluster's ring in order, then those that only the ring has that is being left.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self, Failure> {
        let mut nodes: Vec<&ClusterNode> = cluster.nodes().iter().collect();
        let leaving = cluster.transition().map(|old| old.nodes()).unwrap_or_default();
        nodes.extend(leaving.iter().filter(|node| cluster.node(&node.name).is_none()));
        let nodes = nodes.into_iter().map(Node::of).collect::<Result<_, _>>()?;
        Ok(Self { nodes })
    }

    /// Nodes whose addresses are known.
    pub(crate) fn at(addresses: Vec<NodeAddress>) -> Result<Self, Failure> {
        let node = |NodeAddress { name, admin }| Node::at(name, admin);
        let nodes = addresses.into_iter().map(node).collect::<Result<_, _>>()?;
        Ok(Self { nodes })
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn addresses(&self) -> Vec<NodeAddress> {
        let address = |Node { name, admin, .. }: &Node| NodeAddress {
            name: name.clone(),
            admin: admin.clone(),
        };
        self.nodes.iter().map(address).collect()
    }

    pub(crate) fn node(&self, number: u16) -> &Node {
        &self.nodes[usize::from(number)]
    }

    pub(crate) fn name(&self, node: u16) -> &str {
        &self.node(node).name
    }

    pub(crate) fn client(&self, node: u16) -> &AdminClient {
        &self.node(node).client
    }

    pub(crate) fn admin(&self, node: u16) -> &str {
        &self.node(node).admin
    }

    /// What the nodes were asked so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.nodes.iter().map(|node| node.client.traffic()).sum()
    }

    /// The number of the node of this name.
    pub(crate) fn number(&self, name: &str) -> Option<u16> {
        let at = self.nodes.iter().position(|node| node.name == name);
        at.and_then(|at| u16::try_from(at).ok())
    }

    /// What all nodes hold, by their indexes. A node of the ring that does not answer is a failure; one that is being
    /// left is named in the second part.
    pub(crate) async fn holdings(
        &self,
        may_be_away: impl Fn(u16) -> bool,
    ) -> Result<(Holdings, Vec<RemoteError>), Failure> {
        let (mut holdings, mut away) = (Holdings::default(), Vec::new());
        for number in (0..).take(self.nodes.len()) {
            match self.list(number, &mut holdings).await {
                Err(error) if may_be_away(number) => away.push(error),
                listed => listed?,
            }
        }
        holdings.sort();
        Ok((holdings, away))
    }

    async fn list(&self, node: u16, holdings: &mut Holdings) -> Result<(), RemoteError> {
        let mut next = Some(0);
        while let Some(from) = next {
            let page = self.node(node).held(from).await?;
            next = page.next;
            holdings.add(node, page.series);
        }
        Ok(())
    }

    /// Refuses to go on with a node that is another one than the cluster file says, or that follows another ring; one
    /// that does not answer cannot be changed either.
    pub(crate) async fn check_nodes(&self, rings: &Rings) -> Result<Away, Failure> {
        let mut away = Away::new();
        for (number, Node { name, admin, client }) in (0..).zip(&self.nodes) {
            let health: Health = match client.get_json("/health", WAIT).await {
                Ok(health) => health,
                Err(error) => {
                    away.insert(number, error);
                    continue;
                }
            };
            if !health.node.is_empty() && health.node != *name {
                let problem = format!("{admin} says it is `{}`, expected `{name}`", health.node);
                return Err(Failure::new(problem));
            }
            let known = [Some(rings.ring.as_str()), rings.leaving.as_deref(), Some("")];
            if !known.contains(&Some(health.ring_fingerprint.as_str())) {
                let theirs = health.ring_fingerprint;
                let ours = &rings.ring;
                return Err(Failure::new(format!(
                    "node `{name}` follows ring {theirs}, not {ours}"
                )));
            }
        }
        Ok(away)
    }
}

/// What a relay says of a node; others than ours say less.
#[derive(Debug, Deserialize)]
struct Backlog {
    node: String,
    /// How much it has taken.
    #[serde(default)]
    newest: u64,
    /// Up to where it never sends the node anything again.
    #[serde(default)]
    done: u64,
}

/// Waits until these nodes have all that the relays had taken for them by now: lines of the ring before must not come when
/// their series are put away already.
pub(crate) async fn wait_for_relays(relays: &[String], nodes: &[&str]) -> Result<(), Failure> {
    for relay in relays {
        let at_relay = Node::at(relay.clone(), relay.clone())?;
        let (mut taken, mut tries) = (None, 0);
        loop {
            let backlogs: Vec<Backlog> = at_relay.client.get_json("/admin/backlog", WAIT).await?;
            let taken = *taken.get_or_insert(backlogs.iter().map(|one| one.newest).max());
            let is_behind =
                |one: &&Backlog| nodes.contains(&one.node.as_str()) && Some(one.done) < taken;
            let Some(Backlog { node, .. }) = backlogs.iter().find(is_behind) else { break };
            if tries == DELIVERY_TRIES {
                let problem = format!(
                    "relay {relay} still has older lines for node `{node}`; reap again when it has sent them"
                );
                return Err(Failure::new(problem));
            }
            tries += 1;
            tokio::time::sleep(DELIVERY_REST).await;
        }
    }
    Ok(())
}

/// Refuses to go on unless every relay follows exactly these rings.
pub(crate) async fn check_relays(relays: &[String], rings: &Rings) -> Result<(), Failure> {
    for relay in relays {
        let at_relay = Node::at(relay.clone(), relay.clone())?;
        let health: Health = at_relay.client.get_json("/health", WAIT).await?;
        if health.ring_fingerprint != rings.ring {
            let (theirs, ours) = (health.ring_fingerprint, &rings.ring);
            let problem = format!("relay {relay} follows ring {theirs}, not {ours}; reload it");
            return Err(Failure::new(problem));
        }
        let expected = rings.leaving.as_deref().unwrap_or_default();
        if health.ring_leaving != expected {
            let problem = match expected {
                "" => "still sends to the nodes of the old ring, too; reload it".to_owned(),
                old => format!("does not send to the nodes of the old ring {old}, too; reload it"),
            };
            return Err(Failure::new(format!("relay {relay} {problem}")));
        }
    }
    Ok(())
}
