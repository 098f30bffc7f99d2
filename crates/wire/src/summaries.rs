//! What storage nodes say of all series of a range of the ring at once; docs/formats/summaries.md has the bytes.

use serde::{Deserialize, Serialize};

/// Most bits of a key that name a leaf.
pub const LEAF_BITS_MAX: u32 = 16;

/// Slots that expire within so many seconds are left out: on one of two nodes a newer point may be in them already.
pub const EXPIRY_MARGIN_S: i64 = 120;

/// Which part of the time is looked at, the same on every node that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledView {
    /// The moment from which retention counts.
    pub now: i64,
    /// Only intervals that end here or before.
    pub until: i64,
    /// What ends here or before is kept by the nodes as a sum.
    pub settled: i64,
    /// That sum has no interval that expires before.
    pub held: i64,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// One digest for each set of owners.
    Ranges,
    /// One for each leaf of a range.
    Leaves {
        /// The range.
        owners: Vec<u16>,
        /// There are two to the power of this many.
        bits: u32,
    },
    /// One for each series of some leaves.
    Series {
        /// The range.
        owners: Vec<u16>,
        /// There are two to the power of this many leaves.
        bits: u32,
        /// Those that are wanted.
        leaves: Vec<u32>,
    },
}

/// Asks for digests of many series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryRequest {
    /// The text of a cluster file: its ring tells owners.
    pub cluster: String,
    /// The time.
    pub view: SettledView,
    /// What is wanted.
    pub part: Part,
}

/// All series of a range that a node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSummary {
    /// Who owns them, ascending.
    pub owners: Vec<u16>,
    /// How many they are.
    pub series: u64,
    /// Their digest.
    pub digest: Digest,
}

/// All series of a leaf that a node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafSummary {
    /// Its number.
    pub leaf: u32,
    /// How many they are.
    pub series: u64,
    /// Their digest.
    pub digest: Digest,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesSummary {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

/// The answer to a [`SummaryRequest`]; of the three lists, the one that was asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryReply {
    /// Series that the node has yet to look at: if any, it is to be asked again.
    pub left: u64,
    /// By range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RangeSummary>,
    /// By leaf.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<LeafSummary>,
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<SeriesSummary>,
}

/// A digest; 16 hex digits in JSON, whose numbers are too narrow for it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub u64);

impl From<Digest> for String {
    fn from(Digest(digest): Digest) -> Self {
        format!("{digest:016x}")
    }
}

impl TryFrom<String> for Digest {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

impl Digest {
    /// Joins what was summed up apart.
    pub fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// What all digests of one series begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesKey(u64);

impl SeriesKey {
    /// Of a name of which this is the FNV-1a hash.
    #[must_use]
    pub const fn of(fnv1a_64: u64) -> Self {
        Self(mix(fnv1a_64))
    }

    /// The leaf that the series lies in.
    #[must_use]
    pub fn leaf(self, bits: u32) -> u32 {
        let [a, b, c, d, ..] = self.0.to_be_bytes();
        let first = u32::from_be_bytes([a, b, c, d]);
        first.checked_shr(u32::BITS.saturating_sub(bits)).unwrap_or(0)
    }

    /// What the digests of an archive's points begin with.
    #[must_use]
    pub const fn archive(self, step: u32, points: u32) -> u64 {
        mix(mix(self.0.wrapping_add(step as u64)).wrapping_add(points as u64))
    }

    /// The digest of the series: of the sum of what it holds.
    #[must_use]
    pub const fn digest(self, sum: u64) -> Digest {
        Digest(mix(self.0.wrapping_add(sum)))
    }
}

/// The digest of a point of the archive of this key.
#[must_use]
pub const fn point(archive: u64, interval: i64, value: f64) -> u64 {
    mix(mix(archive.wrapping_add(interval.cast_unsigned())).wrapping_add(value.to_bits()))
}

/// The end of splitmix64: every bit of the result depends on every bit of `x`.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_the_page_shows_them() {
        let page = include_str!("../../../docs/formats/summaries.md");
        let blocks: Vec<&str> = page.split("```json\n").skip(1).collect();
        let text = |at: usize| blocks[at].split("```").next().unwrap();
        let request = |at| serde_json::from_str::<SummaryRequest>(text(at)).unwrap();
        assert_eq!(request(0).part, Part::Ranges);
        assert_eq!(request(1).part, Part::Leaves { owners: vec![0, 2], bits: 4 });
        let series = Part::Series { owners: vec![0, 2], bits: 4, leaves: vec![3, 11] };
        assert_eq!(request(2).part, series);
        for at in 3..6 {
            let reply: SummaryReply = serde_json::from_str(text(at)).unwrap();
            let again = serde_json::to_value(&reply).unwrap();
            assert_eq!(again, serde_json::from_str::<serde_json::Value>(text(at)).unwrap());
        }
        assert_eq!(blocks.len(), 6);
    }

    #[test]
    fn every_part_of_a_point_is_in_its_digest() {
        let key = SeriesKey::of(7);
        let one = point(key.archive(60, 1440), 600, 0.0);
        let others = [
            point(SeriesKey::of(8).archive(60, 1440), 600, 0.0),
            point(key.archive(10, 1440), 600, 0.0),
            point(key.archive(60, 1441), 600, 0.0),
            point(key.archive(60, 1440), 660, 0.0),
            point(key.archive(60, 1440), 600, -0.0),
            point(key.archive(60, 1440), 600, f64::NAN),
        ];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
        assert_ne!(key.digest(one), key.digest(0));
    }

    #[test]
    fn the_numbers_of_the_page_do_not_change_between_versions() {
        let key = SeriesKey::of(0xaf63_dc4c_8601_ec8c);
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        assert_eq!((key.leaf(0), key.leaf(4)), (0, key.leaf(16) >> 12));
    }
}
