//! Functions of carbonapi, where they differ from it on purpose or have a limit of their own.
#![expect(clippy::unwrap_used, reason = "a target that does not evaluate is a failed test")]

use metric::SeriesData;
use plumbago_query::{Data, EvalError, Outcome, Request, Series, prepare};

const MINUTE: i64 = 60;
const NULL: f64 = f64::NAN;

/// What every path answers: pattern, name, step and values.
const FOUND: [(&str, &str, i64, &[f64]); 6] = [
    ("up", "up", MINUTE, &[1.0, 2.0, 3.0, 4.0]),
    ("gap", "gap", MINUTE, &[1.0, NULL, NULL, 4.0]),
    ("coarse", "coarse", 2 * MINUTE, &[10.0, 20.0]),
    ("null", "null", MINUTE, &[NULL; 4]),
    ("zero", "zero", MINUTE, &[0.0; 4]),
    ("bm90OnV0Zjg=", "bm90OnV0Zjg=", MINUTE, &[1.0; 4]),
];

fn evaluate(target: &str) -> Result<Vec<Series>, EvalError> {
    let request = Request::new(vec![target.to_owned()], 0, 4 * MINUTE, 4 * MINUTE);
    let prepared = prepare(&request)?;
    let mut data = Data::default();
    let mut fetches = prepared.fetches().to_vec();
    loop {
        for fetch in fetches {
            let found = FOUND.iter().filter(|(pattern, ..)| *pattern == fetch.pattern);
            let from = fetch.window.from;
            let series = found.map(|(_, name, step, values)| {
                SeriesData::new(*name, from, *step, values.to_vec())
            });
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
fn an_interval_without_data_is_null_and_meets_nothing() {
    let shares = only(r#"slo(gap,"1min","above",0)"#);
    assert!(shares.values[0] == 1.0 && shares.values[1].is_nan() && shares.values[3] == 1.0);
    assert_eq!(shares.name, "slo(gap, 1min, above, 0)");
}

#[test]
fn a_baseline_of_zero_has_no_aberration() {
    let list = evaluate(r#"baselineAberration(zero,"1h",1,3)"#).unwrap();
    assert!(list[0].values.iter().all(|v| v.is_nan()));
    assert!(evaluate(r#"baseline(nothing,"1h")"#).unwrap().is_empty());
}

#[test]
fn nulls_do_not_spoil_a_transform() {
    let strengths = only(r#"fft(gap,"abs")"#);
    assert!((strengths.values[0] - 5.0).abs() < 1e-12, "{:?}", strengths.values);
    assert_eq!(only("ifft(null,null)").values[..], [0.0; 4]);
}

#[test]
fn lists_of_unlike_length_are_no_crash() {
    for target in [
        "pearson(up,coarse,2)",
        "ksTest2(up,coarse,1)",
        "ifft(up,coarse)",
        "tukeyAbove(group(coarse,up),1.5,2,3)",
        "countValues(group(coarse,up))",
        "heatMap(nothing)",
        "tukeyBelow(null,1.5,1)",
        "pearson(null,null,4)",
        "ksTest2(null,up,1)",
        "aliasByBase64(up,0)",
        "aliasByBase64(up,-3)",
        "toLowerCase(up,99)",
    ] {
        let answered = evaluate(target);
        assert!(answered.is_ok(), "{target}: {answered:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for target in [
        "tukeyAbove(up,0,1)",
        "pearson(up,up,0)",
        "polyfit(up,99)",
        r#"slo(up,"-1h","above",1)"#,
        r#"slo(up,"1h","beyond",1)"#,
        r#"join(up,up,"NOR")"#,
        "integralWithReset(up,coarse)",
        "powSeriesLists(group(up,null),group(up,gap,zero),False)",
        "timeShiftByMetric(up,null,0)",
    ] {
        assert_eq!(evaluate(target).unwrap_err().status(), 400, "{target}");
    }
}

#[test]
fn lines_that_go_on_too_long_meet_the_limit() {
    let error = evaluate(r#"polyfit(up,1,"9000y")"#).unwrap_err();
    assert_eq!(error.status(), 422);
    let error = evaluate(r#"baseline(up,"1s",1,99999999)"#).unwrap_err();
    assert_eq!(error.status(), 422);
}

#[test]
fn a_path_may_end_in_an_equals_sign() {
    assert_eq!(only("aliasByBase64(bm90OnV0Zjg=)").name, "not:utf8");
    assert_eq!(only("alias(bm90OnV0Zjg=,newName='x')").name, "x");
}

#[test]
fn exponents_of_other_names_need_a_default() {
    let raised = only("powSeriesLists(up,nothing,default=2)");
    assert_eq!(raised.name, "powSeries(up,2)");
    assert_eq!(raised.values[..], [1.0, 4.0, 9.0, 16.0]);
    assert!(evaluate("powSeriesLists(up,nothing)").unwrap().is_empty());
    assert_eq!(only("powSeriesLists(nothing,up,default=2)").values[3], 16.0);
}

/// Calls that make sense and calls that make none: each is an answer or an error, never a crash.
#[test]
fn no_argument_brings_a_function_down() {
    const LISTS: [&str; 5] = ["up", "null", "nothing", "delay(up,0)", "group(coarse,gap)"];
    const SCALARS: [&str; 8] =
        ["0", "-1", "3", "-9223372036854775808", "9223372036854775807", "1e300", "'1h'", "'abs'"];
    const NAMES: &str = "aliasByBase64 baseline baselineAberration countValues ewma fft ifft heatMap \
        highestMin lowestMax integralWithReset join ksTest2 lowPass pearson pearsonClosest polyfit \
        powSeriesLists removeZeroSeries scaleAfterTimestamp slo sloErrorBudget timeShiftByMetric \
        toLowerCase tukeyAbove tukeyBelow logarithm stddev multiply";
    let mut answered = 0;
    for name in NAMES.split_whitespace() {
        for list in LISTS {
            for scalar in SCALARS {
                let others = LISTS.map(|other| format!("{name}({list},{other},{scalar})"));
                let two = format!("{name}({list},{scalar},{scalar})");
                let four = format!("{name}({list},{scalar},'above',{scalar})");
                let calls =
                    others.into_iter().chain([format!("{name}({list},{scalar})"), two, four]);
                answered += calls.filter(|call| evaluate(call).is_ok()).count();
            }
        }
    }
    assert!(answered > 500, "only {answered} calls bind");
}
