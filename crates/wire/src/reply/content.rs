//! What replies hold, in whatever format they come.

use super::error::ReplyError;
use crate::pb_v3;
use metric::{Consolidation, SeriesData, Window};

/// A decoded reply.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RenderReply {
    /// The series, in the order sent.
    pub series: Vec<SeriesData>,
    /// How complete the reply is, where the format and the peer say so.
    pub meta: Option<pb_v3::Meta>,
    /// What a fold came to, where one was asked for and the peer can fold.
    pub folded: Option<pb_v3::Folded>,
}

/// One node of the tree of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindMatch {
    /// Its full path.
    pub path: String,
    /// Whether it is a series.
    pub is_leaf: bool,
    /// The time a series covers; only pickle and msgpack carry it.
    pub intervals: Vec<Window>,
}

/// What one pattern matched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FindReply {
    /// The pattern; empty where the format does not echo it (pickle and msgpack).
    pub query: String,
    /// What it matched.
    pub matches: Vec<FindMatch>,
}

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

/// Puts the pieces of a series together, trusting the number of values over the stop time.
pub(super) fn series(
    name: String,
    path_expression: String,
    (start, step): (i64, i64),
    values: Vec<f64>,
) -> Result<SeriesData, ReplyError> {
    let seconds = i64::try_from(values.len()).ok().and_then(|slots| slots.checked_mul(step));
    let stop = seconds.and_then(|seconds| start.checked_add(seconds)).filter(|_| step > 0);
    let Some(stop) = stop else { return Err(ReplyError::BadTimes { name }) };
    let path_expression = if path_expression.is_empty() { name.clone() } else { path_expression };
    let (consolidation, x_files_factor) = (Consolidation::default(), 0.0);
    Ok(SeriesData {
        name,
        path_expression,
        start,
        stop,
        step,
        values,
        consolidation,
        x_files_factor,
    })
}

/// Peers capitalise the name, or leave it out.
pub(super) fn consolidation(name: &str) -> Consolidation {
    let as_named = Consolidation::parse(name);
    as_named.or_else(|| Consolidation::parse(&name.to_ascii_lowercase())).unwrap_or_default()
}

/// A match of a format that does not tell intervals.
pub(super) fn found(path: String, is_leaf: bool) -> FindMatch {
    FindMatch { path, is_leaf, intervals: Vec::new() }
}
