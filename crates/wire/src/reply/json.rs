//! The JSON shapes, each declared once and used both ways.
//!
//! Keys that a peer may leave out have defaults: JSON made from protobuf omits false and zero.

use super::content::{FindReply, InfoReply, Retention, consolidation, found, series};
use super::error::ReplyError;
use super::v2::{blank, fetch_response};
use metric::SeriesData;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct Metrics<T> {
    #[serde(default = "Vec::new")]
    metrics: Vec<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct RenderEntry {
    name: String,
    start_time: i64,
    stop_time: i64,
    step_time: i64,
    values: Vec<Option<f64>>,
    is_absent: Vec<bool>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct FindEntry {
    name: String,
    matches: Vec<MatchEntry>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct MatchEntry {
    path: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_leaf: bool,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct InfoEntry {
    name: String,
    consolidation_func: String,
    max_retention: Wide,
    x_files_factor: f32,
    retentions: Vec<RetentionEntry>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RetentionEntry {
    seconds_per_point: Wide,
    number_of_points: Wide,
}

/// A 64-bit integer, written as text because that is what JSON made from protobuf does, and read
/// as text or number.
#[derive(Clone, Copy, Default)]
struct Wide(i64);

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

fn push(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("plain structs with text keys always serialise");
}

/// One entry of `metrics`. JSON has no infinities; they become null, which reads as a gap.
pub(super) fn push_series(out: &mut Vec<u8>, series: &SeriesData) {
    let v2 = fetch_response(series);
    push(
        out,
        &RenderEntry {
            name: v2.name,
            start_time: series.start,
            stop_time: series.stop,
            step_time: series.step,
            values: v2.values.into_iter().map(Some).collect(),
            is_absent: v2.is_absent,
        },
    );
}

pub(super) fn parse_render(body: &[u8]) -> Result<Vec<SeriesData>, ReplyError> {
    let reply: Metrics<RenderEntry> = serde_json::from_slice(body)?;
    let one = |entry: RenderEntry| {
        let mut values: Vec<f64> =
            entry.values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        blank(&mut values, &entry.is_absent);
        series(entry.name, String::new(), (entry.start_time, entry.step_time), values)
    };
    reply.metrics.into_iter().map(one).collect()
}

pub(super) fn push_find(out: &mut Vec<u8>, replies: &[FindReply]) {
    let entry = |reply: &FindReply| FindEntry {
        name: reply.query.clone(),
        matches: (reply.matches.iter())
            .map(|found| MatchEntry { path: found.path.clone(), is_leaf: found.is_leaf })
            .collect(),
    };
    push(out, &Metrics { metrics: replies.iter().map(entry).collect() });
}

pub(super) fn parse_find(body: &[u8]) -> Result<Vec<FindReply>, ReplyError> {
    let reply: Metrics<FindEntry> = serde_json::from_slice(body)?;
    let one = |entry: FindEntry| FindReply {
        query: entry.name,
        matches: entry.matches.into_iter().map(|m| found(m.path, m.is_leaf)).collect(),
    };
    Ok(reply.metrics.into_iter().map(one).collect())
}

pub(super) fn info(infos: &[InfoReply]) -> Vec<u8> {
    let retention = |r: &Retention| RetentionEntry {
        seconds_per_point: Wide(r.seconds_per_point),
        number_of_points: Wide(r.points),
    };
    let entry = |info: &InfoReply| InfoEntry {
        name: info.name.clone(),
        consolidation_func: info.consolidation.as_str().to_owned(),
        max_retention: Wide(info.max_retention_s),
        x_files_factor: info.x_files_factor,
        retentions: info.retentions.iter().map(retention).collect(),
    };
    let mut out = Vec::new();
    push(&mut out, &Metrics { metrics: infos.iter().map(entry).collect() });
    out
}

pub(super) fn parse_info(body: &[u8]) -> Result<Vec<InfoReply>, ReplyError> {
    let reply: Metrics<InfoEntry> = serde_json::from_slice(body)?;
    let retention = |r: &RetentionEntry| Retention {
        seconds_per_point: r.seconds_per_point.0,
        points: r.number_of_points.0,
    };
    let one = |entry: InfoEntry| InfoReply {
        consolidation: consolidation(&entry.consolidation_func),
        max_retention_s: entry.max_retention.0,
        x_files_factor: entry.x_files_factor,
        retentions: entry.retentions.iter().map(retention).collect(),
        name: entry.name,
    };
    Ok(reply.metrics.into_iter().map(one).collect())
}
