//! What journal and engine promise together: whatever a death leaves half done, the files end as whisper itself would
//! have written them.

mod goldens;
mod lives;

use std::path::PathBuf;

use daemon::clock::Manual;

use segments::{LogConfig, LogDisk};

use super::*;
use crate::engine::{
    Disk, EngineConfig, EngineCounters, FileSpecs, FlushScope, RealDisk, Surroundings,
};
use crate::journal::JournalCounters;
use crate::tables::METRICS;

/// Journal and engine in a folder, without any thread that writes files by itself.
struct Node {
    folder: Arc<tempfile::TempDir>,
    clock: Arc<Manual>,
    specs: Arc<dyn FileSpecs>,
    keeper: Arc<Keeper>,
}

impl Node {
    fn new(now: i64, specs: Arc<dyn FileSpecs>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::on(folder, Arc::new(Manual::at(now)), specs)
    }

    fn on(folder: Arc<tempfile::TempDir>, clock: Arc<Manual>, specs: Arc<dyn FileSpecs>) -> Self {
        let disks: (Arc<dyn Disk>, Arc<dyn LogDisk>) =
            (Arc::new(RealDisk), Arc::new(segments::RealDisk));
        let keeper = open(folder.path(), Arc::<Manual>::clone(&clock), &specs, disks);
        Self { folder, clock, specs, keeper }
    }

    /// The process is gone with its memory; another one starts on the folder.
    fn die(self) -> Self {
        let Self { folder, clock, specs, keeper } = self;
        drop(keeper);
        Self::on(folder, clock, specs)
    }

    fn restart(self) -> Self {
        assert_eq!(self.keeper.stop(Duration::from_secs(60)).points_left, 0);
        assert_eq!(self.keeper.journal.segments(), [], "nothing is left to be read again");
        self.die()
    }

    fn accept(&self, name: &str, points: &[(u32, f64)]) {
        let names = vec![name; points.len()];
        let mut ids = Vec::new();
        self.keeper.accept(&names, points.iter().copied(), &mut ids);
        assert!(ids.iter().all(Option::is_some));
        self.commit();
    }

    fn commit(&self) {
        let journal = &self.keeper.journal;
        journal.wait_blocking(journal.appended(), Durability::Written).unwrap();
    }

    fn flush(&self, scope: FlushScope<'_>) {
        let report = self.keeper.engine.flush(scope);
        assert_eq!((report.failed, report.points_left), (0, 0));
    }

    fn id(&self, name: &str) -> Option<SeriesId> {
        self.keeper.engine.table().get(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("whisper").join(metric::path::whisper_path(name))
    }
}

/// Starts on `folder` and reads what the journal has.
fn open(
    folder: &std::path::Path,
    clock: Arc<Manual>,
    specs: &Arc<dyn FileSpecs>,
    (disk, journal_disk): (Arc<dyn Disk>, Arc<dyn LogDisk>),
) -> Arc<Keeper> {
    let config = EngineConfig {
        writer_threads: 0,
        free_bytes_min: 0,
        free_files_min: 0,
        ..EngineConfig::under(folder)
    };
    let context = Context::new("carbon", METRICS).with_clock(Arc::<Manual>::clone(&clock));
    let with = Surroundings {
        disk,
        clock: Arc::<Manual>::clone(&clock),
        specs: Arc::clone(specs),
        counters: EngineCounters::default(),
    };
    let engine = Arc::new(Engine::open(config, with).unwrap());
    let counters = JournalCounters::default();
    let opened =
        Journal::open(&folder.join("journal"), LogConfig::default(), journal_disk, clock, counters);
    let (journal, replay) = opened.unwrap();
    let config = KeeperConfig {
        ack: Durability::Written,
        journal_bytes_max: u64::MAX,
        replay_budget: Duration::from_secs(5),
    };
    let keeper = Arc::new(Keeper::new(engine, journal, config, KeeperCounters::default()));
    Replaying::new(Arc::clone(&keeper), replay, &context).run();
    keeper
}
