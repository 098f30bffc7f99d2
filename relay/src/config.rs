//! The relay's settings, understood.

use std::path::PathBuf;
use std::time::Duration;

use daemon::{Fault, Values};
use ring::cluster::Cluster;
use ring::{Node, Ring};

/// A node as the relay sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name in metrics and logs.
    pub name: String,
    /// Where it takes carbon lines, `HOST:PORT`. Several stand in for one another: the first that
    /// answers is taken.
    pub addresses: Vec<String>,
}

/// Everything the relay needs to start.
#[derive(Debug)]
pub struct Config {
    /// Addresses that take carbon lines.
    pub line: Vec<String>,
    /// Addresses that take pickles.
    pub pickle: Vec<String>,
    /// The admin address.
    pub admin: String,
    /// Where undelivered lines are kept over a stop.
    pub log: Option<PathBuf>,
    /// Who owns which series.
    pub ring: Ring,
    /// The nodes in the ring's order.
    pub nodes: Vec<Destination>,
    /// Bytes that may wait for one node.
    pub queue_bytes_max: usize,
    /// How long a stop may take.
    pub stop_deadline: Duration,
    /// What the listeners accept.
    pub intake: ingest::Settings,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let (ring, nodes) = match cluster::file(values)? {
            Some(cluster) => cluster_file(values, cluster)?,
            None => node_flags(values)?,
        };
        let texts = |key| values.list(key).into_iter().map(str::to_owned).collect();
        Ok(Self {
            line: texts("line"),
            pickle: texts("pickle"),
            admin: values.address("admin").to_owned(),
            log: values.opt_path("log"),
            ring,
            nodes,
            queue_bytes_max: usize::try_from(values.bytes("queue_bytes_max")).unwrap_or(usize::MAX),
            stop_deadline: values.duration("stop_deadline"),
            intake: ingest::Settings::from_values(values),
        })
    }
}

/// Ring and nodes from the cluster file.
fn cluster_file(values: &Values, cluster: Cluster) -> Result<(Ring, Vec<Destination>), Vec<Fault>> {
    let mut nodes = Vec::with_capacity(cluster.nodes().len());
    let mut faults = Vec::new();
    for node in cluster.nodes() {
        match &node.line {
            Some(line) => {
                nodes.push(Destination { name: node.name.clone(), addresses: vec![line.clone()] })
            }
            None => {
                let problem = format!("node `{}` has no `line`", node.name);
                faults.push(cluster::fault(values, &problem));
            }
        }
    }
    if faults.is_empty() { Ok((cluster.into_ring(), nodes)) } else { Err(faults) }
}

/// Ring and nodes from the short form.
fn node_flags(values: &Values) -> Result<(Ring, Vec<Destination>), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut nodes = Vec::new();
    for text in values.list("node") {
        match Node::parse(text) {
            Ok(node) => nodes.push((node, text)),
            Err(error) => faults.push(values.fault("node", error.to_string())),
        }
    }
    let spec = cluster::spec(values, &mut faults);
    if nodes.is_empty() && faults.is_empty() {
        faults.push(cluster::no_node(values));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let destinations = nodes.iter().map(|(_, text)| destination(text)).collect();
    let nodes = nodes.into_iter().map(|(node, _)| node).collect();
    let ring =
        Ring::new(spec, nodes).map_err(|error| vec![values.fault("node", error.to_string())])?;
    Ok((ring, destinations))
}

/// `HOST:PORT=INSTANCE` without its instance is the address; the whole is the name.
fn destination(text: &str) -> Destination {
    let address = text.split_once('=').map_or(text, |(address, _)| address);
    Destination { name: text.to_owned(), addresses: vec![address.to_owned()] }
}
