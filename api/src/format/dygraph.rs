//! What the dygraphs library draws: rows of a time and one value of each series.

use query::Series;

use super::SeriesWriter;
use super::json::{push, push_number};

/// Gathers the series, because a row needs all of them. The first series sets the rows.
#[derive(Default)]
pub(super) struct DygraphWriter {
    gathered: Vec<Series>,
}

impl DygraphWriter {
    fn push_row(&self, out: &mut Vec<u8>, seconds: i64) {
        out.extend_from_slice(format!("[{seconds}000").as_bytes());
        for series in &self.gathered {
            out.extend_from_slice(b", ");
            push_number(out, value_at(series, seconds));
        }
        out.push(b']');
    }
}

impl SeriesWriter for DygraphWriter {
    fn begin(&mut self, _: &mut Vec<u8>) {}

    fn series(&mut self, series: &Series, _: &mut Vec<u8>) {
        // Clones share their column.
        self.gathered.push(series.clone());
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let Some(first) = self.gathered.first() else {
            return out.extend_from_slice(b"{}");
        };
        let names = self.gathered.iter().map(|series| series.name.as_str());
        let labels: Vec<_> = std::iter::once("Time").chain(names).collect();
        out.extend_from_slice(b"{\"labels\" : ");
        push(out, &labels);
        out.extend_from_slice(b", \"data\" : [");
        let times = std::iter::successors(Some(first.start), |t| t.checked_add(first.step));
        let times = times.take_while(|seconds| *seconds < first.end).take(first.values.len());
        for (at, seconds) in times.enumerate() {
            if at > 0 {
                out.extend_from_slice(b", ");
            }
            self.push_row(out, seconds);
        }
        out.extend_from_slice(b"]}");
    }
}

/// The value whose slot holds the time.
fn value_at(series: &Series, seconds: i64) -> f64 {
    let slot = (seconds >= series.start && series.step > 0)
        .then(|| (seconds - series.start) / series.step)
        .and_then(|slot| usize::try_from(slot).ok());
    slot.and_then(|slot| series.values.get(slot)).copied().unwrap_or(f64::NAN)
}
