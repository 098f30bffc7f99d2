//! `plumbago whisper`: reads and edits Whisper files.

use std::fs::{File, OpenOptions};
use std::path::Path;

use ::whisper::Error;

use crate::invocation::Failure;

mod compare;
mod corrupt;
mod edit;
mod join;
mod settings;
mod show;
mod text;
mod time;

pub(crate) use compare::Diff;
pub(crate) use corrupt::FindCorrupt;
pub(crate) use edit::{Create, Resize, Update};
pub(crate) use join::{Fill, Heal, Merge, make_good};
pub(crate) use settings::{Set, SetFactor, SetMethod};
pub(crate) use show::{Check, Dump, Fetch, Info};

/// Opens a file to read.
fn open(path: &Path) -> Result<::whisper::Whisper<File>, Failure> {
    let file = File::open(path).map_err(Error::from);
    file.and_then(::whisper::Whisper::open).map_err(|error| Failure::of(path, &error))
}

/// Opens a file to change.
fn open_to_write(path: &Path) -> Result<::whisper::Whisper<File>, Failure> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(Error::from);
    file.and_then(::whisper::Whisper::open).map_err(|error| Failure::of(path, &error))
}
