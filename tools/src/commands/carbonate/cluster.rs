//! The cluster that the commands ask: a section of carbonate.conf, or a cluster.toml.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ring::{Collision, Hash, Node, Owners, Replicas, Ring, RingSpec};
use schema::SchemaFault;
use schema::ini::{self, Section};

use crate::invocation::Failure;

/// The file that is read unless told.
const CONFIG_FILE: &str = "/opt/graphite/conf/carbonate.conf";
/// Names the file, as `--config-file` does; the flag wins.
const CONFIG_VARIABLE: &str = "CARBONATE_CONFIG";
/// The section that is read unless told.
const CLUSTER: &str = "main";
/// Names the section, as `--cluster` does; the flag wins.
const CLUSTER_VARIABLE: &str = "CARBONATE_CLUSTER";

/// A relay method under which a name's owners depend on the aggregator's rules too.
const AGGREGATED: &str = "aggregated-consistent-hashing";

/// Values that mean yes and no.
const FLAGS: [(&str, bool); 9] = [
    ("true", true),
    ("yes", true),
    ("on", true),
    ("1", true),
    ("false", false),
    ("no", false),
    ("off", false),
    ("0", false),
    ("", false),
];

/// What carbonate prints for a node without an instance.
const NO_INSTANCE: &str = "None";

/// Which cluster.
#[derive(clap::Args)]
pub(super) struct ClusterArgs {
    /// carbonate.conf, or a cluster.toml (default: CARBONATE_CONFIG, else
    /// /opt/graphite/conf/carbonate.conf).
    #[arg(short, long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Section of carbonate.conf (default: CARBONATE_CLUSTER, else main).
    #[arg(short = 'C', long, value_name = "NAME")]
    cluster: Option<String>,
}

/// Flags that only steer how names are routed.
#[derive(clap::Args)]
pub(super) struct RoutingArgs {
    /// Rules of carbon's aggregator; accepted, since no supported relay method asks for them.
    #[arg(short, long = "aggregation-rules", value_name = "FILE")]
    _aggregation_rules: Option<PathBuf>,
}

/// A ring and what its nodes are called.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) ring: Ring,
    pub(super) nodes: Vec<NodeNames>,
    relay_method: Option<String>,
    /// Who logs in to the other machines.
    pub(super) ssh_user: Option<String>,
    /// Whether files are locked while they are written.
    pub(super) locks_writes: bool,
}

/// What a node is called.
#[derive(Debug)]
pub(super) struct NodeNames {
    /// HOST:PORT:INSTANCE, the word None for no instance.
    pub(super) long: String,
    host: String,
    /// The name in cluster.toml.
    own: Option<String>,
}

impl NodeNames {
    fn new(node: &Node, own: Option<String>) -> Self {
        let instance = node.instance.as_deref().unwrap_or(NO_INSTANCE);
        let long = format!("{}:{}:{instance}", node.host, node.port);
        Self { long, host: node.host.clone(), own }
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.long == name || self.host == name || self.own.as_deref() == Some(name)
    }
}

impl ClusterArgs {
    /// Reads the cluster for commands that place names on it.
    pub(super) fn load_routed(&self) -> Result<Cluster, Failure> {
        let cluster = self.load()?;
        if cluster.relay_method.as_deref() == Some(AGGREGATED) {
            let error = format!("RELAY_METHOD {AGGREGATED} is not supported");
            return Err(Failure::of(&self.path(), &error));
        }
        Ok(cluster)
    }

    /// Reads the cluster.
    pub(super) fn load(&self) -> Result<Cluster, Failure> {
        let path = self.path();
        let fault = |error: &dyn std::fmt::Display| Failure::of(&path, error);
        let text = fs::read_to_string(&path).map_err(|error| fault(&error))?;
        if path.extension().is_some_and(|extension| extension == "toml") {
            return Cluster::of_toml(&text).map_err(|error| fault(&error));
        }
        let variable = || std::env::var(CLUSTER_VARIABLE).ok();
        let name = self.cluster.clone().or_else(variable).unwrap_or_else(|| CLUSTER.to_owned());
        let sections = ini::sections(&path.to_string_lossy(), &text).map_err(first_fault)?;
        let section = sections.iter().find(|section| section.name == name);
        let section = section.ok_or_else(|| fault(&format!("cluster {name:?} is not defined")))?;
        Cluster::of_section(section).map_err(|error| fault(&format!("[{name}]: {error}")))
    }

    fn path(&self) -> PathBuf {
        let variable = || std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        let given = self.config_file.clone().map(OsString::from).or_else(variable);
        given.map_or_else(|| Path::new(CONFIG_FILE).to_owned(), PathBuf::from)
    }
}

impl Cluster {
    /// The indices of a name's owners, the primary first.
    pub(super) fn owners(&self, name: &[u8]) -> Owners {
        self.ring.owners(name)
    }

    fn of_toml(text: &str) -> Result<Self, ring::cluster::ClusterError> {
        let cluster = ring::cluster::Cluster::parse(text)?;
        let own = cluster.nodes().iter().map(|node| Some(node.name.clone()));
        let nodes = cluster.ring().nodes().iter().zip(own);
        let nodes = nodes.map(|(node, own)| NodeNames::new(node, own)).collect();
        let ring = cluster.into_ring();
        Ok(Self { nodes, ring, relay_method: None, ssh_user: None, locks_writes: false })
    }

    fn of_section(section: &Section) -> Result<Self, String> {
        let required = |key| value(section, key).ok_or_else(|| format!("{key} is missing"));
        let destinations = required("DESTINATIONS")?.split(',');
        let nodes = destinations.map(destination).collect::<Result<Vec<_>, _>>()?;
        let copies = required("REPLICATION_FACTOR")?;
        let copies = copies
            .parse()
            .map_err(|_not| format!("REPLICATION_FACTOR {copies:?} is not a number"))?;
        let hash = match value(section, "HASHING_TYPE") {
            Some(name) => name.parse().map_err(|error| format!("HASHING_TYPE: {error}"))?,
            None => Hash::default(),
        };
        let diverse = flag(section, "DIVERSE_REPLICAS", true)?;
        let replicas = if diverse { Replicas::Diverse } else { Replicas::Ring };
        let spec = RingSpec { hash, collision: Collision::Bump, replicas, copies };
        let names = nodes.iter().map(|node| NodeNames::new(node, None)).collect();
        let ring = Ring::new(spec, nodes).map_err(|error| error.to_string())?;
        let relay_method = value(section, "RELAY_METHOD").map(str::to_owned);
        let ssh_user = value(section, "SSH_USER").map(str::to_owned);
        let locks_writes = flag(section, "WHISPER_LOCK_WRITES", false)?;
        Ok(Self { ring, nodes: names, relay_method, ssh_user, locks_writes })
    }
}

/// One line of complaint: the first fault stands for all.
fn first_fault(faults: Vec<SchemaFault>) -> Failure {
    Failure::new(faults.first().map(ToString::to_string).unwrap_or_default())
}

/// The value of a key, which is written in capitals.
fn value<'a>(section: &'a Section, key: &str) -> Option<&'a str> {
    section.get(&key.to_lowercase()).map(|entry| entry.value.as_str())
}

/// The value of a key that is yes or no.
fn flag(section: &Section, key: &str, default: bool) -> Result<bool, String> {
    let Some(value) = value(section, key) else { return Ok(default) };
    let known = FLAGS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
    known.map(|(_, flag)| *flag).ok_or_else(|| format!("{key} {value:?} is not true or false"))
}

/// A destination as carbon writes it: HOST:PORT or HOST:PORT:INSTANCE, an IPv6 address in brackets.
fn destination(text: &str) -> Result<Node, String> {
    let text = text.trim();
    let fault = || format!("destination {text:?} is not HOST:PORT or HOST:PORT:INSTANCE");
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    let (host, rest) = bracketed.or_else(|| text.split_once(':')).ok_or_else(fault)?;
    let (port, instance) = match rest.split_once(':') {
        Some((port, instance)) => (port, Some(instance.to_owned())),
        None => (rest, None),
    };
    let port = port.parse().map_err(|_not| fault())?;
    Ok(Node { host: host.to_owned(), port, instance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(text: &str) -> Result<Cluster, String> {
        Cluster::of_section(&ini::sections("carbonate.conf", text).unwrap()[0])
    }

    fn long(text: &str) -> String {
        NodeNames::new(&destination(text).unwrap(), None).long
    }

    #[test]
    fn destinations_read_as_carbon_reads_them() {
        assert_eq!(long(" h:2004"), "h:2004:None");
        assert_eq!(long("h:2004:a:b"), "h:2004:a:b");
        assert_eq!(long("[::1]:2004:x"), "::1:2004:x");
        for text in ["", "h", "h:", "h:x", "h:70000", "[::1]"] {
            assert!(destination(text).is_err(), "{text}");
        }
    }

    #[test]
    fn false_means_false() {
        let text = "[main]\nDESTINATIONS = h:1:a, h:2:b, g:1:a\nREPLICATION_FACTOR = 3\n";
        let copies = |text: &str| cluster(text).unwrap().owners(b"a.b").len();
        assert_eq!(copies(text), 2);
        assert_eq!(copies(&format!("{text}DIVERSE_REPLICAS = False\n")), 3);
        assert_eq!(copies(&format!("{text}DIVERSE_REPLICAS =\n")), 3);
        assert!(cluster(&format!("{text}DIVERSE_REPLICAS = maybe\n")).is_err());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let fault = |text| cluster(text).unwrap_err();
        assert_eq!(fault("[main]\nREPLICATION_FACTOR = 1"), "DESTINATIONS is missing");
        assert_eq!(fault("[main]\nDESTINATIONS = h:1"), "REPLICATION_FACTOR is missing");
        let text = "[main]\nDESTINATIONS = h:1\nREPLICATION_FACTOR = 1\nHASHING_TYPE = mmh3_ch";
        assert!(fault(text).starts_with("HASHING_TYPE: unknown hash"));
    }

    #[test]
    fn a_cluster_file_lends_its_names() {
        let text =
            "[ring]\ncopies = 1\n[[node]]\nname = \"store-1\"\nhost = \"h\"\nline = \"h:2103\"\n";
        let cluster = Cluster::of_toml(text).unwrap();
        assert_eq!(cluster.nodes[0].long, "h:2103:None");
        assert!(["store-1", "h"].iter().all(|name| cluster.nodes[0].is_called(name)));
        assert!(!cluster.nodes[0].is_called("store-2"));
    }
}
