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

/// Files of these retentions with twelve points each, of which `damage` did something to the bytes of each while the node
/// was down, and that then got ten newer points. Returns the node and how many of the newer and of the older points are
/// read back from each.
fn after_damage_while_down(
    retentions: &str,
    count: usize,
    damage: impl Fn(usize, &mut [u8]),
) -> (Node, Vec<(usize, usize)>) {
    let node = Node::new();
    let spec = Spec::new(whisper::parse_retentions(retentions).unwrap());
    let step = i64::from(spec.archives[0].seconds_per_point);
    let points = |ages: std::ops::Range<i64>, value: f64| -> Vec<(i64, f64)> {
        ages.rev().map(|age| (NOW - age * step, value)).collect()
    };
    let file = |node: &Node, number| node.file(&format!("a/{number}.wsp"));
    std::fs::create_dir_all(node.file("a")).unwrap();
    for number in 0..count {
        whisper::create(&file(&node, number), &spec, whisper::OnExisting::Refuse).unwrap();
        node.append(&format!("a.{number}"), &points(10..22, 1.0));
    }
    let node = node.restart();
    for number in 0..count {
        let mut bytes = std::fs::read(file(&node, number)).unwrap();
        damage(number, &mut bytes);
        std::fs::write(file(&node, number), bytes).unwrap();
    }
    let node = node.restart();
    for number in 0..count {
        node.append(&format!("a.{number}"), &points(0..10, 2.0));
    }
    assert_eq!(node.engine.flush(FlushScope::All).points_left, 0);
    let read = |number: usize| {
        let id = node.id(&format!("a.{number}"));
        let values = node.engine.read(id, NOW - 22 * step, NOW, NOW).unwrap().unwrap().values;
        let count = |wanted| values.iter().filter(|&&value| value == wanted).count();
        (count(2.0), count(1.0))
    };
    let found = (0..count).map(read).collect();
    (node, found)
}

#[test]
fn no_flipped_bit_of_a_header_costs_a_point_even_if_the_node_was_down() {
    let flip = |bit: usize, bytes: &mut [u8]| bytes[bit / 8] ^= 1 << (bit % 8);
    let (_node, found) = after_damage_while_down("10s:5m,1m:20m,5m:2h", 52 * 8, flip);
    for (bit, found) in found.into_iter().enumerate() {
        assert_eq!(found, (10, 12), "bit {bit}");
    }
}

#[test]
fn a_file_of_other_archives_than_the_rules_give_is_believed_if_its_points_fit() {
    // The second one is as long as the one of the rules.
    for retentions in ["10s:10m,1m:20m,5m:2h", "20s:10m,1m:20m,5m:2h"] {
        let (node, found) = after_damage_while_down(retentions, 1, |_number, _bytes| {});
        assert_eq!((found[0], node.counters().files_set_aside.get()), ((10, 12), 0));
    }
}

#[test]
fn a_damaged_header_of_a_file_of_other_archives_is_repaired_by_its_points() {
    // The step of the finest archive, in another way that makes sense; the factor and the method, in ones that do not.
    let flips = [(23, 0x04), (8, 0x40), (0, 0x80)];
    let flip = |number: usize, bytes: &mut [u8]| bytes[flips[number].0] ^= flips[number].1;
    let (node, found) = after_damage_while_down("10s:60,70s:30,350s:30", flips.len(), flip);
    assert_eq!(found, [(10, 12); 3]);
    assert_eq!(node.counters().files_set_aside.get(), 3);
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

/// What is compared with another node may be removed there: whatever a merge has brought must be on the disk by then.
#[test]
fn files_are_synced_once_after_each_merge_and_again_where_that_failed() {
    let (giver, node) = (Node::new(), Node::new());
    let id = giver.append("a.b", &[(NOW - 100, 1.0)]);
    let image = giver.engine.execute(id, SeriesCommand::Snapshot).unwrap();
    let SeriesOutcome::Snapshot(Some(bytes)) = image else { panic!("{image:?}") };
    let sync = || (node.engine.sync_merges().ok(), node.disk.faults.lock().syncs);
    let merge = |name: &str, bytes: &[u8]| {
        let incoming = Incoming::read(bytes.to_vec(), NOW).unwrap();
        node.engine.merge(node.id(name), incoming, None)
    };
    assert_eq!(sync(), (Some(true), 1), "a former run may have left something");
    assert_eq!(sync(), (Some(false), 1));
    merge("a.b", &bytes).unwrap();
    let at = node.disk.faults.lock().calls;
    node.disk.faults.lock().at = Some(at);
    assert_eq!(sync(), (None, 2));
    assert_eq!(sync(), (Some(true), 3));
    assert_eq!(sync(), (Some(false), 3));
    // One that fails may have written half of it.
    node.disk.faults.lock().no_writes_to = Some("c");
    assert!(merge("c", &bytes).is_err());
    assert_eq!(sync(), (Some(true), 4));
}
