//! The engine against crate `whisper` alone, on random streams of points.

use proptest::prelude::*;
use whisper::{Header, OnExisting, Whisper};

use super::*;

/// A stream in batches: seconds before now (late, fresh, a few in the future, some beyond every archive) and values.
fn batches() -> impl Strategy<Value = Vec<Vec<(i64, f64)>>> {
    let age = prop_oneof![
        4 => -30..320i64,
        3 => 0..1_300i64,
        2 => 0..7_400i64,
        1 => 290..310i64,
    ];
    let point = (age, -50..50i32).prop_map(|(age, value)| (NOW - age, f64::from(value) / 4.0));
    prop::collection::vec(prop::collection::vec(point, 1..40), 1..5)
}

fn last_of_each_timestamp(points: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let by_time: std::collections::BTreeMap<i64, f64> = points.iter().copied().collect();
    by_time.into_iter().collect()
}

/// Windows that are answered by each archive, aligned and not.
fn windows() -> Vec<(i64, i64)> {
    let mut windows = vec![(NOW - 10, NOW), (NOW - 7_300, NOW - 7_100), (NOW, NOW)];
    for age in [50, 295, 300, 301, 600, 1_199, 1_200, 1_201, 4_000, 7_199, 7_200] {
        windows.extend([(NOW - age, NOW), (NOW - age, NOW - age / 2), (NOW - age, NOW + 100)]);
    }
    windows
}

fn read_all(node: &Node, id: SeriesId) -> Vec<Option<(i64, i64, Vec<u64>)>> {
    let read = |(from, until)| {
        let data = node.engine.read(id, from, until, NOW).unwrap()?;
        Some((data.start, data.step, data.values.iter().map(|value| value.to_bits()).collect()))
    };
    windows().into_iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn files_are_byte_for_byte_what_update_many_leaves(batches in batches()) {
        let node = Node::new();
        let plain = node.folder.path().join("plain.wsp");
        whisper::create(&plain, &OneSpec.spec_for("a"), OnExisting::Refuse).unwrap();
        for batch in &batches {
            node.append("a", batch);
            node.engine.flush(FlushScope::All);
            let file = std::fs::OpenOptions::new().read(true).write(true).open(&plain).unwrap();
            let mut file = Whisper::open(file).unwrap();
            file.update_many(&last_of_each_timestamp(batch), NOW).unwrap();
        }
        let [ours, theirs] = [node.file("a.wsp"), plain].map(|path| std::fs::read(path).unwrap());
        prop_assert!(ours == theirs);
    }

    #[test]
    fn reads_do_not_change_when_points_reach_the_files(batches in batches(), flushed in 0..5usize) {
        let node = Node::new();
        for (number, batch) in batches.iter().enumerate() {
            node.append("a", batch);
            if number < flushed {
                node.engine.flush(FlushScope::All);
            }
        }
        let id = node.id("a");
        let before = read_all(&node, id);
        node.engine.flush(FlushScope::All);
        prop_assert_eq!(node.engine.pending(id), []);
        prop_assert_eq!(before, read_all(&node, id));
    }
}

/// The slot after now is shown where both ends of a window fall into one; a late point may push it out.
#[test]
fn a_late_point_that_pushes_a_future_one_out_shows_before_it_is_written() {
    let node = Node::new();
    let id = node.append("a", &[(NOW + 10, 1.0)]);
    node.engine.flush(FlushScope::All);
    node.append("a", &[(NOW - 281, 2.0)]);
    let before = read_all(&node, id);
    node.engine.flush(FlushScope::All);
    assert_eq!(before, read_all(&node, id));
}

#[test]
fn the_windows_reach_every_archive() {
    let header: Header = OneSpec.spec_for("a").header().unwrap();
    let archives: std::collections::BTreeSet<usize> = windows()
        .into_iter()
        .filter_map(|(from, until)| header.plan_fetch(from, until, NOW, None).unwrap())
        .map(|(archive, _window)| archive)
        .collect();
    assert_eq!(archives.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
}
