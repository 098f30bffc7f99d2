//! What can go wrong, one enum for each kind of thing that is read or asked.

use std::io;

use crate::retention::Retention;

/// An operation on a file failed; nothing was written unless the cause is [`Error::Io`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not a sound Whisper file.
    #[error("corrupt whisper file: {0}")]
    Corrupt(#[from] HeaderError),
    /// The file that was asked for cannot exist.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// `create` found a file in its place.
    #[error("the file already exists")]
    Exists,
    /// A strict update outside of what the file covers.
    #[error("timestamp {timestamp} is not covered by any archive (now {now})")]
    NotCovered {
        /// The point's time.
        timestamp: i64,
        /// The whole second of the update.
        now: i64,
    },
    /// A point's interval does not fit the format's 32 bits.
    #[error("timestamp {timestamp} does not fit 32 bits")]
    TimestampRange {
        /// The point's time.
        timestamp: i64,
    },
    /// A window that ends before it begins.
    #[error("invalid time interval: from {from} is after until {until}")]
    Interval {
        /// Start as asked.
        from: i64,
        /// End as asked.
        until: i64,
    },
    /// No archive has the step that was asked for.
    #[error("no archive has a step of {step} s")]
    UnknownStep {
        /// The step as asked.
        step: u32,
    },
    /// Two files whose archives must agree do not.
    #[error("the archives of the two files are unalike; resize one of them first")]
    Unlike,
}

/// Why a file's bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not even a header.
    #[error("the header is cut off: {size} bytes, {expected} expected")]
    Short {
        /// Bytes there are.
        size: u64,
        /// Bytes the header needs.
        expected: u64,
    },
    /// go-whisper's compressed format, which is another one.
    #[error("compressed whisper (\"whisper_compressed\") is not supported")]
    Compressed,
    /// An aggregation id outside 1 to 8.
    #[error("unknown aggregation method {id}")]
    Method {
        /// The id in the header.
        id: u32,
    },
    /// xFilesFactor is not a share.
    #[error("xFilesFactor {value} is not between 0 and 1")]
    XFilesFactor {
        /// The factor in the header.
        value: f32,
    },
    /// No archives, or more than any sane file has.
    #[error("{count} archives, 1 to {max} expected", max = crate::archive::ARCHIVES_MAX)]
    ArchiveCount {
        /// The count in the header.
        count: u32,
    },
    /// Archives do not lie back to back behind the header.
    #[error("archive {index} starts at byte {offset}, {expected} expected")]
    Offset {
        /// Which archive.
        index: usize,
        /// Where it says it starts.
        offset: u32,
        /// Where it must start.
        expected: u64,
    },
    /// Steps and points that `create` would refuse.
    #[error(transparent)]
    Archives(SpecError),
    /// maxRetention is not the longest archive's.
    #[error("maxRetention is {stored}, the archives cover {expected}")]
    MaxRetention {
        /// The header's number.
        stored: u32,
        /// The longest archive's retention.
        expected: i64,
    },
    /// The file ends before its last archive does.
    #[error("truncated: {size} bytes, {expected} expected")]
    Truncated {
        /// Bytes there are.
        size: u64,
        /// Bytes the archives need.
        expected: u64,
    },
}

/// Why a file cannot be created, or its header changed, as asked.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No archive, or more than [`crate::ARCHIVES_MAX`].
    #[error("{count} archives, 1 to {max} expected", max = crate::archive::ARCHIVES_MAX)]
    ArchiveCount {
        /// Archives asked for.
        count: usize,
    },
    /// A step or a number of points of zero.
    #[error("archive {index} ({archive}) has no step or no points")]
    Zero {
        /// Which archive, finest first.
        index: usize,
        /// The archive.
        archive: Retention,
    },
    /// Retention or offset beyond the format's 32 bits.
    #[error("archive {index} ({archive}) does not fit 32 bits")]
    TooLarge {
        /// Which archive, finest first.
        index: usize,
        /// The archive.
        archive: Retention,
    },
    /// Steps must rise.
    #[error("archives {index} and {} have the same precision or are out of order", index + 1)]
    StepOrder {
        /// The finer of the two.
        index: usize,
    },
    /// A coarser step must be a multiple of the finer one.
    #[error("the step of archive {index} does not divide that of archive {}", index + 1)]
    StepDivision {
        /// The finer of the two.
        index: usize,
    },
    /// A coarser archive must reach further back.
    #[error("archive {} does not cover more time than archive {index}", index + 1)]
    Coverage {
        /// The finer of the two.
        index: usize,
    },
    /// A finer archive must hold at least one coarser interval.
    #[error("archive {index} has too few points to consolidate to archive {}", index + 1)]
    Consolidation {
        /// The finer of the two.
        index: usize,
    },
    /// xFilesFactor is not a share.
    #[error("xFilesFactor {value} is not between 0 and 1")]
    XFilesFactor {
        /// The factor asked for.
        value: f64,
    },
}
