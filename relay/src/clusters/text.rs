//! A cluster as the settings file has it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// One `[clusters.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterText {
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<Kind>>,
    /// A cluster.toml that says ring and nodes.
    pub(super) cluster_file: Option<Spanned<String>>,
    pub(super) collision: Option<Spanned<String>>,
    pub(super) replicas: Option<Spanned<String>>,
    pub(super) copies: Option<Spanned<usize>>,
    #[serde(default)]
    pub(super) require_zones: bool,
    /// What becomes of its nodes' lines when the log is full.
    pub(super) log_full: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) node: Vec<Spanned<NodeText>>,
    /// Paths of a cluster of type `file`.
    #[serde(default)]
    pub(super) path: Vec<Spanned<String>>,
}

/// What a cluster does with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    CarbonCh,
    Fnv1aCh,
    JumpFnv1aCh,
    Forward,
    AnyOf,
    Failover,
    File,
}

impl Kind {
    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CarbonCh => "carbon_ch",
            Self::Fnv1aCh => "fnv1a_ch",
            Self::JumpFnv1aCh => "jump_fnv1a_ch",
            Self::Forward => "forward",
            Self::AnyOf => "any_of",
            Self::Failover => "failover",
            Self::File => "file",
        }
    }

    /// Its hash, where it is a ring.
    pub(super) fn hash(self) -> Option<ring::Hash> {
        self.name().parse().ok()
    }
}

/// A node: `"HOST:PORT[=INSTANCE]"` or a table.
#[derive(Debug)]
pub(super) enum NodeText {
    Short(String),
    Table(NodeTable),
}

/// A node in full, with the keys that cluster.toml gives it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeTable {
    pub(super) line: String,
    pub(super) link: Option<String>,
    pub(super) name: Option<String>,
    pub(super) host: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) zone: Option<String>,
}

impl<'de> Deserialize<'de> for NodeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = NodeText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HOST:PORT[=INSTANCE] or a table with line, link, name, host, instance, zone")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NodeText, E> {
        Ok(NodeText::Short(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NodeText, A::Error> {
        NodeTable::deserialize(MapAccessDeserializer::new(map)).map(NodeText::Table)
    }
}
