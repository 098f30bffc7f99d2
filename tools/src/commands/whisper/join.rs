//! The commands that bring one file's points into another.

use std::fs::File;
use std::path::{Path, PathBuf};

use ::whisper::{Error, HealError, Healed, Like, LikeCarbonate};
use serde_json::json;

use super::{open, open_to_write, text};
use crate::invocation::{Context, Failure, Run};

#[derive(clap::Args)]
pub(crate) struct Merge {
    /// The file to read.
    src: PathBuf,
    /// The file to change.
    dst: PathBuf,
    /// Start of the time to merge.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the time to merge.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

impl Run for Merge {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usage = |error: String| Failure::usage(&self.dst, &error);
        let from = self.from.as_deref().map(text::time).transpose().map_err(usage)?;
        let until = self.until.as_deref().map(text::time).transpose().map_err(usage)?;
        let (src, mut dst) = (open(&self.src)?, open_to_write(&self.dst)?);
        ::whisper::merge(&src, &mut dst, from, until, context.now)
            .map_err(|error| Failure::of_both(&self.src, &self.dst, &error))
    }
}

#[derive(clap::Args)]
pub(crate) struct Fill {
    /// The file to read.
    src: PathBuf,
    /// The file to change.
    dst: PathBuf,
    /// The oldest time to fill.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Take every point, also over points that are there.
    #[arg(short, long)]
    overwrite: bool,
    /// Lock both files (flock) meanwhile, as carbon does with WHISPER_LOCK_WRITES.
    #[arg(short, long)]
    lock: bool,
    /// Do exactly what this program does, instead of never touching a point that is there.
    #[arg(long, value_name = "PROGRAM")]
    like: Option<Program>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Program {
    /// Write over zeros and the first point behind each hole.
    Carbonate,
    /// The same, and leave holes of one point open; takes no other flags.
    WhisperFill,
}

impl Run for Fill {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usage = |error: String| Failure::usage(&self.dst, &error);
        let from = self.from.as_deref().map(text::time).transpose().map_err(usage)?;
        let overwrite = self.overwrite;
        let like = match self.like {
            Some(Program::WhisperFill) if overwrite || from.is_some() => {
                return Err(usage("whisper-fill takes neither --from nor --overwrite".to_owned()));
            }
            Some(Program::WhisperFill) => Some(Like::WhisperFill),
            Some(Program::Carbonate) => Some(Like::Carbonate(LikeCarbonate { from, overwrite })),
            // carbonate's fill without its faults, and all of it where it is to overwrite.
            None if context.classic && overwrite => {
                Some(Like::Carbonate(LikeCarbonate { from, overwrite }))
            }
            None => None,
        };
        let (src, mut dst) = (open(&self.src)?, open_to_write(&self.dst)?);
        let alike = src.header().archives == dst.header().archives;
        if context.classic && self.like.is_none() && !alike {
            return Err(Failure::of_both(&self.src, &self.dst, &Error::Unlike));
        }
        if self.lock {
            src.storage().lock_shared().map_err(|error| Failure::of(&self.src, &error))?;
            dst.storage().lock().map_err(|error| Failure::of(&self.dst, &error))?;
        }
        let filled = match like {
            Some(like) => ::whisper::fill_like(&src, &mut dst, like, context.now),
            None => {
                let options = ::whisper::Fill { from, overwrite };
                ::whisper::fill(&src, &mut dst, options, context.now)
            }
        };
        filled.map_err(|error| Failure::of_both(&self.src, &self.dst, &error))
    }
}

#[derive(clap::Args)]
pub(crate) struct Heal {
    /// The sound replica.
    src: PathBuf,
    /// The file to heal; kept as DST.corrupt if it is corrupt.
    dst: PathBuf,
    /// Take every point, also over points that are there.
    #[arg(long)]
    overwrite: bool,
}

impl Run for Heal {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let done = make_good(context, &self.src, &self.dst, self.overwrite, false)?;
        self.tell(context, done)
    }
}

/// Fills a file from its replica, or puts that in the place of a missing or corrupt one; returns which of it was done.
pub(crate) fn make_good(
    context: &mut Context<'_>,
    src: &Path,
    dst: &Path,
    overwrite: bool,
    lock: bool,
) -> Result<&'static str, Failure> {
    // Kept to the end; a file that is not there needs none.
    let locked = lock.then(|| File::open(dst).ok()).flatten();
    if let Some(file) = &locked {
        file.lock().map_err(|error| Failure::of(dst, &error))?;
    }
    if overwrite && let Ok(mut file) = open_to_write(dst) {
        let like = Like::Carbonate(LikeCarbonate { from: None, overwrite: true });
        ::whisper::fill_like(&open(src)?, &mut file, like, context.now)
            .map_err(|error| Failure::of_both(src, dst, &error))?;
        return Ok("filled");
    }
    let healed =
        ::whisper::heal(src, dst, overwrite, context.now).map_err(|error| match &error {
            HealError::Source(_) => Failure::of(src, &error),
            _ => Failure::of(dst, &error),
        })?;
    Ok(match healed {
        Healed::Filled => "filled",
        Healed::Copied => "copied",
        Healed::Replaced => {
            let dst = dst.display();
            context.say(&format!("{dst}: was corrupt, is kept as {dst}.corrupt"));
            "replaced"
        }
    })
}

impl Heal {
    fn tell(&self, context: &mut Context<'_>, done: &str) -> Result<(), Failure> {
        if context.json {
            let name = text::name(&self.dst);
            writeln!(context.out, "{}", json!({"path": name, "healed": done}))?;
        }
        Ok(())
    }
}
