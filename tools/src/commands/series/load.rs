//! `plumbago series load`: points of a table, sent as any others.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::commands::send::Sender;
use crate::invocation::{Context, EXIT_FAILED, Failure, Run};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct LoadPoints {
    /// Where to: the carbon line listener of a relay or node.
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// How long to wait for the receiver, to take points and to confirm them.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    wait: u64,
    /// The tables, Parquet if called `.parquet`, else CSV whose first line names the columns.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Run for LoadPoints {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut sender = Sender::new(context, &self.to, Duration::from_secs(self.wait))?;
        let mut skipped = 0_u64;
        for path in &self.files {
            let mut broken = None;
            let read = table::read(path, &mut |place, row| {
                let added = row.and_then(|row| {
                    check_time(row.time)?;
                    sender.add(row.metric.as_bytes(), row.value, row.time)
                });
                if let Err(why) = added {
                    skipped += 1;
                    context.skip(place, &why);
                }
                sender.flush_if_full().map_err(|failure| {
                    broken = Some(failure);
                    Failure::silent(EXIT_FAILED)
                })
            });
            if let Some(failure) = broken {
                return Err(failure);
            }
            // The other tables may be sound.
            if let Err(Failure { message: Some(message), .. }) = read {
                context.skip("table", &message);
            }
        }
        let (sent, _) = sender.confirm()?;
        if context.json {
            writeln!(context.out, "{}", json!({"sent": sent, "skipped": skipped}))?;
        } else {
            let to = &self.to;
            context.say(&format!(
                "{sent} points sent to {to}, the receiver keeps them; {skipped} rows left out"
            ));
        }
        Ok(())
    }
}

/// Refuses times that no file has room for; a negative one would also mean now to some.
fn check_time(time: i64) -> Result<(), String> {
    match u32::try_from(time) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("time {time} is not between 1970 and 2106")),
    }
}
