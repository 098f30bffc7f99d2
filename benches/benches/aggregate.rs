//! Aggregation: points into windows, and what a million series of open windows take.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metric::Point;
use relay::aggregate::{Aggregator, Limits, Spec};

const SERIES: usize = 100_000;
const MIDNIGHT: i64 = 1_700_006_400;
const FIVE: [&str; 5] = ["count", "sum", "sumsq", "min", "max"];

fn rule(windows: &[&str]) -> Aggregator {
    let limits = Limits { bytes_max: usize::MAX, ..Limits::default() };
    Aggregator::new(
        Spec::new(windows, &FIVE, "{window}.{method}").expect("a sound rule").limits(limits),
    )
}

/// A second in which every tenth series has a point.
fn second(rule: &mut Aggregator, names: &[String], now: i64) {
    let tenth = now.rem_euclid(10) as usize;
    for name in names.iter().skip(tenth).step_by(10) {
        rule.add(name, Point::new(now, now as f64), now).expect("a point of now counts");
    }
    rule.advance(now, |emission| {
        black_box(emission);
    });
}

fn add(c: &mut Criterion) {
    let names = plumbago_benches::names(SERIES);
    let mut group = c.benchmark_group("aggregate");
    group.throughput(Throughput::Elements(SERIES as u64 / 10));
    for windows in [&["1m"][..], &["1m", "5m", "1h", "1d"]] {
        let mut rule = rule(windows);
        let mut now = MIDNIGHT;
        while now < MIDNIGHT + 700 {
            second(&mut rule, &names, now);
            now += 1;
        }
        let bytes = rule.bytes() / rule.series();
        let name =
            format!("a second of 10 s points into {}, {bytes} bytes a series", windows.join(","));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                second(&mut rule, &names, now);
                now += 1;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, add);
criterion_main!(benches);
