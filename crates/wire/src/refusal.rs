//! Why a point was refused: one small enum, shared by every way in, so that counters and the list
//! of rejected lines speak with one vocabulary.

use metric::NameError;
use thiserror::Error;

/// The reason for which one point (or one line, tuple or frame) was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The line passed the byte limit before its newline came.
    #[error("line longer than the limit")]
    LineTooLong,
    /// The stream ended within a line, which may lack digits at its end.
    #[error("line cut off by the end of the stream")]
    IncompleteLine,
    /// Not exactly `name value timestamp`.
    #[error("expected three fields: name, value, timestamp")]
    WrongFieldCount,
    /// The value is not a decimal number, or too large for a double.
    #[error("value is not a decimal number that a double can hold")]
    BadValue,
    /// The value is NaN, or an infinity where those are not allowed.
    #[error("value is not finite")]
    NotFinite,
    /// The timestamp is not a number, is negative, or does not fit 64 bits.
    #[error("timestamp is not a number of seconds since 1970")]
    BadTimestamp,
    /// A timestamp of thirteen digits: the sender counts in milliseconds.
    #[error("timestamp looks like milliseconds, expected seconds")]
    LooksLikeMilliseconds,
    /// Later than the accepted window, or later than a Whisper slot can hold.
    #[error("timestamp too far in the future")]
    TooFarFuture,
    /// Earlier than the accepted window.
    #[error("timestamp too old")]
    TooOld,
    /// The name is empty, or empty once it is cleaned.
    #[error("name is empty")]
    EmptyName,
    /// The name holds a control byte, a slash, or a part that is `.` or `..`.
    #[error("name holds a character that is not allowed")]
    InvalidChar,
    /// The name is not UTF-8.
    #[error("name is not valid UTF-8")]
    InvalidUtf8,
    /// The name, or one part of it, is longer than a file name may be.
    #[error("name or one of its parts is too long")]
    NameTooLong,
    /// The name has more dotted parts than allowed.
    #[error("name has too many parts")]
    TooManyParts,
    /// The tags are malformed: no `=`, empty, repeated, reserved or too many.
    #[error("tags are malformed")]
    BadTags,
    /// The name lies where the files of tagged series lie.
    #[error("name is reserved for the files of tagged series")]
    ReservedName,
    /// One entry of a pickle, protobuf or msgpack frame has an unexpected shape.
    #[error("entry has an unexpected shape")]
    BadEntry,
    /// The whole frame could not be decoded.
    #[error("frame could not be decoded")]
    BadFrame,
    /// The frame announces or holds more bytes than allowed.
    #[error("frame longer than the limit")]
    FrameTooLong,
    /// The sender may begin no further series for now.
    #[error("no further new series allowed for now")]
    NewSeriesLimit,
}

impl RefusalReason {
    /// Every reason, in the order in which counters are listed.
    pub const ALL: [Self; 20] = [
        Self::LineTooLong,
        Self::IncompleteLine,
        Self::WrongFieldCount,
        Self::BadValue,
        Self::NotFinite,
        Self::BadTimestamp,
        Self::LooksLikeMilliseconds,
        Self::TooFarFuture,
        Self::TooOld,
        Self::EmptyName,
        Self::InvalidChar,
        Self::InvalidUtf8,
        Self::NameTooLong,
        Self::TooManyParts,
        Self::BadTags,
        Self::ReservedName,
        Self::BadEntry,
        Self::BadFrame,
        Self::FrameTooLong,
        Self::NewSeriesLimit,
    ];

    /// The value of the `reason` label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::IncompleteLine => "incomplete_line",
            Self::WrongFieldCount => "wrong_field_count",
            Self::BadValue => "bad_value",
            Self::NotFinite => "not_finite",
            Self::BadTimestamp => "bad_timestamp",
            Self::LooksLikeMilliseconds => "looks_like_milliseconds",
            Self::TooFarFuture => "too_far_future",
            Self::TooOld => "too_old",
            Self::EmptyName => "empty_name",
            Self::InvalidChar => "invalid_char",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NameTooLong => "name_too_long",
            Self::TooManyParts => "too_many_nodes",
            Self::BadTags => "bad_tags",
            Self::ReservedName => "reserved_name",
            Self::BadEntry => "bad_entry",
            Self::BadFrame => "bad_frame",
            Self::FrameTooLong => "frame_too_long",
            Self::NewSeriesLimit => "new_series_limit",
        }
    }

    /// Position in [`RefusalReason::ALL`]: an index into a table of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl From<NameError> for RefusalReason {
    fn from(error: NameError) -> Self {
        match error {
            NameError::EmptyName => Self::EmptyName,
            NameError::InvalidUtf8 => Self::InvalidUtf8,
            NameError::NameTooLong => Self::NameTooLong,
            NameError::TooManyNodes => Self::TooManyParts,
            NameError::BadTags => Self::BadTags,
            NameError::Reserved => Self::ReservedName,
            // What a later version refuses in a name is, first of all, something in the name.
            _ => Self::InvalidChar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_name_keeps_its_label() {
        for error in NameError::ALL {
            assert_eq!(RefusalReason::from(error).label(), error.reason());
        }
    }

    #[test]
    fn every_reason_stands_at_its_index_and_has_a_label_of_its_own() {
        let mut labels: Vec<_> = RefusalReason::ALL.iter().map(|r| r.label()).collect();
        for (position, reason) in RefusalReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), position);
        }
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), RefusalReason::ALL.len());
    }
}
