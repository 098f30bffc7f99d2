//! Replies as carbonapi_v2_pb has them.

use super::content::{FindMatch, FindReply, InfoReply, Retention, consolidation, found, series};
use super::error::ReplyError;
use crate::pb::{self, Caps};
use crate::pb_v2;
use metric::SeriesData;
use prost::Message as _;

/// Field number of the series in a reply to a render.
const SERIES_TAG: u32 = 1;

/// Appends one series.
pub(super) fn push_series(out: &mut Vec<u8>, series: &SeriesData) {
    prost::encoding::message::encode(SERIES_TAG, &fetch_response(series), out);
}

pub(super) fn parse_render(body: &[u8], caps: Caps) -> Result<Vec<SeriesData>, ReplyError> {
    let reply: pb_v2::MultiFetchResponse = pb::decode(body, caps)?;
    reply.metrics.into_iter().map(from_fetch_response).collect()
}

/// The matches of all patterns, under the first one.
pub(super) fn find(replies: &[FindReply]) -> Vec<u8> {
    let name = replies.first().map(|reply| reply.query.clone()).unwrap_or_default();
    let matches = replies.iter().flat_map(|reply| &reply.matches);
    let pb_match = |m: &FindMatch| pb_v2::GlobMatch { path: m.path.clone(), is_leaf: m.is_leaf };
    pb_v2::GlobResponse { name, matches: matches.map(pb_match).collect() }.encode_to_vec()
}

pub(super) fn parse_find(body: &[u8], caps: Caps) -> Result<FindReply, ReplyError> {
    let reply: pb_v2::GlobResponse = pb::decode(body, caps)?;
    let matches = reply.matches.into_iter().map(|m| found(m.path, m.is_leaf)).collect();
    Ok(FindReply { query: reply.name, matches })
}

/// There is room for the first file only.
pub(super) fn info(infos: &[InfoReply]) -> Vec<u8> {
    infos.first().map(|info| info_response(info).encode_to_vec()).unwrap_or_default()
}

pub(super) fn parse_info(body: &[u8], caps: Caps) -> Result<Vec<InfoReply>, ReplyError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![from_info_response(pb::decode(body, caps)?)])
}

/// 64-bit times for peers that hold 32 bits.
fn narrow(time: i64) -> i32 {
    i32::try_from(time).unwrap_or(if time < 0 { i32::MIN } else { i32::MAX })
}

/// A series in the shape that JSON has, too.
pub(super) fn fetch_response(series: &SeriesData) -> pb_v2::FetchResponse {
    let absent = |value: &f64| value.is_nan();
    pb_v2::FetchResponse {
        name: series.name.clone(),
        start_time: narrow(series.start),
        stop_time: narrow(series.stop),
        step_time: narrow(series.step),
        values: series.values.iter().map(|v| if absent(v) { 0.0 } else { *v }).collect(),
        is_absent: series.values.iter().map(absent).collect(),
    }
}

fn from_fetch_response(reply: pb_v2::FetchResponse) -> Result<SeriesData, ReplyError> {
    let pb_v2::FetchResponse { name, start_time, step_time, mut values, is_absent, .. } = reply;
    blank(&mut values, &is_absent);
    series(name, String::new(), (start_time.into(), step_time.into()), values)
}

/// Makes absent values NaN.
pub(super) fn blank(values: &mut [f64], is_absent: &[bool]) {
    for (value, _) in values.iter_mut().zip(is_absent).filter(|(_, absent)| **absent) {
        *value = f64::NAN;
    }
}

fn info_response(info: &InfoReply) -> pb_v2::InfoResponse {
    let retention = |r: &Retention| pb_v2::Retention {
        seconds_per_point: narrow(r.seconds_per_point),
        number_of_points: narrow(r.points),
    };
    pb_v2::InfoResponse {
        name: info.name.clone(),
        aggregation_method: info.consolidation.as_str().to_owned(),
        max_retention: narrow(info.max_retention_s),
        x_files_factor: info.x_files_factor,
        retentions: info.retentions.iter().map(retention).collect(),
    }
}

fn from_info_response(info: pb_v2::InfoResponse) -> InfoReply {
    let retention = |r: &pb_v2::Retention| Retention {
        seconds_per_point: r.seconds_per_point.into(),
        points: r.number_of_points.into(),
    };
    InfoReply {
        consolidation: consolidation(&info.aggregation_method),
        max_retention_s: info.max_retention.into(),
        x_files_factor: info.x_files_factor,
        retentions: info.retentions.iter().map(retention).collect(),
        name: info.name,
    }
}
