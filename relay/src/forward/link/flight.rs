//! What was sent to a node and is not safe there.

use std::collections::VecDeque;

use segments::Position;
use wire::link::Marks;

use crate::forward::stream::Taken;

/// Batches on their way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Flight {
    sent: VecDeque<Sent>,
    /// How many of them are written.
    written: usize,
    lines: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Sent {
    /// The node knows it by this number.
    number: u64,
    /// With it the node has all up to here.
    up_to: Position,
    lines: u64,
    bytes: usize,
}

/// What a move of the watermarks has passed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    /// Lines that are written now.
    pub(super) written: u64,
    /// Lines that are synced now.
    pub(super) synced: u64,
    /// Nothing up to here is needed any more.
    pub(super) up_to: Option<Position>,
}

impl Flight {
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Lines and bytes on their way.
    pub(super) fn amount(&self) -> (u64, usize) {
        (self.lines, self.bytes)
    }

    /// Remembers what was sent. Without lines nothing was: the node has all up to there with the batch before.
    pub(super) fn add(&mut self, taken: &Taken) {
        let Taken { up_to, lines, bytes, .. } = *taken;
        if lines == 0 {
            if let Some(newest) = self.sent.back_mut() {
                newest.up_to = up_to;
            }
            return;
        }
        self.lines += lines;
        self.bytes += bytes;
        self.sent.push_back(Sent { number: up_to.0, up_to, lines, bytes });
    }

    /// Forgets what is synced.
    pub(super) fn pass(&mut self, marks: Marks) -> Passed {
        let mut passed = Passed::default();
        let written = marks.written.max(marks.synced);
        while let Some(sent) = self.sent.get(self.written).filter(|sent| sent.number <= written) {
            passed.written += sent.lines;
            self.written += 1;
        }
        while self.sent.front().is_some_and(|sent| sent.number <= marks.synced)
            && let Some(sent) = self.sent.pop_front()
        {
            self.written -= 1;
            self.lines -= sent.lines;
            self.bytes -= sent.bytes;
            passed.synced += sent.lines;
            passed.up_to = Some(sent.up_to);
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(up_to: u64, lines: u64) -> Taken {
        Taken { up_to: Position(up_to), lines, bytes: 10, ..Taken::default() }
    }

    #[test]
    fn only_what_is_synced_is_let_go() {
        let mut flight = Flight::default();
        for (up_to, lines) in [(1, 5), (3, 7), (4, 0), (6, 9)] {
            flight.add(&taken(up_to, lines));
        }
        assert_eq!(flight.amount(), (21, 30));
        let passed = flight.pass(Marks { written: 3, synced: 0 });
        assert_eq!(passed, Passed { written: 12, synced: 0, up_to: None });
        let passed = flight.pass(Marks { written: 3, synced: 1 });
        assert_eq!(passed, Passed { written: 0, synced: 5, up_to: Some(Position(1)) });
        // With batch 3 the node has all up to 4: what came behind it was for others.
        let passed = flight.pass(Marks { written: 5, synced: 5 });
        assert_eq!(passed, Passed { written: 0, synced: 7, up_to: Some(Position(4)) });
        assert_eq!(flight.amount(), (9, 10));
        let passed = flight.pass(Marks { written: 0, synced: 6 });
        assert_eq!(passed, Passed { written: 9, synced: 9, up_to: Some(Position(6)) });
        assert!(flight.is_empty());
    }
}
