//! Reading a log that goes on being written, from any position on.

use std::io;
use std::sync::Arc;

use crate::segment::SegmentReader;
use crate::{Position, Shared};

/// What a reader has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadStep {
    /// The frame at this position was handed on.
    Frame(Position),
    /// All up to here has been handed on, as far as it is sound; no more is written yet.
    End(Position),
}

/// Hands on written frames in their order. Frames that do not check are skipped.
#[derive(Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
    /// The number of the segment that is being read.
    segment: Option<(u64, SegmentReader)>,
    /// The segment that was read before.
    former: Option<u64>,
    last: Position,
    damaged: u64,
}

impl LogReader {
    pub(crate) fn new(shared: Arc<Shared>, last: Position) -> Self {
        Self { shared, segment: None, former: None, last, damaged: 0 }
    }

    /// All up to here has been handed on or skipped.
    #[must_use]
    pub fn position(&self) -> Position {
        self.last
    }

    /// Stretches that did not check.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged + self.segment.as_ref().map_or(0, |(_, reader)| reader.damaged())
    }

    /// Hands the body of the next frame to `each`.
    ///
    /// # Errors
    /// When a segment cannot be read; the next call goes on behind it.
    pub fn step(&mut self, each: &mut dyn FnMut(Position, &[u8])) -> io::Result<ReadStep> {
        let end = self.shared.watermarks.reached(crate::Durability::Written).max(self.last);
        while self.last < end {
            let open = match self.segment.take() {
                Some(open) => Some(open),
                None => self.open()?,
            };
            let Some((number, mut reader)) = open else { break };
            // A segment that was deleted meanwhile can still be read as far as it was allowed.
            reader.allow(self.shared.files.bytes_of(number).unwrap_or(0));
            reader.advance();
            match reader.number().map(Position) {
                Some(position) if position > self.last => {
                    self.last = position;
                    each(position, reader.body());
                    self.segment = Some((number, reader));
                    return Ok(ReadStep::Frame(position));
                }
                Some(_known) => self.segment = Some((number, reader)),
                None => {
                    let failed = reader.failed();
                    let is_over = self.leave(number, reader);
                    failed.map_or(Ok(()), Err)?;
                    if !is_over {
                        break;
                    }
                }
            }
        }
        self.last = end;
        Ok(ReadStep::End(end))
    }

    fn open(&mut self) -> io::Result<Option<(u64, SegmentReader)>> {
        let Some(info) = self.shared.files.next(self.former, self.last) else { return Ok(None) };
        let path = self.shared.files.path_of(info.number);
        let offset = self.shared.files.offset_before(info.number, self.last);
        match SegmentReader::open_between(offset, info.bytes, &path, &*self.shared.disk) {
            Ok(reader) => Ok(Some((info.number, reader))),
            Err(error) => {
                self.former = Some(info.number);
                Err(error)
            }
        }
    }

    /// Goes on with the segment behind, if there is one; else this one may still grow.
    fn leave(&mut self, number: u64, reader: SegmentReader) -> bool {
        let is_over = self.shared.files.next(Some(number), self.last).is_some();
        if is_over {
            self.damaged += reader.damaged();
            self.former = Some(number);
        } else {
            self.segment = Some((number, reader));
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use daemon::clock::Manual;

    use super::*;
    use crate::sim::SimDisk;
    use crate::{Committer, Kind, LogConfig, LogCounters, Record, SegmentLog, Surroundings};

    const KIND: Kind = Kind {
        name: "test",
        magic: *b"PLUMTEST",
        suffix: ".test",
        thread: "test",
        sync_thread: "test-sync",
    };

    #[derive(Debug, Clone, Copy)]
    struct Number(u32);

    impl Record for Number {
        fn kind(&self) -> u8 {
            1
        }

        fn encode(&self, into: &mut Vec<u8>) {
            into.extend_from_slice(&self.0.to_le_bytes());
        }
    }

    fn open(disk: &SimDisk) -> (SegmentLog, Committer) {
        let with = Surroundings {
            disk: Arc::new(disk.clone()),
            clock: Arc::new(Manual::at(1_700_000_000)),
            counters: LogCounters::default(),
        };
        let config = LogConfig { segment_bytes: 200, ..LogConfig::default() };
        let (log, mut replay, committer) =
            SegmentLog::open_without_thread(Path::new("/log"), &KIND, config, with).unwrap();
        while replay.step(&mut |_, _| {}) {}
        (log, committer)
    }

    /// All that the reader has now.
    fn read(reader: &mut LogReader) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut take = |_: Position, body: &[u8]| {
            for record in crate::records(body) {
                let (_, fields) = record.unwrap();
                numbers.push(u32::from_le_bytes(fields.try_into().unwrap()));
            }
        };
        while let ReadStep::Frame(_) = reader.step(&mut take).unwrap() {}
        numbers
    }

    #[test]
    fn a_reader_follows_the_writing_over_segments_and_runs() {
        let disk = SimDisk::default();
        let (log, mut committer) = open(&disk);
        let mut reader = log.read_after(Position(0));
        for number in 0..20 {
            log.append([Number(number)]);
            assert_eq!(read(&mut reader), [0; 0], "nothing that is not written");
            committer.commit(false);
            assert_eq!(read(&mut reader), [number]);
        }
        assert!(log.segments().len() > 2);
        let last = log.append([Number(20)]);
        committer.commit(true);
        let (log, mut committer) = open(&disk.after_kill());
        log.append([Number(21)]);
        committer.commit(false);
        assert_eq!(read(&mut log.read_after(Position(0))), (0..22).collect::<Vec<_>>());
        assert_eq!(read(&mut log.read_after(Position(last.0 - 1))), [20, 21]);
    }

    #[derive(Debug, Clone, Copy)]
    struct Long(u32);

    impl Record for Long {
        fn kind(&self) -> u8 {
            1
        }

        fn encode(&self, into: &mut Vec<u8>) {
            into.extend_from_slice(&self.0.to_le_bytes());
            into.resize(into.len() + (100 << 10), 7);
        }
    }

    #[test]
    fn a_reader_that_comes_back_begins_near_its_place() {
        let disk = SimDisk::default();
        let with = Surroundings {
            disk: Arc::new(disk.clone()),
            clock: Arc::new(Manual::at(1_700_000_000)),
            counters: LogCounters::default(),
        };
        let (log, mut replay, mut committer) =
            SegmentLog::open_without_thread(Path::new("/log"), &KIND, LogConfig::default(), with)
                .unwrap();
        while replay.step(&mut |_, _| {}) {}
        let positions: Vec<Position> = (0..20)
            .map(|number| {
                let position = log.append([Long(number)]);
                committer.commit(false);
                position
            })
            .collect();
        for (number, &position) in positions.iter().enumerate() {
            let mut reader = log.read_after(position);
            let mut numbers = Vec::new();
            let mut take = |_: Position, body: &[u8]| {
                let (_, fields) = crate::records(body).next().unwrap().unwrap();
                numbers.push(u32::from_le_bytes(*fields.first_chunk().unwrap()));
            };
            while let ReadStep::Frame(_) = reader.step(&mut take).unwrap() {}
            assert_eq!(numbers, (number as u32 + 1..20).collect::<Vec<_>>());
            let files = &log.shared.files;
            let segment = log.segments()[0];
            let skipped = files.offset_before(segment.number, position);
            let behind = (number as u64 + 1) * (100 << 10);
            assert!(behind.saturating_sub(skipped) < 500 << 10, "{number}: {skipped}");
        }
    }

    #[test]
    fn damage_and_deleted_segments_cost_a_reader_no_more_than_they_hold() {
        let disk = SimDisk::default();
        let (log, mut committer) = open(&disk);
        for number in 0..20 {
            log.append([Number(number)]);
            committer.commit(false);
        }
        let mut behind = log.read_after(Position(0));
        assert!(matches!(behind.step(&mut |_, _| {}), Ok(ReadStep::Frame(_))));
        let second = log.segments()[1];
        assert_eq!(log.release_where(|info| info.number == second.number), 1);
        let gone = (second.last.0 - second.first.0 + 1) as usize;
        assert_eq!(read(&mut behind).len(), 19 - gone);

        let path = disk.paths()[0].clone();
        let mut bytes = disk.get(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        disk.put(&path, bytes);
        let mut reader = log.read_after(Position(0));
        assert_eq!(read(&mut reader).len(), 20 - gone - 1);
        assert_eq!(reader.damaged(), 1);
    }

    #[test]
    fn what_nobody_needs_is_neither_synced_nor_written_once_the_disk_has_refused_it() {
        let disk = SimDisk::default();
        let (log, mut committer) = open(&disk);
        log.spare(log.append([Number(1)]));
        committer.commit(false);
        committer.commit(false);
        assert_eq!(log.held_bytes(), 0);
        disk.set_full(true);
        let refused = log.append([Number(2)]);
        committer.commit(false);
        assert!(log.is_stalled() && log.held_bytes() > 0 && log.taken() == refused);
        log.spare(refused);
        committer.commit(false);
        committer.commit(false);
        assert_eq!((log.held_bytes(), log.is_stalled()), (0, false));
        assert_eq!(log.written(), refused, "who waits for it does not wait for ever");
        disk.set_full(false);
        log.append([Number(3)]);
        committer.commit(true);
        assert_eq!(read(&mut log.read_after(Position(0))), [1, 3]);
    }
}
