//! `name,start,end,step|3.0,None,…` and a line end for each series.

use std::fmt::Write as _;

use query::Series;
use wire::number::push_python_repr;

use super::SeriesWriter;

/// Writes one line a series.
#[derive(Default)]
pub(super) struct RawWriter {
    line: String,
}

impl SeriesWriter for RawWriter {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn series(&mut self, series: &Series, out: &mut Vec<u8>) {
        let Series { name, start, end, step, values, .. } = series;
        let line = &mut self.line;
        line.clear();
        write!(line, "{name},{start},{end},{step}|").expect("a String takes any text");
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            if value.is_nan() {
                line.push_str("None");
            } else {
                push_python_repr(line, *value);
            }
        }
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
    }

    fn end(&mut self, _: &mut Vec<u8>) {}
}
