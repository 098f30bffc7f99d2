//! The commands that only read.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use ::whisper::{Archive, ArchiveDiff, Fetched, Header, Report, Storage};
use serde_json::{Value, json};

use super::{Context, EXIT_DIFFERENT, EXIT_TROUBLE, Failure, complain, open, text};

/// How far back `fetch` looks unless told.
const FETCH_SECONDS: i64 = 86_400;
/// Slots that `dump` reads at a time.
const DUMP_POINTS: u32 = 8 * 1024;

#[derive(clap::Args)]
pub(super) struct Fetch {
    /// The file to read.
    pub(super) path: PathBuf,
    /// Start of the window, itself excluded (default: a day ago).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the window (default: now).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// The archive with this step, such as 60 or 60s (default: the finest that reaches back).
    #[arg(long, value_name = "STEP")]
    archive: Option<String>,
}

impl Fetch {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usage = |error: &dyn std::fmt::Display| Failure::usage(&self.path, error);
        let now = context.now.truncate();
        let time = |text: &Option<String>, default: i64| {
            text.as_deref().map_or(Ok(default), text::time).map_err(|error| usage(&error))
        };
        let (from, until) = (time(&self.from, now - FETCH_SECONDS)?, time(&self.until, now)?);
        let archive = self.archive.as_deref().map(::whisper::parse_step).transpose();
        let archive = archive.map_err(|error| usage(&error))?;
        let fetched = open(&self.path)?
            .fetch(from, until, context.now, archive)
            .map_err(|error| Failure::of(&self.path, &error))?;
        match fetched {
            None => writeln!(context.out, "null")?,
            Some(fetched) if context.json => fetched_json(context.out, &fetched)?,
            Some(fetched) => {
                let window = fetched.window();
                for (index, value) in (0..).zip(fetched.values()) {
                    let value = value.map_or_else(|| "None".to_owned(), text::decimals);
                    writeln!(context.out, "{}\t{value}", window.interval(index))?;
                }
            }
        }
        Ok(())
    }
}

/// Writes values as they come: a window may hold millions.
fn fetched_json(out: &mut dyn Write, fetched: &Fetched) -> io::Result<()> {
    let Fetched { start, end, step, .. } = fetched;
    write!(out, "{{\"start\":{start},\"end\":{end},\"step\":{step},\"values\":[")?;
    for (index, value) in fetched.values().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{}", text::json(value))?;
    }
    writeln!(out, "]}}")
}

#[derive(clap::Args)]
pub(super) struct Info {
    /// The file to read.
    pub(super) path: PathBuf,
}

impl Info {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let file = open(&self.path)?;
        let size = file.storage().size().map_err(|error| Failure::of(&self.path, &error))?;
        if context.json {
            let mut info = header_json(file.header());
            info["fileSize"] = size.into();
            writeln!(context.out, "{info:#}")?;
            return Ok(());
        }
        let header = file.header();
        writeln!(context.out, "aggregationMethod: {}", header.method)?;
        writeln!(context.out, "maxRetention: {}", header.max_retention)?;
        let factor = text::shortest(f64::from(header.x_files_factor));
        writeln!(context.out, "xFilesFactor: {factor}\nfileSize: {size}\n")?;
        for (index, archive) in header.archives.iter().enumerate() {
            writeln!(context.out, "Archive {index}")?;
            for (name, number) in archive_fields(archive) {
                writeln!(context.out, "{name}: {number}")?;
            }
            writeln!(context.out)?;
        }
        Ok(())
    }
}

fn header_json(header: &Header) -> Value {
    let archives: Vec<Value> = header.archives.iter().map(archive_json).collect();
    json!({
        "aggregationMethod": header.method.name(),
        "maxRetention": header.max_retention,
        "xFilesFactor": f64::from(header.x_files_factor),
        "archives": archives,
    })
}

fn archive_json(archive: &Archive) -> Value {
    archive_fields(archive)
        .into_iter()
        .map(|(name, number)| (name.to_owned(), json!(number)))
        .collect()
}

fn archive_fields(archive: &Archive) -> [(&'static str, i64); 5] {
    [
        ("offset", archive.offset.into()),
        ("secondsPerPoint", archive.seconds_per_point.into()),
        ("points", archive.points.into()),
        ("retention", archive.retention()),
        ("size", i64::try_from(archive.size()).unwrap_or(i64::MAX)),
    ]
}

#[derive(clap::Args)]
pub(super) struct Dump {
    /// The file to read.
    pub(super) path: PathBuf,
}

impl Dump {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let file = open(&self.path)?;
        if context.json {
            // One line for the header, then one a slot that was ever written.
            writeln!(context.out, "{}", header_json(file.header()))?;
        } else {
            dump_header(context.out, file.header())?;
        }
        for index in 0..file.header().archives.len() {
            self.archive(context, &file, index)?;
        }
        Ok(())
    }

    fn archive(
        &self,
        context: &mut Context<'_>,
        file: &::whisper::Whisper<File>,
        index: usize,
    ) -> Result<(), Failure> {
        let points = file.header().archives[index].points;
        if !context.json {
            writeln!(context.out, "Archive {index} data:")?;
        }
        for first in (0..points).step_by(DUMP_POINTS as usize) {
            let slots = file.slots(index, first, DUMP_POINTS.min(points - first));
            let slots = slots.map_err(|error| Failure::of(&self.path, &error))?;
            for (slot, point) in (first..).zip(slots) {
                let (interval, value) = (point.interval, point.value);
                if !context.json {
                    let value = text::dump_digits(value);
                    writeln!(context.out, "{slot}: {interval}, {value:>10}")?;
                } else if interval != 0 {
                    let value = text::json(Some(value));
                    let line = json!({"archive": index, "slot": slot, "timestamp": interval, "value": value});
                    writeln!(context.out, "{line}")?;
                }
            }
        }
        Ok(())
    }
}

fn dump_header(out: &mut dyn Write, header: &Header) -> io::Result<()> {
    writeln!(out, "Meta data:\n  aggregation method: {}", header.method)?;
    writeln!(out, "  max retention: {}", header.max_retention)?;
    writeln!(out, "  xFilesFactor: {}\n", header.x_files_factor)?;
    for (index, archive) in header.archives.iter().enumerate() {
        writeln!(out, "Archive {index} info:")?;
        for (name, number) in archive_fields(archive) {
            let name = if name == "secondsPerPoint" { "seconds per point" } else { name };
            writeln!(out, "  {name}: {number}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[derive(clap::Args)]
pub(super) struct Check {
    /// The files to look at.
    #[arg(required = true)]
    pub(super) paths: Vec<PathBuf>,
}

impl Check {
    /// A bad file is named and the next one looked at.
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut sound = true;
        for path in &self.paths {
            let name = text::name(path);
            let checked =
                File::open(path).map_err(::whisper::Error::from).and_then(::whisper::check);
            match checked {
                Ok(report) if context.json => {
                    writeln!(context.out, "{}", report_json(&name, &report))?;
                }
                Ok(report) if report.is_clean() => writeln!(context.out, "{name}: ok")?,
                Ok(report) => write_report(context.out, &name, &report)?,
                Err(error) => {
                    sound = false;
                    if context.json {
                        let line = json!({"path": name, "ok": false, "error": error.to_string()});
                        writeln!(context.out, "{line}")?;
                    }
                    complain(&format!("{name}: {error}"));
                }
            }
        }
        if sound { Ok(()) } else { Err(Failure::silent(EXIT_TROUBLE)) }
    }
}

fn report_json(name: &str, report: &Report) -> Value {
    let archives: Vec<Value> = report
        .archives
        .iter()
        .map(|archive| {
            json!({
                "used": archive.used,
                "unaligned": archive.unaligned,
                "misplaced": archive.misplaced,
                "newest": archive.newest,
            })
        })
        .collect();
    json!({"path": name, "ok": true, "trailingBytes": report.trailing_bytes, "archives": archives})
}

/// What is odd about a file that can be used.
fn write_report(out: &mut dyn Write, name: &str, report: &Report) -> io::Result<()> {
    if report.trailing_bytes > 0 {
        writeln!(out, "{name}: ok, but {} bytes follow the last archive", report.trailing_bytes)?;
    }
    for (index, archive) in report.archives.iter().enumerate() {
        let (unaligned, misplaced) = (archive.unaligned, archive.misplaced);
        if unaligned + misplaced > 0 {
            let odd = format!("{unaligned} unaligned and {misplaced} misplaced points");
            writeln!(out, "{name}: ok, but archive {index} has {odd}")?;
        }
    }
    Ok(())
}

#[derive(clap::Args)]
pub(super) struct Diff {
    /// The first file.
    pub(super) a: PathBuf,
    /// The second file.
    b: PathBuf,
    /// Compare only where both files have a value.
    #[arg(long)]
    ignore_empty: bool,
}

impl Diff {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (a, b) = (open(&self.a)?, open(&self.b)?);
        let diffs = ::whisper::diff(&a, &b, self.ignore_empty, context.now)
            .map_err(|error| Failure::of_both(&self.a, &self.b, &error))?;
        if context.json {
            let archives: Vec<Value> = diffs.iter().enumerate().map(diff_json).collect();
            let [path_a, path_b] = [&self.a, &self.b].map(|path| path.to_string_lossy());
            let whole = json!({"path_a": path_a, "path_b": path_b, "archives": archives});
            writeln!(context.out, "{whole:#}")?;
        } else {
            write_diffs(context.out, &diffs)?;
        }
        if diffs.iter().all(|archive| archive.differences.is_empty()) {
            return Ok(());
        }
        Err(Failure::silent(EXIT_DIFFERENT))
    }
}

fn diff_json((index, archive): (usize, &ArchiveDiff)) -> Value {
    let points = archive.differences.iter().map(|point| {
        let (a, b) = (text::json(point.a), text::json(point.b));
        json!({"timestamp": point.interval, "value_a": a, "value_b": b})
    });
    let points: Vec<Value> = points.collect();
    json!({"archive": index, "total": archive.total, "points": points.len(), "datapoint": points})
}

fn write_diffs(out: &mut dyn Write, diffs: &[ArchiveDiff]) -> io::Result<()> {
    let columns =
        |archive| format!("{archive:>7} {:>11} {:>13} {:>13}", "timestamp", "value_a", "value_b");
    let side = |value: Option<f64>| value.map_or_else(|| "None".to_owned(), text::shortest);
    writeln!(out, "{}", columns("archive"))?;
    for (index, archive) in diffs.iter().enumerate() {
        let (differing, total) = (archive.differences.len(), archive.total);
        writeln!(out, "Archive {index} ({differing} of {total} datapoints differ)")?;
        writeln!(out, "{}", columns(""))?;
        for point in &archive.differences {
            let (a, b) = (side(point.a), side(point.b));
            writeln!(out, "{:>7} {:>11} {a:>13} {b:>13}", "", point.interval)?;
        }
    }
    Ok(())
}
