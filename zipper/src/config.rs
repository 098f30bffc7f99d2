//! The zipper's settings, understood.

use std::time::Duration;

use daemon::settings::Source;
use daemon::{Fault, Values};
use remote::access::AccessSettings;
use remote::credentials::BACKEND_TLS_CA;
use remote::{BadEndpoint, Credentials, Endpoint};
use ring::cluster::{Cluster, ClusterNode};
use ring::{Node, Ring};
use tokio::sync::Semaphore;

use crate::topology::{RingView, Topology};

/// Settings that describe a ring; giving one says that the ring is known.
const RING_KEYS: [&str; 4] = ["ring", "collision", "replicas", "replication"];

/// A node to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name in metrics, notes and logs.
    pub name: String,
    /// Where its read API answers.
    pub endpoint: Endpoint,
}

/// What one request may ask for and get.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's body.
    pub request_bytes_max: usize,
    /// Names and patterns of a request.
    pub targets_max: usize,
    /// Series of an answer.
    pub series_max: usize,
    /// Points of an answer.
    pub points_max: usize,
    /// Matches of an answer.
    pub matches_max: usize,
    /// Bytes of one node's reply.
    pub reply_bytes_max: usize,
    /// Weight of all requests that are answered at once.
    pub weight_max: u64,
    /// Requests of one tenant that wait meanwhile.
    pub waiting_max: usize,
}

/// Another Graphite endpoint to compare with.
#[derive(Debug, Clone)]
pub struct ShadowSettings {
    /// Where it answers.
    pub endpoint: Endpoint,
    /// The share of the questions that it is asked, 0 to 1.
    pub share: f64,
    /// Comparisons that run at a time.
    pub running_max: usize,
    /// How long one may take.
    pub timeout: Duration,
}

impl ShadowSettings {
    fn from_values(values: &Values) -> Result<Option<Self>, Fault> {
        let Some(text) = values.opt_text("shadow") else { return Ok(None) };
        let endpoint = text.parse();
        let endpoint =
            endpoint.map_err(|error: BadEndpoint| values.fault("shadow", error.to_string()))?;
        let share = values.float("shadow_share");
        if !(0.0..=1.0).contains(&share) {
            return Err(values.fault("shadow_share", "expected 0 to 1"));
        }
        let running_max = usize::try_from(values.count("shadow_running_max"));
        let running_max = running_max.unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let timeout = values.duration("shadow_timeout");
        Ok(Some(Self { endpoint, share, running_max, timeout }))
    }
}

/// Everything the zipper needs to start.
#[derive(Debug)]
pub struct Config {
    /// Where the read API listens.
    pub listen: String,
    /// Who may read there.
    pub access: AccessSettings,
    /// The admin address.
    pub admin: String,
    /// What the nodes are shown.
    pub credentials: Credentials,
    /// Whom to ask, in config order.
    pub nodes: Vec<Destination>,
    /// Who holds what.
    pub topology: Topology,
    /// For renders, lists and tags.
    pub timeout: Duration,
    /// For finds and infos.
    pub find_timeout: Duration,
    /// For one attempt to connect.
    pub connect_timeout: Duration,
    /// Silence after which the next owner is asked, at least.
    pub hedge_delay_min: Duration,
    /// Whether incomplete answers are given when the request does not say.
    pub partial_allowed: bool,
    /// What a request may cost.
    pub limits: Limits,
    /// Who is compared with.
    pub shadow: Option<ShadowSettings>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let (nodes, topology) = placement(values)?;
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            listen: values.address("listen").to_owned(),
            access: AccessSettings::from_values(values)?,
            credentials: Credentials::from_values(values).map_err(|fault| vec![fault])?,
            admin: values.address("admin").to_owned(),
            nodes,
            topology,
            timeout: values.duration("timeout"),
            find_timeout: values.duration("find_timeout"),
            connect_timeout: values.duration("connect_timeout"),
            hedge_delay_min: values.duration("hedge_delay_min"),
            partial_allowed: values.text("partial") == "allow",
            shadow: ShadowSettings::from_values(values).map_err(|fault| vec![fault])?,
            limits: Limits {
                request_bytes_max: number(values.bytes("request_bytes_max")),
                targets_max: number(values.count("targets_max")),
                series_max: number(values.count("series_max")),
                points_max: number(values.count("points_max")),
                matches_max: number(values.count("matches_max")),
                reply_bytes_max: number(values.bytes("reply_bytes_max")),
                weight_max: values.count("weight_max"),
                waiting_max: number(values.count("waiting_max")),
            },
        })
    }
}

/// The nodes, and who of them holds what.
///
/// # Errors
/// Every fault in the cluster file or in the short form.
pub(crate) fn placement(values: &Values) -> Result<(Vec<Destination>, Topology), Vec<Fault>> {
    let (mut nodes, topology) = match cluster::file(values)? {
        Some(cluster) => cluster_file(values, cluster)?,
        None => node_flags(values)?,
    };
    // The addresses of a cluster file say nothing of it.
    let has_file = values.is_set("cluster");
    let has_tls = values.opt_path(BACKEND_TLS_CA.key).is_some();
    for node in &mut nodes {
        if has_file && has_tls {
            node.endpoint = node.endpoint.clone().secured();
        }
        if node.endpoint.is_secured() && !has_tls {
            return Err(vec![
                values.fault("node", format!("{} needs `backend_tls_ca`", node.endpoint)),
            ]);
        }
    }
    Ok((nodes, topology))
}

/// Ring and nodes from the cluster file. While a transition runs, the nodes of both rings are
/// asked: a series may lie with its old owners, its new ones, or both.
fn cluster_file(
    values: &Values,
    cluster: Cluster,
) -> Result<(Vec<Destination>, Topology), Vec<Fault>> {
    let fault = |problem: String| vec![cluster::fault(values, &problem)];
    let mut nodes: Vec<&ClusterNode> = cluster.nodes().iter().collect();
    let current: Vec<usize> = (0..nodes.len()).collect();
    let mut previous = None;
    if let Some(transition) = cluster.transition() {
        let mut indices = Vec::with_capacity(transition.nodes().len());
        for old in transition.nodes() {
            let known = nodes.iter().position(|node| node.name == old.name);
            indices.push(known.unwrap_or_else(|| {
                nodes.push(old);
                nodes.len() - 1
            }));
        }
        let spec = transition.ring().spec();
        let ring = Ring::new(spec, transition.ring().nodes().to_vec());
        let ring = ring.map_err(|e| fault(e.to_string()))?;
        previous = Some(RingView { ring, nodes: indices });
    }
    let mut destinations = Vec::with_capacity(nodes.len());
    let mut faults = Vec::new();
    for node in &nodes {
        let name = &node.name;
        match node.read.as_deref().map(str::parse) {
            Some(Ok(endpoint)) => destinations.push(Destination { name: name.clone(), endpoint }),
            Some(Err(error)) => faults.extend(fault(format!("node `{name}`: {error}"))),
            None => faults.extend(fault(format!("node `{name}` has no `read`"))),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let current = RingView { ring: cluster.into_ring(), nodes: current };
    let topology =
        Topology::of(destinations.len(), [Some(current), previous].into_iter().flatten());
    Ok((destinations, topology))
}

/// Nodes, and the ring where enough is said of it, from the short form.
fn node_flags(values: &Values) -> Result<(Vec<Destination>, Topology), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut nodes: Vec<(Destination, Option<&str>)> = Vec::new();
    for text in values.list("node") {
        let (url, instance) = match text.split_once('=') {
            Some((url, instance)) => (url, Some(instance)),
            None => (text, None),
        };
        match url.parse() {
            Ok(endpoint) if nodes.iter().any(|(known, _)| known.endpoint == endpoint) => {
                faults.push(values.fault("node", format!("{endpoint} is given twice")));
            }
            Ok(endpoint) => nodes.push((Destination { name: text.to_owned(), endpoint }, instance)),
            Err(error) => faults.push(values.fault("node", error.to_string())),
        }
    }
    if nodes.is_empty() && faults.is_empty() {
        faults.push(cluster::no_node(values));
    }
    let described = RING_KEYS.iter().any(|key| *values.source(key) != Source::Default);
    let known = described || nodes.iter().all(|(_, instance)| instance.is_some());
    let spec = cluster::spec(values, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let hashed = |(node, instance): &(Destination, Option<&str>)| Node {
        host: node.endpoint.host().to_owned(),
        port: 0,
        instance: instance.map(str::to_owned),
    };
    let ring = known.then(|| Ring::new(spec, nodes.iter().map(hashed).collect())).transpose();
    let ring = ring.map_err(|error| vec![values.fault("node", error.to_string())])?;
    let view = ring.map(|ring| RingView { ring, nodes: (0..nodes.len()).collect() });
    let topology = Topology::of(nodes.len(), view);
    Ok((nodes.into_iter().map(|(node, _)| node).collect(), topology))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::SETTINGS;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let defaults = Values::defaults(SETTINGS);
        pairs.iter().fold(defaults, |values, (key, text)| values.with(key, text))
    }

    const A: (&str, &str) = ("node", "http://127.0.0.1:1=a");
    const B: (&str, &str) = ("node", "http://127.0.0.1:2=b");

    #[test]
    fn the_ring_is_known_by_instances_or_by_its_settings() {
        let known =
            |pairs: &[_]| Config::from_values(&values(pairs)).unwrap().topology.fingerprint() != 0;
        assert!(known(&[A, B]));
        assert!(!known(&[("node", "http://h1:1"), ("node", "http://h2:1")]));
        assert!(known(&[("node", "http://h1:1"), ("node", "http://h2:1"), ("replication", "2")]));
    }

    #[test]
    fn faults_are_told_in_words() {
        let fault = |pairs: &[_]| Config::from_values(&values(pairs)).unwrap_err()[0].to_string();
        assert!(fault(&[]).ends_with("no node is given, by `node` or by `cluster`"));
        assert!(fault(&[A, A]).ends_with("http://127.0.0.1:1 is given twice"));
        assert!(fault(&[("node", "https://x")]).contains("expected http://HOST:PORT"));
        let same = [("node", "http://h:1"), ("node", "http://h:2"), ("replication", "2")];
        assert!(fault(&same).contains("to the hash they are one"));
    }

    #[test]
    fn a_running_transition_asks_the_owners_of_both_rings() {
        let folder = testkit::folder();
        let path = folder.path().join("cluster.toml");
        let text = "[ring]\n[transition]\nnodes = [\"a\", \"old\"]\n\
            [[transition.leaving]]\nname = \"old\"\nhost = \"h3\"\nread = \"h3:1\"\n\
            [[node]]\nname = \"a\"\nhost = \"h1\"\nread = \"h1:1\"\n\
            [[node]]\nname = \"b\"\nhost = \"h2\"\nread = \"h2:1\"\n";
        std::fs::write(&path, text).unwrap();
        let values = values(&[("cluster", path.to_str().unwrap())]);
        let config = Config::from_values(&values).unwrap();
        let names: Vec<&str> = config.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "old"]);
        let groups: Vec<_> =
            (0..200).map(|i| config.topology.owner_groups(&format!("s{i}"))).collect();
        assert!(groups.contains(&vec![vec![1], vec![2]]), "new owner b, old owner old");
        assert!(groups.contains(&vec![vec![0]]), "a in both rings is asked once");
    }
}
