//! From bytes to points: framing, parsing, canonical names.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metric::{Limits, canonicalise};
use wire::framing::LineFramer;
use wire::line::{Rules, parse};

const LINES: usize = 10_000;

fn parse_lines(c: &mut Criterion) {
    let text = plumbago_benches::lines(LINES);
    let rules = Rules::at(1_700_000_000);
    let mut group = c.benchmark_group("line");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("frame_and_parse", |bencher| {
        bencher.iter(|| {
            let mut framer = LineFramer::default();
            framer
                .lines(black_box(&text))
                .flatten()
                .filter(|line| parse(line, &rules).is_ok())
                .count()
        });
    });
    let names = plumbago_benches::names(LINES);
    let limits = Limits::default();
    group.bench_function("canonicalise", |bencher| {
        bencher.iter(|| {
            let canonical = |name: &&String| canonicalise(name.as_bytes(), &limits).is_ok();
            black_box(&names).iter().filter(canonical).count()
        });
    });
    group.finish();
}

criterion_group!(benches, parse_lines);
criterion_main!(benches);
