//! Readings of the log: nodes that stand near one another in it are fed by one of them, so that it is read once for all.

use std::collections::{HashSet, VecDeque};
use std::io;

use segments::{LogReader, Position, ReadStep, SegmentLog};

/// What all readings together keep of what they have read.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// All readings that some node goes on with, and one that may be wanted again.
#[derive(Debug, Default)]
pub(super) struct Passes {
    used: Vec<Pass>,
    spare: Option<Pass>,
}

/// One reading, and what it has read lately.
#[derive(Debug)]
struct Pass {
    reader: LogReader,
    /// All frames behind `kept_after` that the reader has come past.
    frames: VecDeque<Frame>,
    kept_after: Position,
    bytes: usize,
    /// The nodes that go on with it.
    keys: HashSet<u64>,
}

#[derive(Debug)]
struct Frame {
    position: Position,
    body: Box<[u8]>,
}

/// What comes next in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A frame.
    Frame(Position, &'a [u8]),
    /// Nothing up to here.
    End(Position),
}

/// A reading in use for one node.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pass: &'a mut Pass,
    kept_bytes_max: usize,
    after: Position,
    /// What had to be read from the disk so far.
    pub(super) bytes_read: usize,
}

impl Passes {
    /// A reading for the node with this key that goes on behind `after`.
    pub(super) fn turn(&mut self, key: u64, after: Position, log: &SegmentLog) -> Turn<'_> {
        self.leave(key);
        let at =
            self.used.iter().position(|pass| pass.has_all_behind(after)).unwrap_or_else(|| {
                let spare = self.spare.take_if(|pass| pass.comes_soon_to(after, log));
                self.used.push(spare.unwrap_or_else(|| Pass::new(log.read_after(after))));
                self.used.len() - 1
            });
        let kept_bytes_max = KEPT_BYTES_MAX / self.used.len();
        let pass = &mut self.used[at];
        pass.keys.insert(key);
        Turn { pass, kept_bytes_max, after, bytes_read: 0 }
    }

    /// The node with this key needs no reading for now.
    pub(super) fn leave(&mut self, key: u64) {
        let was_alone = |pass: &mut Pass| pass.keys.remove(&key) && pass.keys.is_empty();
        if let Some(at) = self.used.iter_mut().position(was_alone) {
            let mut spare = self.used.swap_remove(at);
            spare.trim(0);
            self.spare = Some(spare);
        }
    }
}

impl Pass {
    fn new(reader: LogReader) -> Self {
        let kept_after = reader.position();
        Self { reader, frames: VecDeque::new(), kept_after, bytes: 0, keys: HashSet::new() }
    }

    fn has_all_behind(&self, after: Position) -> bool {
        (self.kept_after..=self.reader.position()).contains(&after)
    }

    /// Whether it stands before `after` in the same segment, where a new reading would have to begin further back.
    fn comes_soon_to(&self, after: Position, log: &SegmentLog) -> bool {
        let segment = log.segments().into_iter().rfind(|segment| segment.first <= after);
        let first = segment.map_or(Position(0), |segment| segment.first);
        self.has_all_behind(after) || (first..=after).contains(&self.reader.position())
    }

    /// The place among `frames` of the one behind `after`.
    fn next_behind(&self, after: Position) -> Option<usize> {
        let next = self.frames.partition_point(|frame| frame.position <= after);
        (next < self.frames.len()).then_some(next)
    }

    /// Reads one frame more.
    fn read(&mut self) -> io::Result<ReadStep> {
        let Self { reader, frames, bytes, .. } = self;
        reader.step(&mut |position, body| {
            *bytes += body.len();
            frames.push_back(Frame { position, body: body.into() });
        })
    }

    /// Keeps no more than so many bytes, but the newest frame.
    fn trim(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max
            && self.frames.len() > 1
            && let Some(frame) = self.frames.pop_front()
        {
            self.bytes -= frame.body.len();
            self.kept_after = frame.position;
        }
    }
}

impl Turn<'_> {
    /// The next frame, or how far there is none.
    ///
    /// # Errors
    /// When a segment cannot be read; the next call goes on behind it.
    pub(super) fn step(&mut self) -> io::Result<Step<'_>> {
        let next = loop {
            if let Some(next) = self.pass.next_behind(self.after) {
                break next;
            }
            self.after = self.after.max(self.pass.reader.position());
            let bytes = self.pass.bytes;
            let step = self.pass.read()?;
            self.bytes_read += self.pass.bytes - bytes;
            self.pass.trim(self.kept_bytes_max);
            if let ReadStep::End(position) = step {
                self.after = self.after.max(position);
                return Ok(Step::End(self.after));
            }
        };
        let Frame { position, body } = &self.pass.frames[next];
        self.after = *position;
        Ok(Step::Frame(*position, body))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use daemon::clock::Manual;
    use segments::{Durability, LogConfig, LogCounters, RealDisk, Surroundings};

    use super::super::format::{KIND, Lines, lines_of};
    use super::*;

    const FRAMES: usize = 40;

    /// A log of [`FRAMES`] frames with a number each, in two segments or more.
    fn log(folder: &std::path::Path) -> SegmentLog {
        let with = Surroundings {
            disk: Arc::new(RealDisk),
            clock: Arc::new(Manual::at(1_700_000_000)),
            counters: LogCounters::default(),
        };
        let config = LogConfig { segment_bytes: 1_000, ..LogConfig::default() };
        let (log, mut replay) = SegmentLog::open(folder, &KIND, config, with).unwrap();
        while replay.step(&mut |_, _| {}) {}
        for number in 0..FRAMES {
            let last = log.append([Lines::new(&[1], 1, format!("{number}\n").as_bytes())]);
            log.wait_blocking(last, Durability::Written).unwrap();
        }
        log
    }

    /// Up to `count` numbers, where they end, and the bytes that were read for them.
    fn take(turn: &mut Turn<'_>, count: usize) -> (Vec<usize>, Position, usize) {
        let (mut numbers, mut up_to) = (Vec::new(), Position(0));
        while numbers.len() < count {
            match turn.step().unwrap() {
                Step::Frame(position, body) => {
                    let text = lines_of(body).map(|lines| lines.bytes.to_vec()).next().unwrap();
                    numbers.push(str::from_utf8(&text).unwrap().trim().parse().unwrap());
                    up_to = position;
                }
                Step::End(position) => return (numbers, position, turn.bytes_read),
            }
        }
        (numbers, up_to, turn.bytes_read)
    }

    #[test]
    fn nodes_that_stand_near_one_another_are_fed_by_one_reading() {
        let folder = testkit::folder();
        let log = log(folder.path());
        let mut passes = Passes::default();
        let (numbers, first, bytes) = take(&mut passes.turn(1, Position(0), &log), 10);
        assert!(numbers == (0..10).collect::<Vec<_>>() && bytes > 0);
        let (numbers, second, again) = take(&mut passes.turn(2, Position(0), &log), 10);
        assert_eq!((numbers, second, again), ((0..10).collect(), first, 0));
        let (numbers, end, bytes) = take(&mut passes.turn(2, second, &log), FRAMES);
        assert!(numbers == (10..FRAMES).collect::<Vec<_>>() && bytes > 0);
        assert_eq!(
            take(&mut passes.turn(1, first, &log), FRAMES),
            ((10..FRAMES).collect(), end, 0)
        );
        assert_eq!(passes.used.len(), 1);
    }

    #[test]
    fn one_that_is_further_back_than_what_was_kept_reads_for_itself() {
        let folder = testkit::folder();
        let log = log(folder.path());
        let mut passes = Passes::default();
        let (.., first, _) = take(&mut passes.turn(1, Position(0), &log), 10);
        passes.used[0].trim(0);
        let (numbers, behind, bytes) = take(&mut passes.turn(2, Position(0), &log), 5);
        assert!(numbers == (0..5).collect::<Vec<_>>() && bytes > 0);
        assert_eq!(passes.used.len(), 2);
        assert_eq!(take(&mut passes.turn(1, first, &log), 1).0, [10]);
        assert_eq!(take(&mut passes.turn(2, behind, &log), 1).0, [5]);
    }

    #[test]
    fn a_node_that_left_goes_on_without_reading_its_segment_from_the_start() {
        let folder = testkit::folder();
        let log = log(folder.path());
        let mut passes = Passes::default();
        let (_, end, all) = take(&mut passes.turn(1, Position(0), &log), FRAMES + 1);
        passes.leave(1);
        assert!(passes.used.is_empty());
        let last = log.append([Lines::new(&[1], 1, b"99\n")]);
        log.wait_blocking(last, Durability::Written).unwrap();
        let (numbers, _, bytes) = take(&mut passes.turn(2, end, &log), 1);
        assert_eq!(numbers, [99]);
        assert!(bytes <= all / FRAMES + 4, "{bytes} bytes were read, {all} for the whole log");
    }
}
