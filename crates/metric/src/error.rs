//! Why a name is none.

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing is left of the name.
    #[error("name is empty")]
    EmptyName,
    /// A space, control character, slash or glob character.
    #[error("name holds a character that is not allowed")]
    InvalidChar,
    /// Not UTF-8.
    #[error("name is not valid UTF-8")]
    InvalidUtf8,
    /// The name or one of its components is over its limit in bytes.
    #[error("name or one of its components is too long")]
    NameTooLong,
    /// More components than the limit.
    #[error("name has too many components")]
    TooManyNodes,
    /// Tags that carbon would refuse, a reserved or repeated key, or too many of them.
    #[error("name has malformed tags")]
    BadTags,
    /// An untagged name below the folder that holds the files of tagged series.
    #[error("names below _tagged are reserved for the files of tagged series")]
    Reserved,
}

impl NameError {
    /// Every error, for tables that have a counter for each.
    pub const ALL: [Self; 7] = [
        Self::EmptyName,
        Self::InvalidChar,
        Self::InvalidUtf8,
        Self::NameTooLong,
        Self::TooManyNodes,
        Self::BadTags,
        Self::Reserved,
    ];

    /// The error as the label of a metric.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::EmptyName => "empty_name",
            Self::InvalidChar => "invalid_char",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NameTooLong => "name_too_long",
            Self::TooManyNodes => "too_many_nodes",
            Self::BadTags => "bad_tags",
            Self::Reserved => "reserved_name",
        }
    }
}
