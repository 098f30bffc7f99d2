//! The messages of carbonapi_v2_pb, field for field; times are 32 bits wide.

use prost::Message;
use std::collections::BTreeMap;

/// One series or pattern over one window.
#[derive(Clone, PartialEq, Message)]
pub struct FetchRequest {
    /// Name or pattern.
    #[prost(string, tag = "1")]
    pub name: String,
    /// First second asked for or given.
    #[prost(int32, tag = "2")]
    pub start_time: i32,
    /// End of the window.
    #[prost(int32, tag = "3")]
    pub stop_time: i32,
}

/// Several fetches in one request.
#[derive(Clone, PartialEq, Message)]
pub struct MultiFetchRequest {
    /// The fetches.
    #[prost(message, repeated, tag = "1")]
    pub metrics: Vec<FetchRequest>,
}

/// One series over one window.
#[derive(Clone, PartialEq, Message)]
pub struct FetchResponse {
    /// Name of the series.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Time of the first value.
    #[prost(int32, tag = "2")]
    pub start_time: i32,
    /// First second after the last slot.
    #[prost(int32, tag = "3")]
    pub stop_time: i32,
    /// Seconds between values.
    #[prost(int32, tag = "4")]
    pub step_time: i32,
    /// The values, 0 where there is none.
    #[prost(double, repeated, tag = "5")]
    pub values: Vec<f64>,
    /// True where there is no value.
    #[prost(bool, repeated, tag = "6")]
    pub is_absent: Vec<bool>,
}

/// The reply to a render.
#[derive(Clone, PartialEq, Message)]
pub struct MultiFetchResponse {
    /// The series.
    #[prost(message, repeated, tag = "1")]
    pub metrics: Vec<FetchResponse>,
}

/// A find.
#[derive(Clone, PartialEq, Message)]
pub struct GlobRequest {
    /// The pattern.
    #[prost(string, tag = "1")]
    pub query: String,
}

/// One node of the tree.
#[derive(Clone, PartialEq, Message)]
pub struct GlobMatch {
    /// Its path.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Whether it is a series.
    #[prost(bool, tag = "2")]
    pub is_leaf: bool,
}

/// The reply to a find.
#[derive(Clone, PartialEq, Message)]
pub struct GlobResponse {
    /// The pattern.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it matched.
    #[prost(message, repeated, tag = "2")]
    pub matches: Vec<GlobMatch>,
}

/// A question about one file.
#[derive(Clone, PartialEq, Message)]
pub struct InfoRequest {
    /// Name of the series.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// One archive of a file.
#[derive(Clone, PartialEq, Message)]
pub struct Retention {
    /// Its step.
    #[prost(int32, tag = "1")]
    pub seconds_per_point: i32,
    /// Its slots.
    #[prost(int32, tag = "2")]
    pub number_of_points: i32,
}

/// The header of one file.
#[derive(Clone, PartialEq, Message)]
pub struct InfoResponse {
    /// Name of the series.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How it rolls up.
    #[prost(string, tag = "2")]
    pub aggregation_method: String,
    /// Seconds kept.
    #[prost(int32, tag = "3")]
    pub max_retention: i32,
    /// Least known share for a rollup.
    #[prost(float, tag = "4")]
    pub x_files_factor: f32,
    /// The archives, finest first.
    #[prost(message, repeated, tag = "5")]
    pub retentions: Vec<Retention>,
}

/// One node's answer about a file.
#[derive(Clone, PartialEq, Message)]
pub struct ServerInfoResponse {
    /// The node.
    #[prost(string, tag = "1")]
    pub server: String,
    /// Its answer.
    #[prost(message, optional, tag = "2")]
    pub info: Option<InfoResponse>,
}

/// All nodes' answers about a file.
#[derive(Clone, PartialEq, Message)]
pub struct ZipperInfoResponse {
    /// One per node.
    #[prost(message, repeated, tag = "1")]
    pub responses: Vec<ServerInfoResponse>,
}

/// All names.
#[derive(Clone, PartialEq, Message)]
pub struct ListMetricsResponse {
    /// The names.
    #[prost(string, repeated, tag = "1")]
    pub metrics: Vec<String>,
}

/// What one file takes on disk.
#[derive(Clone, PartialEq, Message)]
pub struct MetricDetails {
    /// Logical bytes.
    #[prost(int64, tag = "2")]
    pub size: i64,
    /// Last write.
    #[prost(int64, tag = "3")]
    pub mod_time: i64,
    /// Last access.
    #[prost(int64, tag = "4")]
    pub a_time: i64,
    /// Last read through the read API.
    #[prost(int64, tag = "5")]
    pub rd_time: i64,
}

/// What all files take on disk.
#[derive(Clone, PartialEq, Message)]
pub struct MetricDetailsResponse {
    /// By name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub metrics: BTreeMap<String, MetricDetails>,
    /// Free bytes of the file system.
    #[prost(uint64, tag = "2")]
    pub free_space: u64,
    /// All bytes of the file system.
    #[prost(uint64, tag = "3")]
    pub total_space: u64,
}

/// The spoken version.
#[derive(Clone, PartialEq, Message)]
pub struct ProtocolVersionResponse {
    /// Its number.
    #[prost(string, tag = "1")]
    pub version: String,
}
