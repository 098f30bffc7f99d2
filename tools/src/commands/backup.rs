//! `plumbago backup`: the series of live nodes in a tar file.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use metric::path::whisper_path;

use super::series::{each_file, names_of};
use crate::invocation::{Context, Failure, Run};
use crate::node::Node;
use crate::nodes::{Nodes, NodesArgs};

/// Behind the name of a file that is not whole yet.
const PART_SUFFIX: &str = ".part";

/// What the list of a node's names is called in the file: paths do not tell those of tagged series.
pub(super) const NAMES_FILE: &str = "names";

#[derive(clap::Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    nodes: NodesArgs,
    /// File to make; none may be there.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// File with the names of the series to take, one a line (default: all).
    #[arg(short = 'f', long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

type Tar = tar::Builder<BufWriter<File>>;

impl Run for Backup {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let wanted = self.metrics_file.as_deref().map(names_of).transpose()?;
        let fault = |error: std::io::Error| Failure::of(&self.to, &error);
        if self.to.exists() {
            return Err(fault(std::io::ErrorKind::AlreadyExists.into()));
        }
        let mut part = self.to.clone().into_os_string();
        part.push(PART_SUFFIX);
        let mut tar = Tar::new(BufWriter::new(File::create(&part).map_err(fault)?));
        for node in &nodes.all {
            // Other nodes may have copies of its series.
            let held = match nodes.held(node) {
                Ok(held) => held,
                Err(error) => {
                    context.skip(&node.name, &error);
                    continue;
                }
            };
            let mut names: Vec<String> = held.into_iter().map(|held| held.name).collect();
            names.sort_unstable();
            names.retain(|name| wanted.as_ref().is_none_or(|wanted| wanted.contains(name)));
            let count = self.copy(context, &nodes, node, names, &mut tar)?;
            context.say(&format!("{}: {count} series", node.name));
        }
        let file = tar.into_inner().and_then(|out| Ok(out.into_inner()?)).map_err(fault)?;
        file.sync_all().and_then(|()| fs::rename(&part, &self.to)).map_err(fault)
    }
}

impl Backup {
    /// Copies series of a node; returns how many there were.
    fn copy(
        &self,
        context: &mut Context<'_>,
        nodes: &Nodes,
        node: &Node,
        names: Vec<String>,
        tar: &mut Tar,
    ) -> Result<u64, Failure> {
        let now = u64::try_from(context.now.floor()).unwrap_or(0);
        let fault = |error: std::io::Error| Failure::of(&self.to, &error);
        let list = format!("{}\n", names.join("\n"));
        append(tar, node, NAMES_FILE, list.as_bytes(), now).map_err(fault)?;
        let mut count = 0;
        each_file(context, nodes, node, names, |_context, name, file| {
            let path = format!("whisper/{}", whisper_path(name));
            append(tar, node, &path, &file, now).map_err(fault)?;
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }
}

fn append(tar: &mut Tar, node: &Node, path: &str, bytes: &[u8], now: u64) -> std::io::Result<()> {
    let mut head = tar::Header::new_gnu();
    head.set_size(bytes.len() as u64);
    head.set_mode(0o644);
    head.set_mtime(now);
    tar.append_data(&mut head, Path::new(&node.name).join(path), bytes)
}
