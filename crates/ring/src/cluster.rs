//! The cluster file: the one description of ring and nodes that all programs read.
//!
//! docs/formats/cluster.md shows a whole file. Reading takes the text and nothing else: no files,
//! no names looked up.

use std::collections::HashSet;
use std::fmt::Write as _;

use thiserror::Error;
use toml::de::DeTable;

use crate::dialect::{RingSpec, UnknownName};
use crate::node::{Node, read_port, split_address};
use crate::placement::{Ring, RingError};
use crate::zones::{ZoneError, check_zones};
use document::Section;

mod document;

const FILE_KEYS: &[&str] = &["ring", "transition", "node"];
const RING_KEYS: &[&str] = &["hash", "collision", "replicas", "copies", "require_zones"];
const TRANSITION_KEYS: &[&str] = &["hash", "collision", "replicas", "copies", "nodes", "leaving"];
const NODE_KEYS: &[&str] = &["name", "host", "instance", "zone", "line", "link", "read", "admin"];

/// A node of the cluster: what the hash knows of it, and where it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNode {
    /// What people and programs call it; unique in the file.
    pub name: String,
    /// Hashed host.
    pub host: String,
    /// Hashed instance.
    pub instance: Option<String>,
    /// Failure domain, such as a rack or a data center.
    pub zone: Option<String>,
    /// Carbon line protocol.
    pub line: Option<String>,
    /// Acknowledged link.
    pub link: Option<String>,
    /// Read API.
    pub read: Option<String>,
    /// Metrics, health and admin requests.
    pub admin: Option<String>,
}

/// The ring that is being left while the tools move files.
#[derive(Debug)]
pub struct Transition {
    ring: Ring,
    nodes: Vec<ClusterNode>,
}

/// A ring, its nodes with their addresses, and the ring that is being left, if any.
#[derive(Debug)]
pub struct Cluster {
    ring: Ring,
    nodes: Vec<ClusterNode>,
    transition: Option<Transition>,
    require_zones: bool,
}

/// What is wrong with a cluster, and where in its file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct ClusterError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The text is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key that no program reads.
    #[error("unknown key `{key}`, {}", hint(.nearest, .known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
        /// The keys there are.
        known: String,
    },
    /// A value of another type.
    #[error("`{key}` is {expected}, found {found}")]
    Mistyped {
        /// The key.
        key: &'static str,
        /// The type it has.
        expected: &'static str,
        /// The type it was given.
        found: &'static str,
    },
    /// A word that no choice has.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// There is no `[ring]`.
    #[error("the file has no [ring] table")]
    NoRing,
    /// A node without a host.
    #[error("a node has no `host`")]
    NoHost,
    /// An address that is not `HOST:PORT`.
    #[error("node `{node}` has {key} address `{address}`, expected HOST:PORT")]
    BadAddress {
        /// The node.
        node: String,
        /// Which address.
        key: &'static str,
        /// The address.
        address: String,
    },
    /// A name that two nodes have.
    #[error("two nodes are called `{name}`")]
    SameName {
        /// The name.
        name: String,
        /// The later node's index.
        index: usize,
    },
    /// A transition from a ring without nodes.
    #[error("the transition does not say its `nodes`, the names of the old ring's in order")]
    NoOldNodes,
    /// A node of the old ring that is nowhere described.
    #[error("the transition names `{0}`, which is neither a node nor among [[transition.leaving]]")]
    UnknownNode(String),
    /// A node that is said to leave but was not there.
    #[error("`{0}` is among [[transition.leaving]] but not among the transition's nodes")]
    NotLeaving(String),
    /// The nodes and rules make no ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Copies of one series would be in one zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

fn hint(nearest: &Option<&str>, known: &str) -> String {
    match nearest {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("expected one of {known}"),
    }
}

impl Fault {
    /// The node it is about, where it is about one.
    fn node(&self) -> Option<usize> {
        match self {
            Self::SameName { index, .. }
            | Self::Ring(
                RingError::SameNode { index, .. }
                | RingError::PortUnknown { index, .. }
                | RingError::Node { index, .. },
            ) => Some(*index),
            Self::Zone(error) => Some(error.index()),
            _ => None,
        }
    }
}

impl ClusterNode {
    /// What the hash sees: the port is that of the line address, 0 without one.
    pub fn node(&self) -> Node {
        let port = self.line.as_deref().and_then(split_address);
        let port = port.and_then(|(_, port)| read_port(port)).unwrap_or(0);
        Node { host: self.host.clone(), port, instance: self.instance.clone() }
    }

    /// The name of a node that was given none.
    pub fn default_name(host: &str, instance: Option<&str>) -> String {
        match instance {
            Some(instance) => format!("{host}:{instance}"),
            None => host.to_owned(),
        }
    }

    /// The addresses with their keys, in the order of the file.
    fn addresses(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("line", self.line.as_deref()),
            ("link", self.link.as_deref()),
            ("read", self.read.as_deref()),
            ("admin", self.admin.as_deref()),
        ]
    }

    fn check(&self) -> Result<(), Fault> {
        for (key, address) in self.addresses() {
            let Some(address) = address else { continue };
            let parts = split_address(address).filter(|(host, _)| !host.is_empty());
            if parts.and_then(|(_, port)| read_port(port)).is_none() {
                let (node, address) = (self.name.clone(), address.to_owned());
                return Err(Fault::BadAddress { node, key, address });
            }
        }
        Ok(())
    }

    fn read(section: &Section<'_>) -> Result<Self, ClusterError> {
        let text = |key| Ok(section.string(key)?.map(str::to_owned));
        let host = section.string("host")?.ok_or_else(|| section.error(Fault::NoHost))?;
        let instance = section.string("instance")?;
        let name = section.string("name")?.map(str::to_owned);
        let node = Self {
            name: name.unwrap_or_else(|| Self::default_name(host, instance)),
            host: host.to_owned(),
            instance: text("instance")?,
            zone: text("zone")?,
            line: text("line")?,
            link: text("link")?,
            read: text("read")?,
            admin: text("admin")?,
        };
        node.check().map_err(|fault| section.error(fault))?;
        Ok(node)
    }

    fn write(&self, header: &str, out: &mut String) {
        let default_name = Self::default_name(&self.host, self.instance.as_deref());
        let name = Some(self.name.as_str()).filter(|name| *name != default_name);
        let hashed = [
            ("name", name),
            ("host", Some(self.host.as_str())),
            ("instance", self.instance.as_deref()),
            ("zone", self.zone.as_deref()),
        ];
        out.push_str(header);
        for (key, value) in hashed.into_iter().chain(self.addresses()) {
            if let Some(value) = value {
                line(out, key, &quoted(value));
            }
        }
    }
}

impl Transition {
    /// The ring that is being left.
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The old ring's nodes, in its order.
    pub fn nodes(&self) -> &[ClusterNode] {
        &self.nodes
    }

    fn new(spec: RingSpec, nodes: Vec<ClusterNode>) -> Result<Self, Fault> {
        Ok(Self { ring: ring_of(spec, &nodes)?, nodes })
    }
}

impl Cluster {
    /// A cluster at rest.
    pub fn new(spec: RingSpec, nodes: Vec<ClusterNode>) -> Result<Self, Fault> {
        let ring = ring_of(spec, &nodes)?;
        Ok(Self { ring, nodes, transition: None, require_zones: false })
    }

    /// The cluster while files move to it from an old ring. A node of both has the same name in both.
    pub fn with_transition(
        self,
        old_spec: RingSpec,
        old_nodes: Vec<ClusterNode>,
    ) -> Result<Self, Fault> {
        let transition = Some(Transition::new(old_spec, old_nodes)?);
        Ok(Self { transition, ..self })
    }

    /// The same, refused if zones are required and copies of one series may share one.
    pub fn with_zones_required(self, require_zones: bool) -> Result<Self, Fault> {
        if require_zones {
            let zones: Vec<Option<&str>> =
                self.nodes.iter().map(|node| node.zone.as_deref()).collect();
            check_zones(&self.ring, &zones)?;
        }
        Ok(Self { require_zones, ..self })
    }

    /// Reads the text of a cluster file.
    pub fn parse(text: &str) -> Result<Self, ClusterError> {
        let file = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            document::error_at(text, offset, Fault::Syntax(error.message().replace('\n', ", ")))
        })?;
        let file = Section::new(text, file.get_ref(), 0, FILE_KEYS)?;
        let ring = file.section("ring", RING_KEYS)?.ok_or_else(|| file.error(Fault::NoRing))?;
        let spec = read_spec(&ring, RingSpec::default())?;
        let sections = file.sections("node", NODE_KEYS)?;
        let nodes = sections.iter().map(ClusterNode::read).collect::<Result<Vec<_>, _>>()?;
        let place =
            |fault: Fault| fault.node().map_or(&ring, |index| &sections[index]).error(fault);
        let cluster = Self::new(spec, nodes).map_err(place)?;
        let require_zones = ring.flag("require_zones")?.unwrap_or(false);
        let cluster = cluster.with_zones_required(require_zones).map_err(place)?;
        let Some(section) = file.section("transition", TRANSITION_KEYS)? else {
            return Ok(cluster);
        };
        let spec = read_spec(&section, spec)?;
        let nodes = read_old_nodes(&section, &cluster.nodes)?;
        cluster.with_transition(spec, nodes).map_err(|fault| section.error(fault))
    }

    /// The text of the cluster file.
    pub fn to_toml(&self) -> String {
        let mut out = String::from("[ring]\n");
        write_spec(&mut out, self.ring.spec());
        if self.require_zones {
            line(&mut out, "require_zones", "true");
        }
        let mut leaving: Vec<&ClusterNode> = Vec::new();
        if let Some(transition) = &self.transition {
            out.push_str("\n[transition]\n");
            write_spec(&mut out, transition.ring.spec());
            let names = transition.nodes.iter().map(|node| quoted(&node.name));
            line(&mut out, "nodes", &format!("[{}]", names.collect::<Vec<_>>().join(", ")));
            let stays = |node: &ClusterNode| self.node(&node.name).is_some();
            leaving.extend(transition.nodes.iter().filter(|node| !stays(node)));
        }
        for node in leaving {
            node.write("\n[[transition.leaving]]\n", &mut out);
        }
        for node in &self.nodes {
            node.write("\n[[node]]\n", &mut out);
        }
        out
    }

    /// The ring alone.
    pub fn into_ring(self) -> Ring {
        self.ring
    }

    /// The ring alone, and the one that is being left.
    pub fn into_rings(self) -> (Ring, Option<Ring>) {
        (self.ring, self.transition.map(|transition| transition.ring))
    }

    /// The ring; its node indices are those of [`Self::nodes`].
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The nodes in config order.
    pub fn nodes(&self) -> &[ClusterNode] {
        &self.nodes
    }

    /// The node of a name.
    pub fn node(&self, name: &str) -> Option<&ClusterNode> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The ring that is being left, while the tools move files.
    pub const fn transition(&self) -> Option<&Transition> {
        self.transition.as_ref()
    }
}

/// Checks names and addresses and builds the ring.
fn ring_of(spec: RingSpec, nodes: &[ClusterNode]) -> Result<Ring, Fault> {
    let mut names = HashSet::new();
    for (index, node) in nodes.iter().enumerate() {
        node.check()?;
        if !names.insert(&node.name) {
            return Err(Fault::SameName { name: node.name.clone(), index });
        }
    }
    Ok(Ring::new(spec, nodes.iter().map(ClusterNode::node).collect())?)
}

fn read_spec(section: &Section<'_>, default: RingSpec) -> Result<RingSpec, ClusterError> {
    Ok(RingSpec {
        hash: section.choice("hash")?.unwrap_or(default.hash),
        collision: section.choice("collision")?.unwrap_or(default.collision),
        replicas: section.choice("replicas")?.unwrap_or(default.replicas),
        copies: section.count("copies")?.unwrap_or(default.copies),
    })
}

/// The old ring's nodes: those named that stay, and those that are described as leaving.
fn read_old_nodes(
    section: &Section<'_>,
    staying: &[ClusterNode],
) -> Result<Vec<ClusterNode>, ClusterError> {
    let names = section.strings("nodes")?.ok_or_else(|| section.error(Fault::NoOldNodes))?;
    let mut known = staying.to_vec();
    for section in section.sections("leaving", NODE_KEYS)? {
        let node = ClusterNode::read(&section)?;
        if known.iter().any(|other| other.name == node.name) {
            return Err(section.error(Fault::SameName { name: node.name, index: known.len() }));
        }
        if !names.iter().any(|(name, _)| *name == node.name) {
            return Err(section.error(Fault::NotLeaving(node.name)));
        }
        known.push(node);
    }
    let find = |(name, offset): (&str, usize)| {
        let node = known.iter().find(|node| node.name == name).cloned();
        node.ok_or_else(|| section.error_at(offset, Fault::UnknownNode(name.to_owned())))
    };
    names.into_iter().map(find).collect()
}

fn write_spec(out: &mut String, spec: RingSpec) {
    line(out, "hash", &quoted(spec.hash.name()));
    line(out, "collision", &quoted(spec.collision.name()));
    line(out, "replicas", &quoted(spec.replicas.name()));
    line(out, "copies", &spec.copies.to_string());
}

fn line(out: &mut String, key: &str, value: &str) {
    writeln!(out, "{key} = {value}").expect("a string takes all");
}

/// A TOML string literal.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
