//! A file whose beginning was read in one go.

use std::io;

use whisper::Storage;

use super::disk::{DiskFile, FileMark};

/// Bytes read ahead at most. The header and all archives but the last are shorter in most files.
const PREFIX_BYTES_MAX: u64 = 256 << 10;

/// Bytes read ahead at least: no header is longer.
const PREFIX_BYTES_MIN: u64 = 1 << 10;

/// A file, and its first bytes in memory.
#[derive(Debug)]
pub(super) struct Prefixed {
    file: DiskFile,
    prefix: Vec<u8>,
}

impl Prefixed {
    /// Reads nothing.
    pub(super) fn plain(file: DiskFile) -> Self {
        Self { file, prefix: Vec::new() }
    }

    /// Reads the first `wanted` bytes, or what there is of them.
    pub(super) fn read(file: DiskFile, wanted: u64) -> io::Result<Self> {
        let bytes = wanted.clamp(PREFIX_BYTES_MIN, PREFIX_BYTES_MAX).min(file.mark().bytes);
        let mut prefix = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        file.read_at(&mut prefix, 0)?;
        Ok(Self { file, prefix })
    }

    /// What the file is now.
    pub(super) fn mark_now(&self) -> io::Result<FileMark> {
        self.file.mark_now()
    }

    /// The part of the prefix that a range of the file falls into: from where in the prefix, and how many bytes.
    fn covered(&self, offset: u64, len: usize) -> Option<(usize, usize)> {
        let start = usize::try_from(offset).ok()?;
        let room = self.prefix.len().checked_sub(start)?;
        Some((start, room.min(len)))
    }
}

impl Storage for Prefixed {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let Some((start, covered)) = self.covered(offset, buffer.len()) else {
            return self.file.read_at(buffer, offset);
        };
        let (known, rest) = buffer.split_at_mut(covered);
        known.copy_from_slice(&self.prefix[start..start + covered]);
        if rest.is_empty() { Ok(()) } else { self.file.read_at(rest, offset + covered as u64) }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        if let Some((start, covered)) = self.covered(offset, bytes.len()) {
            self.prefix[start..start + covered].copy_from_slice(&bytes[..covered]);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.file.set_size(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}
