//! The acknowledged link between relay and storage node: a hello, numbered batches one way, watermarks the other way.
//!
//! The bytes and their meaning: `docs/formats/link.md`. Decoders take a buffer that its owner refills: they give one item and
//! the bytes that it took, or say that more have to come, and how many in all at least.

mod batch;
mod hello;

pub use batch::{Batch, Packing, Unpacker, pack, plain_head};
pub use hello::{Hello, Refused, choose_version};

/// The version that this program speaks.
pub const VERSION: u16 = 1;

/// Most bytes of the lines of one batch, before packing.
pub const LINES_BYTES_MAX: usize = 8 << 20;

/// Most bytes of a body: the lines of a batch, where packing made them longer too.
pub const BODY_BYTES_MAX: usize = LINES_BYTES_MAX + (64 << 10);

/// Most bytes of the text of an error.
pub const TEXT_BYTES_MAX: usize = 512;

/// Bytes before each body.
pub const HEAD_BYTES: usize = 16;

const WELCOME: u8 = 1;
const MARKS: u8 = 2;
const ALIVE: u8 = 3;
const ERROR: u8 = 4;
const BATCH: u8 = 5;

/// Fields of a welcome before the name.
const WELCOME_BYTES: usize = 32;

/// What ends a connection, or keeps it from beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The first bytes are of something else.
    #[error("no hello of the acknowledged link")]
    NoHello,
    /// A length beyond its limit.
    #[error("{what} of {bytes} bytes, at most {max} are taken")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// The length.
        bytes: usize,
        /// Its limit.
        max: usize,
    },
    /// A checksum that does not match.
    #[error("checksum of {what} does not match")]
    Checksum {
        /// Of what.
        what: &'static str,
    },
    /// Fields that are missing or impossible.
    #[error("{what} malformed")]
    Malformed {
        /// What.
        what: &'static str,
    },
    /// Packed lines that cannot be had.
    #[error("batch cannot be unpacked")]
    Packed,
}

/// Why a connection ends, as a number for the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// No version that both speak.
    Version,
    /// Something did not check.
    Damaged,
    /// A batch that overlaps what was taken, or a message out of place.
    Order,
    /// The sender has opened another connection.
    Replaced,
    /// The receiver stops.
    Stopping,
    /// One that a newer program has.
    Other(u16),
}

impl Code {
    const KNOWN: [Self; 5] =
        [Self::Version, Self::Damaged, Self::Order, Self::Replaced, Self::Stopping];

    fn number(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::Damaged => 2,
            Self::Order => 3,
            Self::Replaced => 4,
            Self::Stopping => 5,
            Self::Other(number) => number,
        }
    }

    fn of(number: u16) -> Self {
        let known = Self::KNOWN.into_iter().find(|code| code.number() == number);
        known.unwrap_or(Self::Other(number))
    }
}

/// How far the receiver has come with one sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// All up to here survives the death of the receiver's process.
    pub written: u64,
    /// All up to here survives the loss of power there.
    pub synced: u64,
}

/// What comes after the hello.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// The receiver's answer to the hello.
    Welcome {
        /// The version that both use from here on.
        version: u16,
        /// All up to here was taken.
        received: u64,
        /// What is safe of it.
        marks: Marks,
        /// How the receiver calls itself.
        name: &'a str,
    },
    /// Watermarks that have moved.
    Marks(Marks),
    /// Nothing to say.
    Alive,
    /// The connection ends after this.
    Error {
        /// Why.
        code: Code,
        /// Why, in one line.
        text: &'a str,
    },
    /// Lines.
    Batch(Batch<'a>),
    /// A kind that this program does not know.
    Unknown(u8),
}

/// What a buffer begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<T> {
    /// An item, and how many bytes it took.
    Whole(T, usize),
    /// Not all of it: the whole has at least so many bytes.
    Incomplete(usize),
}

impl<'a> Message<'a> {
    /// The message that `buffer` begins with.
    ///
    /// # Errors
    /// What does not check, or makes no sense.
    pub fn decode(buffer: &'a [u8]) -> Result<Decoded<Self>, LinkError> {
        let Some(head) = buffer.first_chunk::<HEAD_BYTES>() else {
            return Ok(Decoded::Incomplete(HEAD_BYTES));
        };
        if u32_at(head, 12) != crc32fast::hash(&head[..12]) {
            return Err(LinkError::Checksum { what: "the head of a message" });
        }
        let bytes = usize::try_from(u32_at(head, 4)).unwrap_or(usize::MAX);
        if bytes > BODY_BYTES_MAX {
            return Err(LinkError::TooLong { what: "message", bytes, max: BODY_BYTES_MAX });
        }
        let whole = HEAD_BYTES + bytes;
        let Some(body) = buffer.get(HEAD_BYTES..whole) else {
            return Ok(Decoded::Incomplete(whole));
        };
        if u32_at(head, 8) != crc32fast::hash(body) {
            return Err(LinkError::Checksum { what: "a message" });
        }
        Ok(Decoded::Whole(Self::of_body(head[0], head[1], body)?, whole))
    }

    fn of_body(kind: u8, packing: u8, body: &'a [u8]) -> Result<Self, LinkError> {
        let text = |at: usize| str::from_utf8(&body[at..]).ok();
        Ok(match kind {
            WELCOME => {
                let (fixed, _) = fields::<WELCOME_BYTES>(body, "welcome")?;
                Self::Welcome {
                    version: u16_at(fixed, 0),
                    received: u64_at(fixed, 8),
                    marks: Marks { written: u64_at(fixed, 16), synced: u64_at(fixed, 24) },
                    name: text(WELCOME_BYTES).ok_or(LinkError::Malformed { what: "welcome" })?,
                }
            }
            MARKS => {
                let (fixed, _) = fields::<16>(body, "marks")?;
                Self::Marks(Marks { written: u64_at(fixed, 0), synced: u64_at(fixed, 8) })
            }
            ALIVE => Self::Alive,
            ERROR => {
                let (fixed, _) = fields::<2>(body, "error")?;
                let text = text(2).filter(|text| text.len() <= TEXT_BYTES_MAX);
                let text = text.ok_or(LinkError::Malformed { what: "error" })?;
                Self::Error { code: Code::of(u16_at(fixed, 0)), text }
            }
            BATCH => Self::Batch(Batch::of_body(packing, body)?),
            other => Self::Unknown(other),
        })
    }

    /// Appends the message. A batch is sent by [`pack`] or [`plain_head`] instead, and an unknown one not at all.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let mut body = Vec::new();
        let kind = match self {
            Self::Welcome { version, received, marks, name } => {
                body.extend_from_slice(&version.to_le_bytes());
                body.extend_from_slice(&[0; 6]);
                for number in [*received, marks.written, marks.synced] {
                    body.extend_from_slice(&number.to_le_bytes());
                }
                body.extend_from_slice(start_of(name, hello::NAME_BYTES_MAX).as_bytes());
                WELCOME
            }
            Self::Marks(marks) => {
                body.extend_from_slice(&marks.written.to_le_bytes());
                body.extend_from_slice(&marks.synced.to_le_bytes());
                MARKS
            }
            Self::Alive => ALIVE,
            Self::Error { code, text } => {
                body.extend_from_slice(&code.number().to_le_bytes());
                body.extend_from_slice(start_of(text, TEXT_BYTES_MAX).as_bytes());
                ERROR
            }
            Self::Batch(_) | Self::Unknown(_) => return,
        };
        into.extend_from_slice(&head(kind, 0, body.len(), crc32fast::hash(&body)));
        into.extend_from_slice(&body);
    }
}

/// The bytes before a body.
fn head(kind: u8, packing: u8, body_bytes: usize, body_crc: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    (head[0], head[1]) = (kind, packing);
    let body_bytes = u32::try_from(body_bytes).expect("bodies are bounded");
    head[4..8].copy_from_slice(&body_bytes.to_le_bytes());
    head[8..12].copy_from_slice(&body_crc.to_le_bytes());
    let crc = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// As much of a text as fits, cut between characters.
fn start_of(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn fields<'a, const N: usize>(
    body: &'a [u8],
    what: &'static str,
) -> Result<(&'a [u8; N], &'a [u8]), LinkError> {
    body.split_first_chunk().ok_or(LinkError::Malformed { what })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie inside"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie inside"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie inside"))
}

#[cfg(test)]
mod tests;
