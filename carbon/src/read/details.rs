//! What each series takes on disk.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use metric::Within;
use wire::pb_v3::{MetricDetails, MetricDetailsResponse};

use super::{Asker, ReadFault, Reader};
use crate::series::SeriesId;

/// Series whose files are looked at in one piece.
const PIECE_SERIES: u32 = 4096;

/// Bytes of a block as the system counts them.
const BLOCK_BYTES: u64 = 512;

/// Sizes and times of all files, and the room on their disk. The time of the last read through the read API is not
/// kept and is 0.
pub(crate) async fn details(
    reader: &Arc<Reader>,
    asker: &Asker,
) -> Result<MetricDetailsResponse, ReadFault> {
    let mut metrics = BTreeMap::new();
    let end = reader.engine.table().id_end();
    for start in (0..end).step_by(PIECE_SERIES as usize) {
        let ids = start..end.min(start.saturating_add(PIECE_SERIES));
        let job = {
            let (reader, within) = (Arc::clone(reader), asker.within.clone());
            let of_file = move |id| of_file(&reader, &within, SeriesId(id));
            move || ids.filter_map(of_file).collect::<Vec<_>>()
        };
        metrics.extend(reader.run(asker, job).await?);
    }
    let (free_space, total_space) = match rustix::fs::statvfs(reader.engine.whisper_folder()) {
        Ok(facts) => (facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize),
        Err(_) => (0, 0),
    };
    Ok(MetricDetailsResponse { metrics, free_space, total_space })
}

fn of_file(reader: &Reader, within: &Within, id: SeriesId) -> Option<(String, MetricDetails)> {
    let name = reader.engine.table().name(id).filter(|name| within.holds(name))?;
    let path = reader.engine.whisper_folder().join(metric::path::whisper_path(&name));
    let facts = std::fs::metadata(path).ok()?;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let details = MetricDetails {
        size: signed(facts.size()),
        mod_time: facts.mtime(),
        a_time: facts.atime(),
        rd_time: 0,
        real_size: signed(facts.blocks().saturating_mul(BLOCK_BYTES)),
    };
    Some((name, details))
}
