//! `name,start,end,step|3.0,None,…` and a line end for each series.

use query::Series;
use wire::number::push_python_repr;

use super::SeriesWriter;

/// Writes one line a series.
pub(super) struct RawWriter;

impl SeriesWriter for RawWriter {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn series(&mut self, series: &Series, out: &mut Vec<u8>) {
        let Series { name, start, end, step, values, .. } = series;
        out.extend_from_slice(format!("{name},{start},{end},{step}|").as_bytes());
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if value.is_nan() {
                out.extend_from_slice(b"None");
            } else {
                push_python_repr(out, *value);
            }
        }
        out.push(b'\n');
    }

    fn end(&mut self, _: &mut Vec<u8>) {}
}
