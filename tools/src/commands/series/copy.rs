//! `plumbago series copy`: series to another cluster, or under other names.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::select::{Selection, Wanted};
use super::{each_file, told};
use crate::commands::give::Giver;
use crate::invocation::{Context, Failure, Run};
use crate::nodes::NodesArgs;

#[derive(clap::Args)]
pub(crate) struct CopySeries {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Cluster file of the nodes that are to get them (default: those that have them).
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// File with an old and a new name on each line, or a JSON object from old to new names: these series are copied
    /// to their new names, where holes are filled if there is such a series.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["metrics_file", "patterns"])]
    rename: Option<PathBuf>,
    /// Give them; without it, only what would be given is printed.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    series: Selection,
}

/// New names by the old ones.
type Renamed = HashMap<String, String>;

impl Run for CopySeries {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        if self.to.is_none() && self.rename.is_none() {
            return Err(Failure::new(
                "where to, or under which names: give --to, --rename or both",
            ));
        }
        let nodes = self.nodes.load()?;
        let to =
            self.to.as_deref().map(|path| NodesArgs::of(path, Vec::new()).load()).transpose()?;
        let renamed = self.rename.as_deref().map(|path| renamed(context, path)).transpose()?;
        let wanted = match &renamed {
            Some(renamed) => Wanted::only(renamed.keys().cloned().collect()),
            None => self.series.load()?,
        };
        let all = told::by_those_that_answer(context, &nodes, &wanted);
        for old in renamed.iter().flat_map(Renamed::keys).filter(|old| !all.contains_key(*old)) {
            context.skip(old, &"no node has such a series");
        }
        let mut giver = Giver::new(to.as_ref().unwrap_or(&nodes), self.yes);
        for (place, node) in nodes.all.iter().enumerate() {
            let of_node = all.iter().filter(|(_, told)| told.holders.contains(&place));
            let names = of_node.map(|(name, _)| name.clone()).collect();
            each_file(context, &nodes, node, names, |context, name, file| {
                let new = renamed.as_ref().and_then(|renamed| renamed.get(name));
                giver.add(context, new.map_or(name, String::as_str), &file)
            })?;
        }
        giver.end(context)
    }
}

/// Reads the names; a line that has no two of them is named.
fn renamed(context: &mut Context<'_>, path: &Path) -> Result<Renamed, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::of(path, &error))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| Failure::of(path, &error));
    }
    let mut renamed = Renamed::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [old, new] => drop(renamed.insert((*old).to_owned(), (*new).to_owned())),
            _ => context.skip(&format!("{}:{number}", path.display()), &"expected OLD NEW"),
        }
    }
    Ok(renamed)
}
