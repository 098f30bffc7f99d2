//! What journal and engine promise together: whatever a death leaves half done, the files end as whisper itself would
//! have written them.

mod checkpoints;
mod faults;
mod goldens;
mod lives;

use std::path::PathBuf;

use daemon::Clock;
use daemon::clock::Manual;
use segments::{LogConfig, LogDisk};

use super::*;
use crate::engine::{
    Disk, EngineConfig, EngineCounters, FileSpecs, FlushScope, RealDisk, Surroundings,
};
use crate::journal::JournalCounters;
use crate::tables::METRICS;

/// What outlives a process.
#[derive(Debug, Clone)]
struct Machine {
    folder: Arc<tempfile::TempDir>,
    clock: Arc<Manual>,
    specs: Arc<dyn FileSpecs>,
    disk: Arc<dyn Disk>,
    journal_disk: Arc<dyn LogDisk>,
    /// Where the journal lies; a folder of its own for a disk in memory.
    journal_folder: PathBuf,
    journal_bytes_max: u64,
}

impl Machine {
    fn new(now: i64, specs: Arc<dyn FileSpecs>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self {
            journal_folder: folder.path().join("journal"),
            folder,
            clock: Arc::new(Manual::at(now)),
            specs,
            disk: Arc::new(RealDisk),
            journal_disk: Arc::new(segments::RealDisk),
            journal_bytes_max: u64::MAX,
        }
    }

    /// Starts journal and engine, without any thread that writes files by itself, and reads what the journal has.
    fn start(&self) -> Result<Arc<Keeper>, segments::LogError> {
        let Self { folder, clock, specs, disk, journal_disk, journal_folder, .. } = self.clone();
        let config = EngineConfig {
            writer_threads: 0,
            free_bytes_min: 0,
            free_files_min: 0,
            ..EngineConfig::under(folder.path())
        };
        let clock: Arc<dyn Clock> = clock;
        let context = Context::new("carbon", METRICS).with_clock(Arc::clone(&clock));
        let counters = EngineCounters::default();
        let with = Surroundings { disk, clock: Arc::clone(&clock), specs, counters };
        let engine = Arc::new(Engine::open(config, with).unwrap());
        let (log, counters) = (LogConfig::default(), JournalCounters::default());
        let opened = Journal::open(&journal_folder, log, journal_disk, clock, counters);
        let (journal, replay) = opened?;
        let config = KeeperConfig {
            ack: Durability::Written,
            journal_bytes_max: self.journal_bytes_max,
            replay_budget: Duration::from_secs(5),
        };
        let now_s = context.clock.now_unix_seconds();
        let holes = Holes::open(engine.index_folder(), now_s);
        let born = Born::open(engine.whisper_folder(), now_s).unwrap();
        let counters = KeeperCounters::default();
        let keeper = Arc::new(Keeper::new(engine, journal, (holes, born), config, counters));
        Replaying::new(Arc::clone(&keeper), replay, &context).run();
        Ok(keeper)
    }
}

/// A running node.
struct Node {
    machine: Machine,
    keeper: Arc<Keeper>,
}

impl Node {
    fn on(machine: Machine) -> Self {
        let keeper = machine.start().unwrap();
        Self { machine, keeper }
    }

    /// The process is gone with its memory; another one starts.
    fn die(self) -> Self {
        let Self { machine, keeper } = self;
        drop(keeper);
        Self::on(machine)
    }

    fn restart(self) -> Self {
        assert_eq!(self.keeper.stop(Duration::from_secs(60), Duration::MAX).points_left, 0);
        assert_eq!(self.keeper.journal.segments(), [], "nothing is left to be read again");
        self.die()
    }

    fn accept(&self, name: &str, points: &[(u32, f64)]) {
        self.accept_all(&vec![name; points.len()], points);
    }

    /// One batch, a name for each point.
    fn accept_all(&self, names: &[&str], points: &[(u32, f64)]) {
        let mut ids = Vec::new();
        self.keeper.accept(names, points.iter().copied(), None, &mut ids);
        assert!(ids.iter().all(Option::is_some));
    }

    /// Whether the journal has all that was accepted.
    fn commit(&self, durability: Durability) -> bool {
        let journal = &self.keeper.journal;
        journal.wait_blocking(journal.appended(), durability).is_ok()
    }

    fn flush(&self, scope: FlushScope<'_>) {
        assert_eq!(self.keeper.engine.flush(scope).failed, 0);
    }

    fn now(&self) -> u32 {
        u32::try_from(self.machine.clock.now_unix_seconds()).unwrap()
    }

    fn id(&self, name: &str) -> Option<SeriesId> {
        self.keeper.engine.table().get(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.machine.folder.path().join("whisper").join(metric::path::whisper_path(name))
    }
}
