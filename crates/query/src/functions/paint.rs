//! Functions that change how a graph draws series.

use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::format_g;
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::series::{Grid, Series};

/// The name of the stack that series without one go to.
const DEFAULT_STACK: &str = "__DEFAULT__";

const PAINT: Function =
    Function { group: Group::Graph, params: &[SERIES_LIST], ..Function::DEFAULT };

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "alpha",
        params: &[SERIES_LIST, Param::required("alpha", ParamKind::Float)],
        summary: "Sets opacity, from 0 (unseen) to 1.",
        eval: Body::List(alpha),
        examples: &[Example { target: "alpha(a.b,0.5)", shows: "what lies below" }],
        ..PAINT
    },
    Function {
        name: "areaBetween",
        summary: "Fills the area between two series.",
        eval: Body::List(area_between),
        examples: &[Example { target: "areaBetween(group(a.low,a.high))", shows: "a band" }],
        ..PAINT
    },
    Function {
        name: "color",
        params: &[SERIES_LIST, Param::required("theColor", ParamKind::Colour)],
        summary: "Sets the colour.",
        eval: Body::List(color),
        examples: &[Example { target: r#"color(a.b,"red")"#, shows: "a red line" }],
        ..PAINT
    },
    Function {
        name: "dashed",
        params: &[
            SERIES_LIST,
            Param::optional("dashLength", ParamKind::Integer).default(Literal::Int(5)),
        ],
        summary: "Draws a dashed line.",
        eval: Body::List(dashed),
        examples: &[Example { target: "dashed(a.b,3)", shows: "dashes of 3 pixels" }],
        ..PAINT
    },
    Function {
        name: "drawAsInfinite",
        summary: "Draws a vertical line where a value is not 0.",
        eval: Body::List(draw_as_infinite),
        examples: &[Example { target: "drawAsInfinite(a.deploys)", shows: "when it happened" }],
        ..PAINT
    },
    Function {
        name: "lineWidth",
        params: &[SERIES_LIST, Param::required("width", ParamKind::Float)],
        summary: "Sets the width of lines.",
        eval: Body::List(line_width),
        examples: &[Example { target: "lineWidth(a.b,2)", shows: "a thicker line" }],
        ..PAINT
    },
    Function {
        name: "secondYAxis",
        summary: "Draws against the axis on the right.",
        eval: Body::List(second_y_axis),
        examples: &[Example { target: "secondYAxis(a.b)", shows: "another scale" }],
        ..PAINT
    },
    Function {
        name: "stacked",
        params: &[SERIES_LIST, Param::optional("stack", ParamKind::String)],
        summary: "Draws series on top of each other.",
        detail: "Also on top of those that earlier targets of the request put on the same stack.",
        eval: Body::List(stacked),
        examples: &[Example { target: "stacked(a.*)", shows: "all, and each one's share" }],
        ..PAINT
    },
    Function {
        name: "verticalLine",
        params: &[
            Param::required("ts", ParamKind::Date),
            Param::optional("label", ParamKind::String),
            Param::optional("color", ParamKind::Colour),
        ],
        summary: "Draws a vertical line at a time.",
        eval: Body::List(vertical_line),
        examples: &[Example { target: r#"verticalLine("-1min","deploy")"#, shows: "a mark" }],
        ..PAINT
    },
];

fn painted(mut list: Vec<Series>, paint: impl Fn(&mut Series)) -> Result<Vec<Series>, EvalError> {
    list.iter_mut().for_each(paint);
    Ok(list)
}

fn alpha(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let alpha = call.float("alpha");
    painted(call.series("seriesList"), |s| s.style.alpha = Some(alpha))
}

fn color(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let color = colour(call, "theColor");
    painted(call.series("seriesList"), |s| s.style.color.clone_from(&color))
}

fn colour(call: &Call<'_>, parameter: &str) -> Option<String> {
    call.string_opt(parameter).filter(|colour| !colour.is_empty())
}

fn line_width(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let width = call.float("width");
    painted(call.series("seriesList"), |s| s.style.line_width = Some(width))
}

fn dashed(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let length = call.int("dashLength");
    painted(call.series("seriesList"), |s| {
        s.style.dashed = Some(length as f64);
        s.tags.insert("dashed".to_owned(), length.to_string());
        s.name = format!("dashed({}, {})", s.name, format_g(length as f64));
    })
}

fn draw_as_infinite(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    painted(call.series("seriesList"), |s| {
        s.style.draw_as_infinite = true;
        s.tags.insert("drawAsInfinite".to_owned(), "1".to_owned());
        s.name = format!("drawAsInfinite({})", s.name);
    })
}

fn second_y_axis(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    painted(call.series("seriesList"), |s| {
        s.style.second_y_axis = true;
        s.tags.insert("secondYAxis".to_owned(), "1".to_owned());
        s.name = format!("secondYAxis({})", s.name);
    })
}

fn area_between(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mut list = call.series("seriesList");
    let [lower, upper] = &mut list[..] else {
        return Err(call.error(format!("takes exactly 2 series, not {}", list.len())));
    };
    lower.style.stacked = true;
    lower.style.invisible = true;
    upper.style.stacked = true;
    upper.tags.insert("areaBetween".to_owned(), "1".to_owned());
    lower.tags.clone_from(&upper.tags);
    upper.name = format!("areaBetween({})", upper.path_expression);
    lower.name.clone_from(&upper.name);
    Ok(list)
}

fn stacked(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let stack = call.string_opt("stack").unwrap_or_else(|| DEFAULT_STACK.to_owned());
    let by_default = stack == DEFAULT_STACK;
    let mut total = call.stacked_so_far(&stack);
    let list = call.series("seriesList").into_iter();
    let list = list.map(|series| {
        let mut values = series.values.to_vec();
        pile(&mut total, &mut values);
        if !by_default {
            return stacked_series(series.derived(series.name.clone(), values));
        }
        let series = series.tagged("stacked", &stack);
        stacked_series(series.derived(format!("stacked({})", series.name), values))
    });
    let list = list.collect();
    call.set_stacked(&stack, total);
    Ok(list)
}

fn stacked_series(mut series: Series) -> Series {
    series.style.stacked = true;
    series
}

/// Adds values onto the total, which grows with the longest series, and shows them on top of it.
fn pile(total: &mut Vec<f64>, values: &mut [f64]) {
    if total.len() < values.len() {
        total.resize(values.len(), 0.0);
    }
    for (value, total) in values.iter_mut().zip(total) {
        if !value.is_nan() {
            *total += *value;
            *value = *total;
        }
    }
}

fn vertical_line(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let at = call.date("ts")?;
    if !(call.from()..=call.until()).contains(&at) {
        return Err(call.error("the time lies outside what is shown"));
    }
    let label = call.string_opt("label").unwrap_or_default();
    let grid = Grid { start: at, end: at, step: 1 };
    let mut series = call.new_series(&label, grid, vec![1.0, 1.0]);
    if label.is_empty() {
        // The tag is what graphite-web's clients see of a missing name.
        series.tags.insert("name".to_owned(), "None".to_owned());
    }
    series.style.draw_as_infinite = true;
    series.style.color = colour(call, "color");
    Ok(vec![series])
}
