//! What keeps the log in bounds: segments that nobody needs go, and beyond the bounds what the nodes' settings say.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::thread::park_timeout;
use std::time::Duration;

use segments::{Position, ReadStep, SegmentInfo};

use super::drops::DropReason;
use super::node::Node;
use super::stream::Place;
use super::{Forwarder, NodeId};
use crate::log::{LogFull, RelayLog, SavedPlace, lines_of};

/// How often places are saved and segments looked at.
const TURN: Duration = Duration::from_millis(250);
/// A segment is ended when it is this part of the age limit old, so that age takes effect.
const SEGMENT_AGE_PART: u32 = 8;

/// Works until the forwarder is gone or closes.
pub(super) fn run(forwarder: &Weak<Forwarder>) {
    while let Some(forwarder) = forwarder.upgrade() {
        if forwarder.hub.closing.is_fired() {
            return;
        }
        turn(&forwarder);
        drop(forwarder);
        park_timeout(TURN);
    }
}

/// A node with its place at one moment.
struct Holder {
    id: NodeId,
    node: Arc<Node>,
    place: Place,
}

impl Holder {
    /// The log need not survive the loss of power up to here: the node has it, or has said that it is safe.
    fn safe(&self) -> Position {
        if self.node.destination.is_link { self.place.done } else { self.place.sent }
    }

    /// Whether some of the segment's lines may be wanted by the node.
    fn needs(&self, segment: &SegmentInfo) -> bool {
        let kept = self.place.kept_until.is_none_or(|until| segment.first <= until);
        segment.last > self.place.done && kept
    }
}

/// One look at everything.
pub(super) fn turn(forwarder: &Forwarder) {
    let Some((log, _)) = &forwarder.hub.log else { return };
    let holders = holders(forwarder);
    save_places(log, &holders);
    if let Some(safe) = holders.iter().map(Holder::safe).min() {
        log.spare(safe);
    }
    log.segments.release_where(|segment| !holders.iter().any(|holder| holder.needs(segment)));
    let now_s = forwarder.hub.clock.now_unix_seconds();
    drop_old(forwarder, log, &holders, now_s);
    let is_full = make_room(forwarder, log, &holders);
    forwarder.hub.set_log_full(is_full);
    forwarder.drops.log(forwarder.hub.clock.monotonic());
}

fn holders(forwarder: &Forwarder) -> Vec<Holder> {
    let nodes = forwarder.all_nodes();
    let places: HashMap<NodeId, Place> = forwarder.hub.stream.lock().places().collect();
    let holder = |node: Arc<Node>| {
        let (id, place) = (node.id, *places.get(&node.id)?);
        Some(Holder { id, node, place })
    };
    nodes.into_iter().filter_map(holder).collect()
}

/// How far all nodes have come, for the next run.
pub(super) fn save_all_places(forwarder: &Forwarder) {
    if let Some((log, _)) = &forwarder.hub.log {
        save_places(log, &holders(forwarder));
    }
}

/// How far all nodes have come, for the next run, and what none of them needs.
pub(super) fn last_turn(forwarder: &Forwarder) {
    let Some((log, _)) = &forwarder.hub.log else { return };
    let holders = holders(forwarder);
    save_places(log, &holders);
    log.segments.release_where(|segment| !holders.iter().any(|holder| holder.needs(segment)));
}

fn save_places(log: &RelayLog, holders: &[Holder]) {
    let place = |place: Place| SavedPlace { done: place.done, kept_until: place.kept_until };
    log.save_places(holders.iter().map(|holder| (holder.node.name(), place(holder.place))));
}

/// Lets lines go that are older than the log keeps them.
fn drop_old(forwarder: &Forwarder, log: &RelayLog, holders: &[Holder], now_s: i64) {
    let age_max_s = i64::try_from(log.settings.age_max.as_secs()).unwrap_or(i64::MAX);
    let segments = log.segments.segments();
    for pair in segments.windows(2) {
        // A segment's lines are older than the beginning of the next one.
        if now_s.saturating_sub(i64::from(pair[1].created_s)) > age_max_s && pair[0].replayed {
            let needed: Vec<&Holder> = holders.iter().filter(|one| one.needs(&pair[0])).collect();
            give_up(forwarder, log, &needed, &pair[0], DropReason::LogAge);
        }
    }
    let age_of_last = |last: &SegmentInfo| now_s.saturating_sub(i64::from(last.created_s));
    let rotation_age_s = age_max_s / i64::from(SEGMENT_AGE_PART);
    if segments.last().is_some_and(|last| last.open && age_of_last(last) > rotation_age_s) {
        log.segments.rotate();
    }
}

/// Lets lines go until the log is small enough. Returns whether senders are to wait instead.
fn make_room(forwarder: &Forwarder, log: &RelayLog, holders: &[Holder]) -> bool {
    let mut excess = log.bytes().saturating_sub(log.settings.bytes_max);
    let mut must_wait = false;
    for segment in log.segments.segments() {
        if excess == 0 {
            break;
        }
        if segment.open {
            log.segments.rotate();
            break;
        }
        let (needed, sent): (Vec<&Holder>, Vec<&Holder>) = holders
            .iter()
            .filter(|one| one.needs(&segment))
            .partition(|one| one.place.sent < segment.last);
        // What was sent and not confirmed is no reason to drop or wait.
        for one in sent {
            forwarder.hub.change(|stream| stream.done(one.id, segment.last));
        }
        let policy = |one: &&Holder| one.node.destination.log_full.unwrap_or(log.settings.full);
        if needed.iter().all(|one| policy(one) == LogFull::Oldest) {
            give_up(forwarder, log, &needed, &segment, DropReason::LogFullOldest);
            log.segments.release_where(|info| info.number == segment.number);
            excess = excess.saturating_sub(segment.bytes);
            continue;
        }
        must_wait |= needed.iter().any(|one| policy(one) == LogFull::Wait);
        for one in needed.iter().filter(|one| policy(one) == LogFull::Newest) {
            forwarder.hub.change(|stream| stream.keep_until_now(one.id));
        }
    }
    must_wait
}

/// The nodes do without what the segment has for them.
fn give_up(
    forwarder: &Forwarder,
    log: &RelayLog,
    needed: &[&Holder],
    segment: &SegmentInfo,
    reason: DropReason,
) {
    if needed.is_empty() {
        return;
    }
    for one in needed {
        let (lines, bytes) = lines_for(log, one, segment);
        forwarder.drops.count(one.node.name(), reason, lines);
        forwarder.hub.change(|stream| {
            stream.delivered(one.id, lines, bytes);
            stream.done(one.id, segment.last);
        });
    }
}

/// What a segment has for a node that was not sent it yet.
fn lines_for(log: &RelayLog, holder: &Holder, segment: &SegmentInfo) -> (u64, usize) {
    let start = holder.place.sent.max(Position(segment.first.0.saturating_sub(1)));
    let end = holder.place.kept_until.map_or(segment.last, |until| until.min(segment.last));
    let mut reader = log.segments.read_after(start);
    let (mut lines, mut bytes) = (0, 0);
    let mut at = start;
    while at < end {
        let step = reader.step(&mut |position, body| {
            if position > end {
                return;
            }
            for own in lines_of(body).filter(|one| one.keys().any(|key| key == holder.node.key)) {
                lines += u64::from(own.lines);
                bytes += own.bytes.len();
            }
        });
        match step {
            Ok(ReadStep::Frame(position)) => at = position,
            Ok(ReadStep::End(_)) => break,
            Err(error) => tracing::error!(%error, "a segment of the relay's log cannot be read"),
        }
    }
    (lines, bytes)
}
