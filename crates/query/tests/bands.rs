//! Points that the store merges for `maxDataPoints`: the same as if all of them had been read.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::Arc;

use metric::{Consolidation, SeriesData};
use plumbago_query as query;
use proptest::prelude::*;
use query::consolidate::limit_points;
use query::fold::Fold;
use query::parse::parse;
use query::{Answer, Data, Fetch, Folded, Outcome, Request, Series, prepare_parsed};

const STEP: i64 = 60;
const METHODS: [Consolidation; 6] = [
    Consolidation::Average,
    Consolidation::Sum,
    Consolidation::Min,
    Consolidation::Max,
    Consolidation::Last,
    Consolidation::AverageZero,
];

fn request(targets: &[&str], from: i64, until: i64, points_max: usize) -> Request {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    let request = Request::new(targets, from, until, until);
    Request { max_data_points: Some(points_max), push_down: true, ..request }
}

/// What is shown of a request whose reads are answered so.
fn outcome(request: &Request, answer: impl Fn(&Fetch) -> Option<Answer>) -> Outcome {
    let parsed = request.targets.iter().map(|target| Arc::new(parse(target).unwrap()));
    let parsed: Vec<_> = parsed.collect();
    let request = request.clone().in_bands(&parsed);
    let prepared = prepare_parsed(&request, parsed).unwrap();
    let mut data = Data::default();
    for fetch in prepared.fetches() {
        if let Some(answer) = answer(fetch) {
            data.insert_answer(fetch.clone(), answer);
        }
    }
    prepared.evaluate(&data).unwrap()
}

type Shown = Vec<(String, Vec<(u64, i64)>)>;

fn shown(outcome: Outcome, points_max: usize) -> Shown {
    let Outcome::Done(mut series) = outcome else { panic!("all of it was read") };
    limit_points(&mut series, points_max);
    let points = |one: &Series| one.datapoints().iter().map(|(v, t)| (v.to_bits(), *t)).collect();
    series.iter().map(|one| (one.name.clone(), points(one))).collect()
}

/// As two nodes send it, each with every other series.
fn merged(fetch: &Fetch, store: &[SeriesData]) -> Option<Answer> {
    let spec = fetch.fold.as_ref()?;
    let Fold::Bands(points_max) = spec.fold else { return None };
    let mut whole = Folded::default();
    for node in 0..2 {
        let mut part = Folded::default();
        for series in store.iter().skip(node).step_by(2) {
            part.add_in_bands(points_max, series.clone()).unwrap();
        }
        whole.merge_messages(spec.fold, part.into_messages()).unwrap();
    }
    Some(Answer::folded(whole))
}

fn store(columns: &[Vec<Option<f64>>], start: i64) -> Vec<SeriesData> {
    let one = |(number, column): (usize, &Vec<Option<f64>>)| {
        let values = column.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        let mut series = SeriesData::new(format!("a.b{number}"), start, STEP, values);
        series.consolidation = METHODS[number % METHODS.len()];
        series
    };
    columns.iter().enumerate().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_the_store_merged_is_what_is_merged_of_all_points(
        columns in prop::collection::vec(
            prop::collection::vec(prop::option::weighted(0.7, -1e6..1e6), 200), 1..8),
        points_max in 1..90_usize,
        start in 0..100_i64,
    ) {
        let store = store(&columns, start * STEP);
        let request = request(&["a.*"], start * STEP - STEP, (start + 199) * STEP, points_max);
        let plain = shown(outcome(&Request { push_down: false, ..request.clone() }, |_| {
            Some(Answer::new(store.clone()))
        }), points_max);
        let merged = shown(outcome(&request, |fetch| merged(fetch, &store)), points_max);
        prop_assert_eq!(merged, plain);
    }
}

#[test]
fn only_patterns_by_themselves_over_long_windows_are_merged_by_the_store() {
    let is_merged = |request: &Request| {
        let parsed: Vec<_> =
            request.targets.iter().map(|target| Arc::new(parse(target).unwrap())).collect();
        let request = request.clone().in_bands(&parsed);
        let prepared = prepare_parsed(&request, parsed).unwrap();
        prepared.fetches().iter().all(|fetch| fetch.fold.is_some())
    };
    assert!(is_merged(&request(&["a.*", "seriesByTag('x=y')"], 0, 86_400, 300)));
    for (targets, until) in [
        (&["a.*", "scale(b.*,2)"][..], 86_400),
        (&["a.*", "a.b"], 86_400),
        (&["consolidateBy(a.*,'max')"], 86_400),
        (&["a.*"], 3_600),
    ] {
        assert!(!is_merged(&request(targets, 0, until, 300)), "{targets:?}");
    }
    let wanting = Request { x_files_factor: 0.5, ..request(&["a.*"], 0, 86_400, 300) };
    assert!(!is_merged(&wanting));
}

#[test]
fn series_on_different_grids_are_read_as_they_are() {
    let (fine, coarse) = (vec![1.0; 200], vec![1.0; 40]);
    let one = SeriesData::new("a.b", 60, STEP, fine);
    let other = SeriesData::new("c.d", 300, 5 * STEP, coarse);
    let request = request(&["a.*", "c.*"], 0, 12_000, 10);
    let of = |fetch: &Fetch| if fetch.pattern == "a.*" { &one } else { &other };
    let read = outcome(&request, |fetch| merged(fetch, std::slice::from_ref(of(fetch))));
    let Outcome::Need(missing) = read else { panic!("bands of one step are none of another") };
    assert_eq!(missing.len(), 2);
    assert!(missing.iter().all(|fetch| fetch.fold.is_none()));
    let mut both = Folded::default();
    both.add_in_bands(10, one.clone()).unwrap();
    assert!(both.add_in_bands(10, other.clone()).is_err());
}
