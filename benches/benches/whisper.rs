//! Batches of points into a Whisper file in memory.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use whisper::{Header, MemoryStorage, Method, Point, Retention, Whisper};

const NOW: i64 = 1_700_000_000;

fn retention(seconds_per_point: u32, points: u32) -> Retention {
    Retention { seconds_per_point, points }
}

/// A day of minutes, a week of five minutes, a month of hours.
fn empty_file() -> Vec<u8> {
    let archives = [retention(60, 1440), retention(300, 2016), retention(3600, 720)];
    let header = Header::new(&archives, 0.5, Method::Average).expect("a sound header");
    let mut bytes = header.to_bytes();
    let size = header.file_bytes();
    bytes.resize(usize::try_from(size).expect("a small file"), 0);
    bytes
}

fn update_many(c: &mut Criterion) {
    let file = empty_file();
    let mut group = c.benchmark_group("whisper");
    for count in [1_i64, 10, 60] {
        let points: Vec<(i64, f64)> =
            (0..count).map(|i| (NOW - 60 * (count - i), i as f64)).collect();
        group.throughput(Throughput::Elements(points.len() as u64));
        group.bench_function(format!("update_many_{count}"), |bencher| {
            bencher.iter_batched(
                || MemoryStorage::new(file.clone()),
                |storage| {
                    let mut whisper = Whisper::open(storage).expect("a sound file");
                    whisper.update_many(black_box(&points), NOW).expect("memory does not fail");
                    whisper
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn write_points(c: &mut Criterion) {
    let file = empty_file();
    let first = u32::try_from(NOW - NOW % 60).expect("before 2106");
    let mut group = c.benchmark_group("whisper");
    for count in [10_u32, 60] {
        let point = |i| Point { interval: first + 60 * i, value: f64::from(i) };
        let points: Vec<Point> = (0..count).map(point).collect();
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(format!("write_points_{count}"), |bencher| {
            let mut whisper =
                Whisper::open(MemoryStorage::new(file.clone())).expect("a sound file");
            bencher.iter(|| whisper.write_points(0, first, black_box(&points)));
        });
    }
    group.finish();
}

criterion_group!(benches, update_many, write_points);
criterion_main!(benches);
