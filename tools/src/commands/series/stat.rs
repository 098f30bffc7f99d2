//! `plumbago series stat`: what each node's file of a series is and holds.

use carbon::Image;
use serde_json::json;
use whisper::{Error, Whisper};

use super::select::Selection;
use super::{each_file, hour, told};
use crate::invocation::{Context, Failure, Run};
use crate::nodes::NodesArgs;

#[derive(clap::Args)]
pub(crate) struct StatSeries {
    #[command(flatten)]
    nodes: NodesArgs,
    #[command(flatten)]
    series: Selection,
}

/// A file.
struct Stat {
    bytes: usize,
    retentions: String,
    method: &'static str,
    x_files_factor: f32,
    /// Points that have not expired, in all archives.
    points: u64,
    newest: Option<i64>,
}

impl Run for StatSeries {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (nodes, wanted) = (self.nodes.load()?, self.series.load()?);
        let all = told::by_those_that_answer(context, &nodes, &wanted);
        let now = context.now.floor();
        for (place, node) in nodes.all.iter().enumerate() {
            let of_node = all.iter().filter(|(_, told)| told.holders.contains(&place));
            let names = of_node.map(|(name, _)| name.clone()).collect();
            each_file(context, &nodes, node, names, |context, name, file| {
                match Stat::of(file, now) {
                    Ok(stat) => stat.print(context, &node.name, name),
                    Err(error) => {
                        context.skip(&format!("{name} on {}", node.name), &error);
                        Ok(())
                    }
                }
            })?;
        }
        Ok(())
    }
}

impl Stat {
    fn of(file: Vec<u8>, now: i64) -> Result<Self, Error> {
        let bytes = file.len();
        let file = Whisper::open(Image(file))?;
        let header = file.header();
        let (mut points, mut newest, mut retentions) = (0, None, Vec::new());
        for archive in &header.archives {
            let step = archive.seconds_per_point;
            retentions.push(format!("{step}:{}", archive.points));
            let fetched = file.fetch(now - archive.retention(), now, now, Some(step))?;
            for (interval, _) in fetched.iter().flat_map(whisper::Fetched::points) {
                points += 1;
                newest = newest.max(Some(interval));
            }
        }
        let (method, x_files_factor) = (header.method.name(), header.x_files_factor);
        Ok(Self { bytes, retentions: retentions.join(","), method, x_files_factor, points, newest })
    }

    fn print(&self, context: &mut Context<'_>, node: &str, name: &str) -> Result<(), Failure> {
        let Self { bytes, retentions, method, x_files_factor, points, newest } = self;
        if context.json {
            let line = json!({
                "metric": name, "node": node, "bytes": bytes, "retentions": retentions,
                "aggregationMethod": method, "xFilesFactor": x_files_factor,
                "points": points, "newest": newest,
            });
            writeln!(context.out, "{line}")?;
        } else {
            let newest = newest.map_or_else(|| "-".to_owned(), hour);
            writeln!(
                context.out,
                "{name}\t{node}\t{bytes}\t{retentions}\t{method}\t{x_files_factor}\t{points}\t{newest}"
            )?;
        }
        Ok(())
    }
}
