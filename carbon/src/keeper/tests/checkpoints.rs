//! A journal that gets too long is made shorter by whatever costs less.

use whisper::Spec;

use super::*;

const NOW: i64 = 1_700_000_000;

#[derive(Debug)]
pub(super) struct HourAndDay;

impl FileSpecs for HourAndDay {
    fn spec_for(&self, _name: &str) -> Spec {
        Spec::new(whisper::parse_retentions("10s:1h,1m:1d").unwrap())
    }
}

/// Twelve segments: 40 busy series in each of them, three idle ones in the first alone.
fn twelve_segments() -> Node {
    let mut machine = Machine::new(NOW, Arc::new(HourAndDay));
    machine.journal_bytes_max = 4_000;
    let node = Node::on(machine);
    for idle in 0..3 {
        node.accept(&format!("idle.s{idle}"), &[(node.now(), 1.5), (node.now(), f64::from(idle))]);
    }
    let busy: Vec<String> = (0..40).map(|busy| format!("busy.s{busy}")).collect();
    let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
    for _ in 0..12 {
        node.machine.clock.advance(Duration::from_secs(10));
        node.accept_all(&busy, &vec![(node.now(), 0.1); busy.len()]);
        // Names that are safe are not journalled with every batch.
        assert!(node.keeper.engine.sync_names());
        node.keeper.journal.rotate();
        assert!(node.commit(Durability::Written));
    }
    node
}

#[test]
fn a_few_idle_series_are_journalled_again_and_not_written_before_their_time() {
    let node = twelve_segments();
    node.flush(FlushScope::Prefix("busy."));
    let before = node.keeper.journal_bytes();
    node.keeper.hurry_oldest();
    assert_eq!(
        (node.keeper.counters.checkpoints.get(), node.keeper.counters.hurried.get()),
        (1, 0)
    );
    assert!(node.keeper.journal_bytes() < before / 4, "{}", node.keeper.journal_bytes());
    assert!(!node.file("idle.s1").exists());
    node.keeper.hurry_oldest();
    assert_eq!(node.keeper.counters.checkpoints.get(), 1, "it is short now");
    let node = node.die();
    let waiting = [0, 1, 2].map(|idle| {
        let id = node.id(&format!("idle.s{idle}")).unwrap();
        node.keeper.engine.pending(id)
    });
    let expected = [0, 1, 2].map(|idle| vec![(NOW as u32, 1.5), (NOW as u32, f64::from(idle))]);
    assert_eq!(waiting, expected);
}

#[test]
fn where_most_of_it_waits_the_files_are_written() {
    let node = twelve_segments();
    node.keeper.hurry_oldest();
    let counters = &node.keeper.counters;
    assert_eq!((counters.checkpoints.get(), counters.hurried.get()), (0, 43));
    assert!(node.file("idle.s1").exists());
}
