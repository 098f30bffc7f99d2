//! A plan: one JSON line about the whole, then one for each series. docs/formats/plan.md shows one.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fleet::{Fleet, NodeAddress, Rings};
use crate::invocation::Failure;

/// The version of the format.
const VERSION: u32 = 1;

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Every series to its owners, and nowhere else.
    Rebalance,
    /// What a node lost with its disk, from the other owners.
    Replace,
    /// What a node may have missed, from the other owners.
    Fill,
    /// Everything off a node, whose files stay.
    Drain,
    /// Everything off a node, whose files go to its trash.
    Decommission,
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    plumbago_plan: u32,
    /// Names the plan in leases and in its journal.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// The cluster file that it was made for.
    pub(crate) cluster: PathBuf,
    /// Fingerprint of the ring that is to hold.
    pub(crate) ring: String,
    /// Fingerprint of the ring that is being left.
    pub(crate) leaving: Option<String>,
    /// The nodes by name; their addresses are here because the cluster file forgets those that leave.
    pub(crate) nodes: Vec<NodeAddress>,
    /// Admin addresses of the relays, which must follow the same rings.
    pub(crate) relays: Vec<String>,
    /// Only what is newer is filled, in seconds since 1970.
    pub(crate) since: Option<i64>,
}

/// What happens to a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Further nodes get it.
    Copy,
    /// Further nodes get it, others give it up.
    Move,
    /// Nodes that do not own it give it up.
    Drop,
    /// Holes of a node that has it are filled.
    Fill,
}

/// One line, with the names of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    name: String,
    action: Action,
    sources: Vec<String>,
    targets: Vec<String>,
    owners: Vec<String>,
    drop: Vec<String>,
    bytes: u64,
}

/// What is to happen to one series; nodes by their numbers in the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: Box<str>,
    pub(crate) action: Action,
    /// Who holds it; the first one is asked first.
    pub(crate) sources: Vec<u16>,
    /// Who is to get it, or to get its holes filled.
    pub(crate) targets: Vec<u16>,
    /// Who is to hold it in the end.
    pub(crate) owners: Vec<u16>,
    /// Who gives it up.
    pub(crate) drop: Vec<u16>,
    pub(crate) bytes: u64,
}

impl Header {
    /// The header of a new plan.
    pub(crate) fn new(
        kind: Kind,
        id: String,
        cluster: PathBuf,
        rings: Rings,
        fleet: &Fleet,
    ) -> Self {
        let Rings { ring, leaving } = rings;
        let nodes = fleet.addresses();
        let (relays, since) = (Vec::new(), None);
        Self { plumbago_plan: VERSION, id, kind, cluster, ring, leaving, nodes, relays, since }
    }

    /// The rings that programs must follow while series are copied.
    pub(crate) fn rings(&self) -> Rings {
        Rings { ring: self.ring.clone(), leaving: self.leaving.clone() }
    }
}

/// Writes a plan under a temporary name, so that there is never half of one.
pub(crate) struct Writer<'a> {
    out: BufWriter<File>,
    temporary: PathBuf,
    path: &'a Path,
    fleet: &'a Fleet,
}

impl<'a> Writer<'a> {
    pub(crate) fn create(
        path: &'a Path,
        header: &Header,
        fleet: &'a Fleet,
    ) -> Result<Self, Failure> {
        let temporary = path.with_added_extension("new");
        let out = File::create(&temporary).map_err(|error| Failure::of(&temporary, &error))?;
        let mut writer = Self { out: BufWriter::new(out), temporary, path, fleet };
        writer.line(header)?;
        Ok(writer)
    }

    pub(crate) fn add(&mut self, step: &Step) -> Result<(), Failure> {
        let names = |nodes: &[u16]| {
            nodes.iter().map(|&node| self.fleet.name(node).to_owned()).collect::<Vec<_>>()
        };
        let line = Line {
            name: step.name.to_string(),
            action: step.action,
            sources: names(&step.sources),
            targets: names(&step.targets),
            owners: names(&step.owners),
            drop: names(&step.drop),
            bytes: step.bytes,
        };
        self.line(&line)
    }

    /// Gives the plan its name.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let mut finish = || {
            self.out.flush()?;
            self.out.get_ref().sync_all()?;
            std::fs::rename(&self.temporary, self.path)
        };
        finish().map_err(|error: std::io::Error| Failure::of(self.path, &error))
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        let mut write = || {
            serde_json::to_writer(&mut self.out, line)?;
            self.out.write_all(b"\n")
        };
        write().map_err(|error: std::io::Error| Failure::of(&self.temporary, &error))
    }
}

/// Reads a plan.
pub(crate) fn read(path: &Path) -> Result<(Header, Fleet, Vec<Step>), Failure> {
    let failed = |number: usize, error: &dyn std::fmt::Display| {
        Failure::new(format!("{}:{number}: {error}", path.display()))
    };
    let file = File::open(path).map_err(|error| Failure::of(path, &error))?;
    let mut lines = (1..).zip(BufReader::new(file).lines());
    let no_plan = || failed(1, &"not a plan of `plumbago plan`");
    let (_, first) = lines.next().ok_or_else(no_plan)?;
    let first = first.map_err(|error| failed(1, &error))?;
    let header: Header = serde_json::from_str(&first).map_err(|_other_text| no_plan())?;
    if header.plumbago_plan != VERSION {
        return Err(failed(1, &format!("a plan of version {}", header.plumbago_plan)));
    }
    let fleet = Fleet::at(header.nodes.clone())?;
    let mut steps = Vec::new();
    for (number, line) in lines {
        let line = line.map_err(|error| failed(number, &error))?;
        let line: Line = serde_json::from_str(&line).map_err(|error| failed(number, &error))?;
        steps.push(step(line, &fleet).map_err(|node| {
            failed(number, &format!("node `{node}` is not in the plan's first line"))
        })?);
    }
    Ok((header, fleet, steps))
}

/// An error is the name of a node that nobody knows.
fn step(line: Line, fleet: &Fleet) -> Result<Step, String> {
    let numbers = |names: Vec<String>| -> Result<Vec<u16>, String> {
        names.into_iter().map(|name| fleet.number(&name).ok_or(name)).collect()
    };
    Ok(Step {
        name: line.name.into(),
        action: line.action,
        sources: numbers(line.sources)?,
        targets: numbers(line.targets)?,
        owners: numbers(line.owners)?,
        drop: numbers(line.drop)?,
        bytes: line.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_it_was_written_and_a_bad_line_is_named() {
        let node = |name: &str| NodeAddress { name: name.to_owned(), admin: "h:1".to_owned() };
        let fleet = Fleet::at(vec![node("a"), node("b")]).unwrap();
        let rings = Rings { ring: "1".to_owned(), leaving: None };
        let header = Header::new(Kind::Rebalance, "7".to_owned(), "c".into(), rings, &fleet);
        let step = Step {
            name: "x;t=v".into(),
            action: Action::Move,
            sources: vec![0],
            targets: vec![1],
            owners: vec![1],
            drop: vec![0],
            bytes: 9,
        };
        let folder = testkit::folder();
        let path = folder.path().join("plan");
        let mut writer = Writer::create(&path, &header, &fleet).unwrap();
        writer.add(&step).unwrap();
        assert!(!path.exists(), "half a plan is none");
        writer.finish().unwrap();
        let (header_read, _, steps) = read(&path).unwrap();
        assert_eq!((header_read, steps), (header, vec![step]));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"targets\":[\"b\"]", "\"targets\":[\"c\"]")).unwrap();
        let problem = read(&path).err().and_then(|failure| failure.message).unwrap();
        assert!(problem.contains("plan:2: node `c` is not in"), "{problem}");
        std::fs::write(&path, "some text\n").unwrap();
        let problem = read(&path).err().and_then(|failure| failure.message).unwrap();
        assert!(problem.contains("plan:1: not a plan"), "{problem}");
    }
}
