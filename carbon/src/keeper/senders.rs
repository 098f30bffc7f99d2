//! How far each sender of the acknowledged link has come: what was taken of it, and what of that is safe.
//!
//! A mark is in the journal, in the frame of its batch, until the file `senders` has it. The file's bytes:
//! docs/formats/names.md; what the numbers mean: docs/formats/link.md.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::Shutdown;
use parking_lot::Mutex;
use wire::link::Marks;

use super::holes::replace;
use crate::journal::{Position, SenderMark};

const SENDERS_FILE: &str = "senders";

/// Most that are remembered. Beyond it the one that connected longest ago is forgotten: what it sends again then counts as
/// new.
const SENDERS_MAX: usize = 1_000;

/// All senders of a node.
#[derive(Debug)]
pub(crate) struct Senders {
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    senders: HashMap<u64, Arc<Mutex<Sender>>>,
    /// Who connected when, the latest last.
    order: VecDeque<u64>,
    saved: String,
}

#[derive(Debug, Default)]
struct Sender {
    received: u64,
    marks: Marks,
    /// Numbers that were taken and are not synced, with their places in the journal.
    waiting: VecDeque<(Position, u64)>,
    /// How many of them are written.
    written: usize,
    /// Ends the connection that counts.
    over: Shutdown,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Its points are in journal and engine.
    Applied,
    /// It was taken before.
    Repeated,
    /// Some of it was taken before.
    Overlaps,
    /// The connection does not count any more.
    Replaced,
}

/// The connection of a sender.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    sender: Arc<Mutex<Sender>>,
    /// Fires when the sender has opened another one.
    pub(crate) over: Shutdown,
}

impl Senders {
    /// Reads what former runs have left in the folder of the index.
    pub(crate) fn open(folder: &Path) -> Self {
        let saved = fs::read_to_string(folder.join(SENDERS_FILE)).unwrap_or_default();
        let mut known = Known::default();
        for (id, number) in saved.lines().filter_map(parse) {
            let (received, safe) = (number, Marks { written: number, synced: number });
            *known.touch(id).lock() = Sender { received, marks: safe, ..Sender::default() };
        }
        known.saved = saved;
        Self { folder: folder.to_owned(), known: Mutex::new(known) }
    }

    /// One that the journal gave back.
    pub(crate) fn restore(&self, mark: SenderMark) {
        let sender = self.known.lock().touch(mark.sender);
        let mut sender = sender.lock();
        sender.received = sender.received.max(mark.batch);
    }

    /// All marks of former runs are known. They count once `sync` has made what they stand for safe; if it cannot, the
    /// senders send it again.
    pub(super) fn settle(&self, sync: impl FnOnce() -> io::Result<()>) {
        let mut known = self.known.lock();
        if known.senders.is_empty() {
            return;
        }
        if let Err(error) = sync() {
            tracing::error!(%error, "what senders had confirmed is not safe: they send it again");
            *known = Known::default();
        }
        for sender in known.senders.values() {
            let mut sender = sender.lock();
            sender.marks = Marks { written: sender.received, synced: sender.received };
        }
    }

    /// A sender has connected that has given numbers up to `last`; its former connection ends.
    pub(crate) fn connect(&self, id: u64, last: u64) -> Connection {
        let shared = self.known.lock().touch(id);
        let mut sender = shared.lock();
        sender.over.fire();
        let over = Shutdown::new();
        sender.over = over.clone();
        if last < sender.received {
            let (received, sender_id) = (sender.received, format!("{id:016x}"));
            tracing::warn!(last, received, sender = sender_id, "a sender counts anew");
            *sender = Sender { over: over.clone(), ..Sender::default() };
        }
        drop(sender);
        Connection { id, sender: shared, over }
    }

    /// Writes to disk what the journal may forget: marks of batches that are synced at `synced`. False if the disk refuses.
    pub(super) fn save(&self, synced: Position) -> bool {
        let mut known = self.known.lock();
        let line = |id: &u64| {
            let mut sender = known.senders.get(id)?.lock();
            sender.advance(synced, synced);
            (sender.marks.synced > 0).then(|| format!("{id:016x} {}\n", sender.marks.synced))
        };
        let text: String = known.order.iter().filter_map(line).collect();
        if text == known.saved {
            return true;
        }
        if let Err(error) = replace(&self.folder, SENDERS_FILE, &text) {
            tracing::warn!(%error, "marks of senders cannot be written, will try again");
            return false;
        }
        known.saved = text;
        true
    }
}

impl Known {
    /// The sender, which is the latest now.
    fn touch(&mut self, id: u64) -> Arc<Mutex<Sender>> {
        if self.order.back() != Some(&id) {
            self.order.retain(|other| *other != id);
            self.order.push_back(id);
        }
        if self.order.len() > SENDERS_MAX {
            let idle =
                |id: &u64| self.senders.get(id).is_none_or(|sender| Arc::strong_count(sender) == 1);
            let forgotten = self.order.iter().position(idle);
            if let Some(id) = forgotten.and_then(|at| self.order.remove(at)) {
                self.senders.remove(&id);
            }
        }
        Arc::clone(self.senders.entry(id).or_default())
    }
}

impl Sender {
    /// The journal has come to these places.
    fn advance(&mut self, written: Position, synced: Position) {
        while let Some((_, number)) = self.waiting.get(self.written).filter(|one| one.0 <= written)
        {
            self.marks.written = *number;
            self.written += 1;
        }
        while let Some((_, number)) = self.waiting.front().filter(|one| one.0 <= synced).copied() {
            self.marks.synced = number;
            self.marks.written = self.marks.written.max(number);
            self.waiting.pop_front();
            self.written = self.written.saturating_sub(1);
        }
    }
}

impl Connection {
    /// The highest number that was taken, and what is safe of it with the journal at these places.
    pub(crate) fn marks(&self, (written, synced): (Position, Position)) -> (u64, Marks) {
        let mut sender = self.sender.lock();
        sender.advance(written, synced);
        (sender.received, sender.marks)
    }

    /// Takes the batch behind `after` up to `number`, unless it was taken before. `apply` puts its points with its mark
    /// into the journal, and says where.
    pub(crate) fn take(
        &self,
        after: u64,
        number: u64,
        apply: impl FnOnce(SenderMark) -> Option<Position>,
    ) -> Taken {
        let mut sender = self.sender.lock();
        if self.over.is_fired() {
            return Taken::Replaced;
        }
        if number <= sender.received {
            return Taken::Repeated;
        }
        if after < sender.received {
            return Taken::Overlaps;
        }
        let position = apply(SenderMark { sender: self.id, batch: number });
        sender.received = number;
        sender.waiting.extend(position.map(|position| (position, number)));
        Taken::Applied
    }

    /// Where in the journal the last batch is that is not known to be synced.
    pub(crate) fn last_position(&self) -> Option<Position> {
        self.sender.lock().waiting.back().map(|(position, _)| *position)
    }
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let (id, number) = line.split_once(' ')?;
    Some((u64::from_str_radix(id, 16).ok()?, number.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(written: u64, synced: u64) -> (Position, Position) {
        (Position(written), Position(synced))
    }

    fn marks(written: u64, synced: u64) -> Marks {
        Marks { written, synced }
    }

    #[test]
    fn a_batch_is_taken_once_and_its_marks_follow_the_journal() {
        let folder = testkit::folder();
        let senders = Senders::open(folder.path());
        let connection = senders.connect(7, 100);
        let take = |after, number, place| {
            connection.take(after, number, |mark| {
                assert_eq!(mark, SenderMark { sender: 7, batch: number });
                Some(Position(place))
            })
        };
        assert_eq!(take(0, 10, 1), Taken::Applied);
        assert_eq!(take(10, 20, 2), Taken::Applied);
        assert_eq!(take(10, 20, 3), Taken::Repeated);
        assert_eq!(take(0, 5, 3), Taken::Repeated);
        assert_eq!(take(15, 25, 3), Taken::Overlaps);
        assert_eq!(take(22, 30, 3), Taken::Applied, "some numbers are of other nodes");
        assert_eq!(connection.marks(at(0, 0)), (30, marks(0, 0)));
        assert_eq!(connection.marks(at(2, 1)), (30, marks(20, 10)));
        assert_eq!(connection.marks(at(2, 2)), (30, marks(20, 20)));
        assert_eq!(connection.last_position(), Some(Position(3)));
        assert_eq!(connection.marks(at(3, 3)), (30, marks(30, 30)));
        assert_eq!(connection.last_position(), None);
    }

    #[test]
    fn the_newest_connection_of_a_sender_counts() {
        let folder = testkit::folder();
        let senders = Senders::open(folder.path());
        let former = senders.connect(7, 100);
        former.take(0, 10, |_| Some(Position(1)));
        let newest = senders.connect(7, 100);
        assert!(former.over.is_fired() && !newest.over.is_fired());
        assert_eq!(former.take(10, 20, |_| unreachable!()), Taken::Replaced);
        assert_eq!(newest.marks(at(1, 0)), (10, marks(10, 0)));
        assert_eq!(senders.connect(7, 9).marks(at(1, 1)), (0, marks(0, 0)), "it counts anew");
    }

    #[test]
    fn what_the_journal_may_forget_is_in_the_file_and_nothing_that_is_not_synced() {
        let folder = testkit::folder();
        let senders = Senders::open(folder.path());
        let connection = senders.connect(7, 100);
        connection.take(0, 10, |_| Some(Position(1)));
        connection.take(10, 20, |_| Some(Position(2)));
        senders.connect(8, 100);
        assert!(senders.save(Position(1)));
        let text = fs::read_to_string(folder.path().join(SENDERS_FILE)).unwrap();
        assert_eq!(text, "0000000000000007 10\n");
        let senders = Senders::open(folder.path());
        senders.restore(SenderMark { sender: 7, batch: 5 });
        assert_eq!(senders.connect(7, 100).marks(at(0, 0)), (10, marks(10, 10)));
        senders.restore(SenderMark { sender: 7, batch: 15 });
        senders.settle(|| Ok(()));
        assert_eq!(senders.connect(7, 100).marks(at(0, 0)), (15, marks(15, 15)));
        senders.settle(|| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(senders.connect(7, 100).marks(at(0, 0)), (0, marks(0, 0)), "all comes again");
    }

    #[test]
    fn the_sender_that_was_away_longest_is_forgotten_first() {
        let folder = testkit::folder();
        let senders = Senders::open(folder.path());
        let stays = senders.connect(0, 1);
        stays.take(0, 1, |_| Some(Position(1)));
        for id in 1..=SENDERS_MAX as u64 {
            senders.connect(id, 1).take(0, 1, |_| Some(Position(1)));
        }
        assert!(senders.save(Position(1)));
        let senders = Senders::open(folder.path());
        let received = |id| senders.connect(id, 1).marks(at(1, 1)).0;
        assert_eq!((received(0), received(2), received(1)), (1, 1, 0));
    }
}
