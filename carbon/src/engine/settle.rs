//! Writing with reads: points that no short way is known for, and rollups that a file is owed.

use whisper::{Storage, Whisper};

use super::archives::{Archives, recompute};

/// What a file lacks beside the waiting points.
#[derive(Debug)]
pub(super) enum Owed<'a> {
    /// Nothing that is known of; nothing at all after an orderly stop.
    Nothing,
    /// The unwritten rollups of these archives.
    Rollups(&'a Archives),
    /// Whatever a node that died had not written, at most so many seconds for each coarser archive.
    Unknown(&'a [u32]),
}

/// Brings a file, or an image of it in memory, to where whisper's own updates would have left it.
pub(super) fn settle<S: Storage>(
    file: &mut Whisper<S>,
    owed: &Owed<'_>,
    batch: &[(i64, f64)],
    now: i64,
) -> Result<(), whisper::Error> {
    match owed {
        Owed::Nothing => {}
        Owed::Unknown(clocks_s) => recompute(file, clocks_s, now)?,
        Owed::Rollups(archives) => {
            for (index, known) in archives.known.iter().enumerate() {
                let base = file.base_interval(index)?;
                file.write_points(index, base, known.unwritten())?;
            }
        }
    }
    if batch.is_empty() { Ok(()) } else { file.update_many(batch, now) }
}
