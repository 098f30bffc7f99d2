//! A file whose beginning was read in one go.

use std::cell::Cell;
use std::io;

use whisper::{Header, POINT_BYTES, Storage};

use super::disk::{Beginning, DiskFile, FileMark};

/// Bytes read ahead at most. The header and all archives but the last are shorter in most files.
const PREFIX_BYTES_MAX: u64 = 256 << 10;

/// Bytes read ahead at least: no header is longer.
const PREFIX_BYTES_MIN: u64 = 1 << 10;

thread_local! {
    /// The memory of the last prefix of this thread: new memory would have to be filled with zeros for every file.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

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
        Self::plain(file).read_ahead(wanted)
    }

    /// Of a file that begins with these bytes.
    pub(super) fn known(file: DiskFile, bytes: &[u8]) -> Self {
        let mut prefix = SPARE.take();
        prefix.clear();
        prefix.extend_from_slice(bytes);
        Self { file, prefix }
    }

    /// The same with so many of its first bytes, or what there is of them.
    pub(super) fn read_ahead(mut self, wanted: u64) -> io::Result<Self> {
        let bytes = wanted.clamp(PREFIX_BYTES_MIN, PREFIX_BYTES_MAX).min(self.file.mark().bytes);
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        if self.prefix.len() < bytes {
            let mut prefix = SPARE.take();
            prefix.resize(bytes, 0);
            self.file.read_at(&mut prefix, 0)?;
            self.prefix = prefix;
        }
        Ok(self)
    }

    /// Takes note of how the file begins, for the next one who opens it.
    pub(super) fn keep_beginning(&self, header: &Header) {
        let slot = header.archives.first().and_then(|first| usize::try_from(first.offset).ok());
        let bytes = slot.and_then(|slot| self.prefix.get(..slot.saturating_add(POINT_BYTES)));
        if let Some(bytes) = bytes {
            let (header, bytes) = (header.clone(), bytes.to_vec());
            self.file.keep_beginning(Beginning { header, bytes });
        }
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

impl Drop for Prefixed {
    fn drop(&mut self) {
        if !self.prefix.is_empty() {
            SPARE.set(std::mem::take(&mut self.prefix));
        }
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
