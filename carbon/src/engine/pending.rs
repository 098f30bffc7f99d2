//! What the engine holds of each series: the points that wait to be written, and what it knows of the file.
//!
//! A point stays here until its write has succeeded: nothing has to be put back after a failure, and what is being
//! written can still be asked for. Series lie in a slab by id, without a map and without anything that grows for a
//! series at rest.

use std::num::NonZero;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use self::agenda::Agenda;
use self::positions::Positions;
use crate::series::SeriesId;
use crate::tail::Tail;

mod agenda;
mod positions;

/// Parts of the series, each with its own lock.
pub(super) const SHARDS: usize = 64;

/// Neighbouring ids share a shard, so that a batch in the usual order takes few locks; they are allocated together.
const GROUP_SERIES: usize = 64;

/// Age at which a series is looked at first, while nobody knows how old its points may get.
const UNKNOWN_AGE_S: u32 = 60;

/// Where the journal has a point: the number of its segment. Points of lower numbers were accepted earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct JournalPosition(pub u32);

/// What is known of a series' file, packed.
#[derive(Debug, Clone)]
pub(super) struct KnownFile {
    /// Which header it has.
    pub(super) header: u16,
    /// The file's number.
    pub(super) inode: u32,
    /// [`super::FileMark::stamp`] after the last write.
    pub(super) stamp: u64,
    /// Its archives.
    pub(super) archives: Box<[u8]>,
    /// Monotonic second at which its rollups are due; 0 if it lacks none.
    pub(super) rollups_due_s: u32,
    /// Age at which its points are due.
    pub(super) age_s: u32,
}

/// One series.
#[derive(Debug, Default)]
struct Held {
    tail: Tail,
    archives: Option<Box<[u8]>>,
    /// Monotonic second in which the first of the waiting points came.
    since_s: u32,
    /// When the waiting points are due; 0 if they are not on the agenda.
    due_s: u32,
    rollups_due_s: u32,
    /// Age at which points are due; 0 if not known yet.
    age_s: u32,
    position: JournalPosition,
    /// The earliest position of the points that came since the last [`Pending::mark`].
    fresh_position: JournalPosition,
    /// How many of the waiting points came before it.
    marked: u32,
    inode: u32,
    stamp: u64,
    header: u16,
    /// Writes that failed in a row.
    failures: u8,
    /// A write failed halfway: what is known of the file may not be so.
    doubtful: bool,
    /// Nothing is owed to the file from before the node started.
    settled: bool,
}

/// A series as [`Pending::look`] found it.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The waiting points in the order of arrival.
    pub(super) points: Vec<(u32, f64)>,
    /// How many of them came before the last [`Pending::mark`].
    pub(super) marked: usize,
    /// Whether each of them is later than the one before.
    pub(super) ordered: bool,
    pub(super) known: Option<KnownFile>,
    pub(super) doubtful: bool,
    pub(super) settled: bool,
}

/// Series that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// To be written, with the number of their file if it is known.
    pub(super) series: Vec<(u32, SeriesId)>,
    /// Nobody knows how old their points may get.
    pub(super) unknown: Vec<SeriesId>,
}

#[derive(Debug, Default)]
struct Shard {
    groups: Vec<Option<Box<[Held]>>>,
    points: Agenda,
    rollups: Agenda,
    /// Of the series with waiting points.
    positions: Positions,
    /// Series that have reached the number of points at which they are due.
    hurried: Vec<u32>,
}

/// All series.
#[derive(Debug)]
pub(super) struct Pending {
    shards: Box<[Mutex<Shard>]>,
    points: AtomicUsize,
    /// Series with waiting points.
    waiting: AtomicUsize,
    tail_bytes: AtomicUsize,
    archive_bytes: AtomicUsize,
    /// Series whose rollups are not all written.
    owed: AtomicUsize,
    series_points_due: usize,
    age_s_max: AtomicU32,
}

impl Held {
    /// Gets ready for the first point after a rest.
    fn begin(&mut self, position: JournalPosition, now_s: u32) {
        self.since_s = now_s;
        (self.position, self.fresh_position) = (position, position);
    }
}

impl Shard {
    fn get(&mut self, id: u32) -> Option<&mut Held> {
        let (group, at) = place(id);
        self.groups.get_mut(group)?.as_mut().map(|group| &mut group[at])
    }

    fn reach(&mut self, group: usize) {
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, || None);
        }
        let fill = || (0..GROUP_SERIES).map(|_| Held::default()).collect();
        self.groups[group].get_or_insert_with(fill);
    }

    fn each(&self, shard: usize) -> impl Iterator<Item = (SeriesId, &Held)> {
        let groups = self.groups.iter().enumerate();
        let groups = groups.filter_map(|(at, group)| Some((at, group.as_ref()?)));
        groups.flat_map(move |(at, group)| {
            let first = (at * SHARDS + shard) * GROUP_SERIES;
            (first..).map(|id| SeriesId(u32::try_from(id).expect("ids fit"))).zip(group)
        })
    }
}

impl Pending {
    pub(super) fn new(series_points_due: usize, age_s_max: u32) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            points: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            tail_bytes: AtomicUsize::new(0),
            archive_bytes: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            series_points_due: series_points_due.max(1),
            age_s_max: AtomicU32::new(age_s_max.max(1)),
        }
    }

    fn shard(&self, id: SeriesId) -> MutexGuard<'_, Shard> {
        self.shards[shard_of(id.0)].lock()
    }

    /// Adds points that the journal has at `position`; calls `active` where a series has a point of a new hour.
    pub(super) fn append(
        &self,
        points: &[(SeriesId, u32, f64)],
        position: JournalPosition,
        now_s: u32,
        mut active: impl FnMut(SeriesId, u32),
    ) {
        let mut bytes = 0;
        let unknown_age_s = self.age_s_max.load(Ordering::Relaxed).min(UNKNOWN_AGE_S);
        for run in points.chunk_by(|a, b| group_of(a.0.0) == group_of(b.0.0)) {
            let mut shard = self.shard(run[0].0);
            let (group, _) = place(run[0].0.0);
            shard.reach(group);
            let Shard { groups, points, positions, hurried, .. } = &mut *shard;
            let group = groups[group].as_mut().expect("reached above");
            for &(id, timestamp, value) in run {
                let held = &mut group[place(id.0).1];
                if held.tail.last_timestamp() / 3600 != timestamp / 3600 {
                    active(id, timestamp);
                }
                if held.tail.is_empty() {
                    self.waiting.fetch_add(1, Ordering::Relaxed);
                    held.begin(position, now_s);
                    positions.add(position);
                    let age_s = NonZero::new(held.age_s).map_or(unknown_age_s, NonZero::get);
                    held.due_s = points.add(now_s.saturating_add(age_s), id.0);
                }
                if position < held.position {
                    positions.remove(held.position);
                    positions.add(position);
                    held.position = position;
                }
                held.fresh_position = held.fresh_position.min(position);
                bytes += held.tail.push(timestamp, value);
                if held.tail.len() == self.series_points_due {
                    hurried.push(id.0);
                }
            }
        }
        self.tail_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.points.fetch_add(points.len(), Ordering::Relaxed);
    }

    /// What waits for a series, in the order of arrival.
    pub(super) fn of(&self, id: SeriesId) -> Vec<(u32, f64)> {
        self.shard(id).get(id.0).map_or_else(Vec::new, |held| held.tail.iter().collect())
    }

    /// Ends what is to be written of these series at the points that wait now.
    pub(super) fn mark(&self, ids: &[SeriesId]) {
        for &id in ids {
            let mut shard = self.shard(id);
            let Some(held) = shard.get(id.0) else { continue };
            held.fresh_position = JournalPosition(u32::MAX);
            held.marked = u32::try_from(held.tail.len()).unwrap_or(u32::MAX);
        }
    }

    /// Everything about a series. In the series' turn only.
    pub(super) fn look(&self, id: SeriesId) -> Look {
        let mut shard = self.shard(id);
        let Some(held) = shard.get(id.0) else { return Look::default() };
        let known = held.archives.as_ref().map(|archives| KnownFile {
            header: held.header,
            inode: held.inode,
            stamp: held.stamp,
            archives: archives.clone(),
            rollups_due_s: held.rollups_due_s,
            age_s: held.age_s,
        });
        let (ordered, doubtful, settled) = (held.tail.is_ordered(), held.doubtful, held.settled);
        let (tail, marked) = (held.tail.clone(), held.marked as usize);
        drop(shard);
        let mut points = Vec::with_capacity(tail.len());
        points.extend(tail.iter());
        Look { points, marked, ordered, known, doubtful, settled }
    }

    /// Takes out the first `count` points of a series, they are on disk or of no use, and keeps what is known of the
    /// file now.
    pub(super) fn confirm(&self, id: SeriesId, count: usize, known: Option<KnownFile>, now_s: u32) {
        let mut shard = self.shard(id);
        let (group, at) = place(id.0);
        shard.reach(group);
        let Shard { groups, points, rollups, positions, .. } = &mut *shard;
        let held = &mut groups[group].as_mut().expect("reached above")[at];
        let count = count.min(held.tail.len());
        self.take_points(held, count, positions);
        if !held.tail.is_empty() && count > 0 {
            held.since_s = now_s;
            held.due_s = points.add(now_s.saturating_add(held.age_s.max(1)), id.0);
        }
        (held.failures, held.doubtful, held.settled) = (0, false, true);
        self.keep(held, known, |due_s| rollups.add(due_s, id.0));
    }

    fn take_points(&self, held: &mut Held, count: usize, positions: &mut Positions) {
        if count == 0 {
            return;
        }
        let before = held.tail.bytes_held();
        let rest: Vec<(u32, f64)> = match held.tail.len() == count {
            true => Vec::new(),
            false => held.tail.iter().skip(count).collect(),
        };
        held.tail.clear();
        held.due_s = 0;
        for (timestamp, value) in rest {
            held.tail.push(timestamp, value);
        }
        let marked_left = (held.marked as usize).saturating_sub(count);
        held.marked = u32::try_from(marked_left).unwrap_or(u32::MAX);
        positions.remove(held.position);
        if held.tail.is_empty() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        } else {
            // Of points that were marked meanwhile no more is known than that they came later.
            if marked_left == 0 {
                held.position = held.fresh_position;
            }
            positions.add(held.position);
        }
        self.points.fetch_sub(count, Ordering::Relaxed);
        self.tail_bytes.fetch_sub(before, Ordering::Relaxed);
        self.tail_bytes.fetch_add(held.tail.bytes_held(), Ordering::Relaxed);
    }

    fn keep(&self, held: &mut Held, known: Option<KnownFile>, mut add: impl FnMut(u32) -> u32) {
        let bytes = |archives: &Option<Box<[u8]>>| archives.as_ref().map_or(0, |bytes| bytes.len());
        self.archive_bytes.fetch_sub(bytes(&held.archives), Ordering::Relaxed);
        self.owed.fetch_sub(usize::from(held.rollups_due_s > 0), Ordering::Relaxed);
        let due_s = known.as_ref().map_or(0, |known| known.rollups_due_s);
        if due_s != held.rollups_due_s {
            held.rollups_due_s = if due_s > 0 { add(due_s) } else { 0 };
        }
        held.archives = known.map(|known| {
            (held.header, held.inode, held.age_s) = (known.header, known.inode, known.age_s);
            held.stamp = known.stamp;
            known.archives
        });
        self.owed.fetch_add(usize::from(held.rollups_due_s > 0), Ordering::Relaxed);
        self.archive_bytes.fetch_add(bytes(&held.archives), Ordering::Relaxed);
    }

    /// Takes note of a failed write; returns how many there have been in a row.
    pub(super) fn failed(&self, id: SeriesId) -> u8 {
        let mut shard = self.shard(id);
        let Some(held) = shard.get(id.0) else { return 0 };
        held.failures = held.failures.saturating_add(1);
        held.doubtful = true;
        held.failures
    }

    /// Takes all points of a series out and forgets its file; returns how many points there were.
    pub(super) fn discard(&self, id: SeriesId) -> usize {
        let mut shard = self.shard(id);
        let Shard { groups, positions, .. } = &mut *shard;
        let (group, at) = place(id.0);
        let Some(group) = groups.get_mut(group).and_then(Option::as_mut) else { return 0 };
        let held = &mut group[at];
        let count = held.tail.len();
        self.take_points(held, count, positions);
        self.keep(held, None, |due_s| due_s);
        held.settled = true;
        count
    }

    /// Up to `limit` series of a shard that are due: many points wait, the first came long ago, or rollups have waited
    /// for their time. With `pressed`, the first points in the order of their time, whether it has come or not.
    pub(super) fn take_due(
        &self,
        shard: usize,
        now_s: u32,
        pressed: bool,
        limit: usize,
        due: &mut Due,
    ) {
        let mut shard = self.shards[shard].lock();
        let age_s_max = self.age_s_max.load(Ordering::Relaxed);
        let end = due.series.len() + limit;
        while due.series.len() < end {
            let Some(id) = shard.hurried.pop() else { break };
            due.series.extend(shard.get(id).map(|held| (held.inode, SeriesId(id))));
        }
        let until_s = if pressed { u32::MAX } else { now_s };
        while due.series.len() < end {
            let Some((due_s, id)) = shard.points.take(until_s) else { break };
            let Some(held) = shard.get(id).filter(|held| held.due_s == due_s) else { continue };
            held.due_s = 0;
            if held.age_s == 0 && !pressed && age_s_max > UNKNOWN_AGE_S {
                due.unknown.push(SeriesId(id));
            } else {
                due.series.push((held.inode, SeriesId(id)));
            }
        }
        while due.series.len() < end {
            let Some((due_s, id)) = shard.rollups.take(now_s) else { break };
            let held = shard.get(id).filter(|held| held.rollups_due_s == due_s);
            due.series.extend(held.map(|held| (held.inode, SeriesId(id))));
        }
    }

    /// Puts a series of [`Due::unknown`] on the agenda for when its points are due.
    pub(super) fn set_age(&self, id: SeriesId, age_s: u32) {
        let mut shard = self.shard(id);
        let Shard { groups, points, .. } = &mut *shard;
        let (group, at) = place(id.0);
        let Some(group) = groups.get_mut(group).and_then(Option::as_mut) else { return };
        let held = &mut group[at];
        held.age_s = age_s.max(1);
        if !held.tail.is_empty() && held.due_s == 0 {
            held.due_s = points.add(held.since_s.saturating_add(held.age_s), id.0);
        }
    }

    /// All series with waiting points and, with `owed`, those whose rollups are not written; ordered by file.
    pub(super) fn all(&self, owed: bool) -> Vec<SeriesId> {
        let mut all: Vec<(u32, SeriesId)> = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let shard = shard.lock();
            let held = shard.each(number);
            let held =
                held.filter(|(_, held)| !held.tail.is_empty() || (owed && held.rollups_due_s > 0));
            all.extend(held.map(|(id, held)| (held.inode, id)));
        }
        all.sort_unstable();
        all.into_iter().map(|(_inode, id)| id).collect()
    }

    /// Where the journal has the oldest point that is in no file yet.
    pub(super) fn oldest_position(&self) -> Option<JournalPosition> {
        self.shards.iter().filter_map(|shard| shard.lock().positions.first()).min()
    }

    /// Series with points that the journal has before `position`.
    pub(super) fn before(&self, position: JournalPosition) -> Vec<SeriesId> {
        let mut early = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let shard = shard.lock();
            if shard.positions.first().is_some_and(|first| first < position) {
                let held = shard.each(number);
                let held =
                    held.filter(|(_, held)| !held.tail.is_empty() && held.position < position);
                early.extend(held.map(|(id, _held)| id));
            }
        }
        early
    }

    /// Which header the series' file has, if that is known.
    pub(super) fn header_of(&self, id: SeriesId) -> Option<u16> {
        let mut shard = self.shard(id);
        shard.get(id.0).and_then(|held| held.archives.is_some().then_some(held.header))
    }

    /// How many points wait in these series.
    pub(super) fn points_of(&self, ids: &[SeriesId]) -> usize {
        let waiting = |id: &SeriesId| self.shard(*id).get(id.0).map_or(0, |held| held.tail.len());
        ids.iter().map(waiting).sum()
    }

    /// The journal has the waiting points of these series at `position` too, and does not need to have them before.
    pub(super) fn move_to(&self, ids: &[SeriesId], position: JournalPosition) {
        for &id in ids {
            let mut shard = self.shard(id);
            let Shard { groups, positions, .. } = &mut *shard;
            let (group, at) = place(id.0);
            let held = groups.get_mut(group).and_then(Option::as_mut).map(|group| &mut group[at]);
            let Some(held) = held.filter(|held| !held.tail.is_empty()) else { continue };
            held.fresh_position = held.fresh_position.max(position);
            if held.position < position {
                positions.remove(held.position);
                positions.add(position);
                held.position = position;
            }
        }
    }

    /// Whether it is known that nothing is owed to the series' file from before the node started.
    pub(super) fn is_settled(&self, id: SeriesId) -> bool {
        self.shard(id).get(id.0).is_some_and(|held| held.settled)
    }

    pub(super) fn points(&self) -> usize {
        self.points.load(Ordering::Relaxed)
    }

    /// Number of series with waiting points.
    pub(super) fn series(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Bytes of the waiting points.
    pub(super) fn bytes(&self) -> usize {
        self.tail_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of what is known of the files.
    pub(super) fn archive_bytes(&self) -> usize {
        self.archive_bytes.load(Ordering::Relaxed)
    }

    /// Series whose rollups are not all written.
    pub(super) fn owed(&self) -> usize {
        self.owed.load(Ordering::Relaxed)
    }
}

fn group_of(id: u32) -> usize {
    id as usize / GROUP_SERIES
}

fn shard_of(id: u32) -> usize {
    group_of(id) % SHARDS
}

/// Group within the shard, and place within the group.
fn place(id: u32) -> (usize, usize) {
    (group_of(id) / SHARDS, id as usize % GROUP_SERIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SeriesId = SeriesId(1);
    const B: SeriesId = SeriesId(70);
    const FIRST: JournalPosition = JournalPosition(1);
    const LATER: JournalPosition = JournalPosition(9);

    fn due(pending: &Pending, now_s: u32) -> Vec<SeriesId> {
        let mut due = Due::default();
        for shard in 0..SHARDS {
            pending.take_due(shard, now_s, false, 100, &mut due);
        }
        assert_eq!(due.unknown, []);
        due.series.into_iter().map(|(_inode, id)| id).collect()
    }

    fn append(pending: &Pending, points: &[(SeriesId, u32, f64)], now_s: u32) {
        pending.append(points, FIRST, now_s, |_, _| {});
    }

    #[test]
    fn points_are_counted_until_the_last_is_confirmed() {
        let pending = Pending::new(100, 30);
        append(&pending, &[(A, 60, 1.5), (B, 60, -0.0), (A, 120, f64::MIN)], 7);
        assert_eq!((pending.points(), pending.all(false)), (3, vec![A, B]));
        assert_eq!(pending.of(A), [(60, 1.5), (120, f64::MIN)]);
        pending.confirm(A, 1, None, 8);
        assert_eq!(pending.of(A), [(120, f64::MIN)]);
        assert_eq!(pending.discard(A), 1);
        assert!(pending.of(B)[0].1.is_sign_negative());
        pending.confirm(B, 1, None, 8);
        assert_eq!((pending.points(), pending.bytes()), (0, 0));
    }

    #[test]
    fn a_series_is_due_by_age_or_by_number_and_once() {
        let pending = Pending::new(3, 30);
        append(&pending, &[(A, 60, 1.0)], 10);
        assert_eq!(due(&pending, 39), []);
        assert_eq!(due(&pending, 40), [A]);
        assert_eq!(due(&pending, 40), []);
        pending.confirm(A, 1, None, 11);
        append(&pending, &[(B, 60, 1.0), (B, 120, 1.0), (B, 180, 1.0)], 20);
        assert_eq!(due(&pending, 0), [B]);
    }

    #[test]
    fn a_long_age_is_asked_for_before_it_is_waited_for() {
        let pending = Pending::new(100, 3600);
        append(&pending, &[(A, 60, 1.0)], 10);
        let mut found = Due::default();
        pending.take_due(0, 10 + UNKNOWN_AGE_S, false, 100, &mut found);
        assert_eq!((found.series.len(), &found.unknown[..]), (0, &[A][..]));
        pending.set_age(A, 900);
        assert_eq!(due(&pending, 909), []);
        assert_eq!(due(&pending, 910), [A]);
    }

    #[test]
    fn the_position_of_the_oldest_unwritten_point_is_known() {
        let pending = Pending::new(100, 30);
        pending.append(&[(A, 60, 1.0)], FIRST, 0, |_, _| {});
        pending.append(&[(B, 60, 1.0)], LATER, 0, |_, _| {});
        assert_eq!(pending.oldest_position(), Some(FIRST));
        assert_eq!(pending.before(LATER), [A]);
        pending.mark(&[A]);
        pending.append(&[(A, 120, 1.0)], LATER, 0, |_, _| {});
        pending.confirm(A, 1, None, 0);
        assert_eq!(pending.oldest_position(), Some(LATER));
        pending.append(&[(A, 180, 1.0)], FIRST, 0, |_, _| {});
        assert_eq!((pending.oldest_position(), pending.before(LATER)), (Some(FIRST), vec![A]));
        pending.confirm(A, 2, None, 0);
        pending.confirm(B, 1, None, 0);
        assert_eq!(pending.oldest_position(), None);
    }

    #[test]
    fn what_is_marked_during_a_write_keeps_its_place_in_the_journal() {
        let pending = Pending::new(100, 30);
        pending.append(&[(A, 60, 1.0)], FIRST, 0, |_, _| {});
        pending.mark(&[A]);
        let look = pending.look(A);
        pending.append(&[(A, 120, 1.0)], JournalPosition(5), 0, |_, _| {});
        assert_eq!((look.marked, pending.look(A).marked), (1, 1));
        pending.mark(&[A]);
        pending.append(&[(A, 180, 1.0)], LATER, 0, |_, _| {});
        pending.confirm(A, look.marked, None, 0);
        assert!(pending.oldest_position().is_some_and(|oldest| oldest <= JournalPosition(5)));
        assert_eq!(pending.look(A).marked, 1);
        pending.confirm(A, 1, None, 0);
        assert_eq!((pending.oldest_position(), pending.look(A).marked), (Some(LATER), 0));
    }

    #[test]
    fn points_that_the_journal_has_again_need_no_older_place() {
        let pending = Pending::new(100, 30);
        pending.append(&[(A, 60, 1.0), (A, 120, 1.0)], FIRST, 0, |_, _| {});
        pending.append(&[(B, 60, 1.0)], LATER, 0, |_, _| {});
        pending.mark(&[A]);
        pending.append(&[(A, 180, 1.0)], FIRST, 0, |_, _| {});
        assert_eq!(pending.points_of(&[A]), 3);
        pending.move_to(&[A, B], JournalPosition(5));
        assert_eq!(pending.oldest_position(), Some(JournalPosition(5)));
        pending.confirm(A, 2, None, 0);
        assert_eq!(pending.oldest_position(), Some(JournalPosition(5)));
        pending.confirm(A, 1, None, 0);
        assert_eq!(pending.oldest_position(), Some(LATER));
    }

    #[test]
    fn each_new_hour_of_a_series_is_told() {
        let pending = Pending::new(100, 30);
        let mut hours = Vec::new();
        let points = [(A, 4000, 0.0), (A, 4010, 0.0), (A, 7200, 0.0), (B, 7300, 0.0)];
        pending.append(&points, FIRST, 0, |id, timestamp| hours.push((id, timestamp)));
        assert_eq!(hours, [(A, 4000), (A, 7200), (B, 7300)]);
    }
}
