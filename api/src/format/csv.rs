//! csv as Python's `csv` module writes it: `name,2026-09-21 15:46:00,47.84` and a CR LF.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use query::Series;
use wire::number::push_python_repr;

use super::SeriesWriter;

/// Writes one line a point, nulls empty.
pub(super) struct CsvWriter {
    zone: TimeZone,
}

impl CsvWriter {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone }
    }
}

impl SeriesWriter for CsvWriter {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn series(&mut self, series: &Series, out: &mut Vec<u8>) {
        let name = field(&series.name);
        let times = std::iter::successors(Some(series.start), |t| t.checked_add(series.step));
        for (value, seconds) in series.values.iter().zip(times) {
            let time = Timestamp::from_second(seconds).unwrap_or_default();
            let shown = self.zone.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S");
            out.extend_from_slice(format!("{name},{shown},").as_bytes());
            if !value.is_nan() {
                push_python_repr(out, *value);
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    fn end(&mut self, _: &mut Vec<u8>) {}
}

/// In quotes where it must be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
