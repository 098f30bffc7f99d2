//! Create: a whole file in its place, or nothing.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::aggregation::Method;
use crate::archive::POINT_BYTES;
use crate::error::Error;
use crate::header::{ARCHIVE_BYTES, Header, METADATA_BYTES};
use crate::place::Temporary;
use crate::retention::Retention;
use crate::storage::Storage;

/// What a new file is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The archives, in any order.
    pub archives: Vec<Retention>,
    /// The share of finer slots that must be known for a coarser point.
    pub x_files_factor: f64,
    /// How coarser points are made.
    pub method: Method,
    /// Whether the file's blocks are taken at once.
    pub allocation: Allocation,
}

impl Spec {
    /// These archives, and Whisper's defaults for the rest: average, and half of the slots known.
    pub fn new(archives: Vec<Retention>) -> Self {
        Self {
            archives,
            x_files_factor: 0.5,
            method: Method::Average,
            allocation: Allocation::Sparse,
        }
    }

    /// Bytes that so many archives and points take, whether or not a file can have these archives.
    pub fn file_bytes(&self) -> u64 {
        let archives = self.archives.len() * ARCHIVE_BYTES;
        let points: u64 = self.archives.iter().map(|archive| u64::from(archive.points)).sum();
        (METADATA_BYTES + archives) as u64 + points * POINT_BYTES as u64
    }

    /// The header that such a file has.
    pub fn header(&self) -> Result<Header, Error> {
        Ok(Header::new(&self.archives, self.x_files_factor, self.method)?)
    }
}

/// When a file's blocks are taken from the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocation {
    /// As they are written.
    #[default]
    Sparse,
    /// All at once, so that no later update finds the disk full.
    Reserved,
}

/// What `create` does about a file in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExisting {
    /// Fail with [`Error::Exists`].
    #[default]
    Refuse,
    /// Replace it.
    Replace,
}

/// Creates `path`. A failure leaves no file behind, under any name.
pub fn create(path: &Path, spec: &Spec, existing: OnExisting) -> Result<(), Error> {
    let header = spec.header()?;
    let (temporary, mut file) = Temporary::create(path)?;
    if spec.allocation == Allocation::Reserved {
        reserve(&file, header.file_bytes())?;
    }
    build(&mut file, &header)?;
    match existing {
        OnExisting::Replace => Ok(temporary.replace(path)?),
        OnExisting::Refuse => temporary.place_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists,
            _ => Error::Io(error),
        }),
    }
}

/// Writes the header and gives the file its size.
pub(crate) fn build<S: Storage>(storage: &mut S, header: &Header) -> io::Result<()> {
    storage.set_size(header.file_bytes())?;
    storage.write_at(&header.to_bytes(), 0)
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec::new(vec![Retention { seconds_per_point: 60, points: 5 }])
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn an_existing_file_is_kept_unless_replacing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wsp");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(create(&path, &spec(), OnExisting::Refuse), Err(Error::Exists)));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        create(&path, &spec(), OnExisting::Replace).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 88);
        assert_eq!(names(folder.path()), ["a.wsp"]);
    }

    #[test]
    fn a_failed_create_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let bad = Spec { x_files_factor: 2.0, ..spec() };
        create(&folder.path().join("a.wsp"), &bad, OnExisting::Refuse).unwrap_err();
        let taken = folder.path().join("folder");
        std::fs::create_dir(&taken).unwrap();
        create(&taken, &spec(), OnExisting::Replace).unwrap_err();
        assert_eq!(names(folder.path()), ["folder"]);
    }

    #[test]
    fn sparse_and_reserved_files_have_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [sparse, reserved] = ["sparse", "reserved"].map(|name| folder.path().join(name));
        create(&sparse, &spec(), OnExisting::Refuse).unwrap();
        let full = Spec { allocation: Allocation::Reserved, ..spec() };
        create(&reserved, &full, OnExisting::Refuse).unwrap();
        assert_eq!(std::fs::read(sparse).unwrap(), std::fs::read(reserved).unwrap());
    }
}
