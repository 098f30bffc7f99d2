//! `/functions`: the table that Grafana's editor is made from.

use axum::response::Response;
use query::describe;
use serde_json::{Map, Value, json};

use super::Call;
use crate::errors::Refusal;

/// The functions that pick one number of a series for a slice of a pie.
const PIE: [(&str, &str); 3] = [
    ("average", "The mean of a series."),
    ("maximum", "The largest value of a series."),
    ("minimum", "The smallest value of a series."),
];

pub(super) fn all(call: &Call) -> Result<Response, Refusal> {
    let params = &call.params;
    let grouped = params.is_on("grouped");
    if params.get("type") == Some("pie") {
        let pie: Map<_, _> = PIE.iter().map(|(name, text)| pie(name, text)).collect();
        return call.json(&if grouped { json!({ "Pie": pie }) } else { Value::Object(pie) });
    }
    call.json_text(describe::functions_json(params.given("group"), grouped).into_bytes())
}

pub(super) fn one(call: &Call) -> Result<Response, Refusal> {
    let missing = || Refusal::NotFound(format!("Function not found: {}", call.rest));
    call.json_text(describe::function_json(&call.rest).ok_or_else(missing)?.into_bytes())
}

fn pie(name: &str, text: &str) -> (String, Value) {
    let description = json!({
        "name": name,
        "function": format!("{name}(series)"),
        "description": text,
        "module": "graphite.render.functions",
        "group": "Pie",
        "params": [{ "name": "series", "type": "series", "required": true }],
    });
    (name.to_owned(), description)
}
