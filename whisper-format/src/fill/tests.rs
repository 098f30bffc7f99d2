//! Tests of the fill that never touches a point that is there.

use super::*;
use crate::{Method, Retention, storage::memory::MemoryStorage};

const NOW: i64 = 1_700_000_100;

fn file(retentions: &[(u32, u32)], points: &[(i64, f64)]) -> Whisper<MemoryStorage> {
    let archive =
        |&(seconds_per_point, points): &(u32, u32)| Retention { seconds_per_point, points };
    let retentions: Vec<_> = retentions.iter().map(archive).collect();
    let header = Header::new(&retentions, 0.5, Method::Sum).unwrap();
    let mut storage = MemoryStorage::default();
    crate::create::build(&mut storage, &header).unwrap();
    let mut file = Whisper::open(storage).unwrap();
    file.update_many(points, NOW).unwrap();
    file
}

fn values(file: &Whisper<MemoryStorage>, step: u32) -> Vec<(i64, f64)> {
    let archive = file.header().archive_of_step(step).unwrap();
    let from = NOW - file.header().archives[archive].retention();
    let fetched = file.fetch(from, NOW, NOW, Some(step)).unwrap().unwrap();
    fetched.points().collect()
}

/// Minutes 0 to 4 of the five-minute interval that ends before `NOW`.
fn minute(index: i64) -> i64 {
    floor_to(NOW, 300) - 300 + index * 60
}

const SHAPE: [(u32, u32); 2] = [(60, 10), (300, 10)];

#[test]
fn zeros_and_nans_are_points_and_single_holes_are_filled() {
    let src = file(&SHAPE[..1], &[(minute(0), 9.0), (minute(1), 9.0), (minute(2), 9.0)]);
    let mut dst = file(&SHAPE[..1], &[(minute(0), 0.0), (minute(2), f64::NAN)]);
    fill(&src, &mut dst, Fill::default(), NOW).unwrap();
    let filled = values(&dst, 60);
    assert_eq!(filled[..2], [(minute(0), 0.0), (minute(1), 9.0)]);
    assert!(filled[2].1.is_nan());
}

#[test]
fn a_filled_hole_updates_the_rollup_that_came_from_the_same_slots() {
    let full: Vec<_> = (0..5).map(|index| (minute(index), 1.0)).collect();
    let src = file(&SHAPE, &full);
    let mut dst = file(&SHAPE, &full[..3]);
    assert_eq!(values(&dst, 300), [(minute(0), 3.0)]);
    fill(&src, &mut dst, Fill::default(), NOW).unwrap();
    assert_eq!(values(&dst, 300), [(minute(0), 5.0)]);
}

#[test]
fn a_rollup_that_knows_more_than_its_slots_stays() {
    let src = file(&SHAPE, &[(minute(3), 1.0), (minute(4), 1.0)]);
    let mut dst = file(&SHAPE, &[(minute(0), 1.0), (minute(1), 1.0), (minute(2), 1.0)]);
    let slot = dst.overlay().slot(&dst.header().archives[1], minute(0)).unwrap();
    let position = dst.header().archives[1].position(slot);
    let known = Point { interval: u32::try_from(minute(0)).unwrap(), value: 42.0 };
    dst.commit(vec![crate::overlay::Run { position, bytes: known.to_bytes().to_vec() }]).unwrap();
    fill(&src, &mut dst, Fill::default(), NOW).unwrap();
    assert_eq!(values(&dst, 300), [(minute(0), 42.0)]);
}

#[test]
fn a_full_file_is_not_written_at_all() {
    let points: Vec<_> = (0..5).map(|index| (minute(index), 1.0)).collect();
    let src = file(&SHAPE, &points);
    let mut dst = file(&SHAPE, &points);
    let before = dst.storage().writes();
    fill(&src, &mut dst, Fill::default(), NOW).unwrap();
    assert_eq!(dst.storage().writes(), before);
}

#[test]
fn an_empty_file_takes_everything_from_a_shorter_source() {
    let src = file(&[(60, 5)], &[(minute(4), 4.0), (minute(3), 3.0)]);
    let mut dst = file(&SHAPE, &[]);
    fill(&src, &mut dst, Fill::default(), NOW).unwrap();
    assert_eq!(values(&dst, 60), [(minute(3), 3.0), (minute(4), 4.0)]);
}

#[test]
fn a_point_of_the_future_is_not_lost_to_an_older_one() {
    let src = file(&SHAPE[..1], &[(minute(2), 2.0)]);
    let mut dst = file(&SHAPE[..1], &[(minute(2) + 600, 7.0)]);
    fill(&src, &mut dst, Fill::default(), NOW).unwrap();
    assert_eq!(values(&dst, 60), []);
    assert_eq!(
        dst.base_interval(0).map_err(|error| error.to_string()),
        Ok(u32::try_from(minute(2) + 600).unwrap())
    );
}

#[test]
fn overwrite_takes_every_point_and_from_limits_it() {
    let src = file(&SHAPE[..1], &[(minute(1), 9.0), (minute(2), 9.0)]);
    let mut dst = file(&SHAPE[..1], &[(minute(1), 1.0), (minute(2), 1.0)]);
    let options = Fill { from: Some(minute(1)), overwrite: true };
    fill(&src, &mut dst, options, NOW).unwrap();
    assert_eq!(values(&dst, 60), [(minute(1), 1.0), (minute(2), 9.0)]);
}

#[test]
fn files_without_a_common_step_are_refused() {
    let src = file(&[(10, 30)], &[]);
    let mut dst = file(&SHAPE, &[]);
    assert!(matches!(fill(&src, &mut dst, Fill::default(), NOW), Err(Error::Unlike)));
}
