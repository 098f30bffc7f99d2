//! Info replies: the headers of files.

use super::render::consolidation;
use super::{Caps, Format, ReplyError, check_bytes, json, narrow};
use crate::pb;
use crate::{pb_v2, pb_v3};
use metric::Consolidation;
use prost::Message as _;

/// One archive of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Its step.
    pub seconds_per_point: i64,
    /// Its slots.
    pub points: i64,
}

/// The header of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct InfoReply {
    /// Name of the series.
    pub name: String,
    /// How it rolls up.
    pub consolidation: Consolidation,
    /// Seconds kept.
    pub max_retention_s: i64,
    /// Least known share for a rollup.
    pub x_files_factor: f32,
    /// The archives, finest first.
    pub retentions: Vec<Retention>,
}

/// Writes the reply about some files; v2 has room for the first only.
///
/// # Errors
/// [`ReplyError::Unsupported`] for pickle and msgpack.
pub fn encode_info(format: Format, infos: &[InfoReply]) -> Result<Vec<u8>, ReplyError> {
    Ok(match format {
        Format::Json => json::info(infos),
        Format::V2 => infos.first().map(|info| to_v2(info).encode_to_vec()).unwrap_or_default(),
        Format::V3 => {
            let metrics = infos.iter().map(to_v3).collect();
            pb_v3::MultiMetricsInfoResponse { metrics }.encode_to_vec()
        }
        Format::Pickle | Format::Msgpack => {
            return Err(ReplyError::Unsupported { what: "info", format });
        }
    })
}

/// Reads the reply about some files.
///
/// # Errors
/// When a cap is passed, the bytes are malformed, or the format has no such reply.
pub fn decode_info(format: Format, body: &[u8], caps: Caps) -> Result<Vec<InfoReply>, ReplyError> {
    check_bytes(body.len(), caps)?;
    match format {
        Format::Json => json::parse_info(body),
        Format::V2 if body.is_empty() => Ok(Vec::new()),
        Format::V2 => Ok(vec![from_v2(pb::decode(body, caps)?)]),
        Format::V3 => {
            let reply: pb_v3::MultiMetricsInfoResponse = pb::decode(body, caps)?;
            Ok(reply.metrics.into_iter().map(from_v3).collect())
        }
        Format::Pickle | Format::Msgpack => Err(ReplyError::Unsupported { what: "info", format }),
    }
}

fn to_v2(info: &InfoReply) -> pb_v2::InfoResponse {
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

fn from_v2(info: pb_v2::InfoResponse) -> InfoReply {
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

fn to_v3(info: &InfoReply) -> pb_v3::MetricsInfoResponse {
    let retention = |r: &Retention| pb_v3::Retention {
        seconds_per_point: r.seconds_per_point,
        number_of_points: r.points,
    };
    pb_v3::MetricsInfoResponse {
        name: info.name.clone(),
        consolidation_func: info.consolidation.as_str().to_owned(),
        max_retention: info.max_retention_s,
        x_files_factor: info.x_files_factor,
        retentions: info.retentions.iter().map(retention).collect(),
    }
}

fn from_v3(info: pb_v3::MetricsInfoResponse) -> InfoReply {
    let retention = |r: &pb_v3::Retention| Retention {
        seconds_per_point: r.seconds_per_point,
        points: r.number_of_points,
    };
    InfoReply {
        consolidation: consolidation(&info.consolidation_func),
        max_retention_s: info.max_retention,
        x_files_factor: info.x_files_factor,
        retentions: info.retentions.iter().map(retention).collect(),
        name: info.name,
    }
}
