//! Reading back what former runs have left, while points come in and reads are answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::park_timeout;
use std::time::Duration;

use daemon::{Context, Ready, Shutdown};

use super::Keeper;
use super::holes::Hole;
use crate::engine::JournalPosition;
use crate::journal::{Point, Position, Record, Replay};
use crate::series::SeriesId;

/// Rest while memory for waiting points is full.
const ROOM_REST: Duration = Duration::from_millis(10);

/// A journal of so many bytes is read before the node starts to answer.
const SHORT_BYTES: u64 = 64 << 10;

/// What an id of the journal stands for now, where that is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Series(SeriesId),
    /// Of a series that was deleted.
    Nothing,
}

pub(super) struct Replaying {
    keeper: Arc<Keeper>,
    replay: Replay,
    meanings: HashMap<SeriesId, Meaning>,
    /// The names log knew all ids below, when the node started.
    known_end: SeriesId,
    /// The names log was damaged: an id that it does not have need not be of a deleted series.
    names_damaged: bool,
    shutdown: Shutdown,
    ready: Ready,
}

impl Replaying {
    pub(super) fn new(keeper: Arc<Keeper>, replay: Replay, context: &Context) -> Self {
        let report = keeper.engine.load_report();
        let names_damaged = report.damaged_stretches > 0 || report.set_aside.is_some();
        let known_end = SeriesId(keeper.engine.table().id_end());
        replay.begins_s().inspect(|&seconds| keeper.engine.expect_again(seconds));
        Self {
            keeper,
            replay,
            meanings: HashMap::new(),
            known_end,
            names_damaged,
            shutdown: context.shutdown.clone(),
            ready: context.ready.clone(),
        }
    }

    pub(super) fn is_short(&self) -> bool {
        self.replay.bytes_left() <= SHORT_BYTES
    }

    /// Reads everything, or until the node stops: the rest stays where it is.
    pub(super) fn run(&mut self) {
        let Self { keeper, replay, meanings, .. } = self;
        let keeper = &**keeper;
        let table = Names { keeper, known_end: self.known_end, damaged: self.names_damaged };
        loop {
            if self.shutdown.is_fired() {
                return;
            }
            if !keeper.engine.has_room() {
                park_timeout(ROOM_REST);
                continue;
            }
            let more =
                replay.step(&mut |position, record| table.apply(position, &record, meanings));
            if !more {
                break;
            }
        }
        keeper.senders.settle(|| keeper.journal.sync_former());
        let alone = keeper.gate.write();
        keeper.is_replaying.store(false, Ordering::Relaxed);
        *keeper.newcomers.lock() = std::collections::HashSet::new();
        drop(alone);
        keeper.replayed.fire();
        let report = replay.report();
        let log = report.log;
        if log.frames > 0 || log.damaged > 0 || log.torn_bytes > 0 {
            let (segments, points, damaged) = (log.segments, report.points, log.damaged);
            let torn_bytes = log.torn_bytes;
            tracing::info!(segments, points, damaged, torn_bytes, "journal read");
        }
        if !self.shutdown.is_fired() {
            self.ready.set();
        }
    }
}

struct Names<'a> {
    keeper: &'a Keeper,
    known_end: SeriesId,
    damaged: bool,
}

impl Names<'_> {
    fn apply(
        &self,
        position: Position,
        record: &Record<'_>,
        meanings: &mut HashMap<SeriesId, Meaning>,
    ) {
        match *record {
            Record::Name { id, name } => self.name(id, name, meanings),
            Record::Points(points) => self.points(position, points, meanings, false),
            Record::EarlierPoints(points) => self.points(position, points, meanings, true),
            Record::Tombstone(id) => self.tombstone(id, meanings),
            Record::Hole { from_s, until_s } => {
                self.keeper.holes.insert(Hole { from_s, until_s });
            }
            Record::Sender(mark) => self.keeper.senders.restore(mark),
            // Nothing of the others is kept in memory.
            _ => {}
        }
    }

    /// The names log may have lost the newest names, and their ids may have been given again.
    fn name(&self, id: SeriesId, name: &str, meanings: &mut HashMap<SeriesId, Meaning>) {
        let engine = &self.keeper.engine;
        let held = engine.table().with_name(id, |held| held == name);
        if held == Some(true) {
            meanings.remove(&id);
            return;
        }
        let was_deleted = held.is_none() && id < self.known_end && !self.damaged;
        let meaning = match engine.resolve_again(name).filter(|_| !was_deleted) {
            Some(series) => Meaning::Series(series),
            None => Meaning::Nothing,
        };
        meanings.insert(id, meaning);
    }

    fn tombstone(&self, id: SeriesId, meanings: &mut HashMap<SeriesId, Meaning>) {
        let engine = &self.keeper.engine;
        let Some(Meaning::Series(id)) =
            meanings.insert(id, Meaning::Nothing).or(Some(Meaning::Series(id)))
        else {
            return;
        };
        if !engine.table().is_living(id) {
            return;
        }
        let alone = self.keeper.gate.write();
        let newer = self.keeper.newcomers.lock().iter().any(|(newcomer, _)| *newcomer == id);
        if !newer && let Err(error) = engine.remove(id) {
            tracing::error!(%error, "a deleted series is back");
        }
        drop(alone);
    }

    fn points(
        &self,
        position: Position,
        points: &[Point],
        meanings: &HashMap<SeriesId, Meaning>,
        are_earlier: bool,
    ) {
        let Keeper { engine, counters, .. } = self.keeper;
        counters.replayed.add(points.len() as u64);
        // Nothing may come between the look at the newcomers and the append.
        let _alone = self.keeper.gate.write();
        let newcomers = self.keeper.newcomers.lock();
        let mut taken: Vec<Point> = Vec::with_capacity(points.len());
        let mut waiting: HashMap<SeriesId, Vec<u32>> = HashMap::new();
        let times = |id| engine.pending(id).into_iter().map(|(timestamp, _)| timestamp).collect();
        for &(id, timestamp, value) in points {
            let id = match meanings.get(&id) {
                None => id,
                Some(Meaning::Series(id)) => *id,
                Some(Meaning::Nothing) => {
                    counters.of_deleted.inc();
                    continue;
                }
            };
            let overtaken = newcomers.contains(&(id, timestamp))
                || (are_earlier
                    && waiting.entry(id).or_insert_with(|| times(id)).contains(&timestamp));
            if overtaken {
                counters.superseded.inc();
            } else if engine.table().is_living(id) {
                taken.push((id, timestamp, value));
            } else if id < self.known_end {
                counters.of_deleted.inc();
            } else {
                counters.nameless.inc();
            }
        }
        let segment = self.keeper.journal.segment_of(position);
        let segment = JournalPosition(u32::try_from(segment).unwrap_or(u32::MAX));
        engine.append_at(&taken, segment);
    }
}
