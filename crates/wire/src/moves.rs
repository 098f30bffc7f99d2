//! What tools and storage nodes say to each other while series move; docs/formats/moves.md shows each message.

use serde::{Deserialize, Serialize};

/// Most names in one request.
pub const NAMES_MAX: usize = 10_000;

/// One series that a node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// The beginning of the last hour in which it had a point, in seconds since 1970, if that is known.
    pub last: Option<i64>,
}

/// A part of the series of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPage {
    /// In the order in which the node got to know them.
    pub series: Vec<Held>,
    /// Where the next part begins; none after the last.
    pub next: Option<u32>,
}

/// Asks for the right to change a node's series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Who asks.
    pub holder: String,
    /// For how long; 0 gives the right back.
    pub seconds: u32,
}

/// Which part of the time is looked at, the same on every node that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The moment from which retention counts.
    pub now: i64,
    /// Only intervals that end here or before: later points may still be on their way.
    pub until: i64,
    /// Only intervals that begin here or later.
    pub from: Option<i64>,
}

/// Asks for the bytes of series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRequest {
    /// The series.
    pub names: Vec<String>,
}

/// Asks a node to take series over from another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Who has the lease.
    pub holder: String,
    /// Admin address of the node that gives.
    pub source: String,
    /// The series.
    pub names: Vec<String>,
    /// With a view, series whose digests agree there are left alone, and only holes since its `from` are filled.
    pub view: Option<View>,
}

/// What became of one series of a [`FetchRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchOutcome {
    /// The node had no file of it.
    Created,
    /// Holes of its file were filled.
    Filled,
    /// Nothing had to be done.
    Equal,
    /// The other node has no such series.
    Missing,
    /// It cannot be taken over; `error` says why.
    Refused,
    /// The request was too large or the node is under pressure: to be asked for again.
    Left,
}

/// One series of a [`FetchRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchedSeries {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: FetchOutcome,
    /// Why not.
    pub error: Option<String>,
}

/// The answer to a [`FetchRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReply {
    /// Every series that was asked for.
    pub series: Vec<FetchedSeries>,
    /// Bytes that came over the wire.
    pub bytes: u64,
}

/// Asks for digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestRequest {
    /// The series.
    pub names: Vec<String>,
    /// The time.
    pub view: View,
    /// Whether each series' own digests are wanted, or only that of all together.
    pub each: bool,
}

/// What one archive holds of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveDigest {
    /// Seconds of one interval.
    pub step: u32,
    /// Number of points.
    pub points: u64,
    /// 32 hex digits.
    pub digest: String,
}

/// What one series holds of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesDigest {
    /// Its name.
    pub name: String,
    /// Its archives, finest first; none if the node has no such series, or cannot read it.
    pub archives: Option<Vec<ArchiveDigest>>,
}

/// The answer to a [`DigestRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestReply {
    /// One digest of all series together.
    pub all: String,
    /// Those of the series, in the order asked, if they were wanted.
    pub series: Vec<SeriesDigest>,
}

/// Asks a node whether it has all that another one has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareRequest {
    /// Admin address of the other node.
    pub source: String,
    /// The series.
    pub names: Vec<String>,
    /// The time.
    pub view: View,
}

/// How a series compares with that of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Both have the same points.
    Equal,
    /// All that the other node has is here too.
    Contained,
    /// The other node has points that are not here, or other values.
    Differs,
    /// There is no such series here.
    Missing,
    /// The other node has no such series.
    Gone,
    /// One of the two cannot be read.
    Unreadable,
}

impl Comparison {
    /// Whether nothing is lost if the other node's series goes.
    #[must_use]
    pub const fn proves(self) -> bool {
        matches!(self, Self::Equal | Self::Contained | Self::Gone)
    }
}

/// One series of a [`CompareRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedSeries {
    /// Its name.
    pub name: String,
    /// How it compares.
    pub state: Comparison,
    /// Points of the other node that are not here.
    pub lacking: u64,
    /// Points of the finest archive with other values here.
    pub conflicting: u64,
    /// Rollups with other values here: they were made of other points.
    pub rollups: u64,
}

/// The answer to a [`CompareRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareReply {
    /// Every series that was asked for.
    pub series: Vec<ComparedSeries>,
}

/// Asks a node to take series out of service and to keep their files in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashRequest {
    /// Who has the lease.
    pub holder: String,
    /// Day under which the files are kept, `2026-11-22`.
    pub date: String,
    /// The series.
    pub names: Vec<String>,
}

/// The answer to a [`TrashRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashReply {
    /// Series that went to the trash; the others were not there.
    pub trashed: u64,
}

/// Asks a node to put series from its trash back into service, each from the latest day that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// Who has the lease.
    pub holder: String,
    /// The series.
    pub names: Vec<String>,
}

/// Asks a node to delete what has been in the trash since before a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeRequest {
    /// Who has the lease.
    pub holder: String,
    /// The first day that is kept, `2026-11-22`.
    pub before: String,
}

/// The answer to a [`PurgeRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReply {
    /// Days that were deleted.
    pub days: Vec<String>,
}

/// Whether a text is a day, `2026-11-22`: digits and dashes in their places, nothing that leads out of a folder.
#[must_use]
pub fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    bytes.len() == 10 && bytes.iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_digits_and_dashes_and_no_path() {
        assert!(is_day("2026-11-22"));
        for text in ["", "2026-11-2", "2026/11/22", "../../../..", "2026-11-22x", "２026-11-22"] {
            assert!(!is_day(text), "{text}");
        }
    }

    #[test]
    fn only_what_is_here_too_may_go_elsewhere() {
        for state in [Comparison::Differs, Comparison::Missing, Comparison::Unreadable] {
            assert!(!state.proves());
        }
        assert!(Comparison::Equal.proves() && Comparison::Contained.proves());
    }

    #[test]
    fn messages_read_as_the_page_shows_them() {
        let page = include_str!("../../../docs/formats/moves.md");
        let blocks: Vec<&str> = page.split("```json\n").skip(1).collect();
        let text = |at: usize| blocks[at].split("```").next().unwrap();
        serde_json::from_str::<HeldPage>(text(0)).unwrap();
        serde_json::from_str::<LeaseRequest>(text(1)).unwrap();
        serde_json::from_str::<FetchRequest>(text(2)).unwrap();
        serde_json::from_str::<FetchReply>(text(3)).unwrap();
        serde_json::from_str::<DigestRequest>(text(4)).unwrap();
        serde_json::from_str::<DigestReply>(text(5)).unwrap();
        serde_json::from_str::<CompareRequest>(text(6)).unwrap();
        serde_json::from_str::<CompareReply>(text(7)).unwrap();
        serde_json::from_str::<TrashRequest>(text(8)).unwrap();
        serde_json::from_str::<PurgeRequest>(text(9)).unwrap();
        serde_json::from_str::<RestoreRequest>(text(10)).unwrap();
        assert_eq!(blocks.len(), 11);
    }
}
