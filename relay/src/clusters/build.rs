//! From settings to clusters, or to every fault in them.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use daemon::settings::{Document, Placed};
use daemon::{Fault, Values, Watched};
use ring::cluster::{Cluster as ClusterFile, ClusterNode};
use ring::{Node, Ring, RingSpec, check_zones};
use toml::Spanned;

use super::placement::{Members, Placement, RingPlacement};
use super::text::{ClusterText, Kind, NodeTable, NodeText};
use super::{Cluster, Clusters, DEFAULT, Destination};
use crate::log::LogFull;

/// The clusters of the settings: the one that `node` or `cluster` give, and those under `clusters`.
///
/// # Errors
/// Every fault in any cluster.
pub(crate) fn build(values: &Values) -> Result<Clusters, Vec<Fault>> {
    let mut clusters = Clusters::default();
    let mut faults = Vec::new();
    match default_cluster(values, &mut clusters) {
        Ok(cluster) => clusters.clusters.extend(cluster),
        Err(found) => faults.extend(found),
    }
    if let Some(document) = values.document("clusters") {
        let mut reader = Reader { document, clusters: &mut clusters, faults: &mut faults };
        let tables: Vec<Placed<ClusterText>> = reader.document.read(reader.faults);
        for table in tables {
            reader.cluster(table);
        }
    }
    // Rules alone may be meant to drop everything, or to be tried out with `explain`.
    if clusters.clusters.is_empty() && faults.is_empty() && values.document("rule").is_none() {
        faults.push(cluster::no_node(values));
    }
    if faults.is_empty() { Ok(clusters) } else { Err(faults) }
}

/// The cluster files of all clusters.
pub(crate) fn watched(values: &Values) -> Watched {
    let mut watched = cluster::watched(values);
    if let Some(document) = values.document("clusters") {
        // Faults are the business of who builds the clusters.
        let tables: Vec<Placed<ClusterText>> = document.read(&mut Vec::new());
        let files = tables.into_iter().filter_map(|table| table.value.cluster_file);
        watched.files.extend(files.map(|path| path.into_inner().into()));
    }
    watched
}

/// The cluster of `cluster` or `node`, if either is given.
fn default_cluster(
    values: &Values,
    clusters: &mut Clusters,
) -> Result<Option<Cluster>, Vec<Fault>> {
    if let Some(file) = cluster::file(values)? {
        let cluster = clusters.of_file(DEFAULT, file, None);
        return cluster.map(Some).map_err(|problem| vec![cluster::fault(values, &problem)]);
    }
    let (mut nodes, mut faults) = (Vec::new(), Vec::new());
    for text in values.list("node") {
        match NodeEntry::short(text) {
            Ok(node) => nodes.push(node),
            Err(problem) => faults.push(values.fault("node", problem)),
        }
    }
    let spec = cluster::spec(values, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    if nodes.is_empty() {
        return Ok(None);
    }
    let cluster = clusters.of_nodes(DEFAULT, spec, nodes, false);
    cluster.map(Some).map_err(|(_, problem)| vec![values.fault("node", problem)])
}

/// A node as any of the forms gives it.
struct NodeEntry {
    name: String,
    node: Node,
    line: String,
    link: Option<String>,
    zone: Option<String>,
    log_full: Option<LogFull>,
}

/// Where a node takes lines.
struct Door {
    addresses: Vec<String>,
    is_link: bool,
}

impl Door {
    /// By the acknowledged link where there is one, else as carbon lines.
    fn of(line: &str, link: Option<&str>) -> Self {
        Self { addresses: vec![link.unwrap_or(line).to_owned()], is_link: link.is_some() }
    }

    /// Of nodes that stand in for one another: by the link if all of them take it.
    fn of_any<'a>(nodes: impl Iterator<Item = &'a NodeEntry> + Clone) -> Self {
        let links: Option<Vec<String>> = nodes.clone().map(|node| node.link.clone()).collect();
        let is_link = links.is_some();
        let addresses = links.unwrap_or_else(|| nodes.map(|node| node.line.clone()).collect());
        Self { addresses, is_link }
    }
}

impl NodeEntry {
    /// From `HOST:PORT[=INSTANCE]`, which is its name too.
    fn short(text: &str) -> Result<Self, String> {
        let node = Node::parse(text).map_err(|error| error.to_string())?;
        let line = text.split_once('=').map_or(text, |(address, _)| address).to_owned();
        let name = text.to_owned();
        Ok(Self { name, node, line, link: None, zone: None, log_full: None })
    }

    fn read(text: NodeText) -> Result<Self, String> {
        let table = match text {
            NodeText::Short(text) => return Self::short(&text),
            NodeText::Table(table) => table,
        };
        let given = match &table.instance {
            Some(instance) => format!("{}={instance}", table.line),
            None => table.line.clone(),
        };
        let mut node = Node::parse(&given).map_err(|error| error.to_string())?;
        if let Some(host) = table.host {
            node.host = host;
        }
        let name = table.name.unwrap_or(given);
        let NodeTable { line, link, zone, .. } = table;
        Ok(Self { name, node, line, link, zone, log_full: None })
    }

    fn door(&self) -> Door {
        Door::of(&self.line, self.link.as_deref())
    }
}

impl Clusters {
    /// The number of a node. One that is named before is the same if its addresses are.
    fn destination(
        &mut self,
        name: &str,
        door: Door,
        log_full: Option<LogFull>,
    ) -> Result<usize, String> {
        let Door { addresses, is_link } = door;
        let destination = Destination { name: name.to_owned(), addresses, is_link, log_full };
        let known = self.destinations.iter().position(|other| other.name == destination.name);
        match known {
            Some(number) if self.destinations[number] == destination => Ok(number),
            Some(number) if self.destinations[number].addresses == destination.addresses => {
                Err(format!("node `{name}` is in two clusters; they must have the same `log_full`"))
            }
            Some(_) => Err(format!("two different nodes are called `{name}`; give one a `name`")),
            None => {
                self.destinations.push(destination);
                Ok(self.destinations.len() - 1)
            }
        }
    }

    /// A ring of a cluster.toml, with the ring that is being left.
    fn of_file(
        &mut self,
        name: &str,
        file: ClusterFile,
        log_full: Option<LogFull>,
    ) -> Result<Cluster, String> {
        let now = self.doors_of(file.nodes(), log_full)?;
        let old = file.transition().map(|old| self.doors_of(old.nodes(), log_full)).transpose()?;
        let (ring, old_ring) = file.into_rings();
        let kind = ring.spec().hash.name();
        let now = Members { ring, destinations: now };
        let old = old_ring.zip(old).map(|(ring, destinations)| Members { ring, destinations });
        let placement = RingPlacement::new(now, old, &self.sets);
        Ok(Cluster { name: name.to_owned(), kind, placement: Placement::Ring(Box::new(placement)) })
    }

    fn doors_of(
        &mut self,
        nodes: &[ClusterNode],
        log_full: Option<LogFull>,
    ) -> Result<Vec<usize>, String> {
        let door = |node: &ClusterNode| {
            let (line, link) = (node.line.as_deref(), node.link.as_deref());
            let any = line.or(link).ok_or_else(|| format!("node `{}` has no `line`", node.name))?;
            Ok::<_, String>(Door::of(any, link))
        };
        let nodes = nodes.iter();
        nodes.map(|node| self.destination(&node.name, door(node)?, log_full)).collect()
    }

    /// A ring of nodes; a fault comes with the number of the node it is about, where it is of one.
    fn of_nodes(
        &mut self,
        name: &str,
        spec: RingSpec,
        nodes: Vec<NodeEntry>,
        require_zones: bool,
    ) -> Result<Cluster, (Option<usize>, String)> {
        let mut destinations = Vec::with_capacity(nodes.len());
        for (number, node) in nodes.iter().enumerate() {
            let destination = self.destination(&node.name, node.door(), node.log_full);
            destinations.push(destination.map_err(|problem| (Some(number), problem))?);
        }
        let zones: Vec<Option<String>> = nodes.iter().map(|node| node.zone.clone()).collect();
        let nodes = nodes.into_iter().map(|node| node.node).collect();
        let ring = Ring::new(spec, nodes).map_err(|error| (None, error.to_string()))?;
        if require_zones {
            let zones: Vec<Option<&str>> = zones.iter().map(Option::as_deref).collect();
            check_zones(&ring, &zones).map_err(|error| (Some(error.index()), error.to_string()))?;
        }
        let placement = RingPlacement::new(Members { ring, destinations }, None, &self.sets);
        let kind = spec.hash.name();
        Ok(Cluster { name: name.to_owned(), kind, placement: Placement::Ring(Box::new(placement)) })
    }

    /// A cluster without a ring.
    fn of_list(
        &mut self,
        name: &str,
        kind: Kind,
        nodes: &[NodeEntry],
    ) -> Result<Placement, String> {
        let log_full = nodes.first().and_then(|node| node.log_full);
        Ok(match kind {
            Kind::Failover => {
                let stand_ins = self.destination(name, Door::of_any(nodes.iter()), log_full)?;
                Placement::All(self.sets.number(&[stand_ins]))
            }
            Kind::AnyOf => {
                // Each lane begins with another node and falls back on the ones after it.
                let lane = |first: usize| {
                    let door = Door::of_any(nodes[first..].iter().chain(&nodes[..first]));
                    (format!("{name}/{}", nodes[first].name), door)
                };
                let mut lanes = Vec::with_capacity(nodes.len());
                for (name, door) in (0..nodes.len()).map(lane) {
                    let lane = self.destination(&name, door, log_full)?;
                    lanes.push(self.sets.number(&[lane]));
                }
                Placement::Spread(lanes)
            }
            _ => {
                let all: Result<Vec<usize>, String> = nodes
                    .iter()
                    .map(|node| self.destination(&node.name, node.door(), log_full))
                    .collect();
                Placement::All(self.sets.number(&all?))
            }
        })
    }

    fn of_paths(&mut self, paths: &[Spanned<String>]) -> Placement {
        let mut numbers = Vec::with_capacity(paths.len());
        for path in paths.iter().map(|path| PathBuf::from(path.get_ref())) {
            let known = self.files.iter().position(|file| *file == path);
            numbers.push(known.unwrap_or_else(|| {
                self.files.push(path);
                self.files.len() - 1
            }));
        }
        Placement::Files(numbers)
    }
}

/// Reads the `[clusters.NAME]` tables.
struct Reader<'a> {
    document: &'a Document,
    clusters: &'a mut Clusters,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, offset: usize, problem: impl Into<String>) {
        self.faults.push(self.document.fault(offset, problem));
    }

    fn cluster(&mut self, table: Placed<ClusterText>) {
        let Placed { name, offset, value: text } = table;
        if self.clusters.clusters.iter().any(|cluster| cluster.name == name) {
            return self.fault(
                offset,
                format!(
                    "`{name}` is the cluster that `node` or `cluster` describe; choose another name"
                ),
            );
        }
        let cluster = match (&text.kind, &text.cluster_file) {
            (None, Some(path)) => {
                let log_full = self.log_full(text.log_full.as_ref());
                self.of_file(&name, path, log_full)
            }
            (Some(kind), None) => {
                let kind = *kind.get_ref();
                self.of_kind(Placed { name, offset, value: text }, kind)
            }
            _ => {
                self.fault(offset, "a cluster has either `type` or `cluster_file`");
                None
            }
        };
        self.clusters.clusters.extend(cluster);
    }

    fn of_file(
        &mut self,
        name: &str,
        path: &Spanned<String>,
        log_full: Option<LogFull>,
    ) -> Option<Cluster> {
        let at_fault = path.span().start;
        match cluster::read(Path::new(path.get_ref())) {
            Ok(file) => {
                let cluster = self.clusters.of_file(name, file, log_full);
                let problem = |problem| format!("{}: {problem}", path.get_ref());
                cluster.map_err(|error| self.fault(at_fault, problem(error))).ok()
            }
            Err(fault) => {
                self.fault(at_fault, fault.to_string());
                None
            }
        }
    }

    fn of_kind(&mut self, table: Placed<ClusterText>, kind: Kind) -> Option<Cluster> {
        let Placed { name, offset, value: text } = table;
        let faults_before = self.faults.len();
        self.check(offset, &text, kind);
        let spec = self.spec(&text, kind);
        let places: Vec<usize> = text.node.iter().map(|node| node.span().start).collect();
        let log_full = self.log_full(text.log_full.as_ref());
        let nodes = self.nodes(text.node, log_full);
        if self.faults.len() > faults_before {
            return None;
        }
        let cluster = match spec {
            Some(spec) => self.clusters.of_nodes(&name, spec, nodes, text.require_zones),
            None => {
                let placement = match kind {
                    Kind::File => Ok(self.clusters.of_paths(&text.path)),
                    _ => self.clusters.of_list(&name, kind, &nodes),
                };
                let kind = kind.name();
                placement
                    .map(|placement| Cluster { name, kind, placement })
                    .map_err(|problem| (None, problem))
            }
        };
        let place = |node: Option<usize>| node.map_or(offset, |node| places[node]);
        cluster.map_err(|(node, problem)| self.fault(place(node), problem)).ok()
    }

    /// What a cluster of this type must have, and may not have.
    fn check(&mut self, offset: usize, text: &ClusterText, kind: Kind) {
        let is_ring = kind.hash().is_some();
        let is_file = kind == Kind::File;
        let has_ring_keys = text.collision.is_some()
            || text.replicas.is_some()
            || text.copies.is_some()
            || text.require_zones;
        let problems = [
            (is_file && text.path.is_empty(), "a cluster of files needs `path`, a list"),
            (is_file && !text.node.is_empty(), "a cluster of files has no nodes"),
            (!is_file && text.node.is_empty(), "the cluster needs `node`, a list"),
            (
                is_file && text.log_full.is_some(),
                "nothing waits for files: `log_full` is for nodes",
            ),
            (!is_file && !text.path.is_empty(), "only a cluster of type `file` has `path`"),
            (
                !is_ring && has_ring_keys,
                "collision, replicas, copies and require_zones are for rings: carbon_ch, fnv1a_ch, jump_fnv1a_ch",
            ),
        ];
        for (is_wrong, problem) in problems {
            if is_wrong {
                self.fault(offset, problem);
            }
        }
    }

    fn spec(&mut self, text: &ClusterText, kind: Kind) -> Option<RingSpec> {
        Some(RingSpec {
            hash: kind.hash()?,
            collision: self.choice(text.collision.as_ref()),
            replicas: self.choice(text.replicas.as_ref()),
            copies: text.copies.as_ref().map_or(1, |copies| *copies.get_ref()),
        })
    }

    fn choice<T: FromStr + Default>(&mut self, text: Option<&Spanned<String>>) -> T
    where
        T::Err: Display,
    {
        let Some(text) = text else { return T::default() };
        text.get_ref().parse().unwrap_or_else(|error: T::Err| {
            self.fault(text.span().start, error.to_string());
            T::default()
        })
    }

    /// What the cluster says about a full log; none where it says nothing.
    fn log_full(&mut self, text: Option<&Spanned<String>>) -> Option<LogFull> {
        let text = text?;
        let word = LogFull::from_word(text.get_ref());
        if word.is_none() {
            let words = LogFull::WORDS.join(", ");
            let problem = format!("expected one of {words}, found \"{}\"", text.get_ref());
            self.fault(text.span().start, problem);
        }
        word
    }

    fn nodes(
        &mut self,
        texts: Vec<Spanned<NodeText>>,
        log_full: Option<LogFull>,
    ) -> Vec<NodeEntry> {
        let mut nodes = Vec::with_capacity(texts.len());
        for text in texts {
            let offset = text.span().start;
            match NodeEntry::read(text.into_inner()) {
                Ok(node) => nodes.push(NodeEntry { log_full, ..node }),
                Err(problem) => self.fault(offset, problem),
            }
        }
        nodes
    }
}
