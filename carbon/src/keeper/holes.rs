//! Intervals in which the node may have missed points: it was not there, or could take none. Who needs them whole asks
//! another copy.
//!
//! The bytes of both files: docs/formats/names.md.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// All intervals, oldest first.
const HOLES_FILE: &str = "holes";

/// When the node was last known to take points.
const ALIVE_FILE: &str = "alive";

/// How often the disk is told that the node takes points; a death makes a hole longer by so much.
const ALIVE_INTERVAL_S: i64 = 10;

/// Shorter ones are none: so long a sender waits for an answer, and an orderly restart takes less.
const HOLE_MIN_S: i64 = 2;

/// Most that are kept. Beyond it the two that are closest become one.
const HOLES_MAX: usize = 1_000;

/// One interval, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hole {
    /// The first second.
    pub(crate) from_s: i64,
    /// The first second after it.
    pub(crate) until_s: i64,
}

impl Hole {
    /// Whether relays may still be sending what they kept meanwhile: they need no longer for it than the hole lasted.
    fn is_refilled(self, now_s: i64) -> bool {
        now_s < self.until_s.saturating_add(self.until_s.saturating_sub(self.from_s))
    }
}

/// All intervals of a node.
#[derive(Debug)]
pub(crate) struct Holes {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first, none touching another.
    past: Vec<Hole>,
    /// Since when the node takes no points, if it does not.
    missing_since_s: Option<i64>,
    alive_s: i64,
    /// What the disk knows of it.
    alive_on_disk_s: i64,
    /// The file lacks one of them.
    is_dirty: bool,
}

impl Holes {
    /// Reads what former runs have left. The time since the last of them is a hole that ends with the first
    /// [`Holes::beat`].
    pub(crate) fn open(folder: &Path, now_s: i64) -> Self {
        let read = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let mut state = State { alive_s: now_s, ..State::default() };
        let alive_s: Option<i64> = read(ALIVE_FILE).trim().parse().ok();
        state.missing_since_s = alive_s.filter(|&alive_s| alive_s < now_s);
        read(HOLES_FILE).lines().filter_map(parse).for_each(|hole| state.insert(hole));
        state.is_dirty = false;
        Self { folder: folder.to_owned(), state: Mutex::new(state) }
    }

    /// Tells whether the node takes points now; returns a hole that has just ended.
    pub(crate) fn beat(&self, now_s: i64, takes_points: bool) -> Option<Hole> {
        let mut state = self.state.lock();
        if !takes_points {
            let since_s = state.alive_s;
            state.missing_since_s.get_or_insert(since_s);
            return None;
        }
        let from_s = state.missing_since_s.take();
        let ended = from_s.map(|from_s| Hole { from_s, until_s: now_s });
        let ended = ended.filter(|hole| hole.until_s - hole.from_s >= HOLE_MIN_S);
        ended.into_iter().for_each(|hole| state.insert(hole));
        state.alive_s = now_s;
        ended
    }

    /// One that the journal gave back.
    pub(crate) fn insert(&self, hole: Hole) {
        let mut state = self.state.lock();
        if !state.past.iter().any(|one| one.from_s <= hole.from_s && one.until_s >= hole.until_s) {
            state.insert(hole);
        }
    }

    /// Writes to disk what it does not have; `at_once` also if it is only some seconds behind. False if it refuses.
    pub(crate) fn save(&self, at_once: bool) -> bool {
        let mut state = self.state.lock();
        let alive_interval_s = if at_once { 0 } else { ALIVE_INTERVAL_S };
        let is_alive_due = state.alive_s - state.alive_on_disk_s > alive_interval_s;
        let saved = state.save(&self.folder, is_alive_due);
        if let Err(error) = &saved {
            tracing::warn!(%error, "intervals with missed points cannot be written, will try again");
        }
        saved.is_ok()
    }

    /// All intervals, oldest first; the last one has no end while the node takes no points.
    pub(crate) fn all(&self) -> Vec<(i64, Option<i64>)> {
        let state = self.state.lock();
        let past = state.past.iter().map(|hole| (hole.from_s, Some(hole.until_s)));
        past.chain(state.missing_since_s.map(|from_s| (from_s, None))).collect()
    }

    /// Those that have a second of `from_s` to `until_s`, and those of which relays may still be sending what came in
    /// them: that may be points of any time.
    pub(crate) fn within(&self, from_s: i64, until_s: i64, now_s: i64) -> Vec<Hole> {
        let holes = self.all().into_iter().map(|(first, end)| Hole {
            from_s: first,
            until_s: end.unwrap_or(now_s.saturating_add(1)),
        });
        let concerns = |hole: &Hole| {
            hole.is_refilled(now_s) || (hole.from_s <= until_s && hole.until_s > from_s)
        };
        holes.filter(concerns).collect()
    }
}

impl State {
    fn insert(&mut self, hole: Hole) {
        if hole.until_s <= hole.from_s {
            return;
        }
        let at = self.past.partition_point(|one| one < &hole);
        self.past.insert(at, hole);
        self.past.dedup_by(|later, kept| {
            let touches = later.from_s <= kept.until_s;
            if touches {
                kept.until_s = kept.until_s.max(later.until_s);
            }
            touches
        });
        if self.past.len() > HOLES_MAX {
            self.join_closest();
        }
        self.is_dirty = true;
    }

    fn join_closest(&mut self) {
        let gaps = self.past.windows(2).enumerate();
        let closest = gaps.min_by_key(|(_, pair)| pair[1].from_s - pair[0].until_s);
        if let Some((at, _)) = closest {
            let later = self.past.remove(at + 1);
            self.past[at].until_s = later.until_s;
        }
    }

    fn save(&mut self, folder: &Path, is_alive_due: bool) -> io::Result<()> {
        if self.is_dirty {
            let lines = self.past.iter();
            let text: String =
                lines.map(|hole| format!("{} {}\n", hole.from_s, hole.until_s)).collect();
            replace(folder, HOLES_FILE, &text)?;
            self.is_dirty = false;
        }
        if is_alive_due && self.missing_since_s.is_none() {
            // Written over, so that a death leaves one time or the other. Not synced: after the loss of power the hole
            // is said to be a little longer.
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false);
            let mut file = options.open(folder.join(ALIVE_FILE))?;
            file.write_all(format!("{:20}\n", self.alive_s).as_bytes())?;
            self.alive_on_disk_s = self.alive_s;
        }
        Ok(())
    }
}

fn parse(line: &str) -> Option<Hole> {
    let (from, until) = line.split_once(' ')?;
    Some(Hole { from_s: from.parse().ok()?, until_s: until.trim().parse().ok()? })
}

/// Puts a file in the place of another one, so that there is always a whole one.
pub(super) fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(from_s: i64, until_s: i64) -> Hole {
        Hole { from_s, until_s }
    }

    #[test]
    fn the_time_since_the_last_run_is_a_hole_until_points_are_taken_again() {
        let folder = testkit::folder();
        let holes = Holes::open(folder.path(), 1_000);
        assert_eq!(holes.all(), [], "a new node has missed nothing");
        assert_eq!(holes.beat(1_001, true), None);
        assert!(holes.save(false));
        assert_eq!(holes.beat(1_005, true), None);
        // The disk was told at 1001; the process is gone at 1005.
        let holes = Holes::open(folder.path(), 1_100);
        assert_eq!(holes.all(), [(1_001, None)]);
        assert_eq!(holes.within(0, 1_100, 1_100), [hole(1_001, 1_101)]);
        assert_eq!(holes.beat(1_120, true), Some(hole(1_001, 1_120)));
        assert_eq!(holes.beat(1_121, true), None);
        assert!(holes.save(true));
        let holes = Holes::open(folder.path(), 1_122);
        assert_eq!(holes.beat(1_122, true), None, "a restart of a second is none");
        assert_eq!(holes.all(), [(1_001, Some(1_120))]);
    }

    #[test]
    fn a_node_that_dies_before_it_takes_points_has_one_hole() {
        let folder = testkit::folder();
        let holes = Holes::open(folder.path(), 10);
        holes.beat(10, true);
        holes.save(true);
        let holes = Holes::open(folder.path(), 100);
        assert!(holes.save(true), "reading the journal");
        let holes = Holes::open(folder.path(), 200);
        assert_eq!(holes.beat(300, true), Some(hole(10, 300)));
    }

    #[test]
    fn a_full_disk_makes_a_hole_as_long_as_it_lasts() {
        let folder = testkit::folder();
        let holes = Holes::open(folder.path(), 10);
        let beats = [(11, true), (12, false), (13, false), (40, false), (41, true)];
        let ended: Vec<_> = beats.map(|(at, takes)| holes.beat(at, takes)).to_vec();
        assert_eq!(ended, [None, None, None, None, Some(hole(11, 41))]);
        assert_eq!(holes.beat(42, false), None);
        assert_eq!(holes.all(), [(11, Some(41)), (41, None)]);
        assert_eq!(holes.beat(42, true), None, "it was over before anybody had to wait");
        assert_eq!(holes.within(0, 10, 1_000), []);
        assert_eq!(holes.within(40, 40, 1_000), [hole(11, 41)]);
        assert_eq!(holes.within(41, 90, 1_000), []);
        assert_eq!(holes.within(0, 10, 70), [hole(11, 41)], "late points may still come");
        assert_eq!(holes.within(0, 10, 71), []);
    }

    #[test]
    fn holes_that_touch_are_one_and_too_many_grow_together() {
        let folder = testkit::folder();
        let holes = Holes::open(folder.path(), 0);
        for (from_s, until_s) in [(10, 20), (30, 40), (20, 25), (38, 50), (12, 13), (60, 60)] {
            holes.insert(hole(from_s, until_s));
        }
        assert_eq!(holes.all(), [(10, Some(25)), (30, Some(50))]);
        for number in 1..=HOLES_MAX as i64 {
            holes.insert(hole(number * 1_000, number * 1_000 + 10));
        }
        assert_eq!(holes.all().len(), HOLES_MAX);
        assert_eq!(holes.all()[0], (10, Some(1_010)));
        assert!(holes.save(false));
        assert_eq!(Holes::open(folder.path(), 0).all(), holes.all());
    }
}
