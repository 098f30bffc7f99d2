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

/// What only carbonapi and Metrictank have besides.
const EXTRAS: &str = "aggregateSeriesWithWildcards aliasByBase64 baseline baselineAberration count \
    countValues diff ewma exponentialWeightedMovingAverage fft heatMap highestMin ifft \
    integralWithReset isNotNull join kolmogorovSmirnovTest2 ksTest2 logarithm logarithmic lowPass \
    lowestMax lowestMin lpf max min multiply pearson pearsonClosest polyfit powSeriesLists \
    removeZeroSeries scaleAfterTimestamp slo sloErrorBudget stddev timeShiftByMetric toLowerCase \
    toUpperCase tukeyAbove tukeyBelow";

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

#[test]
fn functions_that_graphite_web_lacks_are_known_extras() {
    let (recorded, ours) = (recorded(), ours());
    let names = ours.keys().map(String::as_str);
    let extras: Vec<&str> = names.filter(|name| !recorded.contains_key(*name)).collect();
    let mut known: Vec<&str> = EXTRAS.split_whitespace().collect();
    known.sort_unstable();
    assert_eq!(extras, known);
}
