//! What is on its way to the nodes: the newest batches in memory, and how far each node has come.
//!
//! Pure state. Positions are those of the log, or counted where there is none. With a log, memory is only a short cut: a
//! node that cannot be fed from it any more is fed from the log. Without one, memory keeps all that a node may need again.

use std::collections::VecDeque;
use std::sync::Arc;

use segments::Position;

use super::NodeId;
use super::batch::LineBatch;

/// What one node is handed at once, unless a single frame of the log has more.
const TAKE_BYTES_MAX: usize = 512 << 10;
/// Batches that one vectored write takes.
const TAKE_BATCHES_MAX: usize = 256;
/// Places of freed batches that may stay between others.
const FREED_MAX: usize = 1024;

/// A batch on its way.
#[derive(Debug)]
struct Entry {
    position: Position,
    set: Arc<[NodeId]>,
    /// None once all that it waits for have it.
    batch: Option<Arc<LineBatch>>,
    waiting: usize,
}

/// How far a node has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Handed to the node's connection up to here.
    pub(crate) sent: Position,
    /// Never wanted again up to here.
    pub(crate) done: Position,
    /// Nothing is kept for the node behind, until it has come this far.
    pub(crate) kept_until: Option<Position>,
    /// Memory has all that comes behind; none where the log has to be read.
    in_memory_from: Option<Position>,
    /// No entry up to here waits for the node.
    released: Position,
    /// What waits for the node. Negative for a moment while the log is still being counted.
    backlog: Backlog,
}

/// An amount of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) lines: i64,
    pub(crate) bytes: i64,
}

impl Backlog {
    pub(crate) fn add(&mut self, lines: u64, bytes: usize) {
        self.lines = self.lines.saturating_add_unsigned(lines);
        self.bytes = self.bytes.saturating_add_unsigned(bytes as u64);
    }

    pub(crate) fn sub(&mut self, lines: u64, bytes: usize) {
        self.lines = self.lines.saturating_sub_unsigned(lines);
        self.bytes = self.bytes.saturating_sub_unsigned(bytes as u64);
    }
}

/// Lines for one node.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) batches: Vec<Arc<LineBatch>>,
    /// With these the node has all up to here.
    pub(crate) up_to: Position,
    pub(crate) lines: u64,
    pub(crate) bytes: usize,
}

/// What comes next for a node.
#[derive(Debug)]
pub(super) enum Next {
    /// These lines; none if what came was for others.
    Taken(Taken),
    /// The log has to be read behind this position, up to the second if there is one.
    FromLog(Position, Option<Position>),
    /// Nothing yet behind this position.
    Nothing(Position),
}

/// Batches in memory and the places of all nodes.
#[derive(Debug)]
pub(super) struct Stream {
    entries: VecDeque<Entry>,
    freed: usize,
    bytes: usize,
    last: Position,
    places: Vec<Option<Place>>,
    has_log: bool,
}

impl Stream {
    /// A stream that begins behind `last`.
    pub(super) fn new(last: Position, has_log: bool) -> Self {
        Self { entries: VecDeque::new(), freed: 0, bytes: 0, last, places: Vec::new(), has_log }
    }

    /// Bytes that fill memory: those of all batches in it, or without a log, where what was sent lately stays too, those
    /// that wait for the node that is furthest behind.
    pub(super) fn bytes(&self) -> usize {
        if self.has_log {
            return self.bytes;
        }
        let waiting = self.places.iter().flatten().map(|place| place.backlog.bytes);
        waiting.max().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
    }

    /// The position of the newest batch.
    pub(super) fn last(&self) -> Position {
        self.last
    }

    /// Takes a node in that needs all behind `done`.
    pub(super) fn add(&mut self, done: Position, kept_until: Option<Position>) -> NodeId {
        let place = Place {
            sent: done,
            done,
            kept_until,
            in_memory_from: (!self.has_log || done >= self.last).then_some(self.last),
            released: self.last,
            backlog: Backlog::default(),
        };
        self.places.push(Some(place));
        NodeId(self.places.len() - 1)
    }

    /// Forgets a node.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.release(node, self.last);
        self.places[node.0] = None;
    }

    pub(super) fn place(&self, node: NodeId) -> Option<Place> {
        self.places.get(node.0).copied().flatten()
    }

    fn place_mut(&mut self, node: NodeId) -> Option<&mut Place> {
        self.places.get_mut(node.0)?.as_mut()
    }

    /// What waits for the node.
    pub(super) fn backlog(&self, node: NodeId) -> Backlog {
        self.place(node).map_or_else(Backlog::default, |place| place.backlog)
    }

    /// Lines that wait for the node and were not known of, such as those of a former run.
    pub(super) fn waiting(&mut self, node: NodeId, lines: u64, bytes: usize) {
        if let Some(place) = self.place_mut(node) {
            place.backlog.add(lines, bytes);
        }
    }

    /// Lines that do not wait any more.
    pub(super) fn delivered(&mut self, node: NodeId, lines: u64, bytes: usize) {
        if let Some(place) = self.place_mut(node) {
            place.backlog.sub(lines, bytes);
        }
    }

    /// Adds a batch, no earlier than the one before. Returns the nodes that it is not kept for.
    pub(super) fn push(
        &mut self,
        position: Position,
        set: &Arc<[NodeId]>,
        batch: &Arc<LineBatch>,
    ) -> Vec<NodeId> {
        self.last = position;
        let (lines, bytes) = (batch.lines(), batch.as_bytes().len());
        let mut waiting = 0;
        let mut refused = Vec::new();
        for &node in set.iter() {
            let Some(place) = self.place_mut(node) else { continue };
            // What comes to a position that the node has passed is never sent.
            if place.kept_until.is_some() || position <= place.sent {
                refused.push(node);
                continue;
            }
            place.backlog.add(lines, bytes);
            waiting += usize::from(place.in_memory_from.is_some_and(|from| position > from));
        }
        if waiting > 0 {
            self.bytes += bytes;
            let (set, batch) = (Arc::clone(set), Some(Arc::clone(batch)));
            self.entries.push_back(Entry { position, set, batch, waiting });
        }
        refused
    }

    /// What comes next for the node, of what is at or before `visible`.
    pub(super) fn next(&mut self, node: NodeId, visible: Position) -> Next {
        let Some(place) = self.place(node) else { return Next::Nothing(visible) };
        let after = place.sent;
        if place.in_memory_from.is_none_or(|from| after < from) {
            return Next::FromLog(after, place.kept_until);
        }
        if after >= visible {
            return Next::Nothing(after);
        }
        let mut taken = Taken { up_to: after, ..Taken::default() };
        let start = self.entries.partition_point(|entry| entry.position <= after);
        let mut is_full = false;
        for entry in self.entries.range(start..).take_while(|entry| entry.position <= visible) {
            // All of a position goes together: only whole ones can be counted as sent.
            let enough = taken.bytes >= TAKE_BYTES_MAX || taken.batches.len() >= TAKE_BATCHES_MAX;
            if enough && entry.position > taken.up_to {
                is_full = true;
                break;
            }
            taken.up_to = entry.position;
            if let Some(batch) = entry.batch.as_ref().filter(|_| entry.set.contains(&node)) {
                taken.lines += batch.lines();
                taken.bytes += batch.as_bytes().len();
                taken.batches.push(Arc::clone(batch));
            }
        }
        if !is_full {
            taken.up_to = visible;
        }
        self.sent(node, taken.up_to);
        Next::Taken(taken)
    }

    /// The node was handed all up to here.
    fn sent(&mut self, node: NodeId, up_to: Position) {
        if self.has_log {
            self.release(node, up_to);
        }
        let last = self.last;
        let Some(place) = self.place_mut(node) else { return };
        place.sent = up_to.max(place.sent);
        if place.kept_until.is_some_and(|until| place.sent >= until) {
            // It has all that was kept; what comes from now on is for it again.
            place.kept_until = None;
            place.sent = last;
            place.in_memory_from = Some(last);
            place.released = last;
        }
    }

    /// The node was handed all up to here, out of the log; `at_end`: the log had no more.
    pub(super) fn sent_from_log(&mut self, node: NodeId, up_to: Position, at_end: bool) {
        let last = self.last;
        let Some(place) = self.place_mut(node) else { return };
        if at_end && place.in_memory_from.is_none() {
            // What comes from now on waits for the node in memory; the log has all before.
            place.in_memory_from = Some(last);
            place.released = last;
        }
        self.sent(node, up_to);
    }

    /// The node never needs what is at or before this position again.
    pub(super) fn done(&mut self, node: NodeId, up_to: Position) {
        if let Some(place) = self.place_mut(node) {
            place.done = place.done.max(up_to);
            place.sent = place.sent.max(place.done);
        }
        if !self.has_log {
            self.release(node, up_to);
        }
    }

    /// The connection is gone: what is not done is to be sent again. With a log, memory is not kept for the node.
    pub(super) fn rewind(&mut self, node: NodeId) {
        let last = self.last;
        if self.has_log {
            self.release(node, last);
        }
        let has_log = self.has_log;
        if let Some(place) = self.place_mut(node) {
            place.sent = place.done;
            if has_log {
                place.in_memory_from = None;
            }
        }
    }

    /// Keeps nothing more for the node until it has what was kept.
    pub(super) fn keep_until_now(&mut self, node: NodeId) {
        let last = self.last;
        if let Some(place) = self.place_mut(node) {
            place.kept_until.get_or_insert(last);
        }
    }

    /// Has the nodes that are furthest behind fed from the log, until memory holds no more than `bytes_max`.
    pub(super) fn detach_laggards(&mut self, bytes_max: usize) {
        while self.has_log && self.bytes > bytes_max {
            let in_memory = self.places.iter().enumerate().filter_map(|(number, place)| {
                let place = place.as_ref()?;
                place.in_memory_from.map(|_| (place.released, NodeId(number)))
            });
            let Some((_, node)) = in_memory.min() else { return };
            self.release(node, self.last);
            if let Some(place) = self.place_mut(node) {
                place.in_memory_from = None;
            }
        }
    }

    /// The entries up to `to` do not wait for the node any more.
    fn release(&mut self, node: NodeId, to: Position) {
        let Some(place) = self.place_mut(node) else { return };
        let from = place.released;
        if to <= from || place.in_memory_from.is_none() {
            return;
        }
        let first = place.in_memory_from.unwrap_or_default();
        place.released = to;
        let start = self.entries.partition_point(|entry| entry.position <= from.max(first));
        for entry in self.entries.range_mut(start..).take_while(|entry| entry.position <= to) {
            if !entry.set.contains(&node) {
                continue;
            }
            entry.waiting = entry.waiting.saturating_sub(1);
            if entry.waiting == 0
                && let Some(batch) = entry.batch.take()
            {
                self.bytes -= batch.as_bytes().len();
                self.freed += 1;
            }
        }
        while self.entries.front().is_some_and(|entry| entry.batch.is_none()) {
            self.entries.pop_front();
            self.freed -= 1;
        }
        if self.freed > FREED_MAX && self.freed > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.batch.is_some());
            self.freed = 0;
        }
    }

    /// The places of all nodes.
    pub(super) fn places(&self) -> impl Iterator<Item = (NodeId, Place)> {
        let numbered = self.places.iter().enumerate();
        numbered.filter_map(|(number, place)| Some((NodeId(number), (*place)?)))
    }
}

#[cfg(test)]
mod tests;
