//! Every call of the disk fails once, in every way; the process dies at every call; the power goes at every call.

use super::*;

const KINDS: [Fault; 4] = [Fault::Eio, Fault::Enospc, Fault::Short, Fault::Kill];
const LOSSES: [PowerLoss; 3] = [PowerLoss::All, PowerLoss::Half, PowerLoss::Reordered];

/// What was handed in, and how far the journal said it had come.
#[derive(Debug, Default)]
struct Ledger {
    /// Position, series, value.
    appended: Vec<(Position, u32, u32)>,
    written: Position,
    synced: Position,
    /// All up to here is in files.
    in_files: Position,
}

impl Ledger {
    fn append(&mut self, node: &Node) {
        for id in 0..3 {
            let value = self.appended.len() as u32;
            self.appended.push((node.append(id, value), id, value));
        }
    }

    fn note_watermarks(&mut self, node: &Node) {
        self.written = node.journal.written();
        self.synced = node.journal.synced();
    }

    /// Points in files need no journal; the caller says up to which batch.
    fn flush(&mut self, node: &Node, batch: usize) {
        self.in_files = self.appended[batch].0.max(self.in_files);
        node.journal.release(self.in_files);
    }

    /// Writes again what is in no file, and lets all older segments go.
    fn checkpoint(&self, node: &mut Node) {
        let covered = node.journal.appended();
        let tails = (0..3).map(|id| {
            let own = self.appended.iter().filter(|(at, of, _)| *of == id && *at > self.in_files);
            let tail: Vec<_> = own.map(|&(_, _, v)| (v % 3, f64::from(v))).collect();
            (SeriesId(id), tail)
        });
        let Ok(position) = node.journal.checkpoint(covered, tails) else { return };
        node.committer.commit(true);
        if node.journal.synced() >= position {
            node.journal.release(covered);
        }
    }

    /// All up to `promised` is there, nothing else, in its order.
    fn check(&self, disk: &SimDisk, promised: Position, what: &str) {
        let (read, _) = reopened(disk);
        for (id, values) in &read.values {
            let own =
                |value: &u32| self.appended.iter().any(|(_, of, known)| (of, known) == (id, value));
            assert!(values.iter().all(own), "{what}: never appended: {values:?}");
            // Reading something twice does no harm; what counts is the last time.
            let mut last: Vec<u32> = Vec::new();
            for value in values.iter().rev() {
                if !last.contains(value) {
                    last.push(*value);
                }
            }
            last.reverse();
            assert!(last.is_sorted(), "{what}: order of {id}: {values:?}");
        }
        let all = read.all();
        for (position, id, value) in &self.appended {
            if *position > self.in_files && *position <= promised {
                assert!(all.binary_search(value).is_ok(), "{what}: {value} of {id} is lost");
            }
        }
    }
}

/// Appends, commits, rotates, syncs, releases, checkpoints; some calls may fail.
fn live(disk: &SimDisk, rounds: usize) -> Option<(Node, Ledger)> {
    let mut node = Node::open(disk, config()).or_else(|_| Node::open(disk, config())).ok()?;
    while node.replay.step(&mut |_, _| {}) {}
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        ledger.append(&node);
        node.committer.commit(false);
        ledger.note_watermarks(&node);
        node.clock.advance(Duration::from_millis(30));
        if round % 8 == 7 {
            ledger.flush(&node, ledger.appended.len() / 2);
        }
        if round % 16 == 13 {
            ledger.checkpoint(&mut node);
            ledger.note_watermarks(&node);
        }
    }
    Some((node, ledger))
}

#[test]
fn whatever_call_fails_nothing_is_lost_and_the_journal_goes_on() {
    let (node, _) = live(&SimDisk::default(), 40).unwrap();
    let calls = node.disk.calls();
    assert!(calls > 60, "{calls}");
    for kind in &KINDS[..3] {
        for call in 0..calls {
            let what = format!("{kind:?} at call {call}");
            let disk = SimDisk::default();
            disk.fail_at(call, *kind);
            let (mut node, mut ledger) = live(&disk, 40).expect(&what);
            node.clock.advance(Duration::from_secs(2));
            node.committer.commit(true);
            ledger.note_watermarks(&node);
            assert_eq!(node.journal.synced(), node.journal.appended(), "{what}");
            assert_eq!(
                (node.journal.held_bytes(), node.journal.is_stalled()),
                (0, false),
                "{what}"
            );
            ledger.check(&disk.after_kill(), ledger.written, &what);
            for loss in LOSSES {
                let after = disk.after_power_loss(loss);
                ledger.check(&after, ledger.synced, &format!("{what}, {loss:?}"));
            }
        }
    }
}

#[test]
fn killed_at_any_call_all_that_was_written_comes_back_and_after_power_loss_all_that_was_synced() {
    let calls = live(&SimDisk::default(), 40).unwrap().0.disk.calls();
    for call in 0..calls {
        let disk = SimDisk::default();
        disk.fail_at(call, Fault::Kill);
        let Some((_node, ledger)) = live(&disk, 40) else { continue };
        let what = format!("kill at call {call}");
        ledger.check(&disk.after_kill(), ledger.written, &what);
        for loss in LOSSES {
            let after = disk.after_power_loss(loss);
            ledger.check(&after, ledger.synced, &format!("{what}, {loss:?}"));
        }
    }
}

#[test]
fn two_deaths_in_a_row_lose_no_more_than_one() {
    let calls = live(&SimDisk::default(), 10).unwrap().0.disk.calls();
    for call in 0..calls {
        let disk = SimDisk::default();
        disk.fail_at(call, Fault::Kill);
        let Some((_node, first)) = live(&disk, 10) else { continue };
        let disk = disk.after_power_loss(PowerLoss::Half);
        // The second run releases nothing: its first half is what the first run has left.
        let mut node = Node::open(&disk, config()).unwrap();
        let mut left = Read::default();
        while node.replay.step(&mut |position, record| left.take(position, record)) {}
        let value = first.appended.len() as u32;
        node.append(0, value);
        node.committer.commit(true);
        let (read, report) = reopened(&disk.after_power_loss(PowerLoss::All));
        left.values.entry(0).or_default().push(value);
        assert_eq!((read.values, report.log.torn_bytes), (left.values, 0), "call {call}");
    }
}

#[test]
fn a_failed_read_at_start_loses_nothing_for_ever() {
    let (_, ledger) = live(&SimDisk::default(), 10).unwrap();
    for kind in [Fault::Eio, Fault::Kill] {
        for call in 0..40 {
            let (node, _) = live(&SimDisk::default(), 10).unwrap();
            let disk = node.disk.after_kill();
            disk.fail_at(call, kind);
            if let Ok(mut node) = Node::open(&disk, config()) {
                while node.replay.step(&mut |_, _| {}) {}
                node.journal.release(Position(0));
            }
            ledger.check(&disk.after_kill(), ledger.written, &format!("{kind:?} at call {call}"));
        }
    }
}

#[test]
fn a_full_disk_stalls_the_journal_and_space_lets_it_go_on() {
    let mut node = Node::with(LogConfig { buffer_bytes_max: 300, ..config() });
    node.append(1, 0);
    node.committer.commit(true);
    node.disk.set_full(true);
    for value in 1..10 {
        node.append(1, value);
        node.committer.commit(false);
    }
    assert!(node.journal.is_stalled() && !node.journal.has_room());
    assert_eq!(node.counters.log.stalled.get(), 1.0);
    let tails = [(SeriesId(1), [(0, 0.0)])];
    let refused = node.journal.checkpoint(Position(1), tails);
    assert!(matches!(refused, Err(LogError::Stalled)));
    let waited = node.journal.wait_blocking(node.journal.appended(), Durability::Written);
    assert!(matches!(waited, Err(LogError::Stalled)));
    assert_eq!(node.disk.names().len(), 1, "attempts leave no files behind");
    node.disk.set_full(false);
    node.committer.commit(true);
    assert!(!node.journal.is_stalled() && node.journal.has_room());
    assert_eq!(node.counters.log.stalled.get(), 0.0);
    let (read, report) = reopened(&node.disk);
    assert_eq!(
        (&read.values[&1][..], report.log.damaged),
        (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..], 0)
    );
    assert_eq!(node.counters.log.items_written.get(), 10);
}

#[test]
fn what_a_failed_write_has_left_is_cut_off() {
    let mut node = Node::with(LogConfig::default());
    node.append(1, 0);
    node.committer.commit(false);
    node.append(1, 1);
    node.disk.fail_at(0, Fault::Short);
    node.committer.commit(false);
    assert_eq!((node.counters.log.write_errors.get(), node.journal.is_stalled()), (1, false));
    let (read, report) = reopened(&node.disk);
    assert_eq!(
        (&read.values[&1][..], report.log.segments, report.log.damaged),
        (&[0, 1][..], 2, 0)
    );
}

#[test]
fn after_a_failed_sync_all_that_was_not_safe_is_written_again_elsewhere() {
    let mut node = Node::with(LogConfig::default());
    for value in 0..4 {
        node.append(1, value);
        node.committer.commit(value == 1);
    }
    node.append(1, 4);
    // The write of the last batch, then the sync.
    node.disk.fail_at(1, Fault::Eio);
    node.committer.commit(true);
    assert_eq!(node.journal.synced(), node.journal.appended());
    assert_eq!((node.counters.log.sync_errors.get(), node.counters.log.alarm.get()), (1, 1.0));
    assert_eq!(node.journal.segments().len(), 2);
    let (read, _) = reopened(&node.disk.after_power_loss(PowerLoss::All));
    assert_eq!(read.values[&1], [0, 1, 2, 3, 4]);
    let (read, report) = reopened(&node.disk);
    assert_eq!((&read.values[&1][..], report.log.duplicates), (&[0, 1, 2, 3, 4][..], 3));
}
