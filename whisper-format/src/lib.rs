//! The Whisper file format: create, update, fetch, merge, fill, resize and check.
//!
//! `docs/formats/whisper.md` describes the bytes. All I/O goes through [`Storage`], so that a test
//! can fail any call or lose power in the middle of one; every operation first stages its writes in
//! memory and only then touches the file, so that an error while reading changes nothing.
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod aggregation;
mod archive;
mod check;
mod create;
mod diff;
mod error;
mod fill;
mod header;
mod heal;
mod merge;
mod now;
mod open;
mod overlay;
mod place;
mod propagate;
mod read;
mod reshape;
mod resize;
mod retention;
mod storage;
mod update;

pub use aggregation::{Method, aggregate};
pub use archive::{ARCHIVES_MAX, Archive, POINT_BYTES, Point, Window, floor_to};
pub use check::{ArchiveReport, Report, check};
pub use create::{Allocation, OnExisting, Spec, create};
pub use diff::{ArchiveDiff, Diff, Difference, diff};
pub use error::{Error, HeaderError, SpecError};
pub use fill::{Fill, Like, LikeCarbonate, fill, fill_like};
pub use header::Header;
pub use heal::{HealError, Healed, heal};
pub use merge::merge;
pub use now::Now;
pub use open::Whisper;
pub use read::Fetched;
pub use reshape::reshape;
pub use resize::{Resize, resize};
pub use retention::{Retention, RetentionError, parse_retentions, parse_step};
pub use storage::Storage;
#[cfg(any(test, feature = "test-util"))]
pub use storage::memory::{Fault, MemoryStorage};
