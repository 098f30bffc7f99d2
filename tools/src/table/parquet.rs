//! Rows as Parquet, compressed with zstd; what is read may be of any program.

use std::fs::File;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::{Field, Row as Record};
use parquet::schema::parser::parse_message_type;

use super::{COLUMNS, EachRow, Row};
use crate::invocation::Failure;

const SCHEMA: &str = "message points {
    REQUIRED BYTE_ARRAY metric (UTF8);
    REQUIRED INT64 time;
    REQUIRED DOUBLE value;
    REQUIRED INT32 step;
}";

/// Rows that are written together, and so held in memory.
const GROUP_ROWS: usize = 100_000;

/// Times with units finer than ours, in a second.
const MILLIS: i64 = 1_000;
const MICROS: i64 = 1_000_000;

/// Writes a file.
pub(crate) struct Writer {
    file: SerializedFileWriter<File>,
    metrics: Vec<ByteArray>,
    times: Vec<i64>,
    values: Vec<f64>,
    steps: Vec<i32>,
}

impl Writer {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(io::Error::other)?);
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties));
        Ok(Self {
            file: file.map_err(io::Error::other)?,
            metrics: Vec::new(),
            times: Vec::new(),
            values: Vec::new(),
            steps: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, row: Row) -> io::Result<()> {
        self.metrics.push(ByteArray::from(row.metric.into_bytes()));
        self.times.push(row.time);
        self.values.push(row.value);
        self.steps.push(i32::try_from(row.step).map_err(io::Error::other)?);
        if self.metrics.len() < GROUP_ROWS {
            Ok(())
        } else {
            self.flush().map_err(io::Error::other)
        }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.metrics.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        column::<ByteArrayType>(&mut group, &self.metrics)?;
        column::<Int64Type>(&mut group, &self.times)?;
        column::<DoubleType>(&mut group, &self.values)?;
        column::<Int32Type>(&mut group, &self.steps)?;
        group.close()?;
        self.metrics.clear();
        self.times.clear();
        self.values.clear();
        self.steps.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush().and_then(|()| self.file.close()).map(drop).map_err(io::Error::other)
    }
}

/// Writes the next column of a group.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.expect("the schema has as many columns");
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

pub(super) fn read(file: File, path: &Path, each: EachRow<'_>) -> Result<(), Failure> {
    // The crate panics where parts of a damaged file contradict each other: that is the file's fault, told in our words.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_info| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| rows(file, path, each)));
    panic::set_hook(hook);
    outcome
        .unwrap_or_else(|_panic| Err(Failure::of(path, &"parts of the file contradict each other")))
}

fn rows(file: File, path: &Path, each: EachRow<'_>) -> Result<(), Failure> {
    let fault = |error: ParquetError| Failure::of(path, &error.to_string().replace('\n', " "));
    let reader = SerializedFileReader::new(file).map_err(fault)?;
    let records = reader.get_row_iter(None).map_err(fault)?;
    for (number, record) in (1_u64..).zip(records) {
        // Behind a damaged page there is no telling which row is which.
        let record = record.map_err(fault)?;
        let place = format!("{}:row {number}", path.display());
        each(&place, row(&record))?;
    }
    Ok(())
}

fn row(record: &Record) -> Result<Row, String> {
    let field = |column: &str| {
        record.get_column_iter().find(|(name, _)| *name == column).map(|(_, field)| field)
    };
    let required = |column: &str| field(column).ok_or_else(|| format!("no column `{column}`"));
    let [metric, time, value, step] = COLUMNS;
    let metric = match required(metric)? {
        Field::Str(name) => name.clone(),
        Field::Bytes(name) => String::from_utf8_lossy(name.data()).into_owned(),
        other => return Err(format!("metric {other} is not text")),
    };
    let time = match required(time)? {
        Field::TimestampMillis(time) => time.div_euclid(MILLIS),
        Field::TimestampMicros(time) => time.div_euclid(MICROS),
        other => whole(other).ok_or_else(|| format!("time {other} is not seconds since 1970"))?,
    };
    let value = match required(value)? {
        Field::Double(value) => *value,
        Field::Float(value) => f64::from(*value),
        other => whole(other).ok_or_else(|| format!("value {other} is not a number"))? as f64,
    };
    let step = field(step).and_then(whole).and_then(|step| u32::try_from(step).ok()).unwrap_or(0);
    Ok(Row { metric, time, value, step })
}

fn whole(field: &Field) -> Option<i64> {
    match field {
        Field::Long(number) => Some(*number),
        Field::Int(number) => Some((*number).into()),
        Field::UInt(number) => Some((*number).into()),
        Field::ULong(number) => i64::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> Vec<u8> {
        let folder = testkit::folder();
        let path = folder.path().join("points.parquet");
        let mut writer = Writer::new(File::create(&path).unwrap()).unwrap();
        for time in 0..50 {
            let metric = format!("load.host{}", time % 7);
            writer.add(Row { metric, time, value: 0.1, step: 60 }).unwrap();
        }
        writer.finish().unwrap();
        std::fs::read(path).unwrap()
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_rows_or_a_failure(at: prop::sample::Index, byte: u8, cut: bool) {
            let mut bytes = bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
            let folder = testkit::folder();
            let path = folder.path().join("damaged.parquet");
            std::fs::write(&path, bytes).unwrap();
            let outcome = read(File::open(&path).unwrap(), &path, &mut |_, _| Ok(()));
            let message = outcome.err().and_then(|failure| failure.message).unwrap_or_default();
            prop_assert!(!message.contains('\n'), "{}", message);
        }
    }
}
