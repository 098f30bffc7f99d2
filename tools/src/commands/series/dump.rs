//! `plumbago series dump`: points of series as a table.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, stdout};
use std::path::PathBuf;

use carbon::Image;
use whisper::{Error, Fetched, Whisper, floor_to};

use super::select::Selection;
use super::{each_file, told};
use crate::invocation::{Context, Failure, Run};
use crate::nodes::{Nodes, NodesArgs};
use crate::table::{Row, Writer};

/// Series whose files are held at once.
const BATCH: usize = 200;

#[derive(clap::Args)]
pub(crate) struct DumpSeries {
    #[command(flatten)]
    nodes: NodesArgs,
    /// File to make, Parquet if it is called `.parquet`, else CSV; none may be there (default: CSV on standard output).
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Only points since this time, seconds since 1970.
    #[arg(long, value_name = "EPOCH")]
    from: Option<i64>,
    /// Only points before this time, seconds since 1970.
    #[arg(long, value_name = "EPOCH")]
    until: Option<i64>,
    /// Only the archive of so many seconds a point; without it each time comes from the finest archive that reaches it.
    #[arg(long, value_name = "SECONDS")]
    archive: Option<u32>,
    /// All that each archive holds, so that `series load --cluster` gives the same files again.
    #[arg(long, conflicts_with = "archive")]
    every_archive: bool,
    #[command(flatten)]
    series: Selection,
}

/// Points of a series by their archives, coarse ones first, and times.
type Points = BTreeMap<(std::cmp::Reverse<u32>, i64), f64>;

impl Run for DumpSeries {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let fault = |error| self.failed(error);
        let Some(to) = &self.to else {
            let mut text = Writer::csv(BufWriter::new(stdout())).map_err(fault)?;
            self.write(context, &mut text)?;
            return text.finish().map_err(fault);
        };
        if to.exists() {
            return Err(fault(ErrorKind::AlreadyExists.into()));
        }
        let part = to.with_added_extension("part");
        let file = File::create(&part).map_err(fault)?;
        let synced = file.try_clone().map_err(fault)?;
        let mut writer = Writer::file(file, to).map_err(fault)?;
        let (series, points) = self.write(context, &mut writer)?;
        let finished = writer.finish().and_then(|()| synced.sync_all());
        finished.and_then(|()| fs::rename(&part, to)).map_err(fault)?;
        context.say(&format!("{points} points of {series} series"));
        Ok(())
    }
}

impl DumpSeries {
    /// What could not be written to.
    fn failed(&self, error: io::Error) -> Failure {
        match &self.to {
            Some(to) => Failure::of(to, &error),
            None => error.into(),
        }
    }

    /// Writes all rows, name by name; returns how many series and points there were.
    fn write(
        &self,
        context: &mut Context<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<(u64, u64), Failure> {
        let (nodes, wanted) = (self.nodes.load()?, self.series.load()?);
        let all = told::by_those_that_answer(context, &nodes, &wanted);
        let names: Vec<&String> = all.keys().collect();
        let (mut series, mut count) = (0, 0);
        for batch in names.chunks(BATCH) {
            for (name, points) in self.points(context, &nodes, &all, batch)? {
                series += 1;
                for ((std::cmp::Reverse(step), time), value) in points {
                    count += 1;
                    let row = Row { metric: name.clone(), time, value, step };
                    writer.add(row).map_err(|error| self.failed(error))?;
                }
            }
        }
        Ok((series, count))
    }

    /// The points of some series, from all nodes that have them: what one copy lacks another may have.
    fn points(
        &self,
        context: &mut Context<'_>,
        nodes: &Nodes,
        all: &told::All,
        names: &[&String],
    ) -> Result<BTreeMap<String, Points>, Failure> {
        let now = context.now.floor();
        let mut found: BTreeMap<String, Points> = BTreeMap::new();
        for (place, node) in nodes.all.iter().enumerate() {
            let has = |name: &&&String| all[**name].holders.contains(&place);
            let of_node = names.iter().filter(has).map(|name| (*name).clone()).collect();
            each_file(context, nodes, node, of_node, |context, name, file| {
                let points = found.entry(name.to_owned()).or_default();
                if let Err(error) = self.add(file, now, points) {
                    context.skip(&format!("{name} on {}", node.name), &error);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Adds the points of a file where there are none yet.
    fn add(&self, file: Vec<u8>, now: i64, points: &mut Points) -> Result<(), Error> {
        let file = Whisper::open(Image(file))?;
        let (from, until) = (self.from.unwrap_or(0), self.until.unwrap_or(i64::MAX));
        // Where the finer archives begin.
        let mut covered_from = i64::MAX;
        for archive in &file.header().archives {
            let step = archive.seconds_per_point;
            if self.archive.is_some_and(|wanted| wanted != step) {
                continue;
            }
            let begin = now - archive.retention();
            let fetched = file.fetch(begin, now, now, Some(step))?;
            for (time, value) in fetched.iter().flat_map(Fetched::points) {
                // An interval that the finer archive has only a part of is not told twice.
                let is_covered = time.saturating_add(step.into()) > covered_from;
                let is_told = is_covered && !self.every_archive;
                if !is_told && (from..until).contains(&time) {
                    points.entry((std::cmp::Reverse(step), time)).or_insert(value);
                }
            }
            covered_from = floor_to(begin, step) + i64::from(step);
        }
        Ok(())
    }
}
