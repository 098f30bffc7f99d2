//! Reading back what former runs have left: frames in the order of their numbers, whatever happened to the files.
//!
//! The rules: docs/formats/journal.md.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::files::FoundFile;
use crate::segment::SegmentReader;
use crate::{Position, Shared};

/// What a replay has found so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReplayReport {
    /// Segments read to their end.
    pub segments: u64,
    /// Frames handed on.
    pub frames: u64,
    /// Frames that stood in a second segment too.
    pub duplicates: u64,
    /// Stretches that did not check.
    pub damaged: u64,
    /// Bytes cut off the last segment.
    pub torn_bytes: u64,
    /// Segments that could not be read to their end.
    pub unreadable: u64,
}

/// What former runs have left, handed on frame by frame.
#[derive(Debug)]
pub struct Replay {
    shared: Arc<Shared>,
    /// Not opened yet, oldest first.
    waiting: VecDeque<FoundFile>,
    /// Oldest first; more than two only where segments overlap.
    active: Vec<(FoundFile, SegmentReader)>,
    last_segment: u64,
    last_frame: u64,
    report: ReplayReport,
}

impl Replay {
    pub(crate) fn new(shared: Arc<Shared>, files: Vec<FoundFile>) -> Self {
        Self {
            shared,
            last_segment: files.last().map_or(0, |file| file.info.number),
            waiting: files.into(),
            active: Vec::new(),
            last_frame: 0,
            report: ReplayReport::default(),
        }
    }

    /// Bytes of segments that have not been opened yet.
    #[must_use]
    pub fn bytes_left(&self) -> u64 {
        self.waiting.iter().map(|file| file.info.bytes).sum()
    }

    /// No frame that is yet to be read came before this second since 1970; none if there are none.
    #[must_use]
    pub fn begins_s(&self) -> Option<i64> {
        self.waiting.iter().map(|file| file.info.created_s.into()).min()
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> ReplayReport {
        self.report
    }

    /// Hands the body of the next frame to `each`, with the frame's position; false when there are no more.
    pub fn step(&mut self, each: &mut dyn FnMut(Position, &[u8])) -> bool {
        while let Some(index) = self.next() {
            let reader = &mut self.active[index].1;
            let number = reader.number().expect("only readers at a frame are chosen");
            let fresh = number > self.last_frame;
            if fresh {
                self.last_frame = number;
                self.report.frames += 1;
                each(Position(number), reader.body());
            } else {
                self.report.duplicates += 1;
            }
            reader.advance();
            if fresh {
                return true;
            }
        }
        false
    }

    /// The reader with the lowest number, after a look at the segment behind it.
    fn next(&mut self) -> Option<usize> {
        loop {
            while let Some(at) = self.active.iter().position(|(_, r)| r.number().is_none()) {
                let (file, reader) = self.active.remove(at);
                self.finish(&file, reader);
            }
            let lowest = self.active.iter().enumerate().min_by_key(|(_, (_, r))| r.number());
            let lowest = lowest.map(|(index, _)| index);
            let is_newest = lowest.is_none_or(|index| index + 1 == self.active.len());
            if !is_newest || !self.open_next() {
                return lowest;
            }
        }
    }

    /// False when all segments have been opened.
    fn open_next(&mut self) -> bool {
        let Some(file) = self.waiting.pop_front() else { return false };
        let numbers = file.info.first.0..file.info.last.0 + 1;
        match SegmentReader::open(&file.path, Some(numbers), &*self.shared.disk) {
            Ok(mut reader) => {
                reader.in_damage = !file.header_holds;
                reader.advance();
                self.active.push((file, reader));
            }
            Err(error) => self.unreadable(&file, &error),
        }
        true
    }

    fn unreadable(&mut self, file: &FoundFile, error: &io::Error) {
        self.report.unreadable += 1;
        self.shared.counters.files_unusable.inc();
        tracing::error!(path = %file.path.display(), %error, "segment cannot be read");
    }

    fn finish(&mut self, file: &FoundFile, mut reader: SegmentReader) {
        let number = file.info.number;
        let mut damaged = reader.damaged;
        let mut bytes = file.info.bytes;
        if let Some(error) = reader.failed() {
            // What could not be read may be sound: nothing is cut, and the segment is not released.
            self.unreadable(file, &error);
        } else {
            if reader.in_damage && number == self.last_segment {
                bytes = reader.sound_end;
                self.cut(file, &reader);
            } else {
                damaged += u64::from(reader.in_damage);
            }
            self.report.segments += 1;
            let last = Position(reader.last_number());
            self.shared.files.change(number, |info| {
                (info.last, info.bytes, info.replayed) = (last, bytes, true);
            });
        }
        if damaged > 0 {
            self.report.damaged += damaged;
            self.shared.counters.frames_damaged.add(damaged);
            tracing::error!(path = %file.path.display(), damaged, "segment is damaged");
        }
    }

    fn cut(&mut self, file: &FoundFile, reader: &SegmentReader) {
        let torn = reader.tail_bytes();
        self.report.torn_bytes += torn;
        self.shared.counters.torn_bytes.add(torn);
        tracing::warn!(path = %file.path.display(), bytes = torn, "torn tail cut off");
        if let Err(error) = self.shared.disk.truncate(&file.path, reader.sound_end) {
            tracing::warn!(path = %file.path.display(), %error, "torn tail stays");
        }
    }
}
