//! Reshape: the points of a file as other archives hold them.
//!
//! Each archive is made of the old one with its step, or else of the next finer one that its step is
//! a multiple of. For the time before that one only coarser archives are left: their value then stands
//! for each of the finer intervals that it was made of (a sum is shared out), so that what a reader
//! saw from the coarse archive is what he sees from the fine one.

use std::ops::Range;

use crate::aggregation::{Method, aggregate};
use crate::archive::{Archive, Point, floor_to};
use crate::error::Error;
use crate::header::Header;
use crate::open::Whisper;
use crate::storage::Storage;

/// How far ahead of now a point may lie.
const FUTURE_MAX_S: i64 = 86_400;

/// What one old archive holds.
struct Source {
    step: u32,
    /// The oldest interval that it can hold.
    since: i64,
    /// In their order.
    points: Vec<Point>,
}

/// The points of each archive of a file with the header `new`, in their order.
pub fn reshape<S: Storage>(
    old: &Whisper<S>,
    new: &Header,
    now: i64,
) -> Result<Vec<Vec<Point>>, Error> {
    let archives = old.header().archives.iter().enumerate();
    let sources: Result<Vec<Source>, Error> =
        archives.map(|(index, archive)| Source::read(old, index, archive, now)).collect();
    let sources = sources?;
    Ok(new.archives.iter().map(|archive| made_of(&sources, archive, new, now)).collect())
}

fn made_of(sources: &[Source], archive: &Archive, new: &Header, now: i64) -> Vec<Point> {
    let step = archive.seconds_per_point;
    let finer = sources.iter().rev().find(|source| step.is_multiple_of(source.step));
    let coarser =
        sources.iter().filter(|source| source.step > step && source.step.is_multiple_of(step));
    let oldest = oldest_interval(archive, now);
    let mut until = i64::MAX;
    let mut pieces = Vec::new();
    for source in finer.into_iter().chain(coarser) {
        // The first interval of ours that the source knows the whole of.
        let from = floor_to(source.since.max(oldest) + i64::from(step) - 1, step);
        if from < until {
            pieces.push(source.at_step(step, from..until, new));
            until = from;
        }
    }
    pieces.into_iter().rev().flatten().collect()
}

/// The oldest interval that an archive can hold.
fn oldest_interval(archive: &Archive, now: i64) -> i64 {
    let step = archive.seconds_per_point;
    floor_to(now.saturating_sub(archive.retention()), step) + i64::from(step)
}

impl Source {
    fn read<S: Storage>(
        old: &Whisper<S>,
        index: usize,
        archive: &Archive,
        now: i64,
    ) -> Result<Self, Error> {
        let since = oldest_interval(archive, now);
        let times = since..now.saturating_add(FUTURE_MAX_S);
        let mut points = old.slots(index, 0, archive.points)?;
        points.retain(|point| {
            let interval = i64::from(point.interval);
            point.interval.is_multiple_of(archive.seconds_per_point) && times.contains(&interval)
        });
        points.sort_unstable_by_key(|point| point.interval);
        Ok(Self { step: archive.seconds_per_point, since, points })
    }

    /// The points of the intervals of another step that begin in `times`.
    fn at_step(&self, step: u32, times: Range<i64>, new: &Header) -> Vec<Point> {
        let within = |interval: u32| times.contains(&i64::from(interval));
        if self.step > step {
            let points = self
                .points
                .iter()
                .flat_map(|&point| shared_out(point, self.step, step, new.method));
            return points.filter(|point| within(point.interval)).collect();
        }
        let slots = (step / self.step) as usize;
        let start = |point: &Point| point.interval - point.interval % step;
        let windows = self.points.chunk_by(|a, b| start(a) == start(b));
        let windows = windows.filter(|window| within(start(&window[0])));
        let rollup = |window: &[Point]| {
            let known: Vec<f64> = window.iter().map(|point| point.value).collect();
            let enough = known.len() as f64 / slots as f64 >= f64::from(new.x_files_factor);
            let value = if slots == 1 { known[0] } else { aggregate(new.method, &known, slots) };
            enough.then(|| Point { interval: start(&window[0]), value })
        };
        windows.filter_map(rollup).collect()
    }
}

/// A coarse point as the fine ones that would make it.
fn shared_out(point: Point, coarse: u32, fine: u32, method: Method) -> impl Iterator<Item = Point> {
    let value = match method {
        Method::Sum => point.value / f64::from(coarse / fine),
        _ => point.value,
    };
    let intervals =
        (0..coarse / fine).map(move |number| point.interval.saturating_add(number * fine));
    intervals.map(move |interval| Point { interval, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStorage, Spec, parse_retentions};

    const NOW: i64 = 1_700_000_000 - 1_700_000_000 % 3600;

    fn file(retentions: &str, method: Method) -> Whisper<MemoryStorage> {
        let spec = Spec { method, ..Spec::new(parse_retentions(retentions).unwrap()) };
        let header = spec.header().unwrap();
        let mut bytes = header.to_bytes();
        bytes.resize(usize::try_from(header.file_bytes()).unwrap(), 0);
        Whisper::open(MemoryStorage::new(bytes)).unwrap()
    }

    /// A file with a point each minute for so long.
    fn filled(retentions: &str, method: Method, seconds: i64) -> Whisper<MemoryStorage> {
        let mut file = file(retentions, method);
        for time in (NOW - seconds + 60..=NOW).step_by(60) {
            file.update_many(&[(time, 1.0)], time).unwrap();
        }
        file
    }

    fn reshaped(old: &Whisper<MemoryStorage>, retentions: &str) -> Whisper<MemoryStorage> {
        let mut new = file(retentions, old.header().method);
        let header = new.header().clone();
        for (index, points) in reshape(old, &header, NOW).unwrap().iter().enumerate() {
            new.write_points(index, 0, points).unwrap();
        }
        new
    }

    fn values(file: &Whisper<MemoryStorage>, age: i64, step: u32) -> Vec<Option<f64>> {
        let fetched = file.fetch(NOW - age, NOW, NOW, Some(step)).unwrap().unwrap();
        fetched.values().collect()
    }

    #[test]
    fn the_same_archives_get_the_same_points() {
        let old = filled("1m:1h,5m:6h", Method::Average, 7200);
        let new = reshaped(&old, "1m:1h,5m:6h");
        for (age, step) in [(3600, 60), (21_600, 300)] {
            assert_eq!(values(&old, age, step), values(&new, age, step));
        }
    }

    #[test]
    fn a_new_coarse_archive_is_aggregated_from_the_finer_one() {
        let old = filled("1m:6h", Method::Sum, 7200);
        let new = reshaped(&old, "1m:6h,5m:1d");
        let rollups: Vec<f64> = values(&new, 86_000, 300).into_iter().flatten().collect();
        // The first window lacks the minutes before the first point, the last one those to come.
        assert_eq!(rollups.len(), 24);
        assert!(rollups[1..].iter().all(|&rollup| rollup == 5.0), "{rollups:?}");
    }

    #[test]
    fn longer_retention_shows_what_the_coarser_archive_showed() {
        let old = filled("1m:1h,5m:6h", Method::Average, 14_400);
        let new = reshaped(&old, "1m:6h");
        let known = |file, age, step| values(file, age, step).into_iter().flatten().count();
        assert_eq!(known(&old, 14_400, 300), 47);
        let all = values(&new, 14_400 - 300, 60);
        assert!(all.iter().all(|value| *value == Some(1.0)), "{all:?}");
    }

    #[test]
    fn sums_are_shared_out_so_that_the_total_stays() {
        let old = filled("1m:1h,5m:6h", Method::Sum, 14_400);
        let new = reshaped(&old, "1m:6h,5m:12h");
        assert_eq!(values(&old, 14_400 - 300, 300), values(&new, 14_400 - 300, 300));
        let fine: f64 = values(&new, 14_100, 60).into_iter().flatten().sum();
        assert!((fine - 235.0).abs() < 1e-9, "{fine}");
    }

    #[test]
    fn steps_that_do_not_divide_give_nothing_and_old_points_do_not_come_back() {
        let old = filled("1m:1h", Method::Average, 14_400);
        let new = reshaped(&old, "90s:6h");
        assert!(values(&new, 21_000, 90).iter().all(Option::is_none));
        let short = reshaped(&old, "1m:10m");
        assert_eq!(values(&short, 600, 60).into_iter().flatten().count(), 10);
    }
}
