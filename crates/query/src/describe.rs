//! The table of functions as Grafana reads it (`/functions`), and as people do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::aggregate::OPTIONS;
use crate::function::{Function, Group};
use crate::functions::{all, find};
use crate::param::{Literal, Param, ParamKind};

/// The `/functions` answer: every function, or those of one group; `grouped` nests them by group.
pub fn functions_json(group: Option<&str>, grouped: bool) -> String {
    let wanted = all().iter().filter(|(_, f)| group.is_none_or(|g| f.group.name() == g));
    if !grouped {
        return object(wanted.map(|(name, f)| (*name, entry(name, f))));
    }
    let mut groups: BTreeMap<Group, Vec<(&str, String)>> = BTreeMap::new();
    for (name, f) in wanted {
        groups.entry(f.group).or_default().push((name, entry(name, f)));
    }
    object(groups.into_iter().map(|(group, entries)| (group.name(), object(entries))))
}

/// The `/functions/NAME` answer.
pub fn function_json(name: &str) -> Option<String> {
    find(name).map(|f| entry(name, f))
}

fn object<'n>(members: impl IntoIterator<Item = (&'n str, String)>) -> String {
    let members = members.into_iter().map(|(name, value)| format!("{}:{value}", text(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn array(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(","))
}

fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn entry(name: &str, function: &Function) -> String {
    object([
        ("name", text(name)),
        ("function", text(&signature(name, function))),
        ("description", text(&description(function))),
        ("module", text("graphite.render.functions")),
        ("group", text(function.group.name())),
        ("params", array(function.params.iter().map(param))),
    ])
}

/// Keys in Graphite's order; those that say nothing are left out.
fn param(param: &Param) -> String {
    let mut members = vec![("name", text(param.name)), ("type", text(param.kind.name()))];
    if param.required {
        members.push(("required", "true".to_owned()));
    }
    if param.default != Literal::None {
        members.push(("default", literal(param.default)));
    }
    if param.multiple {
        members.push(("multiple", "true".to_owned()));
    }
    let options = options(param);
    if !options.is_empty() {
        members.push(("options", array(options.iter().map(|o| text(o)))));
    }
    if !param.suggestions.is_empty() {
        members.push(("suggestions", array(param.suggestions.iter().map(|s| literal(*s)))));
    }
    object(members)
}

/// The values that an editor offers for a parameter that takes no others.
pub fn options(param: &Param) -> Vec<&'static str> {
    let mut options = match param.kind {
        _ if !param.options.is_empty() => param.options.to_vec(),
        ParamKind::AggFunc | ParamKind::AggFuncOfRows => OPTIONS.to_vec(),
        ParamKind::AggOrSeriesFunc => {
            let callbacks = all().iter().filter(|(_, f)| f.aggregates).map(|(name, _)| *name);
            OPTIONS.into_iter().chain(callbacks).collect()
        }
        _ => return Vec::new(),
    };
    if param.options.is_empty() {
        options.sort_unstable();
        options.dedup();
    }
    options
}

fn literal(value: Literal) -> String {
    match value {
        Literal::None => "null".to_owned(),
        Literal::Bool(b) => b.to_string(),
        Literal::Int(i) => i.to_string(),
        // Too large for a double: what readers of JSON take for infinity.
        Literal::Float(f) if f.is_infinite() => "1e9999".to_owned(),
        Literal::Float(f) => crate::number::python_repr(f),
        Literal::Text(t) => text(t),
    }
}

/// As Python would declare it.
fn signature(name: &str, function: &Function) -> String {
    let declared = |p: &Param| match (p.multiple, p.required, p.default) {
        (true, ..) => format!("*{}", p.name),
        (_, true, _) => p.name.to_owned(),
        (_, _, Literal::None) => format!("{}=None", p.name),
        (_, _, Literal::Bool(true)) => format!("{}=True", p.name),
        (_, _, Literal::Bool(false)) => format!("{}=False", p.name),
        (_, _, Literal::Text(t)) => format!("{}='{t}'", p.name),
        (_, _, Literal::Float(f)) => format!("{}={}", p.name, crate::number::python_repr(f)),
        (_, _, Literal::Int(i)) => format!("{}={i}", p.name),
    };
    let params: Vec<_> = function.params.iter().map(declared).collect();
    format!("{name}({})", params.join(", "))
}

fn description(function: &Function) -> String {
    let mut text = function.summary.to_owned();
    if !function.detail.is_empty() {
        let _infallible = write!(text, "\n\n{}", function.detail);
    }
    for example in function.examples {
        let _infallible = write!(
            text,
            "\n\nExample ({}):\n\n.. code-block:: none\n\n  &target={}",
            example.shows, example.target
        );
    }
    text
}

/// The table as a page of Markdown.
pub fn markdown() -> String {
    let mut page =
        "# Functions\n\nGenerated from the table of functions; do not edit.\n".to_owned();
    let mut groups: BTreeMap<Group, Vec<&Function>> = BTreeMap::new();
    for (name, f) in all().iter().filter(|(name, f)| *name == f.name) {
        debug_assert_eq!(*name, f.name);
        groups.entry(f.group).or_default().push(f);
    }
    for (group, functions) in groups {
        let _infallible = write!(page, "\n## {}\n", group.name());
        for f in functions {
            page.push_str(&section(f));
        }
    }
    page
}

fn section(function: &Function) -> String {
    let mut text = format!("\n### {}\n\n", function.name);
    let _infallible = writeln!(text, "`{}`", signature(function.name, function));
    if !function.aliases.is_empty() {
        let _infallible = writeln!(text, "\nAlso called `{}`.", function.aliases.join("`, `"));
    }
    let _infallible = writeln!(text, "\n{} {}", function.summary, function.detail);
    for example in function.examples {
        let _infallible = writeln!(text, "\n- `{}`: {}", example.target, example.shows);
    }
    text.replace(" \n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::EvalError;
    use crate::prepare::prepare;
    use crate::request::Request;

    #[test]
    fn the_answer_is_json_with_the_keys_in_graphite_s_order() {
        let json = function_json("timeFunction").unwrap();
        assert!(json.starts_with(
            r#"{"name":"timeFunction","function":"timeFunction(name, step=60)","description":""#
        ));
        assert!(json.ends_with(
            r#""group":"Transform","params":[{"name":"name","type":"string","required":true},{"name":"step","type":"integer","default":60}]}"#
        ));
        let all: serde_json::Value =
            serde_json::from_str(&functions_json(None, false).replace("1e9999", "0")).unwrap();
        assert_eq!(all["alias"]["group"], "Alias");
        let grouped: serde_json::Value =
            serde_json::from_str(&functions_json(Some("Alias"), true)).unwrap();
        assert_eq!(grouped["Alias"]["alias"]["name"], "alias");
        assert_eq!(function_json("x"), None);
    }

    #[test]
    fn every_row_is_complete() {
        for (_, f) in all() {
            assert!(!f.summary.is_empty() && !f.examples.is_empty(), "{}", f.name);
            let multiple = f.params.iter().rposition(|p| p.multiple);
            assert!(multiple.is_none_or(|at| at + 1 == f.params.len()), "{}", f.name);
        }
        let names: Vec<_> = all().iter().map(|(name, _)| name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "a name stands twice");
    }

    /// Binds and evaluates over no data, which a function may refuse; an argument must not be wrong.
    #[test]
    fn every_example_parses_and_binds() {
        for (_, f) in all() {
            for example in f.examples {
                let request = Request::new(vec![example.target.to_owned()], 0, 3600, 3600);
                let prepared = prepare(&request).unwrap_or_else(|e| panic!("{}: {e}", f.name));
                let mut data = crate::Data::default();
                let mut fetches = prepared.fetches().to_vec();
                loop {
                    fetches.drain(..).for_each(|fetch| data.insert(fetch, Vec::new()));
                    match prepared.evaluate(&data) {
                        Ok(crate::Outcome::Need(more)) => fetches = more,
                        Ok(crate::Outcome::Done(_)) | Err(EvalError::Function { .. }) => break,
                        Err(e) => panic!("{}: {e}", f.name),
                    }
                }
            }
        }
    }

    #[test]
    fn the_page_names_every_function() {
        let page = markdown();
        for (_, f) in all() {
            assert!(page.contains(&format!("\n### {}\n", f.name)), "{}", f.name);
        }
        assert!(find("sum(").is_none());
    }
}
