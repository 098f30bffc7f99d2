//! `timeShiftByMetric`, which lays releases over each other. carbonapi has it, graphite-web does not.

use std::sync::LazyLock;

use regex::Regex;

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::names::python_index;
use crate::param::{Param, ParamKind, SERIES_LIST};
use crate::series::Series;

pub(super) const FAMILY: &[Function] = &[Function {
    name: "timeShiftByMetric",
    group: Group::Transform,
    params: &[
        SERIES_LIST,
        Param::required("markSource", ParamKind::SeriesList),
        Param::required("versionRankIndex", ParamKind::Integer),
    ],
    summary: "Moves the series of older releases forward to where the newest one began.",
    detail: "Marks are series whose last part is a release, `65_4` for release 65.4; the last value of \
             the highest mark of each major release says when that began. The release of a series is \
             the part of its name at `versionRankIndex`; series of no marked release are left out.",
    eval: Body::List(time_shift_by_metric),
    examples: &[Example {
        target: "timeShiftByMetric(apps.*.errors,releases.*,1)",
        shows: "errors of each release, counted from its start",
    }],
    ..Function::DEFAULT
}];

/// A release, and the point at which it was marked last.
struct Mark {
    major: u64,
    minor: u64,
    text: String,
    place: usize,
}

fn name_of(series: &Series) -> &str {
    series.tags.get("name").map_or(series.name.as_str(), String::as_str)
}

/// `None` if the series marks no release, or has no value.
fn mark(series: &Series) -> Option<Mark> {
    static RELEASE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"([0-9]+)_([0-9]+)").expect("a constant pattern"));
    let text = name_of(series).rsplit('.').next()?;
    let found = RELEASE.captures(text)?;
    let (major, minor) = (found[1].parse().ok()?, found[2].parse().ok()?);
    let place = series.points().iter().rposition(|v| !v.is_nan())?;
    Some(Mark { major, minor, text: text.to_owned(), place })
}

/// The highest mark of each major release, newest first.
fn latest_marks(series: &[Series]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = series.iter().filter_map(mark).collect();
    marks.sort_by_key(|mark| std::cmp::Reverse((mark.major, mark.minor)));
    marks.dedup_by_key(|mark| mark.major);
    marks
}

/// The mark of a release that may be written without its minor number.
fn mark_of<'m>(marks: &'m [Mark], release: &str) -> Option<&'m Mark> {
    let major = format!("{release}_");
    let exact = marks.iter().find(|mark| mark.text == release);
    exact.or_else(|| marks.iter().find(|mark| mark.text.starts_with(&major)))
}

fn time_shift_by_metric(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let rank = call.int("versionRankIndex");
    let (list, marks) = (call.series("seriesList"), call.series("markSource"));
    if list.is_empty() && marks.is_empty() {
        return Ok(Vec::new());
    }
    if list.len() < 2 || marks.len() < 2 {
        return Err(call.error("needs at least two series and two marks"));
    }
    let length = list[0].points().len();
    if let Some(other) = list.iter().chain(&marks).find(|s| s.points().len() != length) {
        let message = format!("{:?} has not as many points as {:?}", other.name, list[0].name);
        return Err(call.error(message));
    }
    let step = marks[0].step;
    let marks = latest_marks(&marks);
    let [newest, _, ..] = &marks[..] else {
        return Err(call.error("needs marks of at least two major releases"));
    };
    let place = |mark: &Mark| i64::try_from(mark.place).unwrap_or(i64::MAX);
    let moved = |mut series: Series| {
        let parts: Vec<&str> = name_of(&series).split('.').collect();
        let mark = mark_of(&marks, parts[python_index(rank, parts.len())?])?;
        let offset = (place(newest) - place(mark)).saturating_mul(step);
        series.start = series.start.saturating_add(offset);
        series.end = series.end.saturating_add(offset);
        let name = format!("timeShiftByMetric({})", series.name);
        Some(series.named(name))
    };
    Ok(list.into_iter().filter_map(moved).collect())
}
