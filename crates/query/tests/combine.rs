//! Functions that combine series, where the recorded answers of graphite-web have no case.
#![expect(clippy::unwrap_used, reason = "a target that does not evaluate is a failed test")]

use metric::SeriesData;
use plumbago_query::{Data, EvalError, Outcome, Request, Series, prepare};

const MINUTE: i64 = 60;

/// What every path answers: pattern, name, step and values.
const FOUND: [(&str, &str, i64, &[f64]); 6] = [
    ("fine", "fine", MINUTE, &[1.0, 2.0, 3.0, 4.0]),
    ("coarse", "coarse", 2 * MINUTE, &[10.0, 20.0]),
    ("null", "null", MINUTE, &[f64::NAN; 4]),
    ("small", "small", MINUTE, &[-0.25; 4]),
    ("tagged", "a;dc=x;host=1", MINUTE, &[1.0; 4]),
    ("tagged", "a;dc=x;host=2", MINUTE, &[2.0; 4]),
];

fn evaluate(target: &str) -> Result<Vec<Series>, EvalError> {
    let request = Request::new(vec![target.to_owned()], 0, 4 * MINUTE, 4 * MINUTE);
    let prepared = prepare(&request)?;
    let mut data = Data::default();
    let mut fetches = prepared.fetches().to_vec();
    loop {
        for fetch in fetches {
            let found = FOUND.iter().filter(|(pattern, ..)| *pattern == fetch.pattern);
            let series = found
                .map(|(_, name, step, values)| SeriesData::new(*name, 0, *step, values.to_vec()));
            let series = series.collect();
            data.insert(fetch, series);
        }
        match prepared.evaluate(&data)? {
            Outcome::Done(series) => return Ok(series),
            Outcome::Need(more) => fetches = more,
        }
    }
}

fn only(target: &str) -> Series {
    let mut list = evaluate(target).unwrap();
    assert_eq!(list.len(), 1, "{target}");
    list.remove(0)
}

#[test]
fn series_of_unlike_steps_meet_on_the_coarser_one() {
    let sum = only("sumSeries(fine,coarse)");
    assert_eq!(sum.datapoints(), [(11.5, 0), (23.5, 2 * MINUTE)]);
    assert_eq!(sum.name, "sumSeries(fine,coarse)");
}

#[test]
fn old_names_of_aggregations_stand_only_where_series_are_combined() {
    assert_eq!(only(r#"aggregate(group(fine,coarse),"sumSeries")"#).name, "sumSeries(fine,coarse)");
    assert_eq!(only(r#"groupByNode(fine,0,"medianSeries")"#).name, "fine");
    assert!(evaluate(r#"highest(fine,1,"sumSeries")"#).is_err());
}

#[test]
fn a_tag_named_twice_groups_as_if_named_once() {
    let sum = only(r#"groupByTags(tagged,"sum","dc","dc")"#);
    assert_eq!(sum.name, "a;dc=x;dc=x");
    let tags: Vec<_> = sum.tags.iter().map(|(tag, value)| format!("{tag}={value}")).collect();
    assert_eq!(tags, ["dc=x", "name=a"]);
}

#[test]
fn a_missing_tag_is_named_in_the_error() {
    let error = evaluate(r#"groupByTags(tagged,"sum","rack")"#).unwrap_err();
    assert_eq!(error.status(), 400);
    assert!(error.to_string().contains("\"rack\""), "{error}");
}

#[test]
fn percent_of_a_number_is_as_long_as_the_first_series_was() {
    let list = evaluate("asPercent(group(fine,coarse),10)").unwrap();
    let values: Vec<f64> = list[0].values.iter().copied().filter(|v| !v.is_nan()).collect();
    assert_eq!((list[0].values.len(), values), (4, vec![15.0, 35.0]));
}

#[test]
fn partners_that_are_missing_show_as_nulls() {
    for target in ["asPercent(fine,null,0)", "asPercent(null,fine,0)"] {
        let list = evaluate(target).unwrap();
        let names: Vec<_> = list.iter().map(|s| s.name.as_str()).collect();
        assert!(names[0].ends_with(",MISSING)") && names[1].starts_with("asPercent(MISSING,"));
        assert!(list.iter().all(|s| s.values.iter().all(|v| v.is_nan())), "{names:?}");
    }
}

#[test]
fn nulls_take_no_part_in_percentiles() {
    assert_eq!(only("averageOutsidePercentile(group(fine,null),50)").name, "fine");
    assert_eq!(only("removeBetweenPercentile(group(fine,null),50)").name, "fine");
}

#[test]
fn columns_are_not_widened_by_a_minus_in_front_of_nothing() {
    let name = "small Current:-0.25   Max:-0.25   Min:-0.25   ";
    assert_eq!(only("cactiStyle(small)").name, name);
}

#[test]
fn what_cannot_be_reduced_says_which_argument_is_missing() {
    let target = r#"reduceSeries(mapSeries(group(fine,coarse),0),"diffSeries",0,"fine","other")"#;
    let error = evaluate(target).unwrap_err().to_string();
    assert!(error.contains("\"other\""), "{error}");
}
