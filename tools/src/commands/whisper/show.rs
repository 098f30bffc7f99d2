//! The commands that only read.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use ::whisper::{Archive, Fetched, Header, Point, Report, Storage};
use serde_json::{Value, json};

use super::time::TimeFormat;
use super::{open, text};
use crate::invocation::{Context, Failure, Run};

/// How far back `fetch` looks unless told.
const FETCH_SECONDS: i64 = 86_400;
/// Slots that `dump` reads at a time.
const DUMP_POINTS: u32 = 8 * 1024;

#[derive(clap::Args)]
pub(crate) struct Fetch {
    /// The file to read.
    path: PathBuf,
    /// Start of the window, itself excluded (default: a day ago).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the window (default: now).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// The archive with this step, such as 60 or 60s (default: the finest that reaches back).
    #[arg(long, value_name = "STEP")]
    archive: Option<String>,
    /// Leave out values of this kind.
    #[arg(long, value_name = "KIND")]
    drop: Option<Dropped>,
    #[command(flatten)]
    times: TimeFormat,
}

/// Values that can be left out.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Dropped {
    /// Slots without a value.
    Nulls,
    /// Zeros.
    Zeroes,
    /// Both.
    Empty,
}

impl Dropped {
    fn keeps(kind: Option<Self>, value: Option<f64>) -> bool {
        match kind {
            None => true,
            Some(Self::Nulls) => value.is_some(),
            Some(Self::Zeroes) => value != Some(0.0),
            Some(Self::Empty) => value.is_some_and(|value| value != 0.0),
        }
    }
}

impl Run for Fetch {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
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
            None if context.classic => {
                Err(Failure::of(&self.path, &"no data in the selected time range"))
            }
            None => Ok(writeln!(context.out, "null")?),
            Some(fetched) if context.json => Ok(fetched_json(context.out, &fetched, self.drop)?),
            Some(fetched) => self.print(context, &fetched),
        }
    }
}

impl Fetch {
    fn print(&self, context: &mut Context<'_>, fetched: &Fetched) -> Result<(), Failure> {
        let window = fetched.window();
        for (index, value) in (0..).zip(fetched.values()) {
            if !Dropped::keeps(self.drop, value) {
                continue;
            }
            let time = self.times.text(window.interval(index));
            let time = time.map_err(|error| Failure::usage(&self.path, &error))?;
            let value = value.map_or_else(|| "None".to_owned(), text::decimals);
            writeln!(context.out, "{time}\t{value}")?;
        }
        Ok(())
    }
}

/// Writes values as they come: a window may hold millions.
fn fetched_json(
    out: &mut dyn Write,
    fetched: &Fetched,
    dropped: Option<Dropped>,
) -> io::Result<()> {
    let Fetched { start, end, step, .. } = fetched;
    write!(out, "{{\"start\":{start},\"end\":{end},\"step\":{step},\"values\":[")?;
    let kept = fetched.values().filter(|&value| Dropped::keeps(dropped, value));
    for (index, value) in kept.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{}", text::json(value))?;
    }
    writeln!(out, "]}}")
}

#[derive(clap::Args)]
pub(crate) struct Info {
    /// The file to read.
    path: PathBuf,
    /// Print this field alone.
    field: Option<String>,
}

/// The fields of a header and of its file, as `info` names them.
const INFO_FIELDS: [&str; 5] =
    ["aggregationMethod", "maxRetention", "xFilesFactor", "archives", "fileSize"];

impl Run for Info {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let file = open(&self.path)?;
        let size = file.storage().size().map_err(|error| Failure::of(&self.path, &error))?;
        let header = file.header();
        if let Some(field) = &self.field {
            let value = field_text(header, size, field).ok_or_else(|| {
                let known = INFO_FIELDS.join(", ");
                Failure::of(
                    &self.path,
                    &format!("unknown field {field:?}, expected one of {known}"),
                )
            })?;
            writeln!(context.out, "{value}")?;
            return Ok(());
        }
        if context.json {
            let mut info = header_json(header);
            info["fileSize"] = size.into();
            writeln!(context.out, "{info:#}")?;
            return Ok(());
        }
        for field in INFO_FIELDS.iter().filter(|field| **field != "archives") {
            let value = field_text(header, size, field).unwrap_or_default();
            writeln!(context.out, "{field}: {value}")?;
        }
        writeln!(context.out)?;
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

/// One field as Python prints it, archives as a list of dictionaries.
fn field_text(header: &Header, size: u64, field: &str) -> Option<String> {
    Some(match field {
        "aggregationMethod" => header.method.to_string(),
        "maxRetention" => header.max_retention.to_string(),
        "xFilesFactor" => text::shortest(f64::from(header.x_files_factor)),
        "fileSize" => size.to_string(),
        "archives" => {
            let field = |(name, number)| format!("'{name}': {number}");
            let archive =
                |archive| format!("{{{}}}", archive_fields(archive).map(field).join(", "));
            let archives: Vec<String> = header.archives.iter().map(archive).collect();
            format!("[{}]", archives.join(", "))
        }
        _ => return None,
    })
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
pub(crate) struct Dump {
    /// The file to read.
    path: PathBuf,
    /// Print TIME:VALUE of every slot and nothing else, as `update` takes it.
    #[arg(short, long)]
    raw: bool,
    #[command(flatten)]
    times: TimeFormat,
}

impl Run for Dump {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let file = open(&self.path)?;
        if context.json {
            // One line for the header, then one a slot that was ever written.
            writeln!(context.out, "{}", header_json(file.header()))?;
        } else if !self.raw {
            dump_header(context.out, file.header())?;
        }
        for index in 0..file.header().archives.len() {
            if !context.json && !self.raw {
                writeln!(context.out, "Archive {index} data:")?;
            }
            self.archive(context, &file, index)?;
        }
        Ok(())
    }
}

impl Dump {
    fn archive(
        &self,
        context: &mut Context<'_>,
        file: &::whisper::Whisper<File>,
        index: usize,
    ) -> Result<(), Failure> {
        let points = file.header().archives[index].points;
        for first in (0..points).step_by(DUMP_POINTS as usize) {
            let slots = file.slots(index, first, DUMP_POINTS.min(points - first));
            let slots = slots.map_err(|error| Failure::of(&self.path, &error))?;
            for (slot, point) in (first..).zip(slots) {
                if context.json && point.interval != 0 {
                    let value = text::json(Some(point.value));
                    let line = json!({"archive": index, "slot": slot, "timestamp": point.interval, "value": value});
                    writeln!(context.out, "{line}")?;
                } else if !context.json {
                    writeln!(context.out, "{}", self.slot_text(slot, point)?)?;
                }
            }
        }
        Ok(())
    }

    fn slot_text(&self, slot: u32, point: Point) -> Result<String, Failure> {
        let value = text::dump_digits(point.value);
        if self.raw {
            return Ok(format!("{}:{value}", point.interval));
        }
        let time = self.times.text(point.interval.into());
        let time = time.map_err(|error| Failure::usage(&self.path, &error))?;
        Ok(format!("{slot}: {time}, {value:>10}"))
    }
}

fn dump_header(out: &mut dyn Write, header: &Header) -> io::Result<()> {
    writeln!(out, "Meta data:\n  aggregation method: {}", header.method)?;
    writeln!(out, "  max retention: {}", header.max_retention)?;
    let factor = text::short_digits(f64::from(header.x_files_factor));
    writeln!(out, "  xFilesFactor: {factor}\n")?;
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
pub(crate) struct Check {
    /// The files to look at.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl Run for Check {
    /// A bad file is named and the next one looked at.
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
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
                    if context.json {
                        let line = json!({"path": name, "ok": false, "error": error.to_string()});
                        writeln!(context.out, "{line}")?;
                    }
                    context.skip(&name, &error);
                }
            }
        }
        Ok(())
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
