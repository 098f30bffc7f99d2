//! Planning, rounds of fetching, scopes and limits.

use metric::SeriesData;

use super::*;
use crate::data::Answer;
use crate::window::Window;

fn request(targets: &[&str]) -> Request {
    let targets = targets.iter().map(|t| (*t).to_owned()).collect();
    Request::new(targets, 600, 1200, 1200)
}

fn patterns(request: &Request) -> Vec<String> {
    let prepared = prepare(request).unwrap();
    prepared.fetches().iter().map(|f| f.pattern.clone()).collect()
}

fn names(request: &Request, found: &[&str]) -> Result<Vec<String>, EvalError> {
    let prepared = prepare(request)?;
    let mut data = Data::default();
    let series = |name: &&str| SeriesData::new(*name, 660, 60, vec![1.0; 10]);
    for fetch in prepared.fetches() {
        data.insert(fetch.clone(), found.iter().map(series).collect());
    }
    match prepared.evaluate(&data)? {
        Outcome::Done(list) => Ok(list.into_iter().map(|s| s.name).collect()),
        Outcome::Need(fetches) => panic!("lacks {fetches:?}"),
    }
}

#[test]
fn every_pattern_is_planned_once_in_order() {
    let request = request(&["alias(b.*,\"x\")", "a", "b.*", "seriesByTag('k=v')|lower()", " "]);
    assert_eq!(patterns(&request), ["b.*", "a", "seriesByTag('k=v')"]);
}

#[test]
fn variables_are_replaced_in_patterns_and_become_values() {
    let mut with = request(&["template(alias(a.$1.$x,$x),\"one\",x=\"two\")"]);
    assert_eq!(patterns(&with), ["a.one.two"]);
    assert_eq!(names(&with, &["a.one.two"]).unwrap(), ["two"]);
    with.template.push(("x".to_owned(), "three".to_owned()));
    assert_eq!(patterns(&with), ["a.one.three"]);
    assert_eq!(names(&with, &["a"]).unwrap(), ["three"]);
}

#[test]
fn series_come_in_byte_order_of_their_names() {
    assert_eq!(names(&request(&["*"]), &["b", "B", "a10", "a2"]).unwrap(), ["B", "a10", "a2", "b"]);
}

#[test]
fn missing_data_are_asked_for_and_nothing_else_is_judged() {
    let request = request(&["aliasQuery(a.1,\"a\",\"b\",\"%d\")"]);
    let prepared = prepare(&request).unwrap();
    let mut data = Data::default();
    let window = Window::new(600, 1200);
    let fetch = |pattern: &str| Fetch::new(pattern, window);
    assert_eq!(prepared.evaluate(&data), Ok(Outcome::Need(vec![fetch("a.1")])));
    data.insert(fetch("a.1"), vec![SeriesData::new("a.1", 660, 60, vec![1.0])]);
    assert_eq!(prepared.evaluate(&data), Ok(Outcome::Need(vec![fetch("b.1")])));
    data.insert(fetch("b.1"), vec![SeriesData::new("b.1", 660, 60, vec![7.0])]);
    let Ok(Outcome::Done(list)) = prepared.evaluate(&data) else { panic!("not done") };
    assert_eq!(list[0].name, "7");
}

#[test]
fn a_number_alone_is_a_flat_line() {
    assert_eq!(names(&request(&["1.5"]), &[]).unwrap(), ["1.5"]);
    assert!(names(&request(&["template($x,x=\"a\")"]), &[]).is_err());
}

#[test]
fn arguments_are_named_in_errors() {
    for (target, part) in [
        ("alias(a)", "alias: parameter \"newName\" is missing"),
        ("alias(a,b)", "alias: parameter \"newName\" is not a valid string: a list of series"),
        ("alias(\"a\",\"b\")", "\"seriesList\" is not a valid seriesList: \"a\""),
        ("alias(a,\"b\",c=1)", "\"c\" is not known"),
        ("alias(a,\"b\",newName=\"c\")", "\"newName\" is given twice"),
        ("alias(a,\"b\",2)", "takes at most 2 arguments"),
        ("nosuch(a)", "unknown function \"nosuch\""),
        ("substr(a,1.5)", "\"start\" is not a valid node: 1.5"),
        ("seriesByTag('bad')", "seriesByTag('bad'): "),
    ] {
        let error = names(&request(&[target]), &["a"]).unwrap_err();
        assert!(error.to_string().contains(part), "{target}: {error}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn limits_are_named_with_what_was_asked() {
    let mut small = request(&["a.*", "b.{c,d,e}"]);
    small.limits.brace_expansions_max = 2;
    let error = prepare(&small).unwrap_err();
    assert_eq!(error.status(), 422);
    small.limits = Limits { points_max: 15, ..Limits::default() };
    let error = names(&small, &["a", "b"]).unwrap_err().to_string();
    assert_eq!(error, "limit points_max exceeded: asked 20, allowed 15");
    small.limits = Limits { series_max: 3, ..Limits::default() };
    assert_eq!(names(&small, &["a", "b"]).unwrap_err().status(), 422);
    small.limits = Limits { targets_max: 1, ..Limits::default() };
    assert_eq!(prepare(&small).unwrap_err().status(), 422);
    small.targets = vec!["lower(lower(lower(a)))".to_owned()];
    small.limits = Limits { calls_max: 2, ..Limits::default() };
    assert_eq!(prepare(&small).unwrap_err().status(), 422);
    for (limit, limits, target) in [
        ("target_bytes_max", Limits { target_bytes_max: 3, ..Limits::default() }, "lower(a)"),
        ("pattern_nodes_max", Limits { pattern_nodes_max: 2, ..Limits::default() }, "a.*.b"),
        ("globstars_max", Limits { globstars_max: 1, ..Limits::default() }, "a.**.b.**"),
        ("pattern_series_max", Limits { pattern_series_max: 1, ..Limits::default() }, "*"),
        ("arguments_max", Limits { arguments_max: 1, ..Limits::default() }, "sum(a,b)"),
        ("memory_bytes_max", Limits { memory_bytes_max: 900, ..Limits::default() }, "sum(a,b)"),
        ("windows_max", Limits { windows_max: 2, ..Limits::default() }, "timeStack(a,\"1d\",0,3)"),
        (
            "time_stack_shifts_max",
            Limits { time_stack_shifts_max: 2, ..Limits::default() },
            "timeStack(a,\"1d\",0,3)",
        ),
    ] {
        let small = Request { limits, ..request(&[target]) };
        let error = names(&small, &["a", "b"]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("limit {limit} exceeded")), "{error}");
    }
    let mut long = request(&["time(\"t\",1)"]);
    long.until = 100_000_000;
    assert_eq!(names(&long, &[]).unwrap_err().status(), 422);
}

#[test]
fn the_deepest_target_fits_the_stack_and_targets_in_texts_add_to_its_depth() {
    let nested = |n: usize, inner: &str| format!("{}{inner}{}", "lower(".repeat(n), ")".repeat(n));
    assert_eq!(names(&request(&[&nested(255, "a")]), &["A"]).unwrap(), ["a"]);
    let text = format!("aliasQuery(alias(a,'{}'),'q','q','%d')", nested(200, "aliasQuery(q)"));
    let error = names(&request(&[&nested(100, &text)]), &["a"]).unwrap_err();
    assert!(error.to_string().contains("depth_max"), "{error}");
}

#[test]
fn an_empty_window_is_refused_and_a_reversed_one_turned_round() {
    assert!(prepare(&Request::new(Vec::new(), 5, 5, 9)).is_err());
    assert_eq!(Request::new(Vec::new(), 9, 5, 9).from, 5);
}

#[test]
fn what_is_held_counts_only_while_it_is_held() {
    // Four calls in a row hold two lists at a time, four side by side hold all their answers.
    let limits = Limits { memory_bytes_max: 6000, ..Limits::default() };
    let held =
        |target: &str| names(&Request { limits: limits.clone(), ..request(&[target]) }, &["a"]);
    assert_eq!(held(&format!("{}a{}", "scale(".repeat(9), ",2)".repeat(9))).unwrap().len(), 1);
    let error = held(&format!("group({}scale(a,2))", "scale(a,2),".repeat(9))).unwrap_err();
    assert!(error.to_string().contains("memory_bytes_max"), "{error}");
}

#[test]
fn a_pulled_brake_ends_an_evaluation_whatever_is_missing() {
    let request = request(&["lower(a)"]);
    let prepared = prepare(&request).unwrap();
    let brake = Brake::default();
    brake.pull();
    let stopped = prepared.evaluate_until(&Data::default(), &brake).unwrap_err();
    assert_eq!((stopped.status(), stopped), (503, EvalError::Stopped));
}

/// Series of 60 and 300 s from 600 on, or from as much earlier as the window begins.
fn two_steps(window: Window) -> Vec<SeriesData> {
    let series = |name: &str, step: i64| {
        let start = window.from.div_euclid(step) * step + step;
        let values = (start..=window.until).step_by(step as usize).map(|t| (t * t % 1009) as f64);
        SeriesData::new(name, start, step, values.collect())
    };
    vec![series("a.x", 60), series("a.y", 300)]
}

/// Fetches what is asked for until nothing is.
fn evaluated(target: &str) -> (Vec<Series>, usize) {
    let request = request(&[target]);
    let prepared = prepare(&request).unwrap();
    let (mut data, mut asked, mut rounds) = (Data::default(), prepared.fetches().to_vec(), 0);
    loop {
        rounds += 1;
        for fetch in asked {
            let found = if fetch.pattern == "a.*" { two_steps(fetch.window) } else { Vec::new() };
            data.insert(fetch, found);
        }
        match prepared.evaluate(&data).unwrap() {
            Outcome::Done(list) => return (list, rounds),
            Outcome::Need(more) => asked = more,
        }
    }
}

#[test]
fn functions_that_say_so_keep_the_grids_of_their_series() {
    let grids = |list: &[Series]| -> Vec<_> {
        list.iter().map(|s| (s.start, s.end, s.step, s.points().len())).collect()
    };
    let before = grids(&evaluated("a.*").0);
    let mut keeping: Vec<_> =
        crate::functions::all().iter().map(|(_, function)| function).collect();
    keeping.retain(|function| function.keeps_grids);
    keeping.dedup_by_key(|function| function.name);
    assert!(!keeping.is_empty());
    for function in keeping {
        let needed = function.params.iter().skip(1).filter(|param| param.required);
        let arguments: String = needed.map(|_| ",2").collect();
        let target = format!("{}(a.*{arguments})", function.name);
        assert_eq!(grids(&evaluated(&target).0), before, "{target}");
    }
}

#[test]
fn a_window_in_points_is_the_same_whether_its_argument_was_evaluated_or_looked_through() {
    // `sortByName` is not known to keep grids, so its argument is evaluated.
    for inner in ["a.*", "scaleToSeconds(nonNegativeDerivative(a.*),60)"] {
        let (looked_through, rounds) = evaluated(&format!("movingAverage({inner},3)"));
        let (whole, _) = evaluated(&format!("movingAverage(sortByName({inner}),3)"));
        assert_eq!(looked_through, whole);
        assert_eq!((looked_through.len(), rounds), (2, 2));
    }
    assert!(evaluated("movingAverage(scale(b.*,2),3)").0.is_empty());
}

#[test]
fn an_answer_is_put_before_a_later_one_only_where_both_are_one() {
    let fetch = |from| Fetch::new("a.*", Window::new(from, 1200));
    let (late, whole) = (fetch(600), fetch(300));
    let mut data = Data::default();
    assert_eq!(data.lacking(&whole), whole, "nothing is there");
    data.insert(late.clone(), two_steps(late.window));
    let lacking = data.lacking(&whole);
    assert_eq!(lacking.window, Window::new(300, 600));
    let mut other_step = two_steps(lacking.window);
    other_step[0].step = 120;
    let mut gap = two_steps(lacking.window);
    gap[1].values.pop();
    for unfit in [other_step, gap, two_steps(lacking.window).split_off(1), Vec::new()] {
        assert!(!data.complete(&whole, &Answer::new(unfit)));
    }
    assert!(data.complete(&whole, &Answer::new(two_steps(lacking.window))));
    let mut at_once = Data::default();
    at_once.insert(whole.clone(), two_steps(whole.window));
    let shown = |data: &Data| {
        let request = Request::new(vec!["a.*".to_owned()], 300, 1200, 1200);
        prepare(&request).unwrap().evaluate(data).unwrap()
    };
    assert_eq!(shown(&data), shown(&at_once));
}
