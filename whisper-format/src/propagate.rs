//! Rollups: one coarser point from the slots of the next finer archive.

use std::io;

use crate::aggregation::aggregate;
use crate::archive::{Archive, POINT_BYTES, Point};
use crate::error::Error;
use crate::header::Header;
use crate::overlay::Overlay;
use crate::read::point_at;
use crate::storage::Storage;

/// Recomputes `intervals` (ascending, without repeats) of the archive `lower` from the next finer
/// one; false if none had enough known points.
pub(crate) fn level<S: Storage>(
    header: &Header,
    overlay: &mut Overlay<'_, S>,
    lower: usize,
    intervals: &[i64],
) -> Result<bool, Error> {
    let archive = &header.archives[lower];
    let mut any = false;
    for (interval, value) in rollups(header, overlay, lower, intervals)? {
        put_rollup(overlay, archive, interval, value)?;
        any = true;
    }
    Ok(any)
}

/// Stages one coarser point.
pub(crate) fn put_rollup<S: Storage>(
    overlay: &mut Overlay<'_, S>,
    archive: &Archive,
    interval: i64,
    value: f64,
) -> Result<(), Error> {
    let stored = u32::try_from(interval)
        .map_err(|_outside| Error::TimestampRange { timestamp: interval })?;
    let slot = overlay.slot(archive, interval)?;
    overlay.put(archive, slot, Point { interval: stored, value });
    Ok(())
}

/// What the next finer archive gives for `intervals` of the archive `lower`, where enough of it is
/// known.
pub(crate) fn rollups<S: Storage>(
    header: &Header,
    overlay: &mut Overlay<'_, S>,
    lower: usize,
    intervals: &[i64],
) -> io::Result<Vec<(i64, f64)>> {
    let (finer, coarser) = (&header.archives[lower - 1], &header.archives[lower]);
    let slots = (coarser.seconds_per_point / finer.seconds_per_point) as usize;
    // Neighbouring intervals are read in one go, as many as fit once around the finer archive. An
    // archive whose base is 0 is read from slot 0 whatever the interval, so one at a time.
    let together = match overlay.base(finer)? {
        0 => 1,
        _ => finer.points as usize / slots,
    };
    let adjacent = |a: &i64, b: &i64| b - a == i64::from(coarser.seconds_per_point);
    let mut found = Vec::new();
    let runs = intervals.chunk_by(adjacent).flat_map(|run| run.chunks(together.max(1)));
    for run in runs {
        let first = overlay.slot(finer, run[0])?;
        let bytes = overlay.read(finer, first, slots * run.len())?;
        for (&interval, window) in run.iter().zip(bytes.chunks(slots * POINT_BYTES)) {
            let known = known_values(finer, interval, window);
            // The factor is widened, not the ratio narrowed: 0.1 is stored a little above 1/10.
            let share = known.len() as f64 / slots as f64;
            if !known.is_empty() && share >= f64::from(header.x_files_factor) {
                found.push((interval, aggregate(header.method, &known, slots)));
            }
        }
    }
    Ok(found)
}

/// The values of the slots that hold the intervals from `start` on, oldest first.
fn known_values(archive: &Archive, start: i64, slots: &[u8]) -> Vec<f64> {
    let step = i64::from(archive.seconds_per_point);
    let points = slots.chunks_exact(POINT_BYTES).map(point_at);
    let expected = (0..).map(|index: i64| start + index * step);
    let matched = expected.zip(points).filter(|(t, point)| i64::from(point.interval) == *t);
    matched.map(|(_, point)| point.value).collect()
}
