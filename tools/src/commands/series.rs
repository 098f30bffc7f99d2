//! `plumbago series`: series wherever they lie. Here those that get no points any more: found, put away, and brought
//! back.

mod copy;
mod dump;
mod files;
mod list;
mod load;
mod misplaced;
mod select;
mod stat;
mod tabled;
mod told;

use jiff::Timestamp;
use serde_json::json;
use wire::moves::{FetchOutcome, FetchReply, NAMES_MAX, RestoreRequest, TrashReply, TrashRequest};

use super::carbonate::NameList;
use crate::invocation::{Context, Failure, Run};
use crate::node::Node;
use crate::nodes::{Nodes, NodesArgs};

pub(crate) use self::copy::CopySeries;
pub(crate) use self::dump::DumpSeries;
pub(super) use self::files::each_file;
pub(crate) use self::list::{DiskUse, ListSeries};
pub(crate) use self::load::LoadPoints;
pub(crate) use self::misplaced::Misplaced;
pub(super) use self::select::names_of;
pub(crate) use self::stat::StatSeries;

/// Hours are what the index knows of activity.
const HOUR_S: i64 = 3600;

#[derive(clap::Args)]
pub(crate) struct StaleSeries {
    #[command(flatten)]
    nodes: NodesArgs,
    /// How long a series must have been silent.
    #[arg(long, value_name = "HOURS", default_value_t = 24 * 30, value_parser = clap::value_parser!(u32).range(1..))]
    hours: u32,
    /// Print sizes and last hours too.
    #[arg(short, long)]
    long: bool,
}

#[derive(clap::Args)]
pub(crate) struct TrashSeries {
    #[command(flatten)]
    nodes: NodesArgs,
    #[command(flatten)]
    names: NameList,
    /// Do it; without it, nothing is changed.
    #[arg(long)]
    yes: bool,
}

#[derive(clap::Args)]
pub(crate) struct UntrashSeries {
    #[command(flatten)]
    nodes: NodesArgs,
    #[command(flatten)]
    names: NameList,
}

impl Run for StaleSeries {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let all = told::by_all(&nodes)?;
        let silent_since = context.now.floor() - i64::from(self.hours) * HOUR_S;
        let (mut series, mut bytes) = (0_u64, 0_u64);
        for (name, told) in &all {
            // The last hour is known by its beginning, and a point may have come at its end.
            let Some(last) = told.last.filter(|last| last + HOUR_S <= silent_since) else {
                continue;
            };
            series += 1;
            bytes += told.bytes;
            if context.json {
                let line = json!({"metric": name, "bytes": told.bytes, "last": last});
                writeln!(context.out, "{line}")?;
            } else if self.long {
                writeln!(context.out, "{name}\t{}\t{}", told.bytes, hour(last))?;
            } else {
                writeln!(context.out, "{name}")?;
            }
        }
        context.say(&format!("{series} of {} series, {bytes} bytes", all.len()));
        Ok(())
    }
}

fn hour(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds)
        .map_or_else(|_| unix_seconds.to_string(), |at| at.to_string())
}

impl Run for TrashSeries {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let names = listed(&self.names)?;
        if !self.yes {
            let count = names.len();
            context.say(&format!(
                "{count} series would go to the trash of their nodes; --yes does it"
            ));
            return Ok(());
        }
        let day = hour(context.now.floor());
        let date = day.split('T').next().unwrap_or_default().to_owned();
        on_every_node(context, &nodes, &names, |node, holder, names| {
            let request = TrashRequest { holder, date: date.clone(), names };
            let reply: TrashReply = nodes.post(node, "/admin/moves/trash", &request)?;
            Ok((reply.trashed, Vec::new()))
        })
    }
}

impl Run for UntrashSeries {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let names = listed(&self.names)?;
        on_every_node(context, &nodes, &names, |node, holder, names| {
            let request = RestoreRequest { holder, names };
            let reply: FetchReply = nodes.post(node, "/admin/moves/restore", &request)?;
            let back = |outcome| matches!(outcome, FetchOutcome::Created | FetchOutcome::Filled);
            let done = reply.series.iter().filter(|one| back(one.outcome)).count() as u64;
            let refused = reply.series.into_iter().filter_map(|one| Some((one.name, one.error?)));
            Ok((done, refused.collect()))
        })
    }
}

fn listed(names: &NameList) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    names.for_each(|name| {
        all.push(String::from_utf8_lossy(name).into_owned());
        Ok(())
    })?;
    Ok(all)
}

/// Has every node do something to the series that it has of the list, and tells how many it did.
fn on_every_node(
    context: &mut Context<'_>,
    nodes: &Nodes,
    names: &[String],
    act: impl Fn(
        &Node,
        String,
        Vec<String>,
    ) -> Result<(u64, Vec<(String, String)>), remote::RemoteError>,
) -> Result<(), Failure> {
    for node in &nodes.all {
        let mut done = 0;
        for batch in names.chunks(NAMES_MAX) {
            match nodes.lease(node).and_then(|holder| act(node, holder, batch.to_vec())) {
                Ok((count, refused)) => {
                    done += count;
                    for (name, why) in refused {
                        context.skip(&format!("{name} on {}", node.name), &why);
                    }
                }
                Err(error) => context.skip(&format!("{} series", batch.len()), &error),
            }
        }
        nodes.release(node);
        if context.json {
            writeln!(context.out, "{}", json!({"node": node.name, "series": done}))?;
        } else {
            writeln!(context.out, "{}: {done} series", node.name)?;
        }
    }
    Ok(())
}
