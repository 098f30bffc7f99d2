//! Frames that gather in memory until the committer takes them.

use super::Record;
use super::format::{RECORD_POINTS_MAX, begin_frame, encode_record, end_frame, seal};

/// A frame of this size takes no further batch.
const FRAME_BYTES_TARGET: usize = 64 << 10;
/// A frame of this size is closed even within a batch.
const FRAME_BYTES_SPLIT: usize = 512 << 10;

/// Whole frames on their way to the disk.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) points: u64,
}

impl Chunk {
    /// Computes the sums: not under the lock that senders wait for.
    pub(super) fn seal(&mut self) {
        seal(&mut self.bytes);
    }
}

/// The frames that nobody has taken yet; the last one is open.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    open_at: Option<usize>,
    first: u64,
    /// Number of the open frame, or of the next one.
    number: u64,
    points: u64,
}

impl Buffer {
    pub(super) fn new(first: u64) -> Self {
        Self { bytes: Vec::new(), open_at: None, first, number: first, points: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The last frame that exists.
    pub(super) fn last(&self) -> u64 {
        self.number - u64::from(self.open_at.is_none())
    }

    /// Adds a batch; returns the number of the frame with its last record.
    pub(super) fn append(&mut self, records: &[Record<'_>]) -> u64 {
        if self.open_bytes() >= FRAME_BYTES_TARGET {
            self.close();
        }
        for record in records {
            match *record {
                Record::Points(points) => {
                    let pieces = points.chunks(RECORD_POINTS_MAX);
                    pieces.for_each(|piece| self.push(&Record::Points(piece)));
                    self.points += points.len() as u64;
                }
                Record::EarlierPoints(points) => {
                    // Each piece goes before what was read so far: the last one comes first.
                    let pieces = points.rchunks(RECORD_POINTS_MAX);
                    pieces.for_each(|piece| self.push(&Record::EarlierPoints(piece)));
                }
                _ => self.push(record),
            }
        }
        self.last()
    }

    fn push(&mut self, record: &Record<'_>) {
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
    pub(super) fn take(&mut self, mut spare: Vec<u8>) -> Option<Chunk> {
        self.close();
        if self.is_empty() {
            return None;
        }
        spare.clear();
        let bytes = std::mem::replace(&mut self.bytes, spare);
        let first = std::mem::replace(&mut self.first, self.number);
        let points = std::mem::take(&mut self.points);
        Some(Chunk { bytes, first, last: self.number - 1, points })
    }
}
