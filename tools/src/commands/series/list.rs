//! `plumbago series list` and `du`: what the nodes have, by their indexes.

use std::collections::BTreeMap;

use serde_json::json;

use super::select::Selection;
use super::{hour, told};
use crate::invocation::{Context, Failure, Run};
use crate::nodes::NodesArgs;

#[derive(clap::Args)]
pub(crate) struct ListSeries {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Print bytes of all copies, the last hour with a point, and the nodes too.
    #[arg(short, long)]
    long: bool,
    #[command(flatten)]
    series: Selection,
}

#[derive(clap::Args)]
pub(crate) struct DiskUse {
    #[command(flatten)]
    nodes: NodesArgs,
    /// How many components of names make a row.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    depth: u8,
    #[command(flatten)]
    series: Selection,
}

impl Run for ListSeries {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (nodes, wanted) = (self.nodes.load()?, self.series.load()?);
        let all = told::by_those_that_answer(context, &nodes, &wanted);
        for (name, told) in &all {
            let holders = told.holders.iter().map(|&place| nodes.all[place].name.as_str());
            let holders: Vec<&str> = holders.collect();
            if context.json {
                let (bytes, last) = (told.bytes, told.last);
                let line = json!({"metric": name, "bytes": bytes, "last": last, "nodes": holders});
                writeln!(context.out, "{line}")?;
            } else if self.long {
                let last = told.last.map_or_else(|| "-".to_owned(), hour);
                writeln!(context.out, "{name}\t{}\t{last}\t{}", told.bytes, holders.join(","))?;
            } else {
                writeln!(context.out, "{name}")?;
            }
        }
        Ok(())
    }
}

impl Run for DiskUse {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (nodes, wanted) = (self.nodes.load()?, self.series.load()?);
        let all = told::by_those_that_answer(context, &nodes, &wanted);
        // Bytes of all copies, and series.
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (name, told) in &all {
            let (bytes, series) = sums.entry(branch(name, self.depth.into())).or_default();
            *bytes += told.bytes;
            *series += 1;
        }
        let mut rows: Vec<_> = sums.into_iter().collect();
        rows.sort_by_key(|&(branch, (bytes, _))| (std::cmp::Reverse(bytes), branch));
        for (branch, (bytes, series)) in rows {
            if context.json {
                let line = json!({"branch": branch, "bytes": bytes, "series": series});
                writeln!(context.out, "{line}")?;
            } else {
                writeln!(context.out, "{bytes}\t{series}\t{branch}")?;
            }
        }
        let bytes: u64 = all.values().map(|told| told.bytes).sum();
        context.say(&format!("{} series, {bytes} bytes in all copies", all.len()));
        Ok(())
    }
}

/// The first components of a name; tags are none.
fn branch(name: &str, depth: usize) -> &str {
    let path = name.split(';').next().unwrap_or(name);
    path.match_indices('.').nth(depth - 1).map_or(path, |(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_ends_before_a_dot_or_the_tags() {
        assert_eq!(branch("a.b.c", 1), "a");
        assert_eq!(branch("a.b.c", 2), "a.b");
        assert_eq!(branch("a.b.c", 3), "a.b.c");
        assert_eq!(branch("a.b;t=x.y", 5), "a.b");
    }
}
