//! `plumbago whisper find-corrupt`, `find-corrupt-whisper-files.py`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ::whisper::{Error, Header, HeaderError, Whisper};
use serde_json::json;

use super::text;
use crate::commands::carbonate::Walk;
use crate::invocation::{Context, EXIT_PARTIAL, Failure, Run};

#[derive(clap::Args)]
pub(crate) struct FindCorrupt {
    /// Folders with Whisper files.
    #[arg(required = true)]
    directories: Vec<PathBuf>,
    /// Delete files without a header. Those that are only cut short or have odd archives still
    /// hold points: they are left alone, and not named.
    #[arg(long)]
    delete_corrupt: bool,
    /// Name the folders and the sound files too.
    #[arg(long)]
    verbose: bool,
}

impl Run for FindCorrupt {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut corrupt = false;
        for directory in &self.directories {
            let root =
                fs::canonicalize(directory).map_err(|error| Failure::of(directory, &error))?;
            let mut walk =
                Walk::new(&root, false).map_err(|error| Failure::of(directory, &error))?;
            while let Some(folder) = walk.next_folder() {
                let name = text::name(&folder.path);
                if self.verbose && !context.json {
                    writeln!(context.out, "Scanning {name}…")?;
                }
                let paths = folder.found.unwrap_or_else(|error| {
                    context.skip(&name, &error);
                    Vec::new()
                });
                for path in paths {
                    corrupt |= !self.look_at(context, &path)?;
                }
            }
        }
        // The script ends with 0 whatever it finds.
        if corrupt && !context.classic { Err(Failure::silent(EXIT_PARTIAL)) } else { Ok(()) }
    }
}

impl FindCorrupt {
    /// Whether the file is sound.
    fn look_at(&self, context: &mut Context<'_>, path: &Path) -> Result<bool, Failure> {
        let name = text::name(path);
        let error = match File::open(path).map_err(Error::from).and_then(Whisper::open) {
            Ok(file) => {
                let points = points(file.header());
                if self.verbose && context.json {
                    let line = json!({"path": name, "ok": true, "points": points});
                    writeln!(context.out, "{line}")?;
                } else if self.verbose {
                    writeln!(context.out, "{name}: {points} points")?;
                }
                return Ok(true);
            }
            Err(Error::Corrupt(error)) => error,
            Err(error) => {
                context.skip(&name, &error);
                return Ok(false);
            }
        };
        let delete = self.delete_corrupt && has_no_header(&error);
        if context.json {
            let error = error.to_string();
            let line = json!({"path": name, "ok": false, "error": error, "deleted": delete});
            writeln!(context.out, "{line}")?;
        } else if delete {
            context.say_plainly(&format!("Deleting corrupt Whisper file: {name}"));
        } else if !self.delete_corrupt {
            context.say_plainly(&format!("Corrupt Whisper file: {name}"));
        }
        if delete && let Err(error) = fs::remove_file(path) {
            context.skip(&name, &error);
        }
        Ok(false)
    }
}

fn points(header: &Header) -> u64 {
    header.archives.iter().map(|archive| u64::from(archive.points)).sum()
}

/// Whether nothing in the file can be read as points. What is cut short, or has archives that this
/// program does not write, may hold points that another one reads.
fn has_no_header(error: &HeaderError) -> bool {
    matches!(
        error,
        HeaderError::Short { .. } | HeaderError::Method { .. } | HeaderError::XFilesFactor { .. }
    )
}
