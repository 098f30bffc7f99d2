//! A node on a disk that fails, dies with its process or loses power at every call of the journal: what was promised is in
//! the journal or in the files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use segments::sim::{Fault, PowerLoss, SimDisk};
use whisper::Spec;

use super::checkpoints::HourAndDay;
use super::*;
use crate::engine::{DiskFile, FreeSpace};

const NOW: i64 = 1_700_000_000;
const ROUNDS: u32 = 14;
const SERIES: [&str; 5] = ["a.idle", "b.x", "b.y", "b.z", "c.slow"];

/// The real disk, of which a power cut leaves what was there at the last sync.
#[derive(Debug)]
struct Unsafe {
    whisper: PathBuf,
    synced: PathBuf,
    unsynced_bytes: Option<u64>,
}

impl Disk for Unsafe {
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<DiskFile> {
        RealDisk.open(path, for_writing)
    }

    fn create(&self, path: &Path, spec: &Spec) -> Result<(), whisper::Error> {
        RealDisk.create(path, spec)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<FreeSpace> {
        RealDisk.free_space(path)
    }

    fn sync(&self, _path: &Path) -> io::Result<()> {
        copy(&self.whisper, &self.synced)
    }

    fn unsynced_bytes(&self) -> Option<u64> {
        self.unsynced_bytes
    }
}

/// Puts a copy of the tree `from` in the place of the tree `to`.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry?.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// Every point, and how many of the first rounds were promised to survive what.
#[derive(Debug, Default)]
struct Ledger {
    points: BTreeMap<(&'static str, u32), f64>,
    written: u32,
    synced: u32,
}

fn machine(journal_disk: &SimDisk) -> Machine {
    let machine = Machine::new(NOW, Arc::new(HourAndDay));
    let at = |name| machine.folder.path().join(name);
    let (whisper, synced) = (at("whisper"), at("synced"));
    std::fs::create_dir(&synced).unwrap();
    Machine {
        disk: Arc::new(Unsafe { whisper, synced, unsynced_bytes: None }),
        journal_disk: Arc::new(journal_disk.clone()),
        journal_folder: "/journal".into(),
        // Most of the time the oldest segments have to go.
        journal_bytes_max: 1_500,
        ..machine
    }
}

/// Takes points, writes some files, makes the journal short. `None` if the disk does not even let it begin.
fn live(machine: &Machine) -> Option<Ledger> {
    let keeper = machine.start().or_else(|_| machine.start()).ok()?;
    let node = Node { machine: machine.clone(), keeper };
    let mut ledger = Ledger::default();
    for round in 1..=ROUNDS {
        node.machine.clock.advance(Duration::from_secs(10));
        for (number, series) in (0..).zip(SERIES) {
            // The idle one has points in the first rounds, the slow one waits for its file for ever.
            if number > 0 || round < 3 {
                let value = f64::from(100 * number + round);
                node.accept(series, &[(node.now(), value)]);
                ledger.points.insert((series, node.now()), value);
            }
        }
        if node.commit(Durability::Written) {
            ledger.written = round;
        }
        if round % 3 == 0 && node.commit(Durability::Synced) {
            ledger.synced = round;
        }
        if round % 2 == 0 {
            node.keeper.journal.rotate();
        }
        if round % 4 == 1 {
            node.keeper.engine.flush(FlushScope::Prefix("b."));
        }
        node.keeper.release_written();
        node.keeper.hurry_oldest();
    }
    let checkpoints = node.keeper.counters.checkpoints.get();
    assert!(checkpoints > 0 || ledger.synced < ROUNDS - ROUNDS % 3, "{ledger:?}");
    Some(ledger)
}

/// Starts again and compares; `rounds` were promised.
fn check(machine: &Machine, journal_disk: SimDisk, ledger: &Ledger, rounds: u32, what: &str) {
    let machine = Machine { journal_disk: Arc::new(journal_disk), ..machine.clone() };
    let node = Node::on(machine);
    let until = NOW + i64::from(10 * ROUNDS);
    for series in SERIES {
        let data = node.id(series).map(|id| node.keeper.engine.read(id, NOW, until, until));
        let data = data.and_then(|data| data.unwrap());
        for (&(_, at), value) in ledger.points.range((series, 0)..=(series, u32::MAX)) {
            let found = data.as_ref().and_then(|data| data.value_at(at.into()));
            let is_promised = i64::from(at) <= NOW + i64::from(10 * rounds);
            let is_right = found == Some(*value) || (found.is_none() && !is_promised);
            assert!(is_right, "{what}: {series} at {at}: {found:?}, expected {value}");
        }
    }
}

fn play(fault: Option<(usize, Fault)>, losses: &[PowerLoss], what: &str) -> usize {
    let disk = SimDisk::default();
    fault.inspect(|&(call, fault)| disk.fail_at(call, fault));
    let machine = machine(&disk);
    let Some(ledger) = live(&machine) else { return 0 };
    check(&machine, disk.after_kill(), &ledger, ledger.written, what);
    for &loss in losses {
        copy(&machine.folder.path().join("synced"), &machine.folder.path().join("whisper"))
            .unwrap();
        let what = format!("{what}, then {loss:?}");
        check(&machine, disk.after_power_loss(loss), &ledger, ledger.synced, &what);
    }
    disk.calls()
}

const LOSSES: [PowerLoss; 3] = [PowerLoss::All, PowerLoss::Half, PowerLoss::Reordered];

#[test]
fn whatever_call_of_the_journal_fails_the_node_loses_nothing_that_was_promised() {
    let calls = play(None, &LOSSES, "no fault");
    assert!(calls > 50, "{calls}");
    let kinds = [Fault::Kill, Fault::Eio, Fault::Enospc, Fault::Kill, Fault::Short];
    for call in 0..calls {
        let (kind, loss) = (kinds[call % kinds.len()], LOSSES[call / 2 % LOSSES.len()]);
        play(Some((call, kind)), &[loss], &format!("{kind:?} at call {call}"));
    }
}

#[test]
fn a_stop_does_not_wait_for_a_disk_that_is_far_behind_and_loses_nothing_by_it() {
    let journal_disk = SimDisk::default();
    let mut machine = machine(&journal_disk);
    let at = |name| machine.folder.path().join(name);
    let (whisper, synced) = (at("whisper"), at("synced"));
    machine.disk = Arc::new(Unsafe { whisper, synced, unsynced_bytes: Some(1 << 40) });
    let node = Node::on(machine.clone());
    for series in SERIES {
        node.accept(series, &[(node.now(), 1.5)]);
    }
    let report = node.keeper.stop(Duration::from_secs(60), Duration::from_secs(3));
    assert_eq!((report.points, report.points_left), (SERIES.len() as u64, 0));
    assert!(!node.keeper.journal.segments().is_empty(), "no file is known to be on the disk");
    copy(&machine.folder.path().join("synced"), &machine.folder.path().join("whisper")).unwrap();
    let journal_disk = Arc::new(journal_disk.after_power_loss(PowerLoss::All));
    let node = Node::on(Machine { journal_disk, ..machine });
    for series in SERIES {
        let id = node.id(series).unwrap();
        let data = node.keeper.engine.read(id, NOW - 60, NOW + 60, NOW + 60).unwrap().unwrap();
        assert_eq!(data.value_at(NOW), Some(1.5), "{series}");
    }
}
