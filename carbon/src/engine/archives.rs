//! What the engine knows of the inside of a file, so that it can write without reading: where each archive's ring
//! begins, which points of the interval that is still open in the next coarser archive there are, and which rollups it
//! has computed and not written yet.

mod packed;

use whisper::{Archive, Header, Point, Storage, Whisper, aggregate, floor_to};

/// Slots of the finest archive that are looked at for the newest one. Files with more of them are searched around the
/// first waiting point: points written further in the future than this reaches are not seen.
const SEARCH_SLOTS_MAX: u32 = 8192;

/// One archive of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    /// The interval in slot 0 of the file; 0 if the archive has no data.
    pub(super) base: u32,
    /// Monotonic second since which there are points that the file lacks.
    pub(super) since_s: u32,
    /// How many of the points, the newest ones, the file lacks.
    pub(super) unwritten: usize,
    /// The newest points, ascending: those of the next coarser archive's open interval, and those not written.
    pub(super) points: Vec<Point>,
}

impl Known {
    /// What the file lacks.
    pub(super) fn unwritten(&self) -> &[Point] {
        &self.points[self.points.len() - self.unwritten..]
    }

    /// Whether what is unwritten has waited for `clock_s` seconds, or reaches back as far from the `newest` point: by
    /// the time of the points too, so that a node that dies can compute it again from what it had written.
    pub(super) fn is_due(&self, newest: u32, clock_s: u32, now_s: u32) -> bool {
        let old = |first: &Point| newest.saturating_sub(first.interval) >= clock_s;
        let waited = now_s.saturating_sub(self.since_s) >= clock_s;
        self.unwritten().first().is_some_and(|first| waited || old(first))
    }
}

/// All archives of a file, finest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Archives {
    /// The newest interval of the finest archive; 0 if it has no data.
    pub(super) newest: u32,
    pub(super) known: Vec<Known>,
}

impl Archives {
    /// Those of a file without points.
    pub(super) fn empty(header: &Header) -> Self {
        Self { newest: 0, known: vec![Known::default(); header.archives.len()] }
    }

    /// Reads what is needed to go on with points from `first` on, or from the newest on; `now` is where to look for it.
    pub(super) fn read<S: Storage>(
        file: &Whisper<S>,
        first: Option<i64>,
        now: i64,
    ) -> Result<Self, whisper::Error> {
        let archives = &file.header().archives;
        let newest = newest_of_finest(file, first.unwrap_or(now))?;
        let first = first.unwrap_or(newest.into());
        let mut known = Vec::with_capacity(archives.len());
        for (index, archive) in archives.iter().enumerate() {
            let base = file.base_interval(index)?;
            let points = match archives.get(index + 1) {
                Some(coarser) if base != 0 => {
                    let start = floor_to(first, coarser.seconds_per_point);
                    valid_points(file, index, start, slots_in(archive, coarser))?
                }
                _ => Vec::new(),
            };
            known.push(Known { base, points, ..Known::default() });
        }
        // What lies before the first point is not known from here on.
        let first = u32::try_from(archives[0].align(first)).unwrap_or(0);
        Ok(Self { newest: newest.max(first), known })
    }

    /// What becomes of the archives when `batch` is written as `update_many` would do it at `now`: the points of the
    /// finest archive, to be written at once, and the archives after it. `None` if that takes more than is known here:
    /// a point before the open interval, one that belongs into a coarser archive, or more points than go around once.
    pub(super) fn advance(
        &self,
        header: &Header,
        batch: &[(i64, f64)],
        now: i64,
        now_s: u32,
    ) -> Option<(Vec<Point>, Self)> {
        let archives = &header.archives;
        let finest = &archives[0];
        let points = align(finest, batch)?;
        let (first, last) = (points.first()?.interval, points.last()?.interval);
        let newest = self.newest.max(last);
        let is_open = |archive: &Archive, coarser: Option<&Archive>| {
            let start = coarser.map_or(first, |coarser| floor_u32(first, coarser));
            i64::from(newest.abs_diff(start)) < archive.retention()
        };
        let after_window = archives.get(1).is_none_or(|one| first >= floor_u32(self.newest, one));
        let fits = archives.iter().enumerate().all(|(at, one)| is_open(one, archives.get(at + 1)));
        if first == 0
            || !after_window
            || !fits
            || now.saturating_sub(batch[0].0) > finest.retention()
        {
            return None;
        }
        let mut after = Self { newest, known: Vec::with_capacity(archives.len()) };
        let mut rolled_up = None;
        for (index, known) in self.known.iter().enumerate() {
            let fresh = rolled_up.as_ref().unwrap_or(&points);
            let mut next = known.with(fresh, index > 0, now_s);
            if let Some(coarser) = archives.get(index + 1) {
                // Python stops at the first archive in which nothing was written.
                if !fresh.is_empty() {
                    let finer = &archives[index];
                    rolled_up = Some(rollups(header, (finer, coarser), &points, &next.points));
                }
                next.forget_before(floor_u32(newest, coarser));
            } else {
                next.forget_before(u32::MAX);
            }
            after.known.push(next);
        }
        Some((points, after))
    }

    /// Takes note that what was unwritten in an archive is in the file now.
    pub(super) fn written(&mut self, header: &Header, index: usize, base: u32) {
        let known = &mut self.known[index];
        (known.base, known.unwritten) = (base, 0);
        let coarser = header.archives.get(index + 1);
        known.forget_before(coarser.map_or(u32::MAX, |one| floor_u32(self.newest, one)));
    }
}

impl Known {
    /// With newer points, or newer values of the newest ones.
    fn with(&self, fresh: &[Point], unwritten: bool, now_s: u32) -> Self {
        let Some(first) = fresh.first() else { return self.clone() };
        let lacking = if self.unwritten > 0 { self.unwritten()[0].interval } else { u32::MAX };
        let mut points = Vec::with_capacity(self.points.len() + fresh.len());
        points.extend_from_slice(&self.points);
        points.extend_from_slice(fresh);
        if self.points.last().is_some_and(|last| last.interval >= first.interval) {
            // Stable: of equal intervals the fresh one is the later.
            points.sort_by_key(|point| point.interval);
            points.dedup_by(|later, kept| {
                let same = later.interval == kept.interval;
                if same {
                    *kept = *later;
                }
                same
            });
        }
        if !unwritten {
            return Self { base: self.base, since_s: 0, unwritten: 0, points };
        }
        let lacking = lacking.min(first.interval);
        let written = points.partition_point(|point| point.interval < lacking);
        let since_s = if self.unwritten > 0 { self.since_s } else { now_s };
        Self { base: self.base, since_s, unwritten: points.len() - written, points }
    }

    fn forget_before(&mut self, interval: u32) {
        let old = self.points.partition_point(|point| point.interval < interval);
        self.points.drain(..old.min(self.points.len() - self.unwritten));
    }
}

/// The intervals of `points` in the coarser archive, where enough of the finer one is `known`.
fn rollups(
    header: &Header,
    (finer, coarser): (&Archive, &Archive),
    points: &[Point],
    known: &[Point],
) -> Vec<Point> {
    let mut found: Vec<Point> = Vec::new();
    let mut values = Vec::new();
    let mut done_until = 0;
    for point in points {
        if u64::from(point.interval) < done_until {
            continue;
        }
        let interval = floor_u32(point.interval, coarser);
        let end = u64::from(interval) + u64::from(coarser.seconds_per_point);
        done_until = end;
        let start = known.partition_point(|point| point.interval < interval);
        let inside = known[start..].iter().take_while(|point| u64::from(point.interval) < end);
        values.clear();
        values.extend(inside.map(|point| point.value));
        found.extend(rollup(header, slots_in(finer, coarser), interval, &values));
    }
    found
}

/// The coarser point that the known `values` of an interval of `slots` slots give, if they are enough.
fn rollup(header: &Header, slots: u32, interval: u32, values: &[f64]) -> Option<Point> {
    let share = values.len() as f64 / f64::from(slots);
    let enough = !values.is_empty() && share >= f64::from(header.x_files_factor);
    enough.then(|| Point { interval, value: aggregate(header.method, values, slots as usize) })
}

/// Computes the rollups of the newest `clocks_s` seconds again, one number for each coarser archive, and writes those
/// that differ: what a node had computed and not written when it died.
pub(super) fn recompute<S: Storage>(
    file: &mut Whisper<S>,
    clocks_s: &[u32],
    now: i64,
) -> Result<(), whisper::Error> {
    let newest = newest_of_finest(file, now)?;
    for (index, &clock_s) in (1..).zip(clocks_s) {
        let (finer, coarser) = (file.header().archives[index - 1], file.header().archives[index]);
        if newest == 0 {
            continue;
        }
        let slots = slots_in(&finer, &coarser);
        let mut first = floor_u32(newest.saturating_sub(clock_s), &coarser);
        if i64::from(newest - first) >= finer.retention() {
            // The beginning of this one has been overwritten since it was computed.
            first += coarser.seconds_per_point;
        }
        if first > newest {
            continue;
        }
        let count = (newest - first) / coarser.seconds_per_point + 1;
        let known = valid_points(file, index - 1, first.into(), slots.saturating_mul(count))?;
        let mut found = rollups(file.header(), (&finer, &coarser), &known, &known);
        // The last archive is written as it is: it is not read ahead, and looking would cost more than writing.
        if index + 1 < file.header().archives.len() {
            let present = valid_points(file, index, first.into(), count)?;
            found.retain(|point| !present.iter().any(|other| same(point, other)));
        }
        let base = file.base_interval(index)?;
        file.write_points(index, base, &found)?;
    }
    Ok(())
}

fn same(a: &Point, b: &Point) -> bool {
    a.interval == b.interval && a.value.to_bits() == b.value.to_bits()
}

/// How far behind the archives may be, each coarser one: its clock, but never so long that what it is computed from is
/// overwritten before.
pub(super) fn clocks_s(header: &Header, first_s: u32, next_s: u32) -> Vec<u32> {
    let clock = |(index, finer): (usize, &Archive)| {
        let clock = if index == 0 { first_s } else { next_s };
        clock.min(u32::try_from(finer.retention() / 2).unwrap_or(u32::MAX))
    };
    let coarser = header.archives.len() - 1;
    header.archives.iter().take(coarser).enumerate().map(clock).collect()
}

/// Intervals instead of timestamps; of several points in one interval the last stays.
fn align(archive: &Archive, batch: &[(i64, f64)]) -> Option<Vec<Point>> {
    let step = i64::from(archive.seconds_per_point);
    let mut points: Vec<Point> = Vec::with_capacity(batch.len());
    for &(timestamp, value) in batch {
        // The usual point is one step after the one before, and needs no division.
        let next = points.last().map(|last| i64::from(last.interval) + step);
        let aligned = next.filter(|&next| next == timestamp);
        let aligned = aligned.unwrap_or_else(|| archive.align(timestamp));
        let interval = u32::try_from(aligned).ok()?;
        match points.last_mut() {
            Some(last) if last.interval == interval => last.value = value,
            _ => points.push(Point { interval, value }),
        }
    }
    Some(points)
}

fn newest_of_finest<S: Storage>(file: &Whisper<S>, near: i64) -> Result<u32, whisper::Error> {
    let finest = &file.header().archives[0];
    let base = file.base_interval(0)?;
    // Without coarser archives nobody asks.
    if base == 0 || file.header().archives.len() == 1 {
        return Ok(0);
    }
    let whole = finest.points <= SEARCH_SLOTS_MAX;
    let half_s = i64::from(finest.seconds_per_point) * i64::from(SEARCH_SLOTS_MAX / 2);
    let start = if whole { 0 } else { finest.slot(near.saturating_sub(half_s), base) };
    let slots = file.slots(0, start, finest.points.min(SEARCH_SLOTS_MAX))?;
    let in_place = |(index, point): &(u64, Point)| {
        point.interval.is_multiple_of(finest.seconds_per_point)
            && finest.slot(point.interval.into(), base) == finest.slot_after(start, *index)
    };
    let valid = (0..).zip(slots).filter(in_place).map(|(_index, point)| point.interval);
    Ok(valid.max().unwrap_or(0))
}

/// The points of `count` intervals from `start` on that the archive has.
fn valid_points<S: Storage>(
    file: &Whisper<S>,
    index: usize,
    start: i64,
    count: u32,
) -> Result<Vec<Point>, whisper::Error> {
    let archive = &file.header().archives[index];
    let base = file.base_interval(index)?;
    if base == 0 {
        return Ok(Vec::new());
    }
    let mut points = file.slots(index, archive.slot(start, base), count.min(archive.points))?;
    let mut expected = start;
    points.retain(|point| {
        let valid = point.interval != 0 && i64::from(point.interval) == expected;
        expected += i64::from(archive.seconds_per_point);
        valid
    });
    Ok(points)
}

fn slots_in(finer: &Archive, coarser: &Archive) -> u32 {
    coarser.seconds_per_point / finer.seconds_per_point
}

fn floor_u32(interval: u32, archive: &Archive) -> u32 {
    interval - interval % archive.seconds_per_point
}
