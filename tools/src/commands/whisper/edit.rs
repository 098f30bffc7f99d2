//! The commands that change one file.

use std::fs;
use std::io::{self, BufRead};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use ::whisper::{Allocation, OnExisting, Spec};
use serde_json::json;

use super::{open, open_to_write, text};
use crate::invocation::{Context, Failure, Run};

/// What file systems hand out at once.
const BLOCK_BYTES: u64 = 4_096;
/// The unit in which the system counts a file's room.
const COUNTED_BLOCK_BYTES: u64 = 512;
/// Numbers of files, in thousands, that `create --estimate` shows.
const ESTIMATE_THOUSANDS: [u64; 6] = [1, 5, 10, 50, 100, 500];

#[derive(clap::Args)]
pub(crate) struct Create {
    /// The file to create; with --estimate the first archive.
    path: PathBuf,
    /// Archives such as 60s:1d or 1m:1440; a comma list will do.
    #[arg(required_unless_present = "estimate")]
    retentions: Vec<String>,
    /// The share of finer points a coarser one needs (default 0.5).
    #[arg(long, alias = "xFilesFactor", allow_hyphen_values = true)]
    xff: Option<String>,
    /// How points are aggregated (default average).
    #[arg(long, alias = "aggregationMethod")]
    method: Option<String>,
    /// Replace a file that is there.
    #[arg(long)]
    overwrite: bool,
    /// Create nothing, tell how much room files with these archives take.
    #[arg(long)]
    estimate: bool,
    /// Take blocks from the disk as they are written (the default).
    #[arg(long)]
    sparse: bool,
    /// Take all blocks from the disk at once.
    #[arg(long)]
    fallocate: bool,
}

impl Run for Create {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let spec = self.spec().map_err(|error| Failure::usage(&self.path, &error))?;
        if self.estimate {
            return self.estimate(context, &spec);
        }
        let existing = if self.overwrite { OnExisting::Replace } else { OnExisting::Refuse };
        let name = text::name(&self.path);
        let replaces = self.path.exists();
        let size = spec.header().and_then(|header| {
            ::whisper::create(&self.path, &spec, existing)?;
            Ok(header.file_bytes())
        });
        let size = size.map_err(|error| Failure::of(&self.path, &error))?;
        if context.json {
            writeln!(context.out, "{}", json!({"path": name, "size": size}))?;
            return Ok(());
        }
        if replaces {
            writeln!(context.out, "Overwriting existing file: {name}")?;
        }
        writeln!(context.out, "Created: {name} ({size} bytes)")?;
        Ok(())
    }
}

impl Create {
    fn spec(&self) -> Result<Spec, String> {
        let mut archives = self.retentions.clone();
        if self.estimate {
            archives.insert(0, self.path.to_string_lossy().into_owned());
        }
        let mut spec = Spec::new(text::retentions(&archives)?);
        if let Some(factor) = &self.xff {
            spec.x_files_factor = text::factor(factor)?;
        }
        if let Some(method) = &self.method {
            spec.method = text::method(method)?;
        }
        if self.fallocate && !self.sparse {
            spec.allocation = Allocation::Reserved;
        }
        Ok(spec)
    }

    fn estimate(&self, context: &mut Context<'_>, spec: &Spec) -> Result<(), Failure> {
        // The script tells a size for archives that no file can have, too.
        if !context.classic {
            spec.header().map_err(|error| Failure::of(&self.path, &error))?;
        }
        let size = spec.file_bytes();
        let on_disk = size.next_multiple_of(BLOCK_BYTES);
        if context.json {
            writeln!(context.out, "{}", json!({"size": size, "sizeOnDisk": on_disk}))?;
            return Ok(());
        }
        for (index, archive) in spec.archives.iter().enumerate() {
            let (points, step) = (archive.points, archive.seconds_per_point);
            writeln!(context.out, "Archive {index}: {points} points of {step}s precision")?;
        }
        let room = text::byte_size(size);
        writeln!(
            context.out,
            "\nEstimated Whisper DB Size: {room} ({on_disk} bytes on disk with 4k blocks)\n"
        )?;
        for thousands in ESTIMATE_THOUSANDS {
            let room = text::byte_size(on_disk.saturating_mul(thousands * 1_000));
            writeln!(
                context.out,
                "Estimated storage requirement for {thousands}k metrics: {room}"
            )?;
        }
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct Update {
    /// The file to write to.
    path: PathBuf,
    /// Points, each TIME:VALUE; the time N is now. Called whisper-update.py without any, it reads
    /// them from standard input, one a line.
    points: Vec<String>,
    /// Take exactly one point, and refuse one in the future or older than every archive.
    #[arg(long)]
    strict: bool,
}

impl Run for Update {
    fn run(mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        if context.classic && self.points.is_empty() {
            self.points = standard_input_lines()?;
        }
        let usage = |error: String| Failure::usage(&self.path, &error);
        let points = self.points.iter().map(|point| text::point(point, context.now));
        let points = points.collect::<Result<Vec<_>, _>>().map_err(usage)?;
        if self.strict && points.len() != 1 {
            return Err(usage("--strict takes exactly one point".to_owned()));
        }
        if points.is_empty() {
            return open(&self.path).map(|_sound| ());
        }
        let mut file = open_to_write(&self.path)?;
        // whisper-update.py takes another way with a single point than with several.
        let done = if self.strict || context.classic && points.len() == 1 {
            let (timestamp, value) = points[0];
            file.update(timestamp, value, context.now)
        } else {
            file.update_many_as_python(&points, context.now)
        };
        done.map_err(|error| Failure::of(&self.path, &error))
    }
}

/// The lines of standard input that hold anything.
fn standard_input_lines() -> Result<Vec<String>, Failure> {
    let lines = io::stdin().lock().lines().collect::<io::Result<Vec<_>>>();
    let mut lines = lines.map_err(|error| Failure::new(format!("standard input: {error}")))?;
    lines.retain(|line| !line.trim().is_empty());
    Ok(lines)
}

#[derive(clap::Args)]
pub(crate) struct Resize {
    /// The file to change.
    path: PathBuf,
    /// The new archives; a comma list will do.
    #[arg(required = true)]
    retentions: Vec<String>,
    /// A new xFilesFactor (default: the old one).
    #[arg(long, alias = "xFilesFactor", allow_hyphen_values = true)]
    xff: Option<String>,
    /// A new aggregation method (default: the old one).
    #[arg(long, alias = "aggregationMethod")]
    method: Option<String>,
    /// Aggregate old points to the new steps.
    #[arg(long)]
    aggregate: bool,
    /// Keep no PATH.bak.
    #[arg(long)]
    nobackup: bool,
    /// Leave PATH as it is and put the result here, where no file may be.
    #[arg(long, value_name = "FILE")]
    newfile: Option<PathBuf>,
    /// The owner of the new file, given together with a group.
    #[arg(long, value_name = "UID", requires = "chown_gid")]
    chown_uid: Option<u32>,
    /// The group of the new file, given together with an owner.
    #[arg(long, value_name = "GID", requires = "chown_uid")]
    chown_gid: Option<u32>,
    #[command(flatten)]
    script: ScriptFlags,
}

/// Flags of whisper-resize.py that change no result here.
#[derive(clap::Args)]
struct ScriptFlags {
    /// Accepted.
    #[arg(long = "force", hide = true)]
    _force: bool,
    /// Accepted: files are sparse.
    #[arg(long = "sparse", hide = true)]
    _sparse: bool,
    /// Accepted: files are sparse.
    #[arg(long = "fallocate", hide = true)]
    _fallocate: bool,
    /// Accepted: only the sizes before and after are printed.
    #[arg(long = "quiet", hide = true)]
    _quiet: bool,
    /// Called whisper-resize.py, print nothing.
    #[arg(long)]
    silent: bool,
}

impl Run for Resize {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let options = self.options().map_err(|error| Failure::usage(&self.path, &error))?;
        let told = context.classic && !self.script.silent;
        let before = size_line("Old", &self.path)?;
        let now = context.now.truncate();
        let target = match &self.newfile {
            None => {
                ::whisper::resize(&self.path, &options, now)
                    .map_err(|error| Failure::of(&self.path, &error))?;
                &self.path
            }
            Some(newfile) => {
                resize_copy(&self.path, newfile, &options, now)?;
                newfile
            }
        };
        chown(target, self.chown_uid, self.chown_gid)
            .map_err(|error| Failure::of(target, &error))?;
        if told {
            writeln!(context.out, "{before}\n{}", size_line("New", target)?)?;
        }
        Ok(())
    }
}

impl Resize {
    fn options(&self) -> Result<::whisper::Resize, String> {
        Ok(::whisper::Resize {
            archives: text::retentions(&self.retentions)?,
            x_files_factor: self.xff.as_deref().map(text::factor).transpose()?,
            method: self.method.as_deref().map(text::method).transpose()?,
            aggregate: self.aggregate,
            backup: !self.nobackup && self.newfile.is_none(),
        })
    }
}

/// Resizes a copy; where that fails no copy is left.
fn resize_copy(
    path: &Path,
    newfile: &Path,
    options: &::whisper::Resize,
    now: i64,
) -> Result<(), Failure> {
    let mut source = fs::File::open(path).map_err(|error| Failure::of(path, &error))?;
    let mut copy = fs::File::create_new(newfile).map_err(|error| Failure::of(newfile, &error))?;
    let done = io::copy(&mut source, &mut copy).map_err(::whisper::Error::from);
    let done = done.and_then(|_bytes| ::whisper::resize(newfile, options, now));
    done.map_err(|error| {
        // The first failure is the one to tell.
        drop(fs::remove_file(newfile));
        Failure::of(path, &error)
    })
}

/// How large a file is, and how much room it takes.
fn size_line(which: &str, path: &Path) -> Result<String, Failure> {
    let file = fs::metadata(path).map_err(|error| Failure::of(path, &error))?;
    let (name, size, blocks) = (text::name(path), file.len(), file.blocks());
    let room = blocks * COUNTED_BLOCK_BYTES;
    Ok(format!(
        "{which} file: {name} ({size} bytes, {blocks} blocks*{COUNTED_BLOCK_BYTES}={room} bytes on disk)"
    ))
}
