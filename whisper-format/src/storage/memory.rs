//! Storage in memory that counts its calls and fails or tears a chosen one.

use std::cell::Cell;
use std::io;

use crate::storage::Storage;

/// What happens at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and does nothing.
    Fail,
    /// A write leaves this many of its bytes behind and fails; other calls just fail.
    Tear(usize),
}

/// Bytes in memory. Calls of all kinds are counted together, from 0.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    bytes: Vec<u8>,
    fault: Option<(u64, Fault)>,
    calls: Cell<u64>,
    reads: Cell<u64>,
    writes: u64,
}

impl MemoryStorage {
    /// Holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Lets the call number `call`, counted from now, go wrong.
    pub fn fail_at(&mut self, call: u64, fault: Fault) {
        self.fault = Some((self.calls.get() + call, fault));
    }

    /// The bytes as they are.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Calls so far, of any kind.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// Calls of `read_at` so far.
    pub fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// Calls of `write_at` so far.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Counts a call and returns its fault.
    fn call(&self) -> Option<Fault> {
        let number = self.calls.get();
        self.calls.set(number + 1);
        self.fault.filter(|fault| fault.0 == number).map(|fault| fault.1)
    }

    fn check(&self) -> io::Result<()> {
        self.call().map_or(Ok(()), |_fault| Err(injected()))
    }
}

fn injected() -> io::Error {
    io::Error::other("injected fault")
}

impl Storage for MemoryStorage {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.check()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(buffer.len());
        let from = end.and_then(|end| self.bytes.get(start..end));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.writes += 1;
        let (bytes, result) = match self.call() {
            None => (bytes, Ok(())),
            Some(Fault::Fail) => (&bytes[..0], Err(injected())),
            Some(Fault::Tear(kept)) => (&bytes[..kept.min(bytes.len())], Err(injected())),
        };
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
        result
    }

    fn size(&self) -> io::Result<u64> {
        self.check()?;
        Ok(self.bytes.len() as u64)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.check()?;
        self.bytes.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.check()
    }
}
