//! Where a file's bytes live. Everything above does positioned reads and writes through one trait,
//! so that tests can fail any call and production can hold the descriptor as it likes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

#[cfg(any(test, feature = "test-util"))]
pub(crate) mod memory;

/// Bytes with positioned access. Short reads and writes are errors, never partial successes.
pub trait Storage {
    /// Fills `buffer` from `offset`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Number of bytes.
    fn size(&self) -> io::Result<u64>;

    /// Grows with zeros that take no room, or cuts.
    fn set_size(&mut self, size: u64) -> io::Result<()>;

    /// Makes what was written survive a power cut.
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
