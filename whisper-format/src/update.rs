//! Updates: points into the finest archive that covers them, then up the rollups.

use std::borrow::Cow;

use crate::archive::{Archive, POINT_BYTES, Point, floor_to};
use crate::error::Error;
use crate::header::Header;
use crate::now::Now;
use crate::overlay::Overlay;
use crate::propagate;
use crate::storage::Storage;

/// What becomes of a run that goes around its archive more than once, which takes more points in
/// the future than the archive has slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LongRun {
    /// It goes on around; later points replace earlier ones.
    Wrap,
    /// Python's fault: it wraps once and then runs over the end of the archive, into the next one
    /// or behind the end of the file.
    Spill,
}

/// One point that must lie between the oldest slot and now.
pub(crate) fn strict<S: Storage>(
    header: &Header,
    overlay: &mut Overlay<'_, S>,
    point: (i64, f64),
    now: Now,
) -> Result<(), Error> {
    let (timestamp, now_second) = (point.0, now.floor());
    let age = now_second.saturating_sub(timestamp);
    if age < 0 || age >= i64::from(header.max_retention) {
        return Err(Error::NotCovered { timestamp, now: now_second });
    }
    many(header, overlay, Cow::Borrowed(&[point]), now, LongRun::Wrap)
}

/// Any number of points, in any order.
pub(crate) fn many<S: Storage>(
    header: &Header,
    overlay: &mut Overlay<'_, S>,
    points: Cow<'_, [(i64, f64)]>,
    now: Now,
    long: LongRun,
) -> Result<(), Error> {
    let mut points = points.into_owned();
    // Stable, and read backwards below: of equal timestamps the first given is written last.
    points.sort_by_key(|point| std::cmp::Reverse(point.0));
    let mut rest = points.as_mut_slice();
    for (index, archive) in header.archives.iter().enumerate() {
        let fits = |point: &(i64, f64)| now.ceil().saturating_sub(point.0) <= archive.retention();
        let (bucket, older) = rest.split_at_mut(rest.partition_point(fits));
        rest = older;
        bucket.reverse();
        into_archive(header, overlay, index, bucket, long)?;
    }
    Ok(())
}

/// Writes points, oldest first, into one archive and rolls them up.
pub(crate) fn into_archive<S: Storage>(
    header: &Header,
    overlay: &mut Overlay<'_, S>,
    index: usize,
    points: &[(i64, f64)],
    long: LongRun,
) -> Result<(), Error> {
    let archive = &header.archives[index];
    let aligned = align(archive, points)?;
    let runs = contiguous(archive, &aligned);
    let Some(first) = runs.first() else {
        return Ok(());
    };
    let base = match overlay.base(archive)? {
        0 => first.start,
        base => i64::from(base),
    };
    let base = u32::try_from(base).expect("a run starts at or after the epoch");
    for run in &runs {
        let first = archive.slot(run.start, base);
        let to_end = (archive.points - first) as usize;
        for (distance, &point) in (0..).zip(run.points) {
            overlay.put(archive, archive.slot_after(first, distance), point);
        }
        if long == LongRun::Spill && run.points.len() > to_end {
            spill(archive, overlay, &run.points[to_end..]);
        }
    }
    roll_up(header, overlay, index, &aligned)
}

/// Writes what follows the end of the archive from its first slot on, straight ahead.
fn spill<S: Storage>(archive: &Archive, overlay: &mut Overlay<'_, S>, points: &[Point]) {
    for (distance, &point) in (0..).zip(points) {
        overlay.put_at(archive.position(0) + distance * POINT_BYTES as u64, point);
    }
}

/// Intervals instead of timestamps; of several points in one interval the last stays.
fn align(archive: &Archive, points: &[(i64, f64)]) -> Result<Vec<Point>, Error> {
    let mut aligned: Vec<Point> = Vec::with_capacity(points.len());
    for &(timestamp, value) in points {
        let interval = u32::try_from(archive.align(timestamp))
            .map_err(|_outside| Error::TimestampRange { timestamp })?;
        match aligned.last_mut() {
            Some(last) if last.interval == interval => last.value = value,
            _ => aligned.push(Point { interval, value }),
        }
    }
    Ok(aligned)
}

/// Points that are written side by side, from the slot of `start` on.
struct Contiguous<'a> {
    start: i64,
    points: &'a [Point],
}

/// Python's runs: a point continues the one before if it is one step later, or if the one before
/// has interval 0, which Python takes for "none yet". The start is counted back from the last.
fn contiguous<'a>(archive: &Archive, aligned: &'a [Point]) -> Vec<Contiguous<'a>> {
    let step = archive.seconds_per_point;
    let continues =
        |a: &Point, b: &Point| a.interval == 0 || a.interval.checked_add(step) == Some(b.interval);
    let run = |points: &'a [Point]| {
        let last = points.last().map_or(0, |point| i64::from(point.interval));
        let before = points.len() as u64 - 1;
        let span = i64::try_from(before).unwrap_or(i64::MAX).saturating_mul(i64::from(step));
        Contiguous { start: last.saturating_sub(span), points }
    };
    aligned.chunk_by(continues).map(run).collect()
}

/// Updates the coarser archives, each from the next finer one, until one has nothing to change.
fn roll_up<S: Storage>(
    header: &Header,
    overlay: &mut Overlay<'_, S>,
    index: usize,
    aligned: &[Point],
) -> Result<(), Error> {
    for lower in index + 1..header.archives.len() {
        let step = header.archives[lower].seconds_per_point;
        let mut intervals: Vec<i64> =
            aligned.iter().map(|point| floor_to(i64::from(point.interval), step)).collect();
        intervals.dedup();
        if !propagate::level(header, overlay, lower, &intervals)? {
            break;
        }
    }
    Ok(())
}
