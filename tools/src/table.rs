//! Points as rows of a table, in CSV or Parquet, for programs that know nothing of Whisper.
//! docs/formats/points.md has the columns.

mod csv;
mod parquet;

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use crate::invocation::Failure;

/// What the columns are called. The last one says which archive a point is of.
const COLUMNS: [&str; 4] = ["metric", "time", "value", "step"];

/// The ending of a file that is Parquet; all others are CSV.
const PARQUET_EXTENSION: &str = "parquet";

/// A point of a series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) metric: String,
    /// Seconds since 1970.
    pub(crate) time: i64,
    pub(crate) value: f64,
    /// Seconds of the archive it lies in, 0 if that is not known.
    pub(crate) step: u32,
}

/// Takes each row, or what is wrong with it, and where it stands.
pub(crate) type EachRow<'a> = &'a mut dyn FnMut(&str, Result<Row, String>) -> Result<(), Failure>;

/// Whether a path asks for Parquet.
fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PARQUET_EXTENSION)
}

/// Writes rows.
pub(crate) enum Writer<'a> {
    Csv(Box<dyn Write + Send + 'a>),
    Parquet(Box<parquet::Writer>),
}

impl<'a> Writer<'a> {
    /// Writes CSV.
    pub(crate) fn csv(out: impl Write + Send + 'a) -> std::io::Result<Self> {
        let mut out: Box<dyn Write + Send + 'a> = Box::new(out);
        csv::write_head(&mut out)?;
        Ok(Self::Csv(out))
    }

    /// Writes a file in the form that `name` asks for.
    pub(crate) fn file(file: File, name: &Path) -> std::io::Result<Self> {
        if is_parquet(name) {
            return Ok(Self::Parquet(Box::new(parquet::Writer::new(file)?)));
        }
        Self::csv(BufWriter::new(file))
    }

    pub(crate) fn add(&mut self, row: Row) -> std::io::Result<()> {
        match self {
            Self::Csv(out) => csv::write_row(out, &row),
            Self::Parquet(writer) => writer.add(row),
        }
    }

    /// Writes what has been held back.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        match self {
            Self::Csv(mut out) => out.flush(),
            Self::Parquet(writer) => writer.finish(),
        }
    }
}

/// Reads a file, row by row.
pub(crate) fn read(path: &Path, each: EachRow<'_>) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::of(path, &error))?;
    if is_parquet(path) {
        parquet::read(file, path, each)
    } else {
        csv::read(BufReader::new(file), path, each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row =
            |metric: &str, time, value, step| Row { metric: metric.to_owned(), time, value, step };
        vec![
            row("a.b", 1_700_000_000, 0.1, 60),
            row("a.b", 1_700_000_060, -1e300, 60),
            row("größe;t=a,\"b\"", 1, f64::INFINITY, 3600),
            row("x;rack=b", 0, 5e-324, 0),
        ]
    }

    fn read_back(path: &Path) -> Vec<Row> {
        let mut found = Vec::new();
        read(path, &mut |place, row| {
            found.push(row.unwrap_or_else(|why| panic!("{place}: {why}")));
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn rows_come_back_as_they_were_from_both_forms() {
        let folder = testkit::folder();
        for name in ["points.csv", "points.parquet"] {
            let path = folder.path().join(name);
            let mut writer = Writer::file(File::create(&path).unwrap(), &path).unwrap();
            for row in rows() {
                writer.add(row).unwrap();
            }
            writer.finish().unwrap();
            assert_eq!(read_back(&path), rows(), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_no_table_is_one_failure() {
        let folder = testkit::folder();
        for (name, bytes) in [("x.parquet", &b"PAR1 not quite"[..]), ("x.csv", b"a,b\n1,2\n")] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let failure = read(&path, &mut |_, _| panic!("there are no rows")).unwrap_err();
            let message = failure.message.unwrap();
            assert!(message.contains(name) && !message.contains('\n'), "{message}");
        }
    }
}
