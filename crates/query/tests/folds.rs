//! Calls over series that the store has folded answer what they answer over the series themselves.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use metric::{Glob, SeriesData, TagQuery, TaggedName};
use plumbago_query::{Answer, Data, Fetch, Folded, Outcome, Request, Series, prepare};
use proptest::prelude::*;

const TARGETS: [&str; 20] = [
    "sumSeries(a.*.*)",
    "sum(a.{x,y}.*)",
    "avg(a.*.*)",
    "averageSeries(a.*.b)",
    "minSeries(a.*.*)",
    "max(a.*.*)",
    "count(a.*.*)",
    "countSeries(a.*.*)",
    "aggregate(a.*.*,'sum')",
    "aggregate(a.*.*,'averageSeries',0.7)",
    "groupByNode(a.*.*,1)",
    "groupByNode(a.*.*,-1,'sumSeries')",
    "groupByNodes(a.*.*,'max',2,0)",
    "groupByNodes(a.*.*,'countSeries',7)",
    "groupByNodes(a.*.*,'total',1,2)",
    "alias(scale(sumSeries(a.*.*),2),'both')",
    "sumSeries(seriesByTag('name=t'))",
    "groupByNode(seriesByTag('name=t'),'dc','min')",
    "divideSeries(sumSeries(a.*.b),sumSeries(a.*.c))",
    "template(sumSeries(a.$which.*),which='*')",
];

/// Series of these values, on one grid.
fn series(columns: &[Vec<Option<f64>>]) -> Vec<SeriesData> {
    let names = ["a.x.b", "a.x.c", "a.y.b", "a.y.c", "a.z.b", "t;dc=e;r=1", "t;dc=e;r=2", "t;dc=w"];
    let names = names.iter().zip(columns.iter().cycle());
    names
        .map(|(name, column)| {
            let values = column.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
            SeriesData::new(*name, 60, 60, values)
        })
        .collect()
}

fn request(target: &str, x_files_factor: f64) -> Request {
    let mut request = Request::new(vec![target.to_owned()], 0, 600, 600);
    request.x_files_factor = x_files_factor;
    request
}

fn found<'s>(store: &'s [SeriesData], fetch: &Fetch) -> Vec<&'s SeriesData> {
    let glob = Glob::compile(&fetch.pattern).ok();
    let tags = TagQuery::parse_call(&fetch.pattern).ok();
    let is_found = |series: &&SeriesData| match &tags {
        Some(tags) => tags.matches(&TaggedName::parse(&series.name).unwrap()),
        None => glob.as_ref().is_some_and(|glob| glob.matches(&series.name)),
    };
    store.iter().filter(is_found).collect()
}

fn outcome(request: &Request, answer: impl Fn(&Fetch) -> Option<Answer>) -> Outcome {
    let prepared = prepare(request).unwrap();
    let mut data = Data::default();
    for fetch in prepared.fetches() {
        if let Some(answer) = answer(fetch) {
            data.insert_answer(fetch.clone(), answer);
        }
    }
    prepared.evaluate(&data).unwrap()
}

fn plainly(store: &[SeriesData], request: &Request) -> Vec<Series> {
    let read = |fetch: &Fetch| {
        let found = found(store, fetch).into_iter().cloned().collect();
        (fetch.fold.is_none()).then(|| Answer::new(found))
    };
    let Outcome::Done(series) = outcome(request, read) else { panic!("all of it was read") };
    series
}

/// With each of `ranges` parts folded apart and sent as a message.
fn folded(store: &[SeriesData], request: &Request, ranges: usize) -> Vec<Series> {
    let request = Request { push_down: true, ..request.clone() };
    let fold = |fetch: &Fetch| {
        let spec = fetch.fold.clone().expect("every call here can be folded");
        let mut whole = Folded::default();
        let found = found(store, fetch);
        for range in 0..ranges {
            let mut part = Folded::default();
            for series in found.iter().skip(range).step_by(ranges) {
                part.add(&spec, &series.name, (series.start, series.step), &series.values).unwrap();
            }
            whole.merge_messages(spec.fold, part.into_messages()).unwrap();
        }
        Some(Answer::folded(whole))
    };
    let Outcome::Done(series) = outcome(&request, fold) else { panic!("all of it was folded") };
    series
}

fn assert_same(folded: &[Series], plain: &[Series], target: &str) {
    let values = |list: &[Series]| list.iter().map(|s| s.values.to_vec()).collect::<Vec<_>>();
    for (got, wanted) in values(folded).iter().flatten().zip(values(plain).iter().flatten()) {
        let close = (got - wanted).abs() <= 1e-12 * wanted.abs().max(1.0);
        assert!(close || (got.is_nan() && wanted.is_nan()), "{target}: {got} for {wanted}");
    }
    let without = |list: &[Series]| -> Vec<Series> {
        let blank = |series: &Series| Series { values: Vec::new().into(), ..series.clone() };
        list.iter().map(blank).collect()
    };
    assert_eq!(without(folded), without(plain), "{target}");
    let lengths = |list: &[Series]| list.iter().map(|s| s.values.len()).collect::<Vec<_>>();
    assert_eq!(lengths(folded), lengths(plain), "{target}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whoever_folds_the_answer_is_that_of_the_series(
        columns in prop::collection::vec(
            prop::collection::vec(prop::option::weighted(0.8, -1e6..1e6), 5), 8),
        x_files_factor in prop::sample::select(vec![0.0, 0.4, 1.0]),
    ) {
        let store = series(&columns);
        for target in TARGETS {
            let request = request(target, x_files_factor);
            let plain = plainly(&store, &request);
            assert!(!plain.is_empty(), "{target} shows something");
            for ranges in 1..4 {
                assert_same(&folded(&store, &request, ranges), &plain, target);
            }
        }
    }
}

#[test]
fn what_must_be_read_as_it_is_is_not_folded() {
    for target in [
        "sumSeries(a.x.b)",
        "sumSeries(a.x.*,a.y.*)",
        "sumSeries(scale(a.*.b,2))",
        "stddevSeries(a.*.b)",
        "powSeries(a.*.b)",
        "sumSeriesWithWildcards(a.*.*,1)",
        "groupByNode(a.*.*,1,'median')",
        "asPercent(a.*.b,sumSeries(a.*.b))",
        "asPercent(sumSeries(a.*.b),total=a.*.b)",
    ] {
        let mut request = request(target, 0.0);
        let fetches = |request: &Request| prepare(request).unwrap().fetches().to_vec();
        let plain = fetches(&request);
        request.push_down = true;
        assert_eq!(fetches(&request), plain, "{target}");
    }
}

#[test]
fn what_the_store_did_not_fold_is_read() {
    let store = series(&[vec![Some(1.0), None, Some(3.0)]]);
    let request = Request { push_down: true, ..request("sumSeries(a.*.*)", 0.0) };
    let Outcome::Need(missing) = outcome(&request, |_| None) else { panic!("nothing was read") };
    assert_eq!(missing, [Fetch::new("a.*.*", metric::Window::new(0, 600))]);
    let prepared = prepare(&request).unwrap();
    let mut data = Data::default();
    data.insert(missing[0].clone(), found(&store, &missing[0]).into_iter().cloned().collect());
    let Outcome::Done(series) = prepared.evaluate(&data).unwrap() else { panic!("it is there") };
    assert_eq!(series[0].values[0], 5.0);
}

#[test]
fn limits_count_what_the_store_has_read() {
    let store = series(&[vec![Some(1.0)]]);
    let mut request = Request { push_down: true, ..request("sumSeries(a.*.*)", 0.0) };
    request.limits.pattern_series_max = 4;
    let prepared = prepare(&request).unwrap();
    let mut part = Folded::default();
    let fetch = &prepared.fetches()[0];
    for series in found(&store, fetch) {
        let spec = fetch.fold.clone().unwrap();
        part.add(&spec, &series.name, (series.start, series.step), &series.values).unwrap();
    }
    let mut data = Data::default();
    data.insert_answer(fetch.clone(), Answer::folded(part));
    let refused = prepared.evaluate(&data).unwrap_err().to_string();
    assert!(refused.contains("pattern_series_max"), "{refused}");
}
