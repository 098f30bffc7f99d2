//! Pickle, msgpack and the protobufs: what `wire` writes for nodes serves here too.

use metric::{SeriesData, Window};
use query::Series;
use wire::reply::{Format, RenderEncoder};

use super::SeriesWriter;

/// Hands each series to the encoder, which is there from the beginning to the end.
struct PeerWriter {
    format: Format,
    window: Window,
    count: usize,
    encoder: Option<RenderEncoder>,
}

/// A writer of exactly `count` series.
pub(super) fn writer(format: Format, window: Window, count: usize) -> Box<dyn SeriesWriter> {
    Box::new(PeerWriter { format, window, count, encoder: None })
}

impl SeriesWriter for PeerWriter {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.encoder = Some(RenderEncoder::begin(self.format, self.window, self.count, out));
    }

    fn series(&mut self, series: &Series, out: &mut Vec<u8>) {
        if let Some(encoder) = &mut self.encoder {
            encoder.push(&to_data(series), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(None, out);
        }
    }
}

fn to_data(series: &Series) -> SeriesData {
    #[expect(clippy::cast_possible_truncation, reason = "the field is a float on the wire")]
    let x_files_factor = series.x_files_factor as f32;
    SeriesData {
        name: series.name.clone(),
        path_expression: series.path_expression.clone(),
        start: series.start,
        stop: series.end,
        step: series.step,
        values: series.values.to_vec(),
        consolidation: series.consolidation,
        x_files_factor,
    }
}
