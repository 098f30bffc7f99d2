//! From names to owners.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ring::{Hash, Node, Ring, RingSpec};

const NAMES: usize = 10_000;

fn owners(c: &mut Criterion) {
    let names = plumbago_benches::names(NAMES);
    let mut group = c.benchmark_group("ring");
    group.throughput(Throughput::Elements(NAMES as u64));
    for hash in [Hash::CarbonCh, Hash::Fnv1aCh, Hash::JumpFnv1aCh] {
        let nodes = (1..=14)
            .map(|i| Node { host: format!("10.0.0.{i}"), port: 2003, instance: None })
            .collect();
        let spec = RingSpec { hash, copies: 2, ..RingSpec::default() };
        let ring = Ring::new(spec, nodes).expect("fourteen different hosts");
        group.bench_function(hash.name(), |bencher| {
            bencher.iter(|| {
                let primary = |name: &String| u64::from(ring.owners(name.as_bytes()).primary());
                black_box(&names).iter().map(primary).sum::<u64>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, owners);
criterion_main!(benches);
