//! Functions that rename series.

use regex::Regex;

use crate::aggregate::Aggregate;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::names::{node_key, python_index, python_slice};
use crate::param::{Literal, Param, ParamKind, SERIES_LIST};
use crate::pattern::{Replacement, printf, regex};
use crate::series::Series;

const NODES: Param = Param::required("nodes", ParamKind::NodeOrTag).multiple();
const TAGS: Param = Param::required("tags", ParamKind::NodeOrTag).multiple();
const POSITIONS: Param = Param::optional("pos", ParamKind::Integer).multiple();

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "alias",
        group: Group::Alias,
        params: &[SERIES_LIST, Param::required("newName", ParamKind::String)],
        summary: "Shows another name.",
        eval: Body::List(alias),
        examples: &[Example { target: r#"alias(a.b,"requests")"#, shows: "a name for people" }],
        ..Function::DEFAULT
    },
    Function {
        name: "aliasByNode",
        group: Group::Alias,
        params: &[SERIES_LIST, NODES],
        summary: "Shows parts of the name, or tags, joined by dots.",
        detail: "Parts are counted from 0, or from -1 at the end. In a name that is a call, the parts \
                 are those of the first path in it.",
        eval: Body::List(alias_by_node),
        examples: &[Example { target: "aliasByNode(a.b.c,1,-1)", shows: "`b.c`" }],
        ..Function::DEFAULT
    },
    Function {
        name: "aliasByTags",
        group: Group::Alias,
        params: &[SERIES_LIST, TAGS],
        summary: "Shows tags, or parts of the name, joined by dots.",
        eval: Body::List(alias_by_tags),
        examples: &[Example {
            target: r#"seriesByTag("name=cpu")|aliasByTags("host","name")"#,
            shows: "which host, which series",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "aliasByMetric",
        group: Group::Alias,
        params: &[SERIES_LIST],
        summary: "Shows the last part of the name.",
        eval: Body::List(alias_by_metric),
        examples: &[Example { target: "aliasByMetric(a.b.c)", shows: "`c`" }],
        ..Function::DEFAULT
    },
    Function {
        name: "aliasSub",
        group: Group::Alias,
        params: &[
            SERIES_LIST,
            Param::required("search", ParamKind::String),
            Param::required("replace", ParamKind::String),
        ],
        summary: "Replaces in the name what a regular expression finds.",
        detail: r"The replacement may use `\1` for the first group, and so on.",
        eval: Body::List(alias_sub),
        examples: &[Example { target: r#"aliasSub(a.b,"^a\.(.*)","\1")"#, shows: "`b`" }],
        ..Function::DEFAULT
    },
    Function {
        name: "aliasQuery",
        group: Group::Alias,
        params: &[
            SERIES_LIST,
            Param::required("search", ParamKind::String),
            Param::required("replace", ParamKind::String),
            Param::required("newName", ParamKind::String),
        ],
        summary: "Shows the last value of another series.",
        detail: "The other series is found by replacing in the name; its last value goes into \
                 `newName` at `%d`, `%s`, `%g` and the like.",
        eval: Body::List(alias_query),
        examples: &[Example {
            target: r#"aliasQuery(power.1,"power","frequency","Channel %d MHz")"#,
            shows: "a label that is itself measured",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "aliasByBase64",
        group: Group::Alias,
        params: &[SERIES_LIST, Param::optional("nodeNum", ParamKind::Integer)],
        summary: "Decodes the name, or one part of it, from Base64.",
        detail: "carbonapi's. Parts are counted from 1, unlike in all other functions. What is no Base64 \
                 of a text stays as it is.",
        eval: Body::List(alias_by_base64),
        examples: &[Example {
            target: "aliasByBase64(a.d2ViMDE=.load,2)",
            shows: "`a.web01.load`",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "substr",
        group: Group::Special,
        params: &[
            SERIES_LIST,
            Param::optional("start", ParamKind::Node).default(Literal::Int(0)),
            Param::optional("stop", ParamKind::Node).default(Literal::Int(0)),
        ],
        summary: "Shows some parts of the name.",
        detail: "From `start` to before `stop`; a `stop` of 0 is the end.",
        eval: Body::List(substr),
        examples: &[Example { target: "substr(a.b.c.d,1,3)", shows: "`b.c`" }],
        ..Function::DEFAULT
    },
    Function {
        name: "upper",
        aliases: &["toUpperCase"],
        group: Group::Alias,
        params: &[SERIES_LIST, POSITIONS],
        summary: "Shows the name, or the letters at some places, in upper case.",
        eval: Body::List(upper),
        examples: &[Example { target: "upper(a.b)", shows: "`A.B`" }],
        ..Function::DEFAULT
    },
    Function {
        name: "lower",
        aliases: &["toLowerCase"],
        group: Group::Alias,
        params: &[SERIES_LIST, POSITIONS],
        summary: "Shows the name, or the letters at some places, in lower case.",
        eval: Body::List(lower),
        examples: &[Example { target: "lower(A.B,0)", shows: "`a.B`" }],
        ..Function::DEFAULT
    },
];

/// Gives every series the name that `rename` makes of it.
fn renamed(
    mut list: Vec<Series>,
    mut rename: impl FnMut(&Series) -> Result<String, EvalError>,
) -> Result<Vec<Series>, EvalError> {
    for series in &mut list {
        series.name = rename(series)?;
    }
    Ok(list)
}

fn alias(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let name = call.string("newName");
    renamed(call.series("seriesList"), |_| Ok(name.clone()))
}

fn alias_by_node(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let nodes = call.nodes("nodes");
    renamed(call.series("seriesList"), |series| Ok(node_key(series, &nodes)))
}

fn alias_by_base64(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let node = call.int_opt("nodeNum");
    renamed(call.series("seriesList"), |series| {
        let Some(node) = node else {
            return Ok(base64_text(&series.name).unwrap_or_else(|| series.name.clone()));
        };
        let name = series.tags.get("name").unwrap_or(&series.name);
        let mut parts: Vec<String> = name.split('.').map(str::to_owned).collect();
        let place = usize::try_from(node).ok().and_then(|node| node.checked_sub(1));
        let part = place.and_then(|place| parts.get_mut(place));
        let decoded = part.and_then(|part| Some((base64_text(part)?, part)));
        let Some((text, part)) = decoded else { return Ok(series.name.clone()) };
        *part = text;
        Ok(parts.join("."))
    })
}

/// The text that a padded Base64 stands for; `None` if it is none.
fn base64_text(encoded: &str) -> Option<String> {
    let digits = encoded.trim_end_matches('=');
    let padding = encoded.len() - digits.len();
    if !encoded.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}

fn alias_by_tags(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let nodes = call.nodes("tags");
    renamed(call.series("seriesList"), |series| Ok(node_key(series, &nodes)))
}

fn alias_by_metric(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    renamed(call.series("seriesList"), |series| Ok(part_of_name(&series.name, -1, None)))
}

fn substr(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (start, stop) = (call.int("start"), call.int("stop"));
    let stop = (stop != 0).then_some(stop);
    renamed(call.series("seriesList"), |series| Ok(part_of_name(&series.name, start, stop)))
}

/// Parts of what stands in the innermost parentheses (or of the whole name), up to its first comma.
fn part_of_name(name: &str, start: i64, stop: Option<i64>) -> String {
    let left = name.rfind('(').map_or(0, |at| at + 1);
    let right = name.find(')').unwrap_or(name.len());
    let inner = name.get(left..right).unwrap_or_default();
    let parts: Vec<&str> = inner.split('.').collect();
    let joined = python_slice(&parts, start, stop).join(".");
    joined.split(',').next().unwrap_or_default().to_owned()
}

fn alias_sub(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (search, replace) = search_and_replace(call)?;
    renamed(call.series("seriesList"), |series| {
        Ok(replace.replace_all(&search, &series.name).into_owned())
    })
}

fn alias_query(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let (search, replace) = search_and_replace(call)?;
    let format = call.string("newName");
    let list = call.series("seriesList");
    renamed(list, |series| {
        let query = replace.replace_all(&search, &series.name).into_owned();
        let found = call.evaluate_text(&query)?;
        let Some(first) = found.first() else {
            return Err(call.error(format!("no series found with query {query:?}")));
        };
        let last = Aggregate::Last.of(&first.points());
        if last.is_nan() {
            return Err(call.error(format!("{query:?} has no value")));
        }
        printf(&format, last).ok_or_else(|| call.argument_error("newName", "takes one number"))
    })
}

fn upper(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    recased(call, |text| text.to_uppercase())
}

fn lower(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    recased(call, |text| text.to_lowercase())
}

fn recased(call: &mut Call<'_>, case: fn(&str) -> String) -> Result<Vec<Series>, EvalError> {
    let positions = call.ints("pos");
    renamed(call.series("seriesList"), |series| {
        if positions.is_empty() {
            return Ok(case(&series.name));
        }
        let mut letters: Vec<String> = series.name.chars().map(String::from).collect();
        for position in &positions {
            if let Some(at) = python_index(*position, letters.len()) {
                letters[at] = case(&letters[at]);
            }
        }
        Ok(letters.concat())
    })
}

/// The regular expression and the replacement that a call gives.
pub(super) fn search_and_replace(call: &Call<'_>) -> Result<(Regex, Replacement), EvalError> {
    let search = regex(&call.string("search")).map_err(|e| call.argument_error("search", e))?;
    let replace = Replacement::new(&call.string("replace"), &search);
    Ok((search, replace.map_err(|e| call.argument_error("replace", e))?))
}
