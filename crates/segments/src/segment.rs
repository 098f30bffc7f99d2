//! One segment file, read from sound frame to sound frame.

use std::io::{self, Read};
use std::path::Path;

use crate::disk::LogDisk;
use crate::frame::{FRAME_HEAD_BYTES, FrameHead, HEADER_BYTES, NUMBER_END, next_mark};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// A window over a file: it always holds what is asked for, if the file has it.
struct Window {
    file: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    at: usize,
    /// Where the window's first unread byte stands in the file.
    offset: u64,
    at_end: bool,
    /// How much of the file may be read: what is behind is being written.
    limit: u64,
    failed: Option<io::Error>,
}

impl Window {
    fn fill(&mut self, wanted: usize) -> &[u8] {
        if !self.at_end && self.bytes.len() - self.at < wanted {
            self.bytes.drain(..self.at);
            self.at = 0;
            let allowed = self.limit.saturating_sub(self.offset + self.bytes.len() as u64);
            let missing = wanted.saturating_sub(self.bytes.len()).max(READ_BYTES) as u64;
            let mut part = Read::take(&mut self.file, missing.min(allowed));
            match part.read_to_end(&mut self.bytes) {
                Ok(read) => self.at_end = (read as u64) < missing,
                Err(error) => {
                    self.at_end = true;
                    self.failed = Some(error);
                }
            }
        }
        &self.bytes[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += bytes as u64;
    }
}

/// Reads one segment: from sound frame to sound frame.
pub(crate) struct SegmentReader {
    window: Window,
    /// The frame at the start of the window, which has been checked.
    frame: Option<FrameHead>,
    /// Numbers that the next frame may have.
    numbers: std::ops::Range<u64>,
    /// Where the last sound frame ends in the file.
    pub(crate) sound_end: u64,
    /// No sound frame has come since the last byte that did not check.
    pub(crate) in_damage: bool,
    /// Stretches that did not check, each between sound frames.
    pub(crate) damaged: u64,
}

impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentReader").field("frame", &self.frame).finish_non_exhaustive()
    }
}

impl SegmentReader {
    /// Before the first frame of a file. Without `numbers` any frame will do.
    pub(crate) fn open(
        path: &Path,
        numbers: Option<std::ops::Range<u64>>,
        disk: &dyn LogDisk,
    ) -> io::Result<Self> {
        let reader = Self::open_between(HEADER_BYTES as u64, u64::MAX, path, disk)?;
        Ok(Self { numbers: numbers.unwrap_or(0..NUMBER_END), ..reader })
    }

    /// Before the frame at byte `offset` of a file that is read no further than `limit` until told otherwise.
    pub(crate) fn open_between(
        offset: u64,
        limit: u64,
        path: &Path,
        disk: &dyn LogDisk,
    ) -> io::Result<Self> {
        let file = disk.open(path, offset)?;
        let window =
            Window { file, bytes: Vec::new(), at: 0, offset, at_end: false, limit, failed: None };
        Ok(Self {
            window,
            frame: None,
            numbers: 0..NUMBER_END,
            sound_end: offset,
            in_damage: false,
            damaged: 0,
        })
    }

    /// The number of the frame that is at hand.
    pub(crate) fn number(&self) -> Option<u64> {
        self.frame.map(|frame| frame.number)
    }

    /// The last number that it has come to.
    pub(crate) fn last_number(&self) -> u64 {
        self.numbers.start.saturating_sub(1)
    }

    /// The file holds whole frames up to `limit` now.
    pub(crate) fn allow(&mut self, limit: u64) {
        if limit > self.window.limit {
            self.window.limit = limit;
            self.window.at_end = false;
        }
    }

    /// Why the file could not be read to its end.
    pub(crate) fn failed(&mut self) -> Option<io::Error> {
        self.window.failed.take()
    }

    /// Stretches that did not check so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged + u64::from(self.in_damage)
    }

    pub(crate) fn body(&self) -> &[u8] {
        let start = self.window.at + FRAME_HEAD_BYTES;
        self.frame.map_or(&[], |frame| &self.window.bytes[start..start + frame.body_bytes])
    }

    /// Goes on to the next sound frame, or to the end.
    pub(crate) fn advance(&mut self) {
        if let Some(frame) = self.frame.take() {
            self.window.skip(FRAME_HEAD_BYTES + frame.body_bytes);
        }
        loop {
            let bytes = self.window.fill(FRAME_HEAD_BYTES);
            if bytes.is_empty() {
                return;
            }
            let head = FrameHead::decode(bytes).filter(|head| self.numbers.contains(&head.number));
            let Some(head) = head else {
                let skipped = next_mark(bytes);
                self.skip_damage(skipped);
                continue;
            };
            let frame_bytes = FRAME_HEAD_BYTES + head.body_bytes;
            let bytes = self.window.fill(frame_bytes);
            let Some(body) = bytes.get(FRAME_HEAD_BYTES..frame_bytes) else {
                let skipped = next_mark(bytes);
                self.skip_damage(skipped);
                continue;
            };
            if !head.holds(body) {
                self.skip_damage(frame_bytes);
                continue;
            }
            self.damaged += u64::from(std::mem::take(&mut self.in_damage));
            self.sound_end = self.window.offset + frame_bytes as u64;
            self.numbers.start = head.number + 1;
            self.frame = Some(head);
            return;
        }
    }

    fn skip_damage(&mut self, bytes: usize) {
        self.in_damage = true;
        self.window.skip(bytes);
    }

    /// Bytes at the end that did not check.
    pub(crate) fn tail_bytes(&self) -> u64 {
        self.window.offset.saturating_sub(self.sound_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::frame::{BODY_BYTES_MAX, begin_frame, end_frame, seal};

    /// Frames of the longest length, all damaged, with heads that promise more than there is.
    #[test]
    fn a_window_never_holds_more_than_a_frame_and_a_read() {
        let folder = testkit::folder();
        let path = folder.path().join("1.segment");
        let mut bytes = vec![0; HEADER_BYTES];
        for number in 0..8 {
            let start = bytes.len();
            begin_frame(&mut bytes);
            bytes.resize(start + FRAME_HEAD_BYTES + BODY_BYTES_MAX, 7);
            end_frame(&mut bytes, start, number);
            seal(&mut bytes[start..]);
            let cut = if number % 2 == 0 { bytes.len() - 1 } else { start + FRAME_HEAD_BYTES };
            bytes.truncate(cut);
        }
        std::fs::write(&path, &bytes).unwrap();
        let mut reader = SegmentReader::open(&path, None, &RealDisk).unwrap();
        reader.advance();
        assert_eq!(reader.number(), None);
        assert_eq!(reader.tail_bytes(), (bytes.len() - HEADER_BYTES) as u64);
        let most = 2 * (FRAME_HEAD_BYTES + BODY_BYTES_MAX + READ_BYTES);
        assert!(reader.window.bytes.capacity() <= most, "{}", reader.window.bytes.capacity());
    }
}
