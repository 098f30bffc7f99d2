//! The promises of the merge of series, and the cases that peers get wrong.

use super::*;
use metric::Consolidation;
use proptest::prelude::*;

const NAN: f64 = f64::NAN;

fn series(start: i64, step: i64, values: &[f64]) -> SeriesData {
    SeriesData::new("a", start, step, values.to_vec())
}

fn merged(copies: &[SeriesData]) -> Merged {
    merge_series(copies.to_vec()).unwrap()
}

/// NaN equals NaN, bit for bit otherwise.
fn same(a: &SeriesData, b: &SeriesData) -> bool {
    let bits = |s: &SeriesData| -> Vec<u64> {
        s.values.iter().map(|v| if v.is_nan() { NAN.to_bits() } else { v.to_bits() }).collect()
    };
    (a.start, a.stop, a.step) == (b.start, b.stop, b.step) && bits(a) == bits(b)
}

#[test]
fn a_gap_is_filled_and_a_difference_goes_to_the_first_copy() {
    let got = merged(&[series(60, 60, &[1.0, NAN, 3.0]), series(60, 60, &[9.0, 2.0, 3.0])]);
    assert!(same(&got.series, &series(60, 60, &[1.0, 2.0, 3.0])));
    assert_eq!(got.divergent, 1);
}

#[test]
fn copies_with_other_starts_are_laid_by_time() {
    let short = series(180, 60, &[3.0, 4.0, 5.0]);
    let long = series(60, 60, &[1.0, 2.0, 7.0]);
    let expected = [1.0, 2.0, 3.0, 4.0, 5.0];
    let got = merged(&[short.clone(), long.clone()]);
    assert!(same(&got.series, &series(60, 60, &expected)), "{:?}", got.series);
    let got = merged(&[long, short]);
    assert!(same(&got.series, &series(60, 60, &[1.0, 2.0, 7.0, 4.0, 5.0])));
}

#[test]
fn a_coarse_copy_with_more_beats_a_fine_one_with_little() {
    let mut fine = series(60, 10, &[NAN; 60]);
    fine.values[..6].fill(2.0);
    fine.consolidation = Consolidation::Sum;
    let mut coarse = series(60, 60, &[7.0; 10]);
    coarse.values[0] = NAN;
    let got = merged(&[fine, coarse]);
    assert_eq!((got.series.step, got.series.values[0], got.series.values[1]), (60, 12.0, 7.0));
    assert_eq!((got.series.values.len(), got.steps), (10, vec![10, 60]));
}

#[test]
fn a_fine_copy_that_knows_enough_stays_fine() {
    let mut fine = series(60, 10, &[2.0; 60]);
    fine.values[7] = NAN;
    let got = merged(&[series(60, 60, &[7.0; 10]), fine.clone()]);
    assert!(same(&got.series, &fine));
}

#[test]
fn copies_far_apart_do_not_make_an_endless_series() {
    let first = series(0, 1, &[1.0]);
    let got = merged(&[first.clone(), series(i64::MAX - 10, 1, &[2.0])]);
    assert!(same(&got.series, &first));
}

#[test]
fn an_empty_copy_changes_nothing() {
    let full = series(60, 60, &[1.0]);
    assert!(same(&merged(&[series(600, 60, &[]), full.clone()]).series, &full));
    assert!(same(&merged(&[full.clone(), series(600, 60, &[])]).series, &full));
}

prop_compose! {
    fn any_copy()(
        start in -20_i64..20,
        step in prop::sample::select(vec![10_i64, 20, 30, 60]),
        values in prop::collection::vec(prop_oneof![Just(NAN), (-5_i8..5).prop_map(f64::from)], 0..40),
        factor in prop::sample::select(vec![0.0_f32, 0.5]),
        method in prop::sample::select(vec![Consolidation::Average, Consolidation::Last]),
    ) -> SeriesData {
        let mut copy = SeriesData::new("a", start * step, step, values);
        (copy.x_files_factor, copy.consolidation) = (factor, method);
        copy
    }
}

proptest! {
    #[test]
    fn a_copy_merged_with_itself_is_itself(copy in any_copy()) {
        let got = merged(&[copy.clone(), copy.clone()]);
        prop_assert!(same(&got.series, &copy));
        prop_assert_eq!(got.divergent, 0);
    }

    #[test]
    fn merging_in_a_copy_once_more_changes_nothing(copies in prop::collection::vec(any_copy(), 1..4)) {
        let once = merged(&copies);
        let twice: Vec<SeriesData> = copies.iter().chain(&copies).cloned().collect();
        prop_assert!(same(&merged(&twice).series, &once.series));
    }

    #[test]
    fn no_known_slot_of_the_chosen_step_is_lost_or_invented(
        copies in prop::collection::vec(any_copy(), 1..4)
    ) {
        let got = merged(&copies).series;
        for copy in copies.iter().filter(|copy| copy.step == got.step) {
            for (index, value) in copy.values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                let at = copy.start + copy.step * index as i64;
                let taken = got.value_at(at);
                prop_assert!(taken.is_some(), "slot {} with {} is lost", at, value);
            }
        }
        let seconds = got.step * got.values.len() as i64;
        prop_assert_eq!(got.stop, got.start + seconds);
    }
}
