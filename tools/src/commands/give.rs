//! `plumbago restore` and `plumbago import`: files of series given to the nodes that own them.
//!
//! The nodes merge them under their writers' own locks: points that are there stay, holes are
//! filled, also while points keep coming. So both may be stopped, and run again.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use carbon::stream;
use metric::Limits;
use metric::path::whisper_path;
use serde_json::json;
use wire::moves::FetchOutcome;

use super::backup::NAMES_FILE;
use super::carbonate::{Walk, dotted};
use super::series::names_of;
use crate::invocation::{Context, Failure, Run, printable};
use crate::nodes::{Nodes, NodesArgs};

/// Bytes of files, before they are compressed, after which a batch is sent: nodes take 16 MiB.
const BATCH_BYTES: usize = 8 << 20;

/// Longest file that is given.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The branch of tagged series in a tree, whose paths do not tell their names.
const TAGGED: &str = "_tagged.";

#[derive(clap::Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    nodes: NodesArgs,
    /// File with the names of the series to restore, one a line (default: all).
    #[arg(short = 'f', long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Give them; without it, only what would be given is printed.
    #[arg(long)]
    yes: bool,
    /// The backup.
    backup: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Import {
    #[command(flatten)]
    nodes: NodesArgs,
    /// File with the names of tagged series, one a line: their paths do not tell them.
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Give them; without it, only what would be given is printed.
    #[arg(long)]
    yes: bool,
    /// The tree, such as a copy of another machine's.
    tree: PathBuf,
}

impl Run for Restore {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let wanted = self.metrics_file.as_deref().map(names_of).transpose()?;
        let mut giver = Giver::new(&nodes, self.yes);
        let fault = |error: std::io::Error| Failure::of(&self.backup, &error);
        let mut tar = tar::Archive::new(BufReader::new(File::open(&self.backup).map_err(fault)?));
        let mut names = HashMap::new();
        for entry in tar.entries().map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let path = entry.path().map_err(fault)?.to_string_lossy().into_owned();
            // The first part is the node that it came from.
            let Some((_node, inside)) = path.split_once('/') else { continue };
            let is_list = inside == NAMES_FILE;
            let mut bytes = Vec::new();
            entry
                .take(if is_list { u64::MAX } else { FILE_BYTES_MAX })
                .read_to_end(&mut bytes)
                .map_err(fault)?;
            if is_list {
                names = by_path(String::from_utf8_lossy(&bytes).lines());
                continue;
            }
            match inside.strip_prefix("whisper/").and_then(|path| names.get(path)) {
                Some(name) if wanted.as_ref().is_some_and(|wanted| !wanted.contains(name)) => {}
                Some(name) => giver.add(context, name, &bytes)?,
                None => context.skip(&printable(&path), &"the backup does not tell its name"),
            }
        }
        giver.end(context)
    }
}

impl Run for Import {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let tagged = self.names.as_deref().map(names_of).transpose()?.unwrap_or_default();
        let tagged = by_path(tagged.iter().map(String::as_str));
        let mut giver = Giver::new(&nodes, self.yes);
        let fault = |error: std::io::Error| Failure::of(&self.tree, &error);
        let mut walk = Walk::new(&self.tree, false).map_err(fault)?;
        while let Some(folder) = walk.next_folder() {
            let files = match folder.found {
                Ok(files) => files,
                Err(error) => {
                    context.skip(&printable(&folder.path.to_string_lossy()), &error);
                    continue;
                }
            };
            for path in files {
                let shown = printable(&path.to_string_lossy());
                match self.read(&path, &tagged) {
                    Ok((name, bytes)) => giver.add(context, &name, &bytes)?,
                    Err(why) => context.skip(&shown, &why),
                }
            }
        }
        giver.end(context)
    }
}

impl Import {
    /// A file and the name of its series.
    fn read(
        &self,
        path: &Path,
        tagged: &HashMap<String, String>,
    ) -> Result<(String, Vec<u8>), String> {
        let inside = path.strip_prefix(&self.tree).unwrap_or(path).to_string_lossy();
        let name = match tagged.get(&*inside) {
            Some(name) => name.clone(),
            None => String::from_utf8_lossy(&dotted(inside.as_bytes())).into_owned(),
        };
        if name.starts_with(TAGGED) {
            return Err("a tagged series: --names must list it".to_owned());
        }
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        Ok((name, bytes))
    }
}

/// Refuses names that no series has, such as those with empty components.
fn check_name(name: &str) -> Result<(), String> {
    match metric::canonicalise(name.as_bytes(), &Limits::default()) {
        Ok(canonical) if canonical == name => Ok(()),
        Ok(canonical) => Err(format!("no name of a series, which would be `{canonical}`")),
        Err(error) => Err(error.to_string()),
    }
}

/// Names by the paths of their files.
fn by_path<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<String, String> {
    names.map(|name| (whisper_path(name), name.to_owned())).collect()
}

/// Files on their way to one node.
#[derive(Default)]
struct Batch {
    writer: Option<stream::Writer>,
    names: HashSet<String>,
    bytes: usize,
}

/// Files on their way to the nodes that own their series.
pub(super) struct Giver<'a> {
    nodes: &'a Nodes,
    acts: bool,
    batches: Vec<Batch>,
    files: u64,
    /// By node: series that were given, new ones among them.
    given: Vec<(u64, u64)>,
}

impl<'a> Giver<'a> {
    pub(super) fn new(nodes: &'a Nodes, acts: bool) -> Self {
        let count = nodes.all.len();
        let batches = (0..count).map(|_| Batch::default()).collect();
        Self { nodes, acts, batches, files: 0, given: vec![(0, 0); count] }
    }

    /// Takes a file for every owner; one that is no sound Whisper file is named.
    pub(super) fn add(
        &mut self,
        context: &mut Context<'_>,
        name: &str,
        file: &[u8],
    ) -> Result<(), Failure> {
        if let Err(why) = check_name(name) {
            context.skip(&printable(name), &why);
            return Ok(());
        }
        if let Err(error) = whisper::Header::parse(file, file.len() as u64) {
            context.skip(name, &error);
            return Ok(());
        }
        self.files += 1;
        for owner in self.nodes.owners(name) {
            if !self.acts {
                self.given[owner].0 += 1;
                continue;
            }
            let batch = &mut self.batches[owner];
            // A node takes a series once in a batch; two nodes' copies of it come one after the other.
            if batch.bytes > BATCH_BYTES || batch.names.contains(name) {
                self.send(context, owner)?;
            }
            let batch = &mut self.batches[owner];
            let fault = |error: std::io::Error| Failure::new(format!("{name}: {error}"));
            if batch.writer.is_none() {
                batch.writer = Some(stream::Writer::new().map_err(fault)?);
            }
            if let Some(writer) = &mut batch.writer {
                writer.add_file(name, file).map_err(fault)?;
            }
            batch.names.insert(name.to_owned());
            batch.bytes += file.len();
        }
        Ok(())
    }

    /// Gives a node what waits for it; what it does not take is named.
    fn send(&mut self, context: &mut Context<'_>, owner: usize) -> Result<(), Failure> {
        let Batch { writer, names, .. } = std::mem::take(&mut self.batches[owner]);
        let Some(writer) = writer else { return Ok(()) };
        let node = &self.nodes.all[owner];
        let packed = writer.finish().map_err(|error| Failure::new(error.to_string()))?;
        let reply = match self.nodes.give(node, packed) {
            Ok(reply) => reply,
            Err(error) => {
                context.skip(&format!("{} series", names.len()), &error);
                return Ok(());
            }
        };
        for one in reply.series {
            match one.outcome {
                FetchOutcome::Created => {
                    self.given[owner].0 += 1;
                    self.given[owner].1 += 1;
                }
                FetchOutcome::Filled | FetchOutcome::Equal => self.given[owner].0 += 1,
                FetchOutcome::Missing | FetchOutcome::Refused | FetchOutcome::Left => {
                    let why = one.error.unwrap_or_else(|| "not taken".to_owned());
                    context.skip(&format!("{} on {}", one.name, node.name), &why);
                }
            }
        }
        Ok(())
    }

    /// Gives what is left, and tells what was done.
    pub(super) fn end(mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        for owner in 0..self.batches.len() {
            self.send(context, owner)?;
        }
        for (node, (series, new)) in self.nodes.all.iter().zip(&self.given) {
            if self.acts {
                self.nodes.release(node);
            }
            let name = &node.name;
            if context.json {
                let line = json!({"node": name, "series": series, "new": new, "done": self.acts});
                writeln!(context.out, "{line}")?;
            } else if self.acts {
                writeln!(context.out, "{name}: {series} series taken, {new} of them new")?;
            } else {
                writeln!(context.out, "{name}: {series} series to be given")?;
            }
        }
        if !self.acts {
            let files = self.files;
            context.say(&format!("{files} files read, nothing has been given; --yes does it"));
        }
        Ok(())
    }
}
