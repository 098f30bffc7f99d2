//! Since when a storage node has what it has, as it says with each reply.

use std::fmt;
use std::str::FromStr;

/// The header of a reply that has it.
pub const BORN_HEADER: &str = "x-plumbago-born";

/// When a node began with an empty disk. The default is one that knows of no such time, as any peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Birth {
    /// What is older may not be there; 0 if it is, as far as the node knows. In seconds since 1970.
    pub born_s: i64,
    /// Since when it takes points, once it has taken one.
    pub takes_since_s: Option<i64>,
}

impl fmt::Display for Birth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.born_s)?;
        self.takes_since_s.map_or(Ok(()), |since_s| write!(f, " {since_s}"))
    }
}

/// Text that does not say when a node was born.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one or two times in seconds since 1970, found `{0}`")]
pub struct NoBirth(String);

impl FromStr for Birth {
    type Err = NoBirth;

    fn from_str(text: &str) -> Result<Self, NoBirth> {
        let mut times = text.split_ascii_whitespace().map(|word| word.parse::<i64>().ok());
        let no_birth = || NoBirth(text.chars().take(40).collect());
        let born_s = times.next().flatten().ok_or_else(no_birth)?;
        let takes_since_s = times.next().map(|time| time.ok_or_else(no_birth)).transpose()?;
        if times.next().is_some() {
            return Err(no_birth());
        }
        Ok(Self { born_s, takes_since_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_birth_is_read_as_it_is_written() {
        for takes_since_s in [None, Some(1_700_000_007)] {
            let birth = Birth { born_s: 1_700_000_000, takes_since_s };
            assert_eq!(birth.to_string().parse(), Ok(birth));
        }
        assert_eq!("0\n".parse(), Ok(Birth::default()));
        for text in ["", "x", "1 x", "1 2 3"] {
            assert!(text.parse::<Birth>().is_err(), "{text}");
        }
    }
}
