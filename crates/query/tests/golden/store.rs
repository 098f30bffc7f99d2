//! The corpus in memory, read as Whisper files with one archive would be.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use jiff::tz::TimeZone;
use metric::{Glob, SeriesData, TagQuery, TaggedName};
use plumbago_query::time_expr::parse_time;
use plumbago_query::{
    Data, EvalError, Fetch, Outcome, ROUNDS_MAX, Request, Series, Window, consolidate, prepare,
};
use serde_json::Value;

use crate::case::Case;

/// What `now` is where a case does not say: after the end of the corpus, as in the recordings.
const NOW: i64 = 1_793_059_200;

struct Archive {
    name: String,
    step: i64,
    points: BTreeMap<i64, f64>,
}

pub(crate) struct Store {
    archives: Vec<Archive>,
}

impl Store {
    pub(crate) fn load(corpora: &[&[u8]]) -> Self {
        let mut archives = Vec::new();
        for packed in corpora {
            let mut text = String::new();
            GzDecoder::new(*packed).read_to_string(&mut text).unwrap();
            let corpus: Value = serde_json::from_str(&text).unwrap();
            archives.extend(corpus.as_array().unwrap().iter().map(archive));
        }
        Self { archives }
    }

    /// What a server would answer.
    pub(crate) fn answer(&self, case: &Case) -> Result<Vec<Series>, EvalError> {
        let request = request(case)?;
        let mut series = self.evaluate(&request)?;
        if series.iter().all(|s| s.values.is_empty()) {
            return Ok(Vec::new());
        }
        if let Some(points_max) = request.max_data_points {
            consolidate::limit_points(&mut series, points_max);
        }
        Ok(series)
    }

    fn evaluate(&self, request: &Request) -> Result<Vec<Series>, EvalError> {
        let prepared = prepare(request)?;
        let mut data = Data::default();
        self.fetch(prepared.fetches(), request.now, &mut data);
        for _ in 0..ROUNDS_MAX {
            match prepared.evaluate(&data)? {
                Outcome::Done(series) => return Ok(series),
                Outcome::Need(fetches) => self.fetch(&fetches, request.now, &mut data),
            }
        }
        panic!("evaluation still lacks data after {ROUNDS_MAX} rounds");
    }

    fn fetch(&self, fetches: &[Fetch], now: i64, data: &mut Data) {
        for fetch in fetches {
            let found = self.find(fetch).iter().map(|a| a.read(fetch.window, now)).collect();
            data.insert(fetch.clone(), found);
        }
    }

    fn find(&self, fetch: &Fetch) -> Vec<&Archive> {
        let matches: Box<dyn Fn(&str) -> bool> = if fetch.is_tag_query() {
            let query = TagQuery::parse_call(&fetch.pattern).unwrap();
            // Only tagged series are in the tag index of the recordings.
            Box::new(move |n| n.contains(';') && query.matches(&TaggedName::parse(n).unwrap()))
        } else {
            let glob = Glob::compile(&fetch.pattern).unwrap();
            Box::new(move |name| glob.matches(name))
        };
        self.archives.iter().filter(|a| matches(&a.name)).collect()
    }
}

impl Archive {
    /// Whisper reads nothing from the future.
    fn read(&self, window: Window, now: i64) -> SeriesData {
        let window = Window::new(window.from, window.until.min(now));
        let slots = window.whisper_slots(self.step);
        let times = (slots.from..slots.until).step_by(usize::try_from(self.step).unwrap());
        let values = times.map(|t| self.points.get(&t).copied().unwrap_or(f64::NAN)).collect();
        SeriesData::new(&self.name, slots.from, self.step, values)
    }
}

fn archive(series: &Value) -> Archive {
    let step = series["step"].as_i64().unwrap();
    let start = series["start"].as_i64().unwrap();
    let values = series["values"].as_array().unwrap().iter();
    let times = (start..).step_by(usize::try_from(step).unwrap());
    let points = times.zip(values).filter_map(|(t, v)| Some((t, v.as_f64()?))).collect();
    Archive { name: series["name"].as_str().unwrap().to_owned(), step, points }
}

fn request(case: &Case) -> Result<Request, EvalError> {
    let tz = case.param("tz").and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let now = case.param("now").map_or(Ok(NOW), |text| parse_time(text, NOW, &tz))?;
    let from = parse_time(case.param("from").unwrap_or("-1d"), now, &tz)?;
    let until = parse_time(case.param("until").unwrap_or("now"), now, &tz)?;
    let mut request = Request::new(case.targets(), from, until, now);
    request.tz = tz;
    request.max_data_points = case.param("maxDataPoints").and_then(|n| n.parse().ok());
    request.no_null_points = case.param("noNullPoints").is_some();
    request.max_step = case.param("maxStep").and_then(|n| n.parse().ok());
    if case.param("cacheTimeout").is_some_and(|n| n.parse::<u64>().is_err()) {
        return Err(EvalError::Request("cacheTimeout is no number of seconds".to_owned()));
    }
    if let Some(text) = case.param("xFilesFactor") {
        let parsed = text.parse();
        let refused = |e| EvalError::Request(format!("xFilesFactor {text:?}: {e}"));
        request.x_files_factor = parsed.map_err(refused)?;
    }
    for (key, value) in &case.params {
        if let Some(name) = key.strip_prefix("template[").and_then(|k| k.strip_suffix(']')) {
            request.template.push((name.to_owned(), value.clone()));
        }
    }
    Ok(request)
}
