//! `plumbago stale`, `carbon-stale`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::json;
use whisper::{Error, Now, Whisper};

use super::files::{self, Tree};
use super::names::{NameList, lossy};
use crate::invocation::{Context, Failure, Run};

const SECONDS_PER_HOUR: i64 = 3_600;
const NANOSECONDS_PER_SECOND: f64 = 1e9;

#[derive(clap::Args)]
pub(crate) struct Stale {
    #[command(flatten)]
    names: NameList,
    #[command(flatten)]
    tree: Tree,
    /// Print the names that are not stale.
    #[arg(short, long)]
    reverse: bool,
    /// How long a series may be without points.
    #[arg(short, long, value_name = "HOURS", default_value_t = 24, allow_negative_numbers = true)]
    limit: i64,
    /// Look at the points up to so long ago; other than 0 it implies --whisper.
    #[arg(short, long, value_name = "HOURS", default_value_t = 0, allow_negative_numbers = true)]
    offset: i64,
    /// Look at the points in the file, not at the time it was last written.
    #[arg(short, long)]
    whisper: bool,
    /// Print paths instead of names.
    #[arg(short, long)]
    paths: bool,
    #[command(flatten)]
    _cluster: super::cluster::ClusterArgs,
}

impl Run for Stale {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        self.names.for_each(|name| {
            let shown = || format!("{:?}", lossy(name));
            let path = match files::path_of(name) {
                Ok(path) => self.tree.dir.join(path),
                Err(error) => {
                    context.skip(&format!("name {}", shown()), &error);
                    return Ok(());
                }
            };
            match self.is_stale(&path, context.now) {
                Ok(stale) if stale == self.reverse => Ok(()),
                Ok(stale) => self.print(context, name, &path, stale),
                Err(error) => {
                    context.skip(&format!("{} of {}", path.display(), shown()), &error);
                    Ok(())
                }
            }
        })
    }
}

impl Stale {
    fn is_stale(&self, path: &Path, now: Now) -> Result<bool, Error> {
        if self.whisper || self.offset != 0 {
            self.has_no_points(path, now)
        } else {
            self.is_unwritten(path, now)
        }
    }

    /// Whether the window holds no point; one that the file does not reach holds none.
    fn has_no_points(&self, path: &Path, now: Now) -> Result<bool, Error> {
        let end = now.truncate().saturating_sub(seconds(self.offset));
        let start = end.saturating_sub(seconds(self.limit));
        let fetched = Whisper::open(File::open(path)?)?.fetch(start, end, now, None)?;
        Ok(fetched.is_none_or(|fetched| fetched.values().all(|value| value.is_none())))
    }

    fn is_unwritten(&self, path: &Path, now: Now) -> Result<bool, Error> {
        let file = fs::metadata(path)?;
        let written = file.mtime() as f64 + file.mtime_nsec() as f64 / NANOSECONDS_PER_SECOND;
        Ok(written < now.seconds() - seconds(self.limit) as f64)
    }

    fn print(
        &self,
        context: &mut Context<'_>,
        name: &[u8],
        path: &Path,
        stale: bool,
    ) -> Result<(), Failure> {
        if context.json {
            let path = path.to_string_lossy();
            let line = json!({"metric": lossy(name), "path": path, "stale": stale});
            writeln!(context.out, "{line}")?;
            return Ok(());
        }
        let item = if self.paths { files::bytes(path) } else { name };
        Ok(self.names.separator().print(context.out, item)?)
    }
}

fn seconds(hours: i64) -> i64 {
    hours.saturating_mul(SECONDS_PER_HOUR)
}
