//! What series take on the disk, by series and by branch.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::details::BLOCK_BYTES;
use super::find::{Budget, Query};
use super::{Asker, ReadFault, Reader};
use crate::index::FoundPath;
use crate::series::SeriesId;

/// Files looked at in one piece, so that no thread is taken for long.
const PIECE_FILES: usize = 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageRequest {
    /// Most names in the answer; the sums are of all of them.
    pub(crate) limit: usize,
    /// No names.
    pub(crate) sums_only: bool,
    /// No branches.
    pub(crate) leaves_only: bool,
}

/// What one series takes, or all below a branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) name: String,
    /// Series.
    pub(crate) count: u64,
    /// Bytes that the file system gives.
    pub(crate) physical: u64,
    /// Bytes that the files have.
    pub(crate) logical: u64,
}

impl Usage {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.physical += other.physical;
        self.logical += other.logical;
    }
}

/// What all that the query finds takes together, and each of it in order.
pub(crate) async fn usage(
    reader: &Arc<Reader>,
    query: Query,
    request: UsageRequest,
    asker: &Asker,
) -> Result<(Usage, Vec<Usage>), ReadFault> {
    let job = {
        let (reader, asker) = (Arc::clone(reader), asker.clone());
        move || Budget::new(&reader, &asker).find(&reader, &query, None)
    };
    let mut found = reader.run(asker, job).await??.paths;
    if request.leaves_only {
        found.retain(|found| found.series.is_some());
    }
    let (mut all, mut each) = (Usage::default(), Vec::new());
    for FoundPath { path, series, is_branch } in found {
        let mut ids: Vec<SeriesId> = series.into_iter().collect();
        if is_branch && !request.leaves_only {
            ids.extend(below(reader, &path, asker).await?);
        }
        let mut one = of_files(reader, ids, asker).await?;
        all.add(&one);
        if !request.sums_only && each.len() < request.limit {
            one.name = path;
            each.push(one);
        }
    }
    Ok((all, each))
}

/// The series below a branch; `**` at the end stands for one component at least.
async fn below(
    reader: &Arc<Reader>,
    branch: &str,
    asker: &Asker,
) -> Result<Vec<SeriesId>, ReadFault> {
    let query = Query::parse(&format!("{branch}.**"))?;
    let job = {
        let (reader, asker) = (Arc::clone(reader), asker.clone());
        move || Budget::new(&reader, &asker).find(&reader, &query, None)
    };
    let found = reader.run(asker, job).await??;
    Ok(found.paths.into_iter().filter_map(|found| found.series).collect())
}

async fn of_files(
    reader: &Arc<Reader>,
    ids: Vec<SeriesId>,
    asker: &Asker,
) -> Result<Usage, ReadFault> {
    let mut sum = Usage::default();
    for piece in ids.chunks(PIECE_FILES) {
        let (reader_there, piece) = (Arc::clone(reader), piece.to_vec());
        let job = move || {
            let mut sum = Usage::default();
            piece.into_iter().for_each(|id| sum.add(&of_file(&reader_there, id)));
            sum
        };
        sum.add(&reader.run(asker, job).await?);
    }
    Ok(sum)
}

/// A series whose points are in no file yet takes nothing.
fn of_file(reader: &Reader, id: SeriesId) -> Usage {
    let name = reader.engine.table().name(id).unwrap_or_default();
    let path = reader.engine.whisper_folder().join(metric::path::whisper_path(&name));
    let facts = std::fs::metadata(path).ok();
    let physical = facts.as_ref().map_or(0, |facts| facts.blocks().saturating_mul(BLOCK_BYTES));
    let logical = facts.as_ref().map_or(0, MetadataExt::size);
    Usage { count: 1, physical, logical, ..Usage::default() }
}
