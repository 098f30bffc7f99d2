//! Reading back what former runs have left, record by record.

use daemon::Counter;
use segments::Position;

use super::format::decode_records;
use super::{Point, Record};

/// What a replay has found so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReplayReport {
    /// What was found of frames and segments.
    pub log: segments::ReplayReport,
    /// Points handed on, those of checkpoints included.
    pub points: u64,
    /// Records of unknown kinds.
    pub records_unknown: u64,
    /// Frames whose rest made no sense although it checked.
    pub records_senseless: u64,
}

/// What former runs have left, handed on frame by frame.
#[derive(Debug)]
pub struct Replay {
    log: segments::Replay,
    report: ReplayReport,
    records_unknown: Counter,
    scratch: Vec<Point>,
}

impl Replay {
    pub(super) fn new(log: segments::Replay, records_unknown: Counter) -> Self {
        Self { log, report: ReplayReport::default(), records_unknown, scratch: Vec::new() }
    }

    /// Bytes of segments that have not been opened yet.
    #[must_use]
    pub fn bytes_left(&self) -> u64 {
        self.log.bytes_left()
    }

    /// No batch that is yet to be read came before this second since 1970; none if there are none.
    #[must_use]
    pub fn begins_s(&self) -> Option<i64> {
        self.log.begins_s()
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> ReplayReport {
        ReplayReport { log: self.log.report(), ..self.report }
    }

    /// Hands the records of the next frame to `each`, with the frame's position; false when there are no more.
    pub fn step(&mut self, each: &mut dyn FnMut(Position, Record<'_>)) -> bool {
        let Self { log, report, records_unknown, scratch } = self;
        log.step(&mut |position, body| {
            let unread = decode_records(body, scratch, &mut |record| {
                report.points += record.points().len() as u64;
                each(position, record);
            });
            report.records_unknown += unread.unknown;
            report.records_senseless += unread.senseless;
            records_unknown.add(unread.unknown);
        })
    }
}
