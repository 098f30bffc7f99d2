//! What the engine promises: no point lost, reads that do not change when points reach the files.

mod fake_disk;
mod faults;
mod limits;
mod lives;
mod reshape;
mod same_as_whisper;
mod sums;

use std::path::Path;
use std::sync::atomic::AtomicI64;

use daemon::clock::Manual;
use whisper::Spec;

use self::fake_disk::FakeDisk;
use super::writer::Writer;
use super::*;

const NOW: i64 = 1_700_000_000;

/// Every name gets the same three archives; its last parts may say a method and a factor in percent.
#[derive(Debug)]
struct OneSpec;

impl FileSpecs for OneSpec {
    fn spec_for(&self, name: &str) -> Spec {
        let mut spec = Spec::new(whisper::parse_retentions("10s:5m,1m:20m,5m:2h").unwrap());
        let parts: Vec<&str> = name.split('.').collect();
        if let [.., method, percent] = parts[..]
            && let Some(method) = whisper::Method::from_name(method)
        {
            spec.method = method;
            spec.x_files_factor = percent.parse::<f64>().unwrap() / 100.0;
        }
        spec
    }
}

struct Node {
    folder: tempfile::TempDir,
    clock: Arc<Manual>,
    disk: Arc<FakeDisk>,
    engine: Engine,
}

impl Node {
    fn new() -> Self {
        Self::with(|_config| {})
    }

    /// Without writer threads, unless `change` asks for them.
    fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::at(tempfile::tempdir().unwrap(), change)
    }

    fn at(folder: tempfile::TempDir, change: impl FnOnce(&mut EngineConfig)) -> Self {
        let (clock, disk) = (Arc::new(Manual::at(NOW)), Arc::new(FakeDisk::default()));
        let mut config = EngineConfig::under(folder.path());
        config.writer_threads = 0;
        config.write_age_s = 30;
        config.free_bytes_min = 0;
        config.free_files_min = 0;
        change(&mut config);
        let with = Surroundings {
            disk: Arc::clone(&disk) as Arc<dyn Disk>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            specs: Arc::new(OneSpec),
            counters: EngineCounters::default(),
        };
        let engine = Engine::open(config, with).unwrap();
        Self { folder, clock, disk, engine }
    }

    fn restart(self) -> Self {
        let report = self.engine.stop(Duration::from_secs(60));
        self.engine.end_cleanly(&report);
        self.die()
    }

    /// Loses what is in memory and starts again, at the same time.
    fn die(self) -> Self {
        drop(self.engine);
        let node = Self::at(self.folder, |_config| {});
        node.clock.set(self.clock.now_unix_seconds());
        node
    }

    fn id(&self, name: &str) -> SeriesId {
        let mut ids = Vec::new();
        self.engine.resolve(&[name], &mut ids);
        ids[0].unwrap()
    }

    fn append(&self, name: &str, points: &[(i64, f64)]) -> SeriesId {
        let id = self.id(name);
        let points: Vec<_> = points.iter().map(|&(at, value)| (id, at as u32, value)).collect();
        self.engine.append(&points);
        id
    }

    fn file(&self, relative: &str) -> PathBuf {
        self.folder.path().join("whisper").join(relative)
    }

    fn writer(&self) -> Writer {
        Writer::new(Arc::clone(&self.engine.store), 0)
    }

    fn counters(&self) -> &EngineCounters {
        &self.engine.store.counters
    }
}

fn advance(node: &Node, seconds: u64) {
    node.clock.advance(Duration::from_secs(seconds));
}

fn whisper_files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                files.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn points_wait_until_their_age_and_then_go_in_one_update() {
    let node = Node::new();
    let mut writer = node.writer();
    let id = node.append("a.b", &[(NOW - 20, 1.0)]);
    advance(&node, 29);
    node.append("a.b", &[(NOW - 10, 2.0)]);
    writer.round();
    assert_eq!(node.engine.pending(id).len(), 2);
    advance(&node, 1);
    writer.round();
    assert_eq!((node.engine.pending_points(), node.engine.pending_bytes()), (0, 0));
    assert_eq!((node.counters().updates.get(), node.counters().points_written.get()), (1, 2));
    assert!(node.file("a/b.wsp").exists());
}

/// Reads and writes of files during a flush after `count` new points, ten seconds apart.
fn calls_of_a_flush(node: &Node, count: u32, scope: FlushScope<'_>) -> (usize, usize) {
    for _ in 0..count {
        advance(node, 10);
        node.append("a.b", &[(node.clock.now_unix_seconds(), 1.0)]);
    }
    (node.disk.faults.lock().reads, node.disk.faults.lock().writes) = (0, 0);
    assert_eq!(node.engine.flush(scope).points, u64::from(count));
    let faults = node.disk.faults.lock();
    (faults.reads, faults.writes)
}

#[test]
fn points_in_order_are_written_without_a_read_and_rollups_by_their_own_clocks() {
    let node = Node::new();
    assert_eq!(calls_of_a_flush(&node, 3, FlushScope::Due), (0, 1));
    // 150 seconds are half of the finest archive: the first rollups may be so far behind.
    let flushes: Vec<_> = (0..8).map(|_| calls_of_a_flush(&node, 6, FlushScope::Due)).collect();
    let writes: Vec<_> = flushes.iter().map(|calls| calls.1).collect();
    assert_eq!(writes, [1, 2, 1, 1, 3, 1, 1, 2], "most of them write the points alone");
    assert!(flushes.iter().all(|calls| calls.0 == 0));
    assert_eq!(node.engine.rollups_owed(), 1);
    let node = node.restart();
    assert_eq!(calls_of_a_flush(&node, 6, FlushScope::Due).0, 1, "one read after a start");
    assert_eq!(calls_of_a_flush(&node, 6, FlushScope::All).0, 0);
    assert_eq!(node.counters().updates_late.get(), 0);
}

#[test]
fn rollups_of_a_series_that_falls_silent_are_written_when_their_time_comes() {
    let node = Node::new();
    let mut writer = node.writer();
    calls_of_a_flush(&node, 6, FlushScope::Due);
    assert_eq!(node.engine.rollups_owed(), 1);
    advance(&node, 149);
    writer.round();
    assert_eq!(node.engine.rollups_owed(), 1);
    advance(&node, 1);
    writer.round();
    assert_eq!((node.engine.rollups_owed(), node.disk.faults.lock().reads), (0, 0));
}

#[test]
fn a_file_that_somebody_else_has_written_is_read_again() {
    let node = Node::new();
    calls_of_a_flush(&node, 6, FlushScope::All);
    let written = std::fs::metadata(node.file("a/b.wsp")).unwrap().modified().unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(node.file("a/b.wsp"));
    let mut file = whisper::Whisper::open(file.unwrap()).unwrap();
    let now = node.clock.now_unix_seconds();
    file.update_many(&[(now + 10, 7.0)], now).unwrap();
    // Not later than our own write by more than the shortest time there is.
    let (storage, _header) = file.into_parts();
    storage.set_modified(written + Duration::from_nanos(1)).unwrap();
    assert!(calls_of_a_flush(&node, 6, FlushScope::All).0 > 0);
    assert_eq!(calls_of_a_flush(&node, 6, FlushScope::All).0, 0);
}

#[test]
fn after_a_death_rollups_of_silent_series_are_made_up_for() {
    let node = Node::new();
    assert_eq!(calls_of_a_flush(&node, 12, FlushScope::Due), (0, 1));
    let node = node.die();
    node.writer().round();
    assert_eq!(node.disk.faults.lock().writes, 1);
    assert_eq!(node.disk.faults.lock().reads, 1);
    let node = node.restart().restart();
    node.writer().round();
    assert_eq!(node.disk.faults.lock().calls, 0, "an orderly stop owes nothing");
}

#[test]
fn writer_threads_write_what_is_due_without_being_asked() {
    let node = Node::with(|config| config.writer_threads = 2);
    for i in 0..500 {
        node.append(&format!("a.b{i}"), &[(NOW, 1.0)]);
    }
    advance(&node, 30);
    let done = || (node.engine.pending_points() == 0).then_some(());
    testkit::wait_until("the points in their files", testkit::PATIENCE, done);
    assert_eq!(node.counters().points_written.get(), 500);
}

#[test]
fn many_points_of_a_series_are_written_before_their_time() {
    let node = Node::with(|config| config.series_points_due = 3);
    node.append("a", &[(NOW, 1.0), (NOW + 10, 1.0), (NOW + 20, 1.0)]);
    node.append("b", &[(NOW, 1.0)]);
    node.writer().round();
    assert_eq!(node.engine.pending_points(), 1);
}

#[test]
fn creates_over_the_budget_wait_and_are_made_in_turn() {
    let node = Node::with(|config| config.creates_per_minute_max = 2);
    let mut writer = node.writer();
    for name in ["a", "b", "c", "d", "e"] {
        node.append(name, &[(NOW, 1.0)]);
    }
    advance(&node, 30);
    writer.round();
    assert_eq!((node.counters().creates.get(), node.engine.pending_points()), (2, 3));
    writer.round();
    assert_eq!(node.counters().creates.get(), 2);
    advance(&node, 60);
    writer.round();
    assert_eq!(whisper_files(&node.file("")), ["a.wsp", "b.wsp", "c.wsp", "d.wsp"]);
    let report = node.engine.flush(FlushScope::Due);
    assert_eq!((report.delayed, report.points_left), (1, 1));
    let report = node.engine.flush(FlushScope::All);
    assert_eq!((report.series, report.points_left), (1, 0));
}

#[test]
fn updates_are_held_to_their_rate_and_no_shard_starves() {
    let node = Node::with(|config| config.updates_per_second_max = 1);
    let mut writer = node.writer();
    for name in 0..200 {
        node.append(&format!("a.b{name}"), &[(NOW, 1.0)]);
    }
    for seconds in [30, 1, 1] {
        advance(&node, seconds);
        writer.round();
    }
    assert_eq!(node.counters().updates.get(), 3);
}

#[test]
fn a_branch_can_be_flushed_alone() {
    let node = Node::new();
    for name in ["a.x", "a.y", "b.x"] {
        node.append(name, &[(NOW, 1.0)]);
    }
    let report = node.engine.flush(FlushScope::Prefix("a."));
    assert_eq!((report.series, report.points, report.points_left), (2, 2, 1));
    assert_eq!(whisper_files(&node.file("")), ["a/x.wsp", "a/y.wsp"]);
}

#[test]
fn every_point_ends_in_one_count() {
    let node = Node::new();
    let points = [(NOW, 1.0), (NOW, 2.0), (NOW - 7_300, 3.0), (NOW - 60, 4.0)];
    node.append("a", &points);
    let gone = node.append("b", &[(NOW, 1.0), (NOW - 10, 1.0)]);
    assert!(node.engine.remove(gone).unwrap());
    node.engine.append(&[(gone, NOW as u32, 5.0)]);
    node.engine.flush(FlushScope::All);
    let counters = node.counters();
    assert_eq!(counters.points_written.get(), 2);
    assert_eq!(counters.points_superseded.get(), 1);
    assert_eq!(counters.points_too_old.get(), 1);
    assert_eq!(counters.points_of_deleted.get(), 3);
    assert_eq!(node.engine.pending_points(), 0);
}

#[test]
fn a_deleted_series_leaves_nothing_and_may_come_back() {
    let node = Node::new();
    let id = node.append("a.b", &[(NOW, 1.0)]);
    node.engine.flush(FlushScope::All);
    node.append("a.b", &[(NOW + 10, 1.0)]);
    let outcome = node.engine.execute(id, SeriesCommand::Delete).unwrap();
    assert_eq!(outcome, SeriesOutcome::Deleted(true));
    assert_eq!(
        node.engine.execute(id, SeriesCommand::Delete).unwrap(),
        SeriesOutcome::Deleted(false)
    );
    assert_eq!(whisper_files(&node.file("")), Vec::<String>::new());
    assert_eq!(node.engine.read(id, NOW - 60, NOW, NOW).unwrap(), None);
    let again = node.append("a.b", &[(NOW, 1.0)]);
    assert_ne!(again, id);
    let node = node.restart();
    assert_eq!(node.engine.table().get("a.b"), Some(again));
}

#[test]
fn a_stop_writes_everything_and_a_restart_knows_every_name() {
    let node = Node::with(|config| {
        config.writer_threads = 2;
        config.creates_per_minute_max = 1;
    });
    let ids: Vec<SeriesId> =
        (0..2_000).map(|i| node.append(&format!("a.b{i}"), &[(NOW, 1.0)])).collect();
    let report = node.engine.stop(Duration::from_secs(60));
    assert_eq!((report.points_left, report.failed), (0, 0));
    let node = node.restart();
    for (i, &id) in ids.iter().enumerate().step_by(97) {
        assert_eq!(node.engine.table().name(id), Some(format!("a.b{i}")));
        let data = node.engine.read(id, NOW - 10, NOW, NOW).unwrap().unwrap();
        assert_eq!(data.values, [1.0]);
    }
    let glob = metric::Glob::compile("a.b1*").unwrap();
    let limits = crate::index::FindLimits::default();
    let found = node.engine.index().find(&glob, None, crate::index::Scope::All, &limits).unwrap();
    assert_eq!(found.paths.len(), 1_111);
}

#[tokio::test]
async fn senders_wait_while_too_much_waits_and_go_on_when_it_is_written() {
    let node = Node::with(|config| config.pending_points_max = 3);
    node.engine.wait_for_room().await;
    node.append("a", &[(NOW, 1.0), (NOW + 10, 1.0), (NOW + 20, 1.0)]);
    assert!(!node.engine.has_room());
    let mut room = std::pin::pin!(node.engine.wait_for_room());
    let is_pending =
        std::future::poll_fn(|cx| std::task::Poll::Ready(room.as_mut().poll(cx).is_pending()));
    assert!(is_pending.await);
    // So much waits that it is due at once.
    node.writer().round();
    room.await;
    assert_eq!(node.engine.pending_points(), 0);
}

#[test]
fn near_its_budget_of_bytes_the_node_writes_early_and_beyond_it_takes_no_more() {
    let node = Node::with(|config| config.pending_bytes_max = 1000);
    let mut writer = node.writer();
    let series = |first, end| {
        for number in first..end {
            node.append(&format!("a.b{number}"), &[(NOW, 1.0)]);
        }
    };
    series(0, 30);
    writer.round();
    assert_eq!((node.engine.pending_points(), node.engine.has_room()), (30, true));
    series(30, 40);
    assert!(node.engine.has_room());
    writer.round();
    assert_eq!(node.engine.pending_points(), 0);
    series(0, 70);
    assert!(!node.engine.has_room());
}

#[test]
fn points_do_not_wait_until_they_are_too_old_for_the_finest_archive() {
    let node = Node::with(|config| config.write_age_s = 3_600);
    let mut writer = node.writer();
    let id = node.append("a", &[(NOW, 1.0)]);
    // The finest archive covers 300 seconds.
    advance(&node, 74);
    writer.round();
    assert_eq!(node.engine.pending(id).len(), 1);
    advance(&node, 1);
    writer.round();
    assert_eq!(node.engine.pending(id).len(), 0);
}

#[test]
fn the_journal_learns_which_points_it_must_keep_and_can_have_them_written() {
    let node = Node::new();
    let (old, new) = (node.id("old"), node.id("new"));
    node.engine.append_at(&[(old, NOW as u32, 1.0)], JournalPosition(3));
    node.engine.append_at(&[(new, NOW as u32, 1.0)], JournalPosition(4));
    assert_eq!(node.engine.oldest_position(), Some(JournalPosition(3)));
    assert_eq!(node.engine.flush_before(JournalPosition(4)).series, 1);
    assert_eq!(node.engine.oldest_position(), Some(JournalPosition(4)));
}

/// A journal in front of the engine: while it is synced one more point comes.
#[derive(Debug)]
struct BusyJournal {
    store: std::sync::Weak<Store>,
    id: SeriesId,
    at: AtomicI64,
}

impl WriteAhead for BusyJournal {
    fn wait_synced(&self) {
        let store = self.store.upgrade().unwrap();
        let at = self.at.fetch_add(10, Ordering::Relaxed) as u32;
        store.pending.append(&[(self.id, at, 7.0)], JournalPosition(9), 0, |_, _| {});
    }
}

#[test]
fn points_go_to_files_only_when_the_journal_has_them_on_disk() {
    let node = Node::new();
    let id = node.append("a.b", &[(NOW - 60, 1.0), (NOW - 50, 2.0)]);
    let (store, at) = (Arc::downgrade(&node.engine.store), AtomicI64::new(NOW - 40));
    node.engine.write_after(BusyJournal { store, id, at });
    assert_eq!(node.engine.flush(FlushScope::All).points, 2);
    assert_eq!(node.engine.pending(id), [((NOW - 40) as u32, 7.0)]);
    assert_eq!(node.engine.oldest_position(), Some(JournalPosition(9)));
    advance(&node, 30);
    node.writer().round();
    assert_eq!(node.engine.pending(id), [((NOW - 30) as u32, 7.0)]);
    let outcome = node.engine.execute(id, SeriesCommand::Append).unwrap();
    assert_eq!(outcome, SeriesOutcome::Appended { points: 1, points_left: 1 });
}

#[test]
fn a_series_without_a_file_says_which_file_it_will_have() {
    let node = Node::new();
    let id = node.append("a", &[(NOW - 600, 1.0)]);
    let header = node.engine.info(id).unwrap().unwrap();
    assert_eq!(header.archives.len(), 3);
    let data = node.engine.read(id, NOW - 660, NOW, NOW).unwrap().unwrap();
    assert_eq!((data.step, data.value_at(NOW - 600)), (60, Some(1.0)));
    let SeriesOutcome::Snapshot(before) = node.engine.execute(id, SeriesCommand::Snapshot).unwrap()
    else {
        panic!("a snapshot")
    };
    assert!(!node.file("a.wsp").exists());
    node.engine.flush(FlushScope::All);
    assert_eq!(before, Some(std::fs::read(node.file("a.wsp")).unwrap()));
    assert_eq!(node.engine.info(id).unwrap(), Some(header));
}

#[test]
fn a_scan_forgets_series_whose_file_is_gone_unless_points_wait() {
    let node = Node::new();
    for name in ["a.gone", "a.waiting", "a.kept"] {
        node.append(name, &[(NOW, 1.0)]);
    }
    node.engine.flush(FlushScope::All);
    std::fs::remove_file(node.file("a/gone.wsp")).unwrap();
    std::fs::remove_file(node.file("a/waiting.wsp")).unwrap();
    node.append("a.waiting", &[(NOW, 1.0)]);
    node.engine.scan(&mut || true);
    let known = |name| node.engine.table().get(name).is_some();
    assert_eq!(["a.gone", "a.waiting", "a.kept"].map(known), [false, true, true]);

    std::fs::remove_dir_all(node.file("a")).unwrap();
    node.engine.scan(&mut || true);
    assert!(known("a.kept"), "an empty tree is one that is not mounted");
}
