//! Functions that make series out of nothing.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::python_repr;
use crate::param::{Literal, Param, ParamKind};
use crate::series::{Consolidation, Grid, Series};

use super::calendar::wall_clock;

const NAME: Param = Param::required("name", ParamKind::String);
const STEP: Param = Param::optional("step", ParamKind::Integer).default(Literal::Int(60));

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "constantLine",
        group: Group::Special,
        params: &[Param::required("value", ParamKind::Float)],
        summary: "Draws a horizontal line at a value.",
        eval: Body::List(constant_line),
        examples: &[Example { target: "constantLine(123.456)", shows: "a line" }],
        ..Function::DEFAULT
    },
    Function {
        name: "threshold",
        group: Group::Graph,
        params: &[
            Param::required("value", ParamKind::Float),
            Param::optional("label", ParamKind::String),
            Param::optional("color", ParamKind::String),
        ],
        summary: "Draws a horizontal line at a value, with a label and a colour.",
        eval: Body::List(threshold),
        examples: &[Example { target: r#"threshold(90,"too hot","red")"#, shows: "a red line" }],
        ..Function::DEFAULT
    },
    Function {
        name: "time",
        aliases: &["timeFunction"],
        group: Group::Transform,
        params: &[NAME, STEP],
        summary: "Shows the time itself, in seconds.",
        eval: Body::List(time),
        examples: &[Example { target: r#"time("now",60)"#, shows: "a straight line" }],
        ..Function::DEFAULT
    },
    Function {
        name: "identity",
        group: Group::Calculate,
        params: &[NAME],
        summary: "Shows the time itself, in seconds, a point a minute.",
        eval: Body::List(identity),
        examples: &[Example { target: r#"identity("now")"#, shows: "a straight line" }],
        ..Function::DEFAULT
    },
    Function {
        name: "sin",
        aliases: &["sinFunction"],
        group: Group::Transform,
        params: &[
            NAME,
            Param::optional("amplitude", ParamKind::Integer).default(Literal::Int(1)),
            STEP,
        ],
        summary: "Shows the sine of the time.",
        eval: Body::List(sin),
        examples: &[Example { target: r#"sin("wave",2,60)"#, shows: "a wave of height 2" }],
        ..Function::DEFAULT
    },
    Function {
        name: "randomWalk",
        aliases: &["randomWalkFunction"],
        group: Group::Special,
        params: &[NAME, STEP],
        summary: "Walks at random, starting from 0.",
        detail: "The same name over the same window walks the same way.",
        eval: Body::List(random_walk),
        examples: &[Example { target: r#"randomWalk("test")"#, shows: "something to look at" }],
        ..Function::DEFAULT
    },
    Function {
        name: "events",
        group: Group::Special,
        params: &[Param::required("tags", ParamKind::String).multiple()],
        summary: "Counts events with these tags, a point a second.",
        detail: "No store of events is attached, so that every point is null.",
        eval: Body::List(events),
        examples: &[Example { target: r#"events("deploy")"#, shows: "when it was deployed" }],
        ..Function::DEFAULT
    },
    Function {
        name: "seriesByTag",
        group: Group::Special,
        params: &[Param::required("tagExpressions", ParamKind::String).multiple()],
        summary: "Finds series by their tags.",
        detail: "`tag=value`, `tag!=value`, `tag=~regex`, `tag!=~regex`. An expression that matches \
                 the empty value also matches series without the tag; at least one must not.",
        eval: Body::List(series_by_tag),
        examples: &[Example {
            target: r#"seriesByTag("name=cpu","host!=web1")"#,
            shows: "a series of every host but one",
        }],
        ..Function::DEFAULT
    },
];

fn constant_line(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Ok(vec![flat_line(call, call.float("value"))])
}

/// Three points at one height over the window; NaN makes a line of nulls.
pub(super) fn flat_line(call: &Call<'_>, value: f64) -> Series {
    let (start, end) = (call.from(), call.until());
    let grid = Grid { start, end, step: (end - start) / 2 };
    let name = if value.is_nan() { "None".to_owned() } else { python_repr(value) };
    let mut series = call.new_series(&name, grid, vec![value; 3]);
    series.path_expression = format!("constantLine({name})");
    series
}

fn threshold(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mut list = constant_line(call)?;
    for series in &mut list {
        if let Some(label) = call.string_opt("label").filter(|l| !l.is_empty()) {
            series.name = label;
        }
        series.style.color = call.string_opt("color");
    }
    Ok(list)
}

/// Times from the start of the window to before its end.
fn times(call: &Call<'_>, step: i64) -> Result<Vec<i64>, EvalError> {
    if step <= 0 {
        return Err(call.argument_error("step", "has to be positive"));
    }
    let seconds = call.until() - call.from();
    call.generate(seconds.div_euclid(step) + 1)?;
    let times = std::iter::successors(Some(call.from()), |t| t.checked_add(step));
    Ok(times.take_while(|t| *t < call.until()).collect())
}

fn time(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (name, step) = (call.string("name"), call.int("step"));
    time_line(call, &name, step)
}

fn identity(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let name = call.string("name");
    let times = times(call, 60)?;
    let grid = Grid { start: call.from(), end: call.until(), step: 60 };
    let values = times.iter().map(|t| *t as f64).collect();
    let mut series = call.new_series(&name, grid, values);
    series.path_expression = format!("identity(\"{name}\")");
    Ok(vec![series])
}

fn time_line(call: &Call<'_>, name: &str, step: i64) -> Result<Vec<Series>, EvalError> {
    let values = times(call, step)?.iter().map(|t| wall_clock(call, *t) as f64).collect();
    let (start, end) = (wall_clock(call, call.from()), wall_clock(call, call.until()));
    Ok(vec![call.new_series(name, Grid { start, end, step }, values)])
}

fn sin(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (name, step) = (call.string("name"), call.int("step"));
    let amplitude = call.int("amplitude") as f64;
    let sine = |t: &i64| (wall_clock(call, *t) as f64).sin() * amplitude;
    let values = times(call, step)?.iter().map(sine).collect();
    let grid = Grid { start: call.from(), end: call.until(), step };
    Ok(vec![call.new_series(&name, grid, values)])
}

fn random_walk(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (name, step) = (call.string("name"), call.int("step"));
    // Evaluation has to answer the same each time it runs, so chance comes from the name.
    let mut state = name
        .bytes()
        .fold(call.from() as u64, |a, b| (a ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut current = 0.0;
    let walk = |_: &i64| {
        let here = current;
        current += unit(&mut state) - 0.5;
        here
    };
    let values = times(call, step)?.iter().map(walk).collect();
    let grid = Grid { start: call.from(), end: call.until(), step };
    Ok(vec![call.new_series(&name, grid, values)])
}

fn events(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mut tags = call.strings("tags");
    let name = format!("events(\"{}\")", tags.join("\", \""));
    let grid = Grid { start: call.from(), end: call.until(), step: 1 };
    let seconds = grid.end - grid.start;
    call.generate(seconds)?;
    if tags == ["*"] {
        tags.clear();
    }
    let mut values = vec![f64::NAN; usize::try_from(seconds).unwrap_or(0)];
    for counts in call.events(&tags)? {
        for (count, at) in counts.values.iter().zip(counts.start..).filter(|(c, _)| !c.is_nan()) {
            let place = usize::try_from(at - grid.start).ok().and_then(|at| values.get_mut(at));
            place.into_iter().for_each(|value| *value = *count);
        }
    }
    let mut series = call.new_series(&name, grid, values);
    series.consolidation = Consolidation::Sum;
    Ok(vec![series])
}

/// The next number in [0, 1) (splitmix64).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// The parser turns every well-formed `seriesByTag` into a read of the tag index, so that only the
/// table needs this.
fn series_by_tag(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    Err(call.error("can only be used with tag expressions in quotes"))
}
