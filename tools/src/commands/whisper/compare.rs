//! `plumbago whisper diff`, `whisper-diff.py`.

use std::io::{self, Write};
use std::path::PathBuf;

use ::whisper::{ArchiveDiff, Difference};
use serde_json::{Value, json};

use super::{open, text};
use crate::invocation::{Context, EXIT_FAILED, Failure, Run};

/// Exit code for files that differ.
const EXIT_DIFFERENT: u8 = 1;
/// Exit code where files cannot be compared, since 1 means "they differ".
const EXIT_TROUBLE: u8 = 2;

#[derive(clap::Args)]
pub(crate) struct Diff {
    /// The first file.
    a: PathBuf,
    /// The second file.
    b: PathBuf,
    /// Compare only where both files have a value.
    #[arg(long)]
    ignore_empty: bool,
    /// End of the time to compare (default: now).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Print how many points differ, not which.
    #[arg(long)]
    summary: bool,
    /// Print plain columns.
    #[arg(long)]
    columns: bool,
    /// Print no titles of columns.
    #[arg(long)]
    no_headers: bool,
}

impl Run for Diff {
    /// The script ends with 0 also where files differ.
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let equal = self.compare(context).map_err(|failure| match failure.exit {
            EXIT_FAILED => Failure { exit: EXIT_TROUBLE, ..failure },
            _ => failure,
        })?;
        if equal || context.classic { Ok(()) } else { Err(Failure::silent(EXIT_DIFFERENT)) }
    }
}

impl Diff {
    /// Prints the differences; tells whether there are none.
    fn compare(&self, context: &mut Context<'_>) -> Result<bool, Failure> {
        let until = self.until.as_deref().map(text::time).transpose();
        let until = until.map_err(|error| Failure::usage(&self.a, &error))?;
        // To the script 0 is no time.
        let until = until.filter(|&until| until != 0 || !context.classic);
        let (a, b) = (open(&self.a)?, open(&self.b)?);
        let options = ::whisper::Diff { ignore_empty: self.ignore_empty, until };
        let diffs = ::whisper::diff(&a, &b, options, context.now)
            .map_err(|error| Failure::of_both(&self.a, &self.b, &error))?;
        if context.json {
            writeln!(context.out, "{:#}", self.json(&diffs))?;
        } else if self.summary {
            self.write_summary(context.out, &diffs)?;
        } else {
            self.write(context.out, &diffs)?;
        }
        Ok(diffs.iter().all(|archive| archive.differences.is_empty()))
    }

    fn json(&self, diffs: &[ArchiveDiff]) -> Value {
        let [path_a, path_b] = [&self.a, &self.b].map(|path| path.to_string_lossy());
        let archives = diffs.iter().enumerate().map(|(index, archive)| {
            let points = archive.differences.len();
            let mut line = json!({"archive": index, "total": archive.total, "points": points});
            if !self.summary {
                line["datapoint"] = archive.differences.iter().map(point_json).collect();
            }
            line
        });
        let archives: Vec<Value> = archives.collect();
        json!({"path_a": path_a, "path_b": path_b, "archives": archives})
    }

    fn write_summary(&self, out: &mut dyn Write, diffs: &[ArchiveDiff]) -> io::Result<()> {
        let widths = if self.columns { [0; 3] } else { [7, 9, 9] };
        if !self.no_headers {
            write_row(out, ["archive", "total", "differing"], widths)?;
        }
        for (index, archive) in diffs.iter().enumerate() {
            let numbers = [index, archive.total, archive.differences.len()];
            write_row(out, numbers.map(|number| number.to_string()), widths)?;
        }
        Ok(())
    }

    fn write(&self, out: &mut dyn Write, diffs: &[ArchiveDiff]) -> io::Result<()> {
        const TITLES: [&str; 4] = ["archive", "timestamp", "value_a", "value_b"];
        let widths = if self.columns { [0; 4] } else { [7, 11, 13, 13] };
        let side = |value: Option<f64>| value.map_or_else(|| "None".to_owned(), text::shortest);
        if !self.no_headers {
            write_row(out, TITLES, widths)?;
        }
        for (index, archive) in diffs.iter().enumerate() {
            let (differing, total) = (archive.differences.len(), archive.total);
            let mut first = index.to_string();
            if !self.columns {
                writeln!(out, "Archive {index} ({differing} of {total} datapoints differ)")?;
                let [_, titles @ ..] = TITLES;
                write_row(out, ["", titles[0], titles[1], titles[2]], widths)?;
                first.clear();
            }
            for point in &archive.differences {
                let time = point.interval.to_string();
                write_row(out, [first.clone(), time, side(point.a), side(point.b)], widths)?;
            }
        }
        Ok(())
    }
}

fn point_json(point: &Difference) -> Value {
    let (a, b) = (text::json(point.a), text::json(point.b));
    json!({"timestamp": point.interval, "value_a": a, "value_b": b})
}

/// Cells to the right of their widths, one space between two.
fn write_row<const N: usize>(
    out: &mut dyn Write,
    cells: [impl AsRef<str>; N],
    widths: [usize; N],
) -> io::Result<()> {
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let space = if index == 0 { "" } else { " " };
        write!(out, "{space}{:>width$}", cell.as_ref())?;
    }
    writeln!(out)
}
