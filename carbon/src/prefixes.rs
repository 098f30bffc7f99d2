//! Which prefixes bring the most points, and which new series: a sample of what comes in, and the hours of the index.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::Clock;
use hashbrown::HashMap;
use ingest::Point;
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::index::hour_of;
use crate::series::SeriesId;

/// Components of a name that are told apart.
pub(crate) const DEPTH_MAX: usize = 4;

/// Prefixes that one interval keeps; what comes beyond is counted together.
const KEPT_MAX: usize = 50_000;

/// The answer is about this interval and the one before.
const INTERVAL: Duration = Duration::from_secs(600);

/// The points of an interval.
#[derive(Debug, Default)]
struct Interval {
    began: Duration,
    /// Points by the first components of their names, estimated.
    points: HashMap<Box<str>, u64>,
    total: u64,
}

/// Where points come from. Of each batch one point stands for all, so that counting costs next to nothing.
#[derive(Debug)]
pub(crate) struct Busy {
    clock: Arc<dyn Clock>,
    batches: AtomicU64,
    intervals: Mutex<[Interval; 2]>,
}

/// What a prefix has of something.
pub(crate) type Share = (String, u64);

impl Busy {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let intervals = Mutex::new([
            Interval { began: clock.monotonic(), ..Interval::default() },
            Interval::default(),
        ]);
        Self { clock, batches: AtomicU64::new(0), intervals }
    }

    /// The time of day, for what is said beside.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now_unix_seconds()
    }

    /// Notes a batch that came in.
    pub(crate) fn note(&self, points: &[Point<'_>]) {
        let Some(count) = u64::try_from(points.len()).ok().filter(|&count| count > 0) else {
            return;
        };
        let pick = scattered(self.batches.fetch_add(1, Ordering::Relaxed)) % count;
        let prefix = prefix(&points[pick as usize].name, DEPTH_MAX);
        let now = self.clock.monotonic();
        let mut intervals = self.intervals.lock();
        if now.saturating_sub(intervals[0].began) >= INTERVAL {
            intervals.swap(0, 1);
            intervals[0] = Interval { began: now, ..Interval::default() };
        }
        let current = &mut intervals[0];
        current.total += count;
        if let Some(points) = current.points.get_mut(prefix) {
            *points += count;
        } else if current.points.len() < KEPT_MAX {
            current.points.insert(prefix.into(), count);
        }
    }

    /// The prefixes of so many components with the most points of the last minutes, and the points of all together.
    pub(crate) fn top(&self, depth: usize, count: usize) -> (Vec<Share>, u64) {
        let intervals = self.intervals.lock();
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, points) in intervals.iter().flat_map(|interval| &interval.points) {
            *sums.entry(prefix(name, depth)).or_default() += points;
        }
        let total = intervals.iter().map(|interval| interval.total).sum();
        (largest(sums, count), total)
    }
}

/// The prefixes of so many components with the most series that began in the last `hours`, and how many did.
pub(crate) fn beginners(
    engine: &Engine,
    now: i64,
    (depth, count): (usize, usize),
    hours: u32,
) -> (Vec<Share>, u64) {
    let since = hour_of(now).saturating_sub(hours);
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut total = 0;
    for id in (0..engine.table().id_end()).map(SeriesId) {
        let is_new = engine.index().activity(id).is_some_and(|(first, _)| first > since);
        let Some(name) = is_new.then(|| engine.table().name(id)).flatten() else { continue };
        total += 1;
        *sums.entry(prefix(&name, depth).to_owned()).or_default() += 1;
    }
    (largest(sums, count), total)
}

fn largest(sums: BTreeMap<impl Into<String>, u64>, count: usize) -> Vec<Share> {
    let mut shares: Vec<Share> = sums.into_iter().map(|(name, sum)| (name.into(), sum)).collect();
    // Stable: equal ones stay in the order of their names.
    shares.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    shares.truncate(count);
    shares
}

/// The first components of a name, without its tags.
fn prefix(name: &str, depth: usize) -> &str {
    let path = name.split(';').next().unwrap_or_default();
    let end = path.match_indices('.').nth(depth.saturating_sub(1)).map(|(at, _)| at);
    end.map_or(path, |end| &path[..end])
}

/// The numbers from 0 on, scattered evenly (splitmix64), so that no order of the senders decides what is picked.
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use daemon::clock::Manual;

    use super::*;

    fn points(names: &[&'static str]) -> Vec<Point<'static>> {
        names
            .iter()
            .map(|&name| Point { name: name.into(), timestamp: 1, value: 1.0, line: None })
            .collect()
    }

    #[test]
    fn a_prefix_has_the_share_of_its_points_and_old_ones_are_forgotten() {
        let clock = Arc::new(Manual::at(1_700_000_000));
        let busy = Busy::new(Arc::<Manual>::clone(&clock));
        let batch = points(&["a.x.1", "a.x.2", "a.y", "b.z;t=1"]);
        for _ in 0..10_000 {
            busy.note(&batch);
        }
        let (top, total) = busy.top(1, 9);
        assert_eq!(total, 40_000);
        assert_eq!(top.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "b"]);
        assert!((29_000..31_000).contains(&top[0].1), "{top:?}");
        assert_eq!(busy.top(2, 1).0[0].0, "a.x");
        for _ in 0..2 {
            clock.advance(INTERVAL);
            busy.note(&points(&["c.q"]));
        }
        assert_eq!(busy.top(1, 9), (vec![("c".to_owned(), 2)], 2));
        busy.note(&[]);
    }

    #[test]
    fn a_prefix_is_the_first_components_without_tags() {
        let cases = [
            ("a.b.c", 1, "a"),
            ("a.b.c", 2, "a.b"),
            ("a.b", 4, "a.b"),
            ("m;a=b.c", 1, "m"),
            ("x.m;a=b", 2, "x.m"),
        ];
        for (name, depth, expected) in cases {
            assert_eq!(prefix(name, depth), expected);
        }
    }
}
