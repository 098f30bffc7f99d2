//! The journal with its thread, on a real disk.

use super::*;

fn open(folder: &Path, config: LogConfig) -> (Journal, Replay, JournalCounters) {
    let counters = JournalCounters::default();
    let clock = Arc::new(daemon::clock::System::new());
    let disk = Arc::new(RealDisk);
    let (journal, replay) = Journal::open(folder, config, disk, clock, counters.clone()).unwrap();
    (journal, replay, counters)
}

/// Neither time nor size makes the committer write: only whoever waits.
fn patient() -> LogConfig {
    LogConfig {
        commit_interval: Duration::from_secs(3_600),
        sync_interval: SyncInterval::Every(Duration::from_secs(3_600)),
        ..LogConfig::default()
    }
}

#[tokio::test]
async fn who_waits_wakes_the_committer() {
    let folder = testkit::folder();
    let (journal, _, counters) = open(folder.path(), patient());
    let position = journal.append(&[Record::Points(&[(SeriesId(1), 60, 1.0)])]);
    journal.wait_written(position).await.unwrap();
    assert!(journal.written() >= position && journal.synced() < position);
    journal.wait_synced(position).await.unwrap();
    assert_eq!((journal.synced(), counters.log.syncs.get()), (position, 1));
    assert_eq!(journal.held_bytes(), 0);
    // A position that nobody has got counts as the newest one.
    journal.wait_written(journal.appended()).await.unwrap();
}

#[test]
fn what_has_gathered_is_written_without_being_asked() {
    let folder = testkit::folder();
    let (journal, _, _) = open(folder.path(), LogConfig::default());
    let position = journal.append(&[Record::Tombstone(SeriesId(1))]);
    let synced = || (journal.synced() >= position).then_some(());
    testkit::wait_until("the batch to be synced", testkit::PATIENCE, synced);
}

#[test]
fn a_full_buffer_is_written_at_once() {
    let folder = testkit::folder();
    let (journal, _, _) = open(folder.path(), patient());
    let points = vec![(SeriesId(1), 60, 1.0 / 3.0); 40_000];
    let position = journal.append(&[Record::Points(&points)]);
    let written = || (journal.written() >= position).then_some(());
    testkit::wait_until("the batch to be written", testkit::PATIENCE, written);
}

#[tokio::test]
async fn senders_wait_while_there_is_no_room() {
    let folder = testkit::folder();
    let config = LogConfig { buffer_bytes_max: 100, ..patient() };
    let (journal, _, _) = open(folder.path(), config);
    let position = journal.append(&[Record::Points(&vec![(SeriesId(1), 60, 0.1); 100])]);
    assert!(!journal.has_room());
    let (room, synced) = tokio::join!(journal.room(), journal.wait_synced(position));
    assert!(room.is_ok() && synced.is_ok() && journal.has_room());
}

#[tokio::test]
async fn closing_writes_what_is_left_and_ends_the_wait() {
    let folder = testkit::folder();
    let (journal, _, _) = open(folder.path(), patient());
    let position = journal.append(&[Record::Points(&[(SeriesId(1), 60, 1.0)])]);
    journal.close().unwrap();
    assert_eq!(journal.synced(), position);
    journal.wait_synced(position).await.unwrap();
    let late = journal.append(&[Record::Tombstone(SeriesId(1))]);
    assert!(matches!(journal.wait_written(late).await, Err(LogError::Closed)));
    assert!(matches!(journal.close(), Err(LogError::LeftBehind { .. })));
    let (_, mut replay, _) = open(folder.path(), patient());
    while replay.step(&mut |_, _| {}) {}
    assert_eq!(replay.report().points, 1);
}

#[test]
fn batches_of_many_threads_all_come_back_each_in_its_order() {
    let folder = testkit::folder();
    let config = LogConfig { segment_bytes: 20_000, ..LogConfig::default() };
    let (journal, _, counters) = open(folder.path(), config);
    std::thread::scope(|scope| {
        for id in 0..4 {
            let journal = &journal;
            scope.spawn(move || (0..100).for_each(|batch| send(journal, id, batch)));
        }
    });
    drop(journal);
    assert_eq!(counters.log.items_written.get(), 8_000);
    let (journal, mut replay, _) = open(folder.path(), LogConfig::default());
    assert!(journal.segments().len() > 1);
    let mut read = Read::default();
    while replay.step(&mut |position, record| read.take(position, record)) {}
    assert_eq!(read.values.len(), 4);
    assert!(read.values.values().all(|values| values.iter().copied().eq(0..2_000)));
}

/// Twenty points; after some batches the thread waits for the disk.
fn send(journal: &Journal, id: u32, batch: u32) {
    let point = |n| (SeriesId(id), batch, f64::from(batch * 20 + n));
    let points: Vec<Point> = (0..20).map(point).collect();
    let position = journal.append(&[Record::Points(&points)]);
    if batch % 10 == 9 {
        journal.wait_blocking(position, Durability::Written).unwrap();
    }
}

#[test]
fn a_slow_sync_delays_no_write_and_counts_only_for_what_was_written_before_it() {
    let disk = SimDisk::default();
    let clock = Arc::new(daemon::clock::System::new());
    let (folder, counters) = (Path::new(FOLDER), JournalCounters::default());
    let (journal, _) =
        Journal::open(folder, patient(), Arc::new(disk.clone()), clock, counters).unwrap();
    disk.shut_gate(true);
    let first = journal.append(&[Record::Tombstone(SeriesId(1))]);
    journal.want(first, Durability::Synced);
    journal.wait_blocking(first, Durability::Written).unwrap();
    let second = journal.append(&[Record::Tombstone(SeriesId(2))]);
    journal.wait_blocking(second, Durability::Written).unwrap();
    assert!(journal.synced() < first);
    disk.shut_gate(false);
    journal.wait_blocking(first, Durability::Synced).unwrap();
    assert_eq!(journal.synced(), first);
}

/// As the tests of single calls do it, but with both threads at work.
#[test]
fn whatever_call_fails_beside_the_writing_nothing_is_lost() {
    for fault in [Fault::Eio, Fault::Short] {
        for call in 2..60 {
            let disk = SimDisk::default();
            let clock = Arc::new(daemon::clock::System::new());
            let counters = JournalCounters::default();
            let config = LogConfig { sync_interval: SyncInterval::Always, ..config() };
            let (journal, _) =
                Journal::open(Path::new(FOLDER), config, Arc::new(disk.clone()), clock, counters)
                    .unwrap();
            disk.fail_at(call, fault);
            for value in 0..30 {
                let points = [(SeriesId(1), 60, f64::from(value))];
                let position = journal.append(&[Record::Points(&points)]);
                let durability = [Durability::Written, Durability::Synced][value as usize % 2];
                journal.wait_blocking(position, durability).unwrap();
            }
            let expected: Vec<u32> = (0..30).collect();
            let (read, _) = reopened(&disk.after_power_loss(PowerLoss::All));
            assert_eq!(read.values[&1], expected, "{fault:?} at call {call}");
            drop(journal);
            assert_eq!(reopened(&disk).0.values[&1], expected, "{fault:?} at call {call}");
        }
    }
}
