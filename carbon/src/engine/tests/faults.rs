//! Full disks, broken files, calls that fail: no point is lost and nobody else waits.

use super::*;

/// Whatever call fails, once: after it the file is the same as without the failure, and no point is missing.
#[test]
fn any_single_failure_costs_nothing() {
    let points: Vec<(i64, f64)> = (0..40).map(|i| (NOW - 900 + i * 20, i as f64)).collect();
    let run = |fail_at: Option<usize>| {
        let node = Node::new();
        node.append("a.b", &points[..20]);
        node.disk.faults.lock().at = fail_at;
        node.engine.flush(FlushScope::All);
        node.append("a.b", &points[20..]);
        node.engine.flush(FlushScope::All);
        node.engine.flush(FlushScope::All);
        let calls = node.disk.faults.lock().calls;
        assert_eq!(node.engine.pending_points(), 0, "call {fail_at:?}");
        assert_eq!(node.counters().points_written.get(), 40, "call {fail_at:?}");
        assert_eq!(node.counters().write_errors.get(), u64::from(fail_at.is_some()));
        let id = node.id("a.b");
        let data = node.engine.read(id, NOW - 1_000, NOW, NOW).unwrap().unwrap();
        (calls, data.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
    };
    let (calls, values) = run(None);
    assert!(calls > 20);
    for call in 0..calls {
        assert_eq!(run(Some(call)).1, values, "call {call}");
    }
}

#[test]
fn a_series_that_cannot_be_written_is_tried_again_ever_later_and_holds_nobody_up() {
    let node = Node::new();
    let mut writer = node.writer();
    node.disk.faults.lock().no_writes_to = Some("bad");
    let bad = node.append("a.bad", &[(NOW, 1.0)]);
    node.append("a.good", &[(NOW, 1.0)]);
    advance(&node, 30);
    writer.round();
    assert_eq!(node.counters().points_written.get(), 1);
    assert_eq!(node.engine.pending(bad), [(NOW as u32, 1.0)]);
    let mut errors = Vec::new();
    for _ in 0..8 {
        writer.round();
        advance(&node, 1);
        errors.push(node.counters().write_errors.get());
    }
    assert_eq!(errors, [1, 2, 2, 3, 3, 3, 3, 4]);
    node.disk.faults.lock().no_writes_to = None;
    advance(&node, 60);
    writer.round();
    assert_eq!(node.engine.pending_points(), 0);
}

#[test]
fn broken_files_are_set_aside_and_their_new_points_kept() {
    for broken in [&b""[..], b"short", &[7; 4000]] {
        let node = Node::new();
        std::fs::create_dir_all(node.file("a")).unwrap();
        std::fs::write(node.file("a/b.wsp"), broken).unwrap();
        let id = node.append("a.b", &[(NOW, 3.0)]);
        node.engine.flush(FlushScope::All);
        let data = node.engine.read(id, NOW - 10, NOW, NOW).unwrap().unwrap();
        assert_eq!(data.values, [3.0]);
        let aside = whisper_files(&node.folder.path().join("aside"));
        assert_eq!(aside, [format!("{NOW}/a/b.wsp")]);
        assert_eq!(
            std::fs::read(node.folder.path().join("aside").join(&aside[0])).unwrap(),
            broken
        );
        assert_eq!(node.counters().files_set_aside.get(), 1);
    }
}

/// Three archives of points, and what a file holds once it has met one more point.
fn after_damage(damage: impl FnOnce(&mut Vec<u8>)) -> (Node, SeriesId, usize) {
    let node = Node::new();
    let id = node.append("a", &[]);
    for number in (0..360).rev() {
        node.clock.set(NOW - number * 10);
        node.append("a", &[(NOW - number * 10, number as f64)]);
        node.engine.flush(FlushScope::All);
    }
    let mut bytes = std::fs::read(node.file("a.wsp")).unwrap();
    damage(&mut bytes);
    std::fs::write(node.file("a.wsp"), bytes).unwrap();
    node.append("a", &[(NOW, 0.5)]);
    assert_eq!(node.engine.flush(FlushScope::All).points_left, 0);
    assert_eq!(node.counters().files_set_aside.get(), 1);
    let salvaged = node.counters().points_salvaged.get() as usize;
    (node, id, salvaged)
}

#[test]
fn a_damaged_header_costs_no_point() {
    for byte in [3, 12, 17, 23] {
        let (node, id, salvaged) = after_damage(|bytes| bytes[byte] ^= 0x10);
        assert_eq!(salvaged, 30 + 20 + 12, "byte {byte}");
        let data = node.engine.read(id, NOW - 290, NOW, NOW).unwrap().unwrap();
        let expected: Vec<f64> = (1..29).rev().map(f64::from).chain([0.5]).collect();
        assert_eq!(data.values[data.values.len() - 29..], expected, "byte {byte}");
    }
}

#[test]
fn what_lies_before_the_cut_is_kept() {
    let (node, id, salvaged) = after_damage(|bytes| bytes.truncate(52 + 12 * 40));
    assert_eq!(salvaged, 40);
    let data = node.engine.read(id, NOW - 290, NOW, NOW).unwrap().unwrap();
    assert!(data.values.iter().rev().take(29).all(|value| !value.is_nan()));
    let (_node, _id, salvaged) = after_damage(Vec::clear);
    assert_eq!(salvaged, 0);
}

#[test]
fn bytes_that_are_no_points_are_left_behind() {
    let (node, id, salvaged) = after_damage(|bytes| {
        for (at, byte) in bytes.iter_mut().enumerate().take(52 + 12 * 10) {
            *byte = (at * 167 % 251) as u8;
        }
    });
    assert_eq!(salvaged, 20 + 20 + 12);
    let data = node.engine.read(id, NOW - 7_000, NOW, NOW).unwrap().unwrap();
    assert_eq!(data.values.iter().filter(|value| !value.is_nan()).count(), 12);
}

#[test]
fn a_file_that_was_cut_short_is_set_aside_and_not_grown() {
    let node = Node::new();
    node.append("a", &[(NOW, 1.0)]);
    node.engine.flush(FlushScope::All);
    let whole = std::fs::read(node.file("a.wsp")).unwrap();
    std::fs::write(node.file("a.wsp"), &whole[..whole.len() - 1]).unwrap();
    let id = node.append("a", &[(NOW - 10, 2.0)]);
    assert!(node.engine.read(id, NOW - 60, NOW, NOW).is_err());
    node.engine.flush(FlushScope::All);
    let data = node.engine.read(id, NOW - 20, NOW, NOW).unwrap().unwrap();
    assert_eq!(data.value_at(NOW - 10), Some(2.0));
    assert_eq!(node.counters().files_set_aside.get(), 1);
}

#[test]
fn a_disk_that_is_nearly_full_takes_updates_and_no_new_files() {
    let node = Node::with(|config| config.free_bytes_min = 1000);
    node.append("old", &[(NOW - 10, 1.0)]);
    node.engine.flush(FlushScope::All);
    node.disk.free.lock().bytes = 999;
    node.append("old", &[(NOW, 1.0)]);
    let new = node.append("new", &[(NOW, 1.0)]);
    let report = node.engine.flush(FlushScope::All);
    assert_eq!((report.series, report.delayed, report.points_left), (1, 1, 1));
    assert!(node.engine.read(new, NOW - 10, NOW, NOW).unwrap().is_some());
    node.disk.free.lock().bytes = 1000;
    assert_eq!(node.engine.flush(FlushScope::All).points_left, 0);
}

#[test]
fn a_disk_without_room_for_files_keeps_their_points() {
    let node = Node::new();
    node.disk.faults.lock().no_creates = true;
    node.append("a.b", &[(NOW, 1.0)]);
    let report = node.engine.flush(FlushScope::All);
    assert_eq!((report.failed, report.points_left), (1, 1));
    assert_eq!(whisper_files(&node.file("")), Vec::<String>::new());
    let append = || node.engine.execute(node.id("a.b"), SeriesCommand::Append).unwrap();
    assert_eq!(append(), SeriesOutcome::Appended { points: 0, points_left: 1 });
    node.disk.faults.lock().no_creates = false;
    assert_eq!(append(), SeriesOutcome::Appended { points: 1, points_left: 0 });
}
