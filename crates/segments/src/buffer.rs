//! Frames that gather in memory until the committer takes them.

use crate::Record;
use crate::frame::{begin_frame, encode_record, end_frame, seal};

/// A frame of this size takes no further batch.
const FRAME_BYTES_TARGET: usize = 64 << 10;
/// A frame of this size is closed even within a batch.
const FRAME_BYTES_SPLIT: usize = 512 << 10;

/// Whole frames on their way to the disk.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) items: u64,
}

impl Chunk {
    /// Computes the sums: not under the lock that senders wait for.
    pub(crate) fn seal(&mut self) {
        seal(&mut self.bytes);
    }
}

/// The frames that nobody has taken yet; the last one is open.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    open_at: Option<usize>,
    first: u64,
    /// Number of the open frame, or of the next one.
    number: u64,
    items: u64,
}

impl Buffer {
    pub(crate) fn new(first: u64) -> Self {
        Self { bytes: Vec::new(), open_at: None, first, number: first, items: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Items in frames that nobody has taken yet.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The last frame that exists.
    pub(crate) fn last(&self) -> u64 {
        self.number - u64::from(self.open_at.is_none())
    }

    /// Adds a batch; returns the number of the frame with its last record.
    pub(crate) fn append<R: Record>(&mut self, records: impl IntoIterator<Item = R>) -> u64 {
        if self.open_bytes() >= FRAME_BYTES_TARGET {
            self.close();
        }
        for record in records {
            self.items += record.items();
            record.in_pieces(&mut |piece| self.push(piece));
        }
        self.last()
    }

    fn push(&mut self, record: impl Record) {
        if self.open_bytes() >= FRAME_BYTES_SPLIT {
            self.close();
        }
        if self.open_at.is_none() {
            self.open_at = Some(self.bytes.len());
            begin_frame(&mut self.bytes);
        }
        encode_record(record, &mut self.bytes);
    }

    fn open_bytes(&self) -> usize {
        self.open_at.map_or(0, |start| self.bytes.len() - start)
    }

    fn close(&mut self) {
        if let Some(start) = self.open_at.take() {
            end_frame(&mut self.bytes, start, self.number);
            self.number += 1;
        }
    }

    /// Takes all frames out; they are not sealed yet. `spare` is written to next.
    pub(crate) fn take(&mut self, mut spare: Vec<u8>) -> Option<Chunk> {
        self.close();
        if self.is_empty() {
            return None;
        }
        spare.clear();
        let bytes = std::mem::replace(&mut self.bytes, spare);
        let first = std::mem::replace(&mut self.first, self.number);
        let items = std::mem::take(&mut self.items);
        Some(Chunk { bytes, first, last: self.number - 1, items })
    }
}
