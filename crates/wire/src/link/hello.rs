//! The first bytes of a connection, and which version both ends speak.

use std::ops::RangeInclusive;

use super::{Code, Decoded, LinkError, Message, VERSION, start_of, u16_at, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"PLUMLINK";
/// What means the same in every version.
const FIXED_BYTES: usize = 16;
/// Sender and last.
const FIELDS_BYTES: usize = 16;
/// Longest rest of a hello.
const REST_BYTES_MAX: usize = 1024;
const CRC_BYTES: usize = 4;
/// Longest name of either end.
pub(super) const NAME_BYTES_MAX: usize = 512;

/// What a sender says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The versions that it speaks.
    pub versions: RangeInclusive<u16>,
    /// Who it is.
    pub sender: u64,
    /// The highest number that it has given so far.
    pub last: u64,
    /// How it calls the receiver.
    pub name: String,
}

/// There is no version that both ends speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sender speaks versions {} to {} of the acknowledged link, this program speaks {VERSION}",
    .theirs.start(), .theirs.end()
)]
pub struct Refused {
    theirs: RangeInclusive<u16>,
}

impl Refused {
    /// Appends what the sender is told.
    pub fn encode(&self, into: &mut Vec<u8>) {
        Message::Error { code: Code::Version, text: &self.to_string() }.encode(into);
    }
}

/// The version that a connection uses from here on.
///
/// # Errors
/// There is none.
pub fn choose_version(theirs: &RangeInclusive<u16>) -> Result<u16, Refused> {
    if theirs.contains(&VERSION) { Ok(VERSION) } else { Err(Refused { theirs: theirs.clone() }) }
}

impl Hello {
    /// A hello of this program.
    #[must_use]
    pub fn new(sender: u64, last: u64, name: &str) -> Self {
        let name = start_of(name, NAME_BYTES_MAX).to_owned();
        Self { versions: VERSION..=VERSION, sender, last, name }
    }

    /// Appends the hello.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let start = into.len();
        let name = start_of(&self.name, NAME_BYTES_MAX);
        let rest_bytes = u32::try_from(FIELDS_BYTES + name.len()).expect("names are bounded");
        into.extend_from_slice(&MAGIC);
        into.extend_from_slice(&self.versions.start().to_le_bytes());
        into.extend_from_slice(&self.versions.end().to_le_bytes());
        into.extend_from_slice(&rest_bytes.to_le_bytes());
        into.extend_from_slice(&self.sender.to_le_bytes());
        into.extend_from_slice(&self.last.to_le_bytes());
        into.extend_from_slice(name.as_bytes());
        let crc = crc32fast::hash(&into[start..]);
        into.extend_from_slice(&crc.to_le_bytes());
    }

    /// The hello that `buffer` begins with. A name that is no text is shown as far as it is one.
    ///
    /// # Errors
    /// What is none, or does not check.
    pub fn decode(buffer: &[u8]) -> Result<Decoded<Self>, LinkError> {
        let shown = &buffer[..buffer.len().min(MAGIC.len())];
        if !MAGIC.starts_with(shown) {
            return Err(LinkError::NoHello);
        }
        let Some(fixed) = buffer.first_chunk::<FIXED_BYTES>() else {
            return Ok(Decoded::Incomplete(FIXED_BYTES));
        };
        let bytes = usize::try_from(u32_at(fixed, 12)).unwrap_or(usize::MAX);
        if bytes > REST_BYTES_MAX {
            return Err(LinkError::TooLong { what: "hello", bytes, max: REST_BYTES_MAX });
        }
        let (end, whole) = (FIXED_BYTES + bytes, FIXED_BYTES + bytes + CRC_BYTES);
        let Some(rest) = buffer.get(FIXED_BYTES..end).filter(|_| buffer.len() >= whole) else {
            return Ok(Decoded::Incomplete(whole));
        };
        if u32_at(buffer, end) != crc32fast::hash(&buffer[..end]) {
            return Err(LinkError::Checksum { what: "the hello" });
        }
        let (fields, name) = rest
            .split_first_chunk::<FIELDS_BYTES>()
            .ok_or(LinkError::Malformed { what: "hello" })?;
        let hello = Self {
            versions: u16_at(fixed, 8)..=u16_at(fixed, 10),
            sender: u64_at(fields, 0),
            last: u64_at(fields, 8),
            name: String::from_utf8_lossy(name).into_owned(),
        };
        Ok(Decoded::Whole(hello, whole))
    }
}
