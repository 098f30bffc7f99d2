//! What a storage node does with a point: the number of its name, its place in memory, its way into a file.

use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use carbon::engine::{
    Disk, DiskFile, Engine, EngineConfig, EngineCounters, FileMark, FileSpecs, FlushScope,
    FreeSpace, OpenFile, Surroundings,
};
use carbon::series::{SeriesId, SeriesTable};
use carbon::tail::Tail;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use daemon::clock::Manual;
use whisper::{MemoryStorage, Retention, Spec, Storage};

const NOW: i64 = 1_700_000_000;
const SERIES: usize = 10_000;
/// Points of a series that are written together.
const POINTS: u32 = 60;

/// Files in memory: what is measured is our own work.
#[derive(Debug, Default)]
struct MemoryDisk {
    files: Mutex<HashMap<PathBuf, SharedFile>>,
}

#[derive(Debug, Clone)]
struct SharedFile(Arc<Mutex<MemoryStorage>>);

impl SharedFile {
    fn with<R>(&self, with: impl FnOnce(&mut MemoryStorage) -> R) -> R {
        with(&mut self.0.lock().expect("nobody panics with it"))
    }
}

impl Storage for SharedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.read_at(buffer, offset))
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.write_at(bytes, offset))
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|file| file.size())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.with(|file| file.set_size(size))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OpenFile for SharedFile {
    fn mark(&self) -> io::Result<FileMark> {
        Ok(FileMark { inode: 1, bytes: self.size()?, modified_ns: 0 })
    }
}

impl MemoryDisk {
    fn files<R>(&self, with: impl FnOnce(&mut HashMap<PathBuf, SharedFile>) -> R) -> R {
        with(&mut self.files.lock().expect("nobody panics with it"))
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, _for_writing: bool) -> io::Result<DiskFile> {
        let file = self.files(|files| files.get(path).cloned());
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        DiskFile::new(file)
    }

    fn create(&self, path: &Path, spec: &Spec) -> Result<(), whisper::Error> {
        let header = spec.header()?;
        let mut file = MemoryStorage::new(header.to_bytes());
        file.set_size(header.file_bytes())?;
        let file = SharedFile(Arc::new(Mutex::new(file)));
        self.files(|files| files.insert(path.to_owned(), file));
        Ok(())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn free_space(&self, _path: &Path) -> io::Result<FreeSpace> {
        Ok(FreeSpace { bytes: u64::MAX, files: u64::MAX })
    }

    fn sync(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn unsynced_bytes(&self) -> Option<u64> {
        None
    }
}

#[derive(Debug)]
struct Minutes;

impl FileSpecs for Minutes {
    fn spec_for(&self, _name: &str) -> Spec {
        let archive = |seconds_per_point, points| Retention { seconds_per_point, points };
        Spec::new(vec![archive(60, 1440), archive(300, 2016), archive(3600, 720)])
    }
}

fn engine(folder: &Path) -> Engine {
    let config = EngineConfig { writer_threads: 0, ..EngineConfig::under(folder) };
    let with = Surroundings {
        disk: Arc::new(MemoryDisk::default()),
        clock: Arc::new(Manual::at(NOW)),
        specs: Arc::new(Minutes),
        counters: EngineCounters::default(),
    };
    Engine::open(config, with).expect("a new folder")
}

fn intern(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (table, _report) = SeriesTable::open(&folder.path().join("names.log")).expect("a new log");
    let names = plumbago_benches::names(SERIES);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut ids, mut fresh) = (Vec::new(), Vec::new());
    table.resolve(&names, usize::MAX, &mut ids, &mut fresh);
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("intern_known", |bencher| {
        bencher.iter(|| table.resolve(black_box(&names), usize::MAX, &mut ids, &mut fresh));
    });
    group.finish();
}

/// A point of every series at each of `rounds`.
fn points(ids: &[SeriesId], rounds: std::ops::Range<u32>) -> Vec<(SeriesId, u32, f64)> {
    let first = u32::try_from(NOW).expect("before 2106");
    let value = |id: SeriesId, round: u32| f64::from((id.0 * 7 + round * 13) % 1000) / 10.0;
    let round = |round| ids.iter().map(move |&id| (id, first + 60 * round, value(id, round)));
    rounds.flat_map(round).collect()
}

fn known_series(engine: &Engine) -> Vec<SeriesId> {
    let names = plumbago_benches::names(SERIES);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut ids = Vec::new();
    engine.resolve(&names, &mut ids);
    ids.into_iter().flatten().collect()
}

fn append_and_write(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = engine(folder.path());
    let ids = known_series(&engine);
    engine.append(&points(&ids, 0..1));
    engine.flush(FlushScope::All);
    let mut round = 1;
    let mut next = |count| {
        round += count;
        points(&ids, round - count..round)
    };
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("append", |bencher| {
        bencher.iter_batched_ref(|| next(1), |points| engine.append(points), BatchSize::LargeInput);
    });
    engine.flush(FlushScope::All);
    // Throughput is that of series: each is planned, looked up, decoded, rolled up and written.
    group.bench_function("plan_and_write", |bencher| {
        let append = || engine.append(&next(POINTS));
        bencher.iter_batched(append, |()| engine.flush(FlushScope::Due), BatchSize::PerIteration);
    });
    group.finish();
}

fn tails(c: &mut Criterion) {
    let one = points(&[SeriesId(1)], 0..POINTS);
    let encode = || {
        let mut tail = Tail::default();
        for &(_id, timestamp, value) in &one {
            tail.push(timestamp, value);
        }
        tail
    };
    let tail = encode();
    let mut group = c.benchmark_group("tail");
    group.throughput(Throughput::Elements(POINTS.into()));
    group.bench_function("encode", |bencher| bencher.iter(encode));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| black_box(&tail).iter().map(|(_timestamp, value)| value).sum::<f64>());
    });
    group.finish();
}

criterion_group!(benches, intern, append_and_write, tails);
criterion_main!(benches);
