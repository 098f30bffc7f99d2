//! What the rickshaw library draws: `[{"target": …, "datapoints": [{"x": seconds, "y": value}]}]`.

use query::Series;

use super::SeriesWriter;
use super::json::{push, push_number};

/// Writes one object a series.
#[derive(Default)]
pub(super) struct RickshawWriter {
    written: usize,
}

impl SeriesWriter for RickshawWriter {
    fn begin(&mut self, out: &mut Vec<u8>) {
        out.push(b'[');
    }

    fn series(&mut self, series: &Series, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.written > 0 { b", {\"target\": " } else { b"{\"target\": " });
        self.written += 1;
        push(out, &series.name);
        out.extend_from_slice(b", \"datapoints\": [");
        let times = std::iter::successors(Some(series.start), |t| t.checked_add(series.step));
        let times = times.take_while(|seconds| *seconds < series.end);
        for (at, (seconds, value)) in times.zip(series.values.iter()).enumerate() {
            let separator = if at > 0 { ", " } else { "" };
            out.extend_from_slice(format!("{separator}{{\"x\": {seconds}, \"y\": ").as_bytes());
            push_number(out, *value);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.push(b']');
    }
}
