//! What holds for all points, all bytes and all damage.

use proptest::prelude::*;

use super::*;

fn points() -> impl Strategy<Value = Vec<Point>> {
    let value = prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-100_000..100_000i32).prop_map(|n| f64::from(n) / 1000.0),
        (-100_000..100_000i32).prop_map(f64::from),
    ];
    let timestamp = prop_oneof![any::<u32>(), 1_700_000_000..1_700_000_100u32];
    let id = prop_oneof![any::<u32>(), 0..1_000u32];
    proptest::collection::vec((id.prop_map(SeriesId), timestamp, value), 1..50)
}

fn bits(points: &[Point]) -> Vec<(u32, u32, u64)> {
    points.iter().map(|&(id, timestamp, value)| (id.0, timestamp, value.to_bits())).collect()
}

/// A segment with one frame for each value, and where the frames start.
fn segment(values: std::ops::Range<u32>) -> (PathBuf, Vec<u8>) {
    let mut node = Node::with(LogConfig::default());
    for value in values {
        let points = [(SeriesId(1), value, f64::from(value)), (SeriesId(2), value, 0.123_456)];
        node.journal
            .append(&[Record::Name { id: SeriesId(1), name: "a" }, Record::Points(&points[..1])]);
        node.committer.commit(false);
    }
    let path = node.disk.paths()[0].clone();
    let data = node.disk.get(&path).unwrap();
    (path, data)
}

proptest! {
    #[test]
    fn points_come_back_bit_for_bit(batches in proptest::collection::vec(points(), 1..10)) {
        let mut node = Node::new();
        for batch in &batches {
            node.journal.append(&[Record::Points(batch)]);
            node.committer.commit(false);
        }
        let mut replay = Node::open(&node.disk, config()).unwrap().replay;
        let mut read = Vec::new();
        while replay.step(&mut |_, record| read.push(bits(record.points()))) {}
        let batches: Vec<_> = batches.iter().map(|batch| bits(batch)).collect();
        prop_assert_eq!(read, batches);
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        random in proptest::collection::vec(any::<u8>(), 0..300),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 4),
        header in any::<bool>(),
    ) {
        let (path, whole) = segment(0..5);
        // Sound parts, in the wrong order and with something between.
        let cut = |at: usize| cuts[at].index(whole.len());
        let header = if header { &whole[..HEADER_BYTES] } else { &[] };
        let data = [header, &whole[cut(0)..], &random, &whole[..cut(1)], &whole[cut(2)..], &random];
        let disk = SimDisk::default();
        disk.put(&path, data.concat());
        disk.put(super::segment(0), random);
        let (read, _) = reopened(&disk);
        prop_assert!(read.all().len() <= 15);
        prop_assert!(read.positions.is_sorted());
        // The second time there is nothing new to find.
        let known = read.all();
        let again = reopened(&disk).0.all();
        prop_assert!(again.iter().all(|value| known.binary_search(value).is_ok()));
    }
}

#[test]
fn a_flipped_bit_costs_one_frame_at_most() {
    let (path, whole) = segment(0..12);
    for bit in 0..whole.len() * 8 {
        let mut data = whole.clone();
        data[bit / 8] ^= 1 << (bit % 8);
        let disk = SimDisk::default();
        disk.put(&path, data);
        let node = Node::open(&disk, config()).unwrap();
        let counters = node.counters.clone();
        let (read, report) = node.read();
        let all = read.all();
        assert!(all.len() >= 11 && all.is_sorted(), "bit {bit}: {all:?}");
        let found = report.log.damaged + u64::from(report.log.torn_bytes > 0);
        // A flip in the version or the number of the header may go unseen only if it does no harm.
        assert!(found == 1 || all.len() == 12, "bit {bit}: {report:?}");
        let counted =
            counters.log.frames_damaged.get() + u64::from(counters.log.torn_bytes.get() > 0);
        assert_eq!(counted, found, "bit {bit}");
    }
}
