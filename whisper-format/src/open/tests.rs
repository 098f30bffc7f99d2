//! Tests of an open file: what it reads and writes, and what a fault leaves behind.

use proptest::prelude::*;

use super::*;
use crate::storage::memory::{Fault, MemoryStorage};
use crate::{Retention, check, create};

const NOW: i64 = 1_700_000_399;
/// Start of the coarse interval that ends before `NOW`.
const FULL: i64 = 1_700_000_100;

fn header() -> Header {
    let shape = [(60, 10), (300, 12), (3600, 6)];
    let retentions =
        shape.map(|(seconds_per_point, points)| Retention { seconds_per_point, points });
    Header::new(&retentions, 0.5, Method::Average).unwrap()
}

fn empty() -> Whisper<MemoryStorage> {
    let mut storage = MemoryStorage::default();
    create::build(&mut storage, &header()).unwrap();
    Whisper::open(storage).unwrap()
}

/// Everything the three archives show.
fn content<S: Storage>(file: &Whisper<S>) -> Vec<Vec<Option<u64>>> {
    let shown = |archive: &crate::Archive| {
        let from = NOW - archive.retention();
        let fetched = file.fetch(from, NOW, NOW, Some(archive.seconds_per_point));
        fetched.unwrap().unwrap().values().map(|value| value.map(f64::to_bits)).collect()
    };
    file.header().archives.iter().map(shown).collect()
}

fn minutes(count: i64) -> Vec<(i64, f64)> {
    (0..count).map(|index| (FULL + index * 60, index as f64)).collect()
}

#[test]
fn opening_reads_once() {
    let storage = empty().into_parts().0;
    let before = storage.reads();
    let file = Whisper::open(storage).unwrap();
    assert_eq!(file.storage().reads() - before, 1);
}

#[test]
fn a_batch_that_covers_a_rollup_does_not_read_it_back() {
    let mut file = empty();
    let before = (file.storage().reads(), file.storage().writes());
    file.update_many(&minutes(5), NOW).unwrap();
    // Bases of two archives, and the hour around the one rollup: two reads, as it wraps.
    assert_eq!(file.storage().reads() - before.0, 4);
    assert_eq!(file.storage().writes() - before.1, 2, "one run in each archive that has enough");
}

#[test]
fn a_run_that_wraps_is_two_writes() {
    let mut file = empty();
    file.update_many(&[(FULL - 240, 1.0)], NOW).unwrap();
    let before = file.storage().writes();
    let run: Vec<_> = (-1..7).map(|index| (FULL + index * 60, 1.0)).collect();
    file.update_many(&run[..2], NOW).unwrap();
    assert_eq!(file.storage().writes() - before, 1);
    let far: Vec<_> = (5..8).map(|index| (FULL + index * 60, 1.0)).collect();
    let before = file.storage().writes();
    file.write_points(0, file.base_interval(0).unwrap(), &as_points(&far)).unwrap();
    assert_eq!(file.storage().writes() - before, 2);
}

fn as_points(points: &[(i64, f64)]) -> Vec<Point> {
    let stored = |interval: i64| u32::try_from(interval).unwrap();
    points.iter().map(|&(interval, value)| Point { interval: stored(interval), value }).collect()
}

#[test]
fn known_bases_make_writes_without_reads() {
    let (mut direct, mut usual) = (empty(), empty());
    let before = direct.storage().reads();
    let base = direct.write_points(0, 0, &as_points(&minutes(2))).unwrap();
    let base = direct.write_points(0, base, &as_points(&minutes(2))).unwrap();
    assert_eq!(direct.storage().reads(), before);
    usual.update_many(&minutes(2), NOW).unwrap();
    assert_eq!(content(&direct), content(&usual));
    assert_eq!(base, usual.base_interval(0).unwrap());
}

#[test]
fn a_known_header_does_not_grow_a_file_that_was_cut() {
    let (mut storage, header) = empty().into_parts();
    storage.set_size(header.file_bytes() - 1).unwrap();
    let refused = Whisper::with_header(storage, header);
    assert!(matches!(refused, Err(Error::Corrupt(HeaderError::Truncated { .. }))));
}

#[test]
fn a_failed_read_changes_nothing_and_a_torn_write_is_mended_by_repeating() {
    let mut whole = empty();
    whole.update_many(&minutes(5), NOW).unwrap();
    let calls = whole.storage().calls() - empty().storage().calls();
    for fault in [Fault::Fail, Fault::Tear(0), Fault::Tear(2), Fault::Tear(7), Fault::Tear(30)] {
        for call in 0..calls {
            let (mut storage, header) = empty().into_parts();
            let (before, writes) = (storage.bytes().to_vec(), storage.writes());
            storage.fail_at(call + 1, fault);
            let mut file = Whisper::with_header(storage, header).unwrap();
            file.update_many(&minutes(5), NOW).unwrap_err();
            if file.storage().writes() == writes {
                assert_eq!(file.storage().bytes(), before);
            }
            file.update_many(&minutes(5), NOW).unwrap();
            assert_eq!(content(&file), content(&whole), "{fault:?} at call {call}");
        }
    }
}

#[test]
fn a_timestamp_beyond_32_bits_writes_nothing() {
    let mut file = empty();
    let before = file.storage().writes();
    let refused = file.update_many(&[(NOW, 1.0), (1 << 40, 1.0)], NOW);
    assert!(matches!(refused, Err(Error::TimestampRange { .. })));
    assert_eq!(file.storage().writes(), before);
}

#[test]
fn more_future_points_than_slots_stay_in_their_archive() {
    let mut file = empty();
    file.update_many(&minutes(5), NOW).unwrap();
    let coarse = content(&file)[1].clone();
    let points: Vec<_> = (0..35).map(|index| (NOW + index * 60, 1.0)).collect();
    file.update_many(&points, NOW).unwrap();
    assert_eq!(file.storage().bytes().len() as u64, file.header().file_bytes());
    assert_eq!(content(&file)[1][..11], coarse[..11]);
}

#[test]
fn setting_keeps_everything_else() {
    let mut file = empty();
    file.update_many(&minutes(5), NOW).unwrap();
    let before = content(&file);
    file.set(Some(Method::AbsMax), Some(0.25)).unwrap();
    assert!(file.set(None, Some(1.5)).is_err());
    let file = Whisper::open(file.into_parts().0).unwrap();
    assert_eq!((file.header().method, file.header().x_files_factor), (Method::AbsMax, 0.25));
    assert_eq!(content(&file), before);
}

/// Opens, reads and writes whatever the bytes are; only panics and huge allocations can fail.
fn exercise(bytes: Vec<u8>, time: i64) {
    let Ok(mut file) = Whisper::open(MemoryStorage::new(bytes.clone())) else {
        return;
    };
    let size = bytes.len();
    for archive in [None, Some(60), Some(300)] {
        if let Ok(Some(fetched)) = file.fetch(time - 1000, time, time, archive) {
            fetched.values().take(size).for_each(drop);
        }
    }
    file.update_many(&[(time, 1.0), (time - 400, 2.0)], time).ok();
    file.update(time, f64::NAN, time).ok();
    assert_eq!(file.storage().bytes().len(), size);
    check(MemoryStorage::new(bytes)).ok();
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), time: i64) {
        exercise(bytes, time.rem_euclid(1 << 33));
    }

    #[test]
    fn damaged_files_never_panic_or_grow(
        patches in proptest::collection::vec((0_usize..388, any::<u8>()), 1..12),
        cut in 0_usize..400,
        time in 0_i64..1 << 33,
    ) {
        let mut file = empty();
        file.update_many(&minutes(5), NOW).unwrap();
        let mut bytes = file.storage().bytes().to_vec();
        for (at, byte) in patches {
            bytes[at] = byte;
        }
        exercise(bytes.clone(), time);
        bytes.truncate(cut);
        exercise(bytes, time);
    }

    #[test]
    fn what_is_written_is_read(values in proptest::collection::vec(any::<f64>(), 1..10)) {
        let mut file = empty();
        let now = FULL + 60 * i64::try_from(values.len()).unwrap() - 60;
        let points: Vec<_> = (FULL..).step_by(60).zip(values.iter().copied()).collect();
        file.update_many(&points, now).unwrap();
        let fetched = file.fetch(FULL - 1, now, now, Some(60)).unwrap().unwrap();
        let read: Vec<_> = fetched.values().map(|value| value.unwrap().to_bits()).collect();
        let written: Vec<_> = values.iter().map(|value| value.to_bits()).collect();
        prop_assert_eq!(&read, &written);
        let column: Vec<_> = fetched.column().iter().map(|value| value.to_bits()).collect();
        prop_assert_eq!(column, written);
    }
}
