//! Criterion benches of the hot paths, and the inputs they share: `cargo bench -p plumbago-benches`. What loads a whole node
//! is a program: `load-node`, `read-load`, `link-load`, `window-load`.
#![forbid(unsafe_code)]

pub mod node;
pub mod relay;

/// Names of the shape that fleets send: `fleet.hostNNNN.cpu.M`, all different.
#[must_use]
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("fleet.dc{}.host{:05}.cpu.user{}", i % 4, i / 20, i % 20)).collect()
}

/// Carbon lines of those names, one for each.
#[must_use]
pub fn lines(count: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for (i, name) in names(count).iter().enumerate() {
        let value = i as f64 * 0.25;
        text.extend_from_slice(format!("{name} {value} 1700000000\n").as_bytes());
    }
    text
}
