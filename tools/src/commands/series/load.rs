//! `plumbago series load`: points of a table, sent as any others, or made into files that the nodes merge.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::tabled::Tabled;
use crate::commands::give::Giver;
use crate::commands::send::Sender;
use crate::invocation::{Context, EXIT_FAILED, Failure, Run};
use crate::nodes::NodesArgs;
use crate::table::{self, Row};

#[derive(clap::Args)]
pub(crate) struct LoadPoints {
    /// Send the points as lines to this carbon listener of a relay or node, as new ones: what is older than the finest archive
    /// goes into coarser ones.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "cluster")]
    to: Option<String>,
    /// How long to wait for the receiver, to take points and to confirm them.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    wait: u64,
    /// Instead, give the nodes of this cluster file each point for the archive that the table says; points that are there
    /// stay.
    #[arg(long, value_name = "FILE", conflicts_with = "to", requires = "schemas")]
    cluster: Option<PathBuf>,
    /// The nodes' storage-schemas.conf.
    #[arg(long, value_name = "FILE")]
    schemas: Option<PathBuf>,
    /// The nodes' storage-aggregation.conf.
    #[arg(long, value_name = "FILE")]
    aggregation: Option<PathBuf>,
    /// Give them to the nodes; without it, only what would be given is printed.
    #[arg(long)]
    yes: bool,
    /// The tables, Parquet if called `.parquet`, else CSV whose first line names the columns.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Run for LoadPoints {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match (&self.to, &self.cluster) {
            (Some(to), _) => self.send(context, to),
            (None, Some(cluster)) => self.give(context, cluster.clone()),
            (None, None) => Err(Failure::new("where to: give --to or --cluster")),
        }
    }
}

impl LoadPoints {
    fn send(&self, context: &mut Context<'_>, to: &str) -> Result<(), Failure> {
        let mut sender = Sender::new(context, to, Duration::from_secs(self.wait))?;
        let skipped = self.each_row(context, &mut |_context, row| {
            let added = check_time(row.time)
                .and_then(|()| sender.add(row.metric.as_bytes(), row.value, row.time));
            sender.flush_if_full()?;
            Ok(added)
        })?;
        let (sent, _) = sender.confirm()?;
        if context.json {
            writeln!(context.out, "{}", json!({"sent": sent, "skipped": skipped}))?;
        } else {
            context.say(&format!(
                "{sent} points sent to {to}, the receiver keeps them; {skipped} rows left out"
            ));
        }
        Ok(())
    }

    fn give(&self, context: &mut Context<'_>, cluster: PathBuf) -> Result<(), Failure> {
        let nodes = NodesArgs::of(&cluster, Vec::new()).load()?;
        let schemas = self.schemas.as_deref().unwrap_or(&cluster);
        let mut tabled = Tabled::new(schemas, self.aggregation.as_deref(), context.now)?;
        let mut giver = Giver::new(&nodes, self.yes);
        let skipped = self.each_row(context, &mut |context, row| {
            if let Some((name, file)) = tabled.finish_before(&row)? {
                giver.add(context, &name, &file)?;
            }
            Ok(check_time(row.time).and_then(|()| tabled.add(row)))
        })?;
        if let Some((name, file)) = tabled.finish()? {
            giver.add(context, &name, &file)?;
        }
        if skipped > 0 && !context.json {
            context.say(&format!("{skipped} rows left out"));
        }
        giver.end(context)
    }

    /// Calls `each` with all rows of all tables; what is wrong with a row or a table is named. Returns how many rows were
    /// left out.
    fn each_row(&self, context: &mut Context<'_>, each: EachRow<'_>) -> Result<u64, Failure> {
        let mut skipped = 0;
        for path in &self.files {
            let mut broken = None;
            let read = table::read(path, &mut |place, row| {
                let done = match row {
                    Ok(row) => each(context, row).map_err(|failure| {
                        broken = Some(failure);
                        Failure::silent(EXIT_FAILED)
                    })?,
                    Err(why) => Err(why),
                };
                if let Err(why) = done {
                    skipped += 1;
                    context.skip(place, &why);
                }
                Ok(())
            });
            if let Some(failure) = broken {
                return Err(failure);
            }
            // The other tables may be sound.
            if let Err(Failure { message: Some(message), .. }) = read {
                context.skip("table", &message);
            }
        }
        Ok(skipped)
    }
}

/// What is done with a row, or why it is left out.
type EachRow<'a> = &'a mut dyn FnMut(&mut Context<'_>, Row) -> Result<Result<(), String>, Failure>;

/// Refuses times that no file has room for; a negative one would also mean now to some.
fn check_time(time: i64) -> Result<(), String> {
    match u32::try_from(time) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("time {time} is not between 1970 and 2106")),
    }
}
