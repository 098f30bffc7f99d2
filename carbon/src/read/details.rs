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
pub(super) const BLOCK_BYTES: u64 = 512;

/// What there is on the disk.
#[derive(Debug)]
pub(crate) struct Details {
    /// As the protocols have it.
    pub(crate) response: MetricDetailsResponse,
    /// Files that may still be created there; 0 where the file system does not count them.
    pub(crate) free_inodes: u64,
    /// Files that it can hold.
    pub(crate) total_inodes: u64,
}

/// Sizes and times of all files, and the room on their disk. The time of the last read through the read API is not
/// kept and is 0.
pub(crate) async fn details(reader: &Arc<Reader>, asker: &Asker) -> Result<Details, ReadFault> {
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
    let mut details = Details {
        response: MetricDetailsResponse { metrics, ..MetricDetailsResponse::default() },
        free_inodes: 0,
        total_inodes: 0,
    };
    if let Ok(facts) = rustix::fs::statvfs(reader.engine.whisper_folder()) {
        details.response.free_space = facts.f_bavail * facts.f_frsize;
        details.response.total_space = facts.f_blocks * facts.f_frsize;
        (details.free_inodes, details.total_inodes) = (facts.f_favail, facts.f_files);
    }
    Ok(details)
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
