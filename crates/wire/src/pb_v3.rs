//! The messages of carbonapi_v3_pb, field for field, and ours beside them: field 1000 of a
//! request carries a [`Plan`], field 1000 of a reply a [`Meta`]
//! and field 1001 a [`Folded`].

use prost::Message;
use std::collections::BTreeMap;

/// A function a node may apply before it answers.
#[derive(Clone, PartialEq, Message)]
pub struct FilteringFunction {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its arguments.
    #[prost(string, repeated, tag = "2")]
    pub arguments: Vec<String>,
}

/// What do you speak?
#[derive(Clone, PartialEq, Message)]
pub struct CapabilityRequest {}

/// What a node speaks.
#[derive(Clone, PartialEq, Message)]
pub struct CapabilityResponse {
    /// Best first.
    #[prost(string, repeated, tag = "1")]
    pub supported_protocols: Vec<String>,
    /// The node.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Milliseconds.
    #[prost(bool, tag = "3")]
    pub high_precision_timestamps: bool,
    /// Applies functions.
    #[prost(bool, tag = "4")]
    pub support_filtering_functions: bool,
    /// Prefers one target a request.
    #[prost(bool, tag = "5")]
    pub like_splitted_requests: bool,
    /// Streams.
    #[prost(bool, tag = "6")]
    pub support_streaming: bool,
}

/// One series or pattern over one window.
#[derive(Clone, PartialEq, Message)]
pub struct FetchRequest {
    /// Name or pattern.
    #[prost(string, tag = "1")]
    pub name: String,
    /// First second asked for or given.
    #[prost(int64, tag = "2")]
    pub start_time: i64,
    /// End of the window.
    #[prost(int64, tag = "3")]
    pub stop_time: i64,
    /// Milliseconds.
    #[prost(bool, tag = "4")]
    pub high_precision_timestamps: bool,
    /// The expression it comes from.
    #[prost(string, tag = "5")]
    pub path_expression: String,
    /// To apply before answering.
    #[prost(message, repeated, tag = "6")]
    pub filter_functions: Vec<FilteringFunction>,
    /// Values wanted at most.
    #[prost(int64, tag = "7")]
    pub max_data_points: i64,
}

/// Several fetches in one request.
#[derive(Clone, PartialEq, Message)]
pub struct MultiFetchRequest {
    /// The fetches.
    #[prost(message, repeated, tag = "1")]
    pub metrics: Vec<FetchRequest>,
    /// Ours: what the asker knows; peers skip it.
    #[prost(message, optional, tag = "1000")]
    pub plan: Option<Plan>,
}

/// One series over one window.
#[derive(Clone, PartialEq, Message)]
pub struct FetchResponse {
    /// Name of the series.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The expression it answers.
    #[prost(string, tag = "2")]
    pub path_expression: String,
    /// How it wants to be consolidated.
    #[prost(string, tag = "3")]
    pub consolidation_func: String,
    /// Time of the first value.
    #[prost(int64, tag = "4")]
    pub start_time: i64,
    /// First second after the last slot.
    #[prost(int64, tag = "5")]
    pub stop_time: i64,
    /// Seconds between values.
    #[prost(int64, tag = "6")]
    pub step_time: i64,
    /// Least known share when consolidating.
    #[prost(float, tag = "7")]
    pub x_files_factor: f32,
    /// Milliseconds.
    #[prost(bool, tag = "8")]
    pub high_precision_timestamps: bool,
    /// The values, NaN where there is none.
    #[prost(double, repeated, tag = "9")]
    pub values: Vec<f64>,
    /// Functions already applied.
    #[prost(string, repeated, tag = "10")]
    pub applied_functions: Vec<String>,
    /// The window asked for.
    #[prost(int64, tag = "11")]
    pub request_start_time: i64,
    /// Its end.
    #[prost(int64, tag = "12")]
    pub request_stop_time: i64,
}

/// The reply to a render.
#[derive(Clone, PartialEq, Message)]
pub struct MultiFetchResponse {
    /// The series.
    #[prost(message, repeated, tag = "1")]
    pub metrics: Vec<FetchResponse>,
    /// Ours: how complete the reply is; peers skip it.
    #[prost(message, optional, tag = "1000")]
    pub meta: Option<Meta>,
    /// Ours: what a fold came to, in place of series.
    #[prost(message, optional, tag = "1001")]
    pub folded: Option<Folded>,
}

/// A find of several patterns. A MultiMetricsInfoRequest has the same bytes.
#[derive(Clone, PartialEq, Message)]
pub struct MultiGlobRequest {
    /// The patterns.
    #[prost(string, repeated, tag = "1")]
    pub metrics: Vec<String>,
    /// First second asked for or given.
    #[prost(int64, tag = "2")]
    pub start_time: i64,
    /// End of the window.
    #[prost(int64, tag = "3")]
    pub stop_time: i64,
    /// Ours: what the asker knows; peers skip it.
    #[prost(message, optional, tag = "1000")]
    pub plan: Option<Plan>,
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

/// What one pattern matched.
#[derive(Clone, PartialEq, Message)]
pub struct GlobResponse {
    /// The pattern.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it matched.
    #[prost(message, repeated, tag = "2")]
    pub matches: Vec<GlobMatch>,
}

/// The reply to a find.
#[derive(Clone, PartialEq, Message)]
pub struct MultiGlobResponse {
    /// One per pattern.
    #[prost(message, repeated, tag = "1")]
    pub metrics: Vec<GlobResponse>,
    /// Ours: how complete the reply is; peers skip it.
    #[prost(message, optional, tag = "1000")]
    pub meta: Option<Meta>,
}

/// A question about one file.
#[derive(Clone, PartialEq, Message)]
pub struct MetricsInfoRequest {
    /// Name of the series.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A question about several files.
#[derive(Clone, PartialEq, Message)]
pub struct MultiMetricsInfoRequest {
    /// Their series.
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
}

/// One archive of a file.
#[derive(Clone, PartialEq, Message)]
pub struct Retention {
    /// Its step.
    #[prost(int64, tag = "1")]
    pub seconds_per_point: i64,
    /// Its slots.
    #[prost(int64, tag = "2")]
    pub number_of_points: i64,
}

/// The header of one file.
#[derive(Clone, PartialEq, Message)]
pub struct MetricsInfoResponse {
    /// Name of the series.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How it rolls up.
    #[prost(string, tag = "2")]
    pub consolidation_func: String,
    /// Seconds kept.
    #[prost(int64, tag = "3")]
    pub max_retention: i64,
    /// Least known share for a rollup.
    #[prost(float, tag = "4")]
    pub x_files_factor: f32,
    /// The archives, finest first.
    #[prost(message, repeated, tag = "5")]
    pub retentions: Vec<Retention>,
}

/// The headers of several files.
#[derive(Clone, PartialEq, Message)]
pub struct MultiMetricsInfoResponse {
    /// One per file.
    #[prost(message, repeated, tag = "1")]
    pub metrics: Vec<MetricsInfoResponse>,
}

/// All nodes' answers about files.
#[derive(Clone, PartialEq, Message)]
pub struct ZipperInfoResponse {
    /// By node.
    #[prost(btree_map = "string, message", tag = "1")]
    pub info: BTreeMap<String, MultiMetricsInfoResponse>,
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
    /// Bytes allocated.
    #[prost(int64, tag = "6")]
    pub real_size: i64,
}

/// What all files of a node take on disk.
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

/// What all files of all nodes take on disk.
#[derive(Clone, PartialEq, Message)]
pub struct MultiDetailsResponse {
    /// By node.
    #[prost(btree_map = "string, message", tag = "1")]
    pub metrics: BTreeMap<String, MetricDetailsResponse>,
}

/// Ours: what every request of one plan carries down to the nodes.
#[derive(Clone, PartialEq, Message)]
pub struct Plan {
    /// Same for all requests of one plan.
    #[prost(uint64, tag = "1")]
    pub plan_id: u64,
    /// The moment the plan takes for now, in seconds.
    #[prost(int64, tag = "2")]
    pub now: i64,
    /// When the asker stops waiting.
    #[prost(int64, tag = "3")]
    pub deadline_unix_ms: i64,
    /// The ring the asker knows; 0 for none.
    #[prost(uint64, tag = "4")]
    pub ring_fingerprint: u64,
    /// Points the reply may hold; 0 for no limit.
    #[prost(uint64, tag = "5")]
    pub budget_points: u64,
    /// Bytes the reply may take; 0 for no limit.
    #[prost(uint64, tag = "6")]
    pub budget_bytes: u64,
    /// Combine series on the node.
    #[prost(message, optional, tag = "7")]
    pub fold: Option<Fold>,
}

/// Ours: a combination that nodes may begin. It is asked for one target alone.
#[derive(Clone, PartialEq, Message)]
pub struct Fold {
    /// sum, average, min, max, count or bands.
    #[prost(string, tag = "1")]
    pub op: String,
    /// What series of one group share; none for one group of all.
    #[prost(message, repeated, tag = "3")]
    pub group_by: Vec<GroupPart>,
    /// Places in the ring of the nodes that read: each reads the series of which it is the first
    /// owner among them. None: the one who is asked reads everything.
    #[prost(uint32, repeated, tag = "4")]
    pub readers: Vec<u32>,
    /// Points a series that are wanted; means nothing but for bands.
    #[prost(uint32, tag = "5")]
    pub points_max: u32,
}

/// Ours: a part of a name by its place, or a tag.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupPart {
    /// Place among the dots; negative ones count from the end. Means nothing beside a tag.
    #[prost(sint64, tag = "1")]
    pub index: i64,
    /// The tag's name.
    #[prost(string, tag = "2")]
    pub tag: String,
}

/// Ours: what a fold came to.
#[derive(Clone, PartialEq, Message)]
pub struct Folded {
    /// By ring range.
    #[prost(message, repeated, tag = "1")]
    pub ranges: Vec<FoldedRange>,
    /// Why it must be asked for as series; empty if it must not.
    #[prost(string, tag = "2")]
    pub refused: String,
}

/// Ours: the series of one ring range.
#[derive(Clone, PartialEq, Message)]
pub struct FoldedRange {
    /// Places of its owners in the ring, the primary first; none where it is not told apart.
    #[prost(uint32, repeated, tag = "1")]
    pub owners: Vec<u32>,
    /// Whether the answerer reads it; if not, it says only which series it knows of.
    #[prost(bool, tag = "2")]
    pub is_read: bool,
    /// Series found.
    #[prost(uint64, tag = "3")]
    pub series: u64,
    /// CRC-32 of their names in order, each with a line end.
    #[prost(fixed32, tag = "4")]
    pub names_crc: u32,
    /// What they come to.
    #[prost(message, repeated, tag = "5")]
    pub groups: Vec<FoldedGroup>,
}

/// Ours: what the series of one group come to.
#[derive(Clone, PartialEq, Message)]
pub struct FoldedGroup {
    /// What they share.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The least of their names.
    #[prost(string, tag = "2")]
    pub first_name: String,
    /// Tags that all of them have with the same value.
    #[prost(btree_map = "string, string", tag = "3")]
    pub tags: BTreeMap<String, String>,
    /// Time of the first slot.
    #[prost(int64, tag = "4")]
    pub start: i64,
    /// Seconds from one slot to the next.
    #[prost(int64, tag = "5")]
    pub step: i64,
    /// Series that were added, with points or without.
    #[prost(uint64, tag = "6")]
    pub series: u64,
    /// The running value of each slot; none for count. Packed doubles (see [`crate::packed`]).
    #[prost(bytes = "vec", tag = "7")]
    pub values: Vec<u8>,
    /// What the sums above lack to be exact; none where all of it is 0. Packed doubles, too.
    #[prost(bytes = "vec", tag = "8")]
    pub rest: Vec<u8>,
    /// Points added to each slot; none where each series has one in every slot.
    #[prost(fixed32, repeated, tag = "9")]
    pub counts: Vec<u32>,
    /// Where points lay before they were merged into bands; none where they were not.
    #[prost(message, optional, tag = "10")]
    pub unmerged: Option<Grid>,
}

/// Ours: where the points of a series lie.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Grid {
    /// Time of the first slot.
    #[prost(int64, tag = "1")]
    pub start: i64,
    /// First second after the last slot.
    #[prost(int64, tag = "2")]
    pub end: i64,
    /// Seconds from one slot to the next.
    #[prost(int64, tag = "3")]
    pub step: i64,
}

/// Ours: how complete a reply is.
#[derive(Clone, PartialEq, Message)]
pub struct Meta {
    /// Something is missing.
    #[prost(bool, tag = "1")]
    pub partial: bool,
    /// What, and why.
    #[prost(string, repeated, tag = "2")]
    pub notes: Vec<String>,
    /// The ring the answerer knows.
    #[prost(uint64, tag = "3")]
    pub ring_fingerprint: u64,
    /// Series skipped as inactive in the window.
    #[prost(uint64, tag = "4")]
    pub series_pruned: u64,
    /// Nodes asked.
    #[prost(uint32, tag = "5")]
    pub nodes_asked: u32,
    /// Nodes that answered.
    #[prost(uint32, tag = "6")]
    pub nodes_answered: u32,
    /// Points on which replicas disagreed.
    #[prost(uint64, tag = "7")]
    pub divergent_points: u64,
    /// Of what times the answerer may lack points.
    #[prost(message, repeated, tag = "8")]
    pub holes: Vec<Hole>,
    /// Nodes of the index whose names were looked at.
    #[prost(uint64, tag = "9")]
    pub index_nodes_visited: u64,
}

/// An interval in which a node may have missed points.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Hole {
    /// The first second since 1970.
    #[prost(int64, tag = "1")]
    pub from_s: i64,
    /// The first second after it.
    #[prost(int64, tag = "2")]
    pub until_s: i64,
}
