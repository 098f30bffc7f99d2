//! The promises of the merge of series, and the cases that peers get wrong.

use super::*;
use metric::Consolidation;
use proptest::prelude::*;

const NAN: f64 = f64::NAN;

const ORDER: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn series(start: i64, step: i64, values: &[f64]) -> SeriesData {
    SeriesData::new("a", start, step, values.to_vec())
}

/// Copies of nodes 0, 1, …, of which the first is trusted most.
fn replicas(copies: &[SeriesData]) -> Vec<Replica> {
    let of = |(node, series): (usize, &SeriesData)| Replica {
        node,
        series: series.clone(),
        holes: Arc::new([]),
    };
    copies.iter().enumerate().map(of).collect()
}

fn merged(copies: &[SeriesData]) -> Merged {
    merge_series(replicas(copies), &ORDER).unwrap()
}

/// Of two copies of a minute a slot, the first from a node that missed points from `from_s` on.
fn with_hole(from_s: i64, until_s: i64, first: &[f64], second: &[f64]) -> Merged {
    let mut copies = replicas(&[series(60, 60, first), series(60, 60, second)]);
    copies[0].holes = Arc::new([Hole { from_s, until_s }]);
    merge_series(copies, &ORDER).unwrap()
}

fn divergent(merged: &Merged) -> u64 {
    merged.divergences.iter().map(|one| one.slots).sum()
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
    let expected = Divergence { nodes: (0, 1), slots: 1, first_s: 60, values: (1.0, 9.0) };
    assert_eq!(got.divergences, [expected]);
}

#[test]
fn a_node_that_missed_points_is_believed_last_where_it_missed_them() {
    let got = with_hole(120, 180, &[1.0, 2.0, 3.0], &[7.0, 8.0, 9.0]);
    assert_eq!(got.series.values, [1.0, 8.0, 3.0]);
    assert_eq!((divergent(&got), got.unfilled), (2, 0), "the doubtful slot is no divergence");
    let got = with_hole(121, 122, &[1.0, 2.0, 3.0], &[7.0, NAN, 9.0]);
    assert_eq!(got.series.values, [1.0, 2.0, 3.0], "better than nothing");
}

#[test]
fn an_empty_slot_is_unfilled_while_nobody_knows_that_it_is_empty() {
    assert_eq!(with_hole(120, 180, &[1.0, NAN, 3.0], &[1.0, NAN, 3.0]).unfilled, 0);
    let alone = with_hole(130, 400, &[1.0, NAN, NAN], &[]);
    assert_eq!((alone.unfilled, alone.series.values.len()), (2, 3));
    assert_eq!(with_hole(0, 60, &[NAN, 2.0], &[]).unfilled, 0, "it was before the first slot");
    // The second copy ends before the hole, and so says nothing of it.
    assert_eq!(with_hole(180, 240, &[1.0, 2.0, NAN], &[1.0]).unfilled, 1);
}

#[test]
fn a_coarse_slot_is_doubtful_when_a_part_of_it_is() {
    let mut copies = replicas(&[series(60, 60, &[NAN; 4]), series(60, 10, &[NAN; 24])]);
    copies[1].holes = Arc::new([Hole { from_s: 130, until_s: 140 }]);
    copies[0].holes = Arc::new([Hole { from_s: 0, until_s: 1000 }]);
    let got = merge_series(copies, &ORDER).unwrap();
    assert_eq!((got.series.step, got.unfilled), (10, 1), "{got:?}");
    let mut coarse = series(60, 60, &[5.0; 4]);
    coarse.values[1] = NAN;
    let mut copies = replicas(&[coarse, series(60, 10, &[NAN; 24])]);
    copies[0].holes = Arc::new([Hole { from_s: 120, until_s: 180 }]);
    let whole = merge_series(copies.clone(), &ORDER).unwrap();
    assert_eq!((whole.series.step, whole.unfilled), (60, 0), "the finer copy knows it is empty");
    copies[1].holes = Arc::new([Hole { from_s: 130, until_s: 140 }]);
    assert_eq!(merge_series(copies, &ORDER).unwrap().unfilled, 1);
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

prop_compose! {
    /// A copy of a node that may have missed some points.
    fn any_column(step: i64)(
        start in -20_i64..20,
        values in prop::collection::vec(prop_oneof![Just(NAN), (-5_i8..5).prop_map(f64::from)], 0..20),
        hole in (-900_i64..900, 0_i64..300),
    ) -> Column {
        let hole = Hole { from_s: hole.0, until_s: hole.0 + hole.1 };
        Column::new(SeriesData::new("a", start * step, step, values), &[hole])
    }
}

fn laid(mut first: Column, second: Column) -> Column {
    first.lay(second);
    first
}

proptest! {
    #[test]
    fn the_order_of_arrival_never_shows(
        copies in prop::collection::vec((any_copy(), -900_i64..900), 1..5),
        seed in any::<prop::sample::Index>(),
    ) {
        let replica = |(node, (series, from_s)): (usize, (SeriesData, i64))| {
            Replica { node, series, holes: Arc::new([Hole { from_s, until_s: from_s + 100 }]) }
        };
        let copies: Vec<Replica> = copies.into_iter().enumerate().map(replica).collect();
        let mut other = copies.clone();
        other.rotate_left(seed.index(copies.len()));
        other.reverse();
        let (one, two) = (merge_series(copies, &ORDER).unwrap(), merge_series(other, &ORDER).unwrap());
        prop_assert!(same(&one.series, &two.series));
        prop_assert_eq!((one.unfilled, one.divergences), (two.unfilled, two.divergences));
    }

    #[test]
    fn laying_is_associative_and_a_column_laid_over_itself_is_itself(
        a in any_column(10), b in any_column(10), c in any_column(10)
    ) {
        let left = laid(laid(a.clone(), b.clone()), c.clone());
        let right = laid(a.clone(), laid(b, c));
        prop_assert!(same(&left.series, &right.series));
        prop_assert_eq!(left.unfilled(), right.unfilled());
        let twice = laid(a.clone(), a.clone());
        prop_assert!(same(&twice.series, &a.series));
        prop_assert_eq!(twice.unfilled(), a.unfilled());
    }

    #[test]
    fn a_copy_merged_with_itself_is_itself(copy in any_copy()) {
        let got = merged(&[copy.clone(), copy.clone()]);
        prop_assert!(same(&got.series, &copy));
        prop_assert_eq!(divergent(&got), 0);
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
