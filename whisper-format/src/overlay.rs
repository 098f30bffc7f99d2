//! Points that are staged over a file: every operation writes here first, reads through it, and
//! hands the storage its runs at the end. So an operation that fails before that point has changed
//! nothing, and a slot that is rewritten ten times is written once.

use std::collections::BTreeMap;
use std::io;

use crate::archive::{Archive, POINT_BYTES, Point};
use crate::storage::Storage;

/// Staged points over a storage.
pub(crate) struct Overlay<'a, S> {
    under: &'a S,
    /// By byte position; slots never overlap, and adjacent slots are adjacent keys.
    staged: BTreeMap<u64, Point>,
    /// Intervals of the slots 0 that were read: each is asked for several times.
    bases: BTreeMap<u64, u32>,
}

/// One contiguous write.
pub(crate) struct Run {
    pub(crate) position: u64,
    pub(crate) bytes: Vec<u8>,
}

impl<'a, S: Storage> Overlay<'a, S> {
    pub(crate) fn new(under: &'a S) -> Self {
        Self { under, staged: BTreeMap::new(), bases: BTreeMap::new() }
    }

    /// The interval in slot 0; 0 marks an archive without data.
    pub(crate) fn base(&mut self, archive: &Archive) -> io::Result<u32> {
        let position = archive.position(0);
        if let Some(point) = self.staged.get(&position) {
            return Ok(point.interval);
        }
        if let Some(&base) = self.bases.get(&position) {
            return Ok(base);
        }
        let mut bytes = [0; POINT_BYTES];
        self.under.read_at(&mut bytes, position)?;
        let base = Point::from_bytes(&bytes).interval;
        self.bases.insert(position, base);
        Ok(base)
    }

    /// The slot where `interval` belongs: an archive without data starts at slot 0.
    pub(crate) fn slot(&mut self, archive: &Archive, interval: i64) -> io::Result<u32> {
        Ok(match self.base(archive)? {
            0 => 0,
            base => archive.slot(interval, base),
        })
    }

    /// Stages one point.
    pub(crate) fn put(&mut self, archive: &Archive, slot: u32, point: Point) {
        self.put_at(archive.position(slot), point);
    }

    /// Stages one point at a byte position; archives lie back to back, so even one outside of its
    /// archive falls on a slot.
    pub(crate) fn put_at(&mut self, position: u64, point: Point) {
        self.staged.insert(position, point);
    }

    /// The bytes of `count` slots from `slot` on, wrapping; at most once around.
    pub(crate) fn read(&self, archive: &Archive, slot: u32, count: usize) -> io::Result<Vec<u8>> {
        let points = archive.points as usize;
        let count = count.min(points);
        let first = count.min(points - slot as usize);
        let mut bytes = vec![0; count * POINT_BYTES];
        let (head, tail) = bytes.split_at_mut(first * POINT_BYTES);
        self.read_linear(head, archive.position(slot))?;
        self.read_linear(tail, archive.position(0))?;
        Ok(bytes)
    }

    /// Reads what is not staged in one go, nothing if all is.
    fn read_linear(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        let end = position + bytes.len() as u64;
        if bytes.is_empty() {
            return Ok(());
        }
        if self.staged.range(position..end).count() * POINT_BYTES < bytes.len() {
            self.under.read_at(bytes, position)?;
        }
        for (at, point) in self.staged.range(position..end) {
            let start = usize::try_from(at - position).expect("within a slice");
            bytes[start..start + POINT_BYTES].copy_from_slice(&point.to_bytes());
        }
        Ok(())
    }

    /// The staged points as contiguous writes, in file order: finer archives come first, so that
    /// what a crash leaves undone can be derived from what it left done.
    pub(crate) fn into_runs(self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (position, point) in self.staged {
            match runs.last_mut() {
                Some(run) if run.position + run.bytes.len() as u64 == position => {
                    run.bytes.extend(point.to_bytes());
                }
                _ => runs.push(Run { position, bytes: point.to_bytes().to_vec() }),
            }
        }
        runs
    }
}
