//! The table of functions against the parameters that graphite-web publishes.
#![expect(clippy::unwrap_used, reason = "recorded files that do not read are a broken test")]

use std::io::Read;

use flate2::read::GzDecoder;
use plumbago_query::describe::functions_json;
use serde_json::{Map, Value};

const RECORDED: &[u8] = include_bytes!("../testdata/functions.json.gz");

fn recorded() -> Map<String, Value> {
    let mut text = String::new();
    GzDecoder::new(RECORDED).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn ours() -> Map<String, Value> {
    let text = functions_json(None, false).replace("1e9999", "\"inf\"");
    serde_json::from_str(&text).unwrap()
}

/// The fields that calls depend on; an editor's suggestions are free.
fn difference(recorded: &Value, ours: &Value) -> Option<String> {
    let field = |param: &Value, key: &str| match &param[key] {
        Value::Null => Value::Bool(false),
        other => other.clone(),
    };
    let list = |entry: &Value| entry["params"].as_array().cloned().unwrap_or_default();
    let (recorded_params, our_params) = (list(recorded), list(ours));
    if recorded_params.len() != our_params.len() {
        return Some(format!("{} parameters, not {}", our_params.len(), recorded_params.len()));
    }
    for (want, got) in recorded_params.iter().zip(&our_params) {
        for key in ["name", "type", "required", "multiple", "default"] {
            if field(want, key) != field(got, key) {
                return Some(format!(
                    "{} {key}: want {} got {}",
                    want["name"], want[key], got[key]
                ));
            }
        }
    }
    (recorded["group"] != ours["group"]).then(|| format!("group {}", ours["group"]))
}

#[test]
fn functions_take_what_they_take_in_graphite_web() {
    let (recorded, ours) = (recorded(), ours());
    let wrong: Vec<String> = recorded
        .iter()
        .filter_map(|(name, want)| {
            let why = difference(want, ours.get(name)?)?;
            Some(format!("{name}: {why}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
