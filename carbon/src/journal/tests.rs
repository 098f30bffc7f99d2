//! What the journal promises.

mod faults;
mod properties;
mod threads;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use daemon::clock::Manual;

use segments::sim::{Fault, PowerLoss, SimDisk};
use segments::{Committer, HEADER_BYTES, RealDisk, path_of};

use super::*;

const NOW: i64 = 1_700_000_000;
const FOLDER: &str = "/journal";

/// A journal whose committer runs when told to.
struct Node {
    journal: Journal,
    committer: Committer,
    replay: Replay,
    disk: SimDisk,
    clock: Arc<Manual>,
    counters: JournalCounters,
}

fn segment(number: u64) -> PathBuf {
    path_of(Path::new(FOLDER), KIND.suffix, number)
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 1_000, ..LogConfig::default() }
}

impl Node {
    fn open(disk: &SimDisk, config: LogConfig) -> Result<Self, LogError> {
        let clock = Arc::new(Manual::at(NOW));
        let counters = JournalCounters::default();
        let with = Surroundings {
            disk: Arc::new(disk.clone()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            counters: counters.log.clone(),
        };
        let (log, replay, committer) =
            SegmentLog::open_without_thread(Path::new(FOLDER), &KIND, config, with)?;
        let replay = Replay::new(replay, counters.records_unknown.clone());
        let journal = Journal { log };
        Ok(Self { journal, committer, replay, disk: disk.clone(), clock, counters })
    }

    fn new() -> Self {
        Self::open(&SimDisk::default(), config()).unwrap()
    }

    fn with(config: LogConfig) -> Self {
        Self::open(&SimDisk::default(), config).unwrap()
    }

    /// One point that no other equals.
    fn append(&self, id: u32, value: u32) -> Position {
        self.journal.append(&[Record::Points(&[(SeriesId(id), value % 3, f64::from(value))])])
    }

    fn read(mut self) -> (Read, ReplayReport) {
        let mut read = Read::default();
        while self.replay.step(&mut |position, record| read.take(position, record)) {}
        (read, self.replay.report())
    }
}

/// What a replay has brought.
#[derive(Debug, Default, PartialEq)]
struct Read {
    /// By series, values in their order, those of checkpoints before.
    values: BTreeMap<u32, Vec<u32>>,
    others: Vec<String>,
    positions: Vec<Position>,
}

impl Read {
    fn take(&mut self, position: Position, record: Record<'_>) {
        self.positions.push(position);
        match record {
            Record::Points(points) => {
                for &(id, _, value) in points {
                    self.values.entry(id.0).or_default().push(value as u32);
                }
            }
            Record::EarlierPoints(points) => {
                for run in points.chunk_by(|a, b| a.0 == b.0) {
                    let values = run.iter().map(|point| point.2 as u32);
                    self.values.entry(run[0].0.0).or_default().splice(..0, values);
                }
            }
            other => self.others.push(format!("{other:?}")),
        }
    }

    fn all(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.values.values().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

fn reopened(disk: &SimDisk) -> (Read, ReplayReport) {
    Node::open(disk, config()).unwrap().read()
}

#[test]
fn all_kinds_of_records_come_back_in_their_order() {
    let mut node = Node::new();
    let (id, sender) = (SeriesId(7), SenderMark { sender: u64::MAX, batch: 9 });
    let records = [
        Record::Name { id, name: "a.b;c=d" },
        Record::Points(&[(id, 60, 1.5), (SeriesId(3), 0, f64::INFINITY)]),
        Record::Sender(sender),
        Record::Tombstone(id),
        Record::Activity { id, first_hour: 3, last_hour: u32::MAX },
        Record::Hole { from_s: -1, until_s: i64::MAX },
        Record::SourceOffset { source: "kafka:tøpic", part: 3, offset: 1 << 40 },
        Record::EarlierPoints(&[(id, 0, -0.0)]),
        Record::Checkpoint { covered: Position(5) },
    ];
    let position = node.journal.append(&records);
    node.committer.commit(false);
    let mut replay = Node::open(&node.disk, config()).unwrap().replay;
    let mut read = Vec::new();
    while replay.step(&mut |at, record| {
        assert_eq!(at, position);
        read.push(format!("{record:?}"));
    }) {}
    assert_eq!(read, records.map(|record| format!("{record:?}")));
    assert_eq!((replay.report().log.frames, replay.report().points), (1, 3));
}

#[test]
fn positions_grow_over_batches_commits_and_restarts() {
    let mut node = Node::new();
    let mut before = node.journal.appended();
    for value in 0..40 {
        let position = node.append(1, value);
        assert_eq!(position, node.journal.appended());
        if value % 4 == 3 {
            assert!(position > node.journal.written());
            node.committer.commit(value % 8 == 7);
            assert_eq!(position, node.journal.written());
            assert!(position > before);
            before = position;
        }
        if value % 10 == 9 {
            node = Node::open(&node.disk, config()).unwrap();
            assert!(node.journal.appended() >= before);
        }
    }
    let (read, report) = reopened(&node.disk);
    assert!(read.positions.is_sorted());
    // What was not committed when the node was dropped is gone: 8 and 9, 28 and 29.
    assert_eq!((read.all().len(), report.log.damaged), (36, 0));
}

#[test]
fn a_huge_batch_is_cut_into_frames_that_a_reader_takes_and_its_mark_comes_last() {
    let mut node = Node::with(LogConfig::default());
    let points: Vec<Point> = (0..200_000).map(|i| (SeriesId(i), i, f64::from(i) / 7.0)).collect();
    let mark = Record::Sender(SenderMark { sender: 1, batch: 2 });
    node.journal.append(&[Record::Points(&points), mark]);
    node.committer.commit(true);
    let mut replay = Node::open(&node.disk, config()).unwrap().replay;
    let (mut read, mut marks) = (Vec::new(), Vec::new());
    while replay.step(&mut |position, record| match record {
        Record::Points(points) => read.extend_from_slice(points),
        _ => marks.push(position),
    }) {}
    assert_eq!((read == points, replay.report().log.damaged), (true, 0));
    assert_eq!(marks, [node.journal.appended()]);
    assert!(replay.report().log.frames > 2);
}

#[test]
fn segments_are_cut_by_size_and_go_when_their_points_are_in_files() {
    let mut node = Node::new();
    let mut positions = Vec::new();
    for value in 0..100 {
        positions.push(node.append(value % 5, value));
        node.committer.commit(false);
    }
    let segments = node.journal.segments();
    assert!(segments.len() > 3);
    assert!(segments.iter().all(|segment| segment.bytes < 1_100));
    assert_eq!(node.journal.release(Position(segments[1].last.0 - 1)), 1);
    assert_eq!(node.journal.release(segments[1].last), 1);
    assert_eq!(node.journal.release(Position(u64::MAX)), segments.len() - 3);
    assert_eq!((node.journal.segments().len(), node.disk.names().len()), (1, 1));
    node.journal.rotate();
    let last = node.append(1, 100);
    node.committer.commit(false);
    assert_eq!(node.journal.release(Position(last.0 - 1)), 1);
    assert_eq!(reopened(&node.disk).0.all(), [100]);
}

#[test]
fn segments_of_a_former_run_stay_until_they_are_replayed() {
    let mut node = Node::new();
    let position = node.append(1, 1);
    node.committer.commit(true);
    let mut node = Node::open(&node.disk, config()).unwrap();
    assert_eq!(node.journal.release(Position(u64::MAX)), 0);
    assert!(node.journal.segments()[0].last > position);
    while node.replay.step(&mut |_, _| {}) {}
    assert_eq!(node.journal.segments()[0].last, position);
    assert_eq!(node.journal.release(position), 1);
    assert_eq!(node.disk.names(), Vec::<String>::new());
}

#[test]
fn the_segment_of_a_batch_is_never_guessed_too_high() {
    let mut node = Node::new();
    let mut guessed = Vec::new();
    for value in 0..120 {
        let position = node.append(1, value);
        guessed.push((position, value, node.journal.segment_of(position)));
        if value % 2 == 1 {
            node.committer.commit(false);
        }
    }
    let mut node = Node::open(&node.disk, config()).unwrap();
    let mut replayed = BTreeMap::new();
    let journal = &node.journal;
    let mut ask = |position, _: Record<'_>| {
        replayed.insert(position, journal.segment_of(position));
    };
    while node.replay.step(&mut ask) {}
    let segments = node.journal.segments();
    for (position, value, guess) in &guessed {
        let actual = segments.iter().find(|info| info.last >= *position).unwrap().number;
        assert!(*guess <= actual && actual <= guess + 1, "{value}");
        assert_eq!(replayed[position], actual, "{value}");
    }
    let third = segments[2];
    assert_eq!(node.journal.release_before(third.number), 2);
    let expected = guessed.iter().filter(|(position, ..)| *position >= third.first);
    assert_eq!(reopened(&node.disk).0.all(), expected.map(|of| of.1).collect::<Vec<_>>());
}

#[test]
fn a_checkpoint_lets_old_segments_go_and_keeps_the_order() {
    let mut node = Node::new();
    let first: Vec<u32> = (0..30).collect();
    for &value in &first {
        node.append(value % 3, value);
        node.committer.commit(false);
    }
    let covered = node.journal.appended();
    // Goes on while the checkpoint is made.
    node.append(0, 1_000);
    let tail = |id: u32| -> Vec<(u32, f64)> {
        let own = first.iter().filter(|value| **value % 3 == id);
        own.map(|&value| (value % 3, f64::from(value))).collect()
    };
    let tails = (0..3).map(|id| (SeriesId(id), tail(id)));
    let position = node.journal.checkpoint(covered, tails).unwrap();
    node.append(0, 1_001);
    node.journal.rotate();
    node.committer.commit(true);
    assert!(node.journal.synced() >= position);
    assert!(node.journal.release(covered) > 1);
    let (read, _) = reopened(&node.disk);
    let mut expected: Vec<u32> = (0..30).step_by(3).collect();
    expected.extend([1_000, 1_001]);
    assert_eq!(read.values[&0], expected);
    assert_eq!(read.values[&2], (2..30).step_by(3).collect::<Vec<_>>());
    assert_eq!(read.others, [format!("{:?}", Record::Checkpoint { covered })]);
}

#[test]
fn a_checkpoint_of_a_long_tail_comes_back_in_order() {
    let mut node = Node::new();
    node.append(1, 50_000);
    let tail: Vec<(u32, f64)> = (0..10_000).map(|i| (i, f64::from(i))).collect();
    let covered = Position(node.journal.appended().0 - 1);
    node.journal.checkpoint(covered, [(SeriesId(1), &tail[..])]).unwrap();
    node.committer.commit(true);
    let expected: Vec<u32> = (0..10_000).chain([50_000]).collect();
    assert_eq!(reopened(&node.disk).0.values[&1], expected);
}

#[test]
fn the_disk_is_told_to_keep_what_was_written_when_the_interval_has_passed() {
    for (interval, synced) in [
        (SyncInterval::Always, [true, true, true]),
        (SyncInterval::Every(Duration::from_millis(100)), [false, false, true]),
        (SyncInterval::Never, [true, true, true]),
    ] {
        let mut node = Node::with(LogConfig { sync_interval: interval, ..config() });
        for (value, expected) in synced.into_iter().enumerate() {
            let position = node.append(1, value as u32);
            node.committer.commit(false);
            assert_eq!(node.journal.synced() >= position, expected, "{interval:?} {value}");
            node.clock.advance(Duration::from_millis(50));
        }
        let syncs = node.counters.log.syncs.get();
        assert_eq!(syncs > 0, interval != SyncInterval::Never, "{interval:?}");
        assert_eq!(node.journal.held_bytes(), 0, "{interval:?}");
    }
}

#[test]
fn settings_of_the_interval_are_read() {
    let read = |text: &str| text.parse::<SyncInterval>().ok();
    assert_eq!(read("always"), Some(SyncInterval::Always));
    assert_eq!(read("never"), Some(SyncInterval::Never));
    assert_eq!(read("10ms"), Some(SyncInterval::Every(Duration::from_millis(10))));
    assert_eq!(read("1s"), Some(SyncInterval::Every(Duration::from_secs(1))));
    assert_eq!(["", "s", "ms", "1", "-1s", "1m", "soon"].map(read), [None; 7]);
}

#[test]
fn what_is_not_a_segment_is_set_aside_and_the_rest_is_read() {
    let mut node = Node::new();
    node.append(1, 1);
    node.committer.commit(true);
    let whole = node.disk.get(&node.disk.paths()[0]).unwrap();
    let mut newer = whole.clone();
    newer[8] = 2;
    let crc = crc32fast::hash(&newer[..36]);
    newer[36..40].copy_from_slice(&crc.to_le_bytes());
    let disk = SimDisk::default();
    let put = |number: u64, data: &[u8]| {
        disk.put(segment(number), data.to_vec());
    };
    put(1, &[]);
    put(2, &whole[..39]);
    put(3, &[0; 5_000]);
    put(4, &newer);
    put(5, &whole);
    disk.put("/journal/notes.txt", b"mine".to_vec());
    let (read, report) = reopened(&disk);
    assert_eq!((read.all(), report.log.segments, report.log.damaged), (vec![1], 1, 0));
    let expected: Vec<String> = (2..=4)
        .map(|number| format!("{number:020}.journal.aside-1"))
        .chain([format!("{:020}.journal", 5), "notes.txt".to_owned()])
        .collect();
    assert_eq!(disk.names(), expected);
}

#[test]
fn a_torn_tail_is_cut_off_once_and_counted() {
    let mut node = Node::new();
    for value in 0..3 {
        node.append(1, value);
        node.committer.commit(false);
    }
    let path = node.disk.paths()[0].clone();
    let whole = node.disk.get(&path).unwrap();
    let disk = SimDisk::default();
    disk.put(&path, whole[..whole.len() - 1].to_vec());
    let (read, report) = reopened(&disk);
    assert_eq!((read.all(), report.log.damaged), (vec![0, 1], 0));
    let left = disk.get(&path).unwrap().len() as u64;
    assert_eq!(report.log.torn_bytes, whole.len() as u64 - 1 - left);
    assert_eq!(reopened(&disk).1.log.torn_bytes, 0);
}

#[test]
fn a_frame_that_stands_in_two_segments_is_handed_on_once() {
    let mut node = Node::with(LogConfig::default());
    let mut starts = vec![HEADER_BYTES as u64];
    for value in 0..6 {
        node.append(1, value);
        node.committer.commit(false);
        starts.push(node.journal.segments()[0].bytes);
    }
    let whole = node.disk.get(&node.disk.paths()[0]).unwrap();
    let frame = |number: usize| starts[number] as usize;
    let disk = SimDisk::default();
    let put = |number: u64, data: Vec<u8>| {
        disk.put(segment(number), data);
    };
    // The first segment has a hole where 2 was; the second begins with 1.
    let mut first = whole[..frame(5)].to_vec();
    first[frame(2)..frame(3)].fill(0);
    put(1, first);
    put(2, [&whole[..frame(0)], &whole[frame(1)..]].concat());
    let (read, report) = reopened(&disk);
    assert_eq!((&read.values[&1][..], report.log.duplicates), (&[0, 1, 2, 3, 4, 5][..], 3));
    assert_eq!(report.log.damaged, 1);
}

#[test]
fn records_of_a_newer_program_are_skipped() {
    let mut body = vec![200, 3, 0, 0, 0, 1, 2, 3];
    body.extend_from_slice(&[5, 4, 0, 0, 0, 4, 0, 0, 0]);
    body.extend_from_slice(&[5, 6, 0, 0, 0, 9, 0, 0, 0, 1, 1]);
    let mut read = Vec::new();
    let unread = format::decode_records(&body, &mut Vec::new(), &mut |record| {
        read.push(format!("{record:?}"));
    });
    assert_eq!(read, ["Tombstone(SeriesId(4))", "Tombstone(SeriesId(9))"]);
    assert_eq!((unread.unknown, unread.senseless), (1, 0));
}
