//! One recorded request and the answers that are right.

use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use serde_json::Value;

/// What one program answered, and the series it read.
pub(crate) struct Recorded {
    pub(crate) cases: &'static [u8],
    pub(crate) corpora: &'static [&'static [u8]],
}

const CORPUS: &[u8] = include_bytes!("../../testdata/corpus.json.gz");

pub(crate) const GRAPHITE_WEB: Recorded =
    Recorded { cases: include_bytes!("../../testdata/render.jsonl.gz"), corpora: &[CORPUS] };
pub(crate) const CARBONAPI: Recorded = Recorded {
    cases: include_bytes!("../../testdata/carbonapi.jsonl.gz"),
    corpora: &[CORPUS, include_bytes!("../../testdata/carbonapi-corpus.json.gz")],
};

/// A recorded request.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) area: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) quirks: Vec<String>,
    /// The recorded answer, then others that are as good.
    pub(crate) accepted: Vec<Accepted>,
}

/// An answer that is right.
pub(crate) enum Accepted {
    /// graphite-web crashes: anything but a crash will do.
    Any,
    /// An error of the client's.
    Refused,
    /// These series.
    Series(Vec<Value>),
}

impl Case {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        let named = |name| self.params.iter().filter(move |(key, _)| key == name);
        let mut targets: Vec<_> = named("target").map(|(_, value)| value.clone()).collect();
        if targets.is_empty() {
            targets = named("target[]").map(|(_, value)| value.clone()).collect();
        }
        targets
    }

    pub(crate) fn has_quirk(&self, quirk: &str) -> bool {
        self.quirks.iter().any(|q| q == quirk)
    }

    pub(crate) fn request_line(&self) -> String {
        let shown = self.params.iter().filter(|(key, _)| key != "format");
        shown.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
    }
}

pub(crate) fn load(cases: &[u8]) -> Vec<Case> {
    let lines = BufReader::new(GzDecoder::new(cases)).lines();
    lines.map(|line| read(&serde_json::from_str(&line.unwrap()).unwrap())).collect()
}

fn read(case: &Value) -> Case {
    let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| case[key].as_array().cloned().unwrap_or_default();
    let pair = |p: &Value| (p[0].as_str().unwrap().to_owned(), p[1].as_str().unwrap().to_owned());
    let others = list("also");
    Case {
        id: text("id"),
        area: text("area"),
        params: list("params").iter().map(pair).collect(),
        quirks: list("quirk").iter().map(|q| q.as_str().unwrap().to_owned()).collect(),
        accepted: std::iter::once(case).chain(&others).map(accepted).collect(),
    }
}

fn accepted(answer: &Value) -> Accepted {
    match (&answer["status"], answer["series"].as_array()) {
        (Value::String(any), _) if any == "any" => Accepted::Any,
        (_, Some(series)) => Accepted::Series(series.clone()),
        (status, None) if status == 200 => Accepted::Any,
        _ => Accepted::Refused,
    }
}
