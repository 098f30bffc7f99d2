//! The one thread that writes the log, and decides when it is synced.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::Chunk;
use crate::frame::{HEADER_BYTES, Header};
use crate::syncer::{Job, Syncer};
use crate::{Durability, LogFile, Position, Shared, SyncInterval};

/// Wait after a failure; it doubles with each further one.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
/// Longest wait after failures.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// Attempts before the log counts as stalled: the second one is in a new segment.
const ATTEMPTS: usize = 2;
/// Buffers kept to be filled again, and how large they may be.
const SPARE_MAX: usize = 4;
const SPARE_BYTES_MAX: usize = 1 << 20;
/// With this part of the buffer's limit held, a sync does not wait for its time.
const EARLY_SYNC_PART: usize = 4;

/// The segment that is being written.
struct OpenSegment {
    file: Arc<dyn LogFile>,
    path: PathBuf,
    number: u64,
    /// What has been written without an error.
    bytes: u64,
    folder_synced: bool,
}

/// A sync that goes on beside the writing.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    /// How many of the chunks in the segment it makes safe.
    chunks: usize,
    since: Duration,
}

/// Writes and syncs; what is not known to be synced stays here, so that it can be written again.
pub struct Committer {
    shared: Arc<Shared>,
    /// Not synced yet, oldest first.
    held: VecDeque<Chunk>,
    /// How many of them are in `segment`.
    in_segment: usize,
    segment: Option<OpenSegment>,
    /// Without one every sync is waited for.
    syncer: Option<Syncer>,
    in_flight: Option<InFlight>,
    next_segment: u64,
    written_to: u64,
    synced_to: u64,
    unsynced_since: Option<Duration>,
    retry_at: Option<Duration>,
    back_off: Duration,
    spare: Vec<Vec<u8>>,
    /// What the last chunk had: a new buffer that begins so large need not grow.
    chunk_bytes: usize,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, next_segment: u64) -> Self {
        let at = shared.watermarks.reached(Durability::Written).0;
        Self {
            shared,
            held: VecDeque::new(),
            in_segment: 0,
            segment: None,
            syncer: None,
            in_flight: None,
            next_segment,
            written_to: at,
            synced_to: at,
            unsynced_since: None,
            retry_at: None,
            back_off: BACK_OFF_MIN,
            spare: Vec::new(),
            chunk_bytes: 0,
        }
    }

    /// Lets `syncer` wait for the disk.
    pub(crate) fn with_syncer(mut self, syncer: Syncer) -> Self {
        self.syncer = Some(syncer);
        self
    }

    /// Writes and syncs until the log is closed.
    pub(crate) fn run(mut self) {
        loop {
            let closing = self.wait_for_work();
            if !closing && self.is_backing_off() {
                // The disk waits for its next attempt; who reads what was taken does not wait for the disk.
                self.take();
                self.shared.watermarks.tell();
                continue;
            }
            self.commit(closing);
            if closing {
                return;
            }
        }
    }

    /// Waits until there is something to do; true when it is the last time.
    fn wait_for_work(&self) -> bool {
        let shared = &self.shared;
        let mut inbox = shared.inbox.lock();
        loop {
            if inbox.closing {
                return true;
            }
            let sync_wanted = self.in_flight.is_none() && inbox.synced_wanted > self.synced_to;
            let urgent = sync_wanted
                || inbox.buffer.len() >= shared.config.commit_bytes
                || inbox.written_wanted > self.written_to
                || inbox.sync_done.is_some();
            let write_at = inbox.since.saturating_add(shared.config.commit_interval);
            let write_at = (!inbox.buffer.is_empty()).then_some(write_at);
            let due = match self.retry_at {
                Some(retry_at) => Some(write_at.map_or(retry_at, |at| at.min(retry_at))),
                None if urgent => return false,
                None => [write_at, self.sync_at()].into_iter().flatten().min(),
            };
            let now = shared.clock.monotonic();
            match due {
                Some(due) if due <= now => return false,
                Some(due) => {
                    shared.work.wait_for(&mut inbox, due - now);
                }
                None => shared.work.wait(&mut inbox),
            }
        }
    }

    fn is_backing_off(&self) -> bool {
        self.retry_at.is_some_and(|at| at > self.shared.clock.monotonic())
    }

    fn sync_at(&self) -> Option<Duration> {
        if self.in_flight.is_some() {
            return None;
        }
        match self.shared.config.sync_interval {
            SyncInterval::Always => self.unsynced_since,
            SyncInterval::Every(interval) => {
                self.unsynced_since.map(|since| since.saturating_add(interval))
            }
            SyncInterval::Never => None,
        }
    }

    /// Writes all that has gathered, and begins to sync it if that is due or wanted; with `sync` it also waits for that.
    pub fn commit(&mut self, sync: bool) {
        let shared = Arc::clone(&self.shared);
        self.take();
        let mut inbox = shared.inbox.lock();
        let synced_wanted = inbox.synced_wanted;
        let sync_done = inbox.sync_done.take();
        drop(inbox);
        // After a failed one, the first attempt writes all again.
        sync_done.map(|result| self.finish_sync(result));
        let done = (0..ATTEMPTS).any(|_| self.attempt(sync, synced_wanted).is_ok());
        self.let_go_needless();
        self.retry_at = None;
        if done {
            self.back_off = BACK_OFF_MIN;
        } else {
            self.retry_at = Some(shared.clock.monotonic().saturating_add(self.back_off));
            self.back_off = (2 * self.back_off).min(BACK_OFF_MAX);
        }
        shared.counters.stalled.set(f64::from(u8::from(!done)));
        shared.watermarks.set_stalled(!done);
        shared.watermarks.raise(self.written_to, self.synced_to);
        shared.watermarks.tell();
    }

    /// Takes all that has gathered.
    fn take(&mut self) {
        let shared = &self.shared;
        let fresh = || Vec::with_capacity(self.chunk_bytes.min(SPARE_BYTES_MAX));
        let empty = self.spare.pop().unwrap_or_else(fresh);
        let chunk = shared.inbox.lock().buffer.take(empty);
        if let Some(mut chunk) = chunk {
            self.chunk_bytes = chunk.bytes.len();
            chunk.seal();
            shared.watermarks.raise_taken(chunk.last);
            self.held.push_back(chunk);
        }
    }

    fn attempt(&mut self, sync: bool, synced_wanted: u64) -> Result<(), Failed> {
        self.write_held()?;
        if sync {
            return self.sync();
        }
        let wanted = synced_wanted > self.synced_to || self.is_sync_due();
        if wanted && self.in_segment > 0 && self.in_flight.is_none() {
            self.begin_sync()?;
        }
        Ok(())
    }

    fn is_sync_due(&self) -> bool {
        let config = &self.shared.config;
        let early = self.shared.watermarks.held() > config.buffer_bytes_max / EARLY_SYNC_PART;
        let due = self.sync_at().is_some_and(|at| at <= self.shared.clock.monotonic());
        due || (early && config.sync_interval != SyncInterval::Never)
    }

    /// What nobody needs any more is neither synced nor, if it could not be written so far, written.
    fn let_go_needless(&mut self) {
        let needless = self.shared.watermarks.needless();
        let is_needless = |chunk: &&Chunk| chunk.last <= needless;
        if self.in_flight.is_some() || !self.held.front().as_ref().is_some_and(is_needless) {
            return;
        }
        let count = self.held.iter().take_while(is_needless).count();
        let unwritten = count.saturating_sub(self.in_segment);
        self.in_segment += unwritten;
        self.let_go(count);
        // Who waits for it to be written would wait for what nobody writes any more.
        self.written_to = self.written_to.max(self.synced_to);
        if self.in_segment == 0 {
            self.unsynced_since = None;
        }
    }

    fn write_held(&mut self) -> Result<(), Failed> {
        while let Some(chunk) = self.held.get(self.in_segment) {
            let (first, last) = (chunk.first, chunk.last);
            if self.is_segment_full() {
                self.end_segment()?;
                continue;
            }
            if self.segment.is_none() {
                self.begin_segment(first)?;
            }
            let (Some(segment), Some(chunk)) = (&mut self.segment, self.held.get(self.in_segment))
            else {
                return Ok(());
            };
            if let Err(error) = segment.file.append(&chunk.bytes) {
                return Err(self.write_failed(&error));
            }
            segment.bytes += chunk.bytes.len() as u64;
            let (number, bytes) = (segment.number, segment.bytes);
            let Shared { counters, files, clock, .. } = &*self.shared;
            files.grown(number, Position(last), bytes);
            counters.writes.inc();
            counters.bytes_written.add(chunk.bytes.len() as u64);
            if last > self.written_to {
                counters.items_written.add(chunk.items);
                self.written_to = last;
            }
            self.in_segment += 1;
            let now = clock.monotonic();
            self.unsynced_since.get_or_insert(now);
            if self.shared.config.sync_interval == SyncInterval::Never {
                self.unsynced_since = None;
                self.let_go(self.in_segment);
            }
        }
        Ok(())
    }

    fn is_segment_full(&self) -> bool {
        let Some(segment) = &self.segment else { return false };
        let full = segment.bytes >= self.shared.config.segment_bytes;
        let has_frames = segment.bytes > HEADER_BYTES as u64;
        has_frames && (full || self.shared.files.take_rotation())
    }

    fn end_segment(&mut self) -> Result<(), Failed> {
        self.sync()?;
        if let Some(segment) = self.segment.take() {
            self.shared.files.change(segment.number, |info| info.open = false);
        }
        Ok(())
    }

    fn begin_segment(&mut self, first_frame: u64) -> Result<(), Failed> {
        let shared = Arc::clone(&self.shared);
        let number = self.next_segment;
        let path = shared.files.path_of(number);
        self.next_segment += 1;
        let file = match shared.disk.create(&path) {
            Ok(file) => file,
            Err(error) => return Err(self.write_failed(&error)),
        };
        let created_s = shared.clock.now_unix_seconds().max(0);
        let created_s = u32::try_from(created_s).unwrap_or(u32::MAX);
        shared.files.begin(number, first_frame, created_s);
        let header = Header { segment: number, first_frame, created_s }.encode(shared.kind.magic);
        let result = file.append(&header);
        let bytes = HEADER_BYTES as u64;
        self.segment = Some(OpenSegment { file, path, number, bytes, folder_synced: false });
        shared.counters.bytes_written.add(bytes);
        result.map_err(|error| self.write_failed(&error))
    }

    /// Makes what is in the segment survive a power cut, and waits for that.
    fn sync(&mut self) -> Result<(), Failed> {
        self.wait_for_syncer()?;
        let since = self.shared.clock.monotonic();
        let Some(job) = self.job() else { return Ok(()) };
        self.in_flight = Some(InFlight { chunks: self.in_segment, since });
        let result = job.run(&self.shared);
        self.finish_sync(result)
    }

    /// As [`Self::sync`], but the syncer waits.
    fn begin_sync(&mut self) -> Result<(), Failed> {
        let (Some(job), Some(syncer)) = (self.job(), &self.syncer) else { return self.sync() };
        let since = self.shared.clock.monotonic();
        if syncer.hand(job).is_err() {
            self.syncer = None;
            return self.sync();
        }
        self.in_flight = Some(InFlight { chunks: self.in_segment, since });
        Ok(())
    }

    fn job(&self) -> Option<Job> {
        let segment = self.segment.as_ref().filter(|_| self.in_segment > 0)?;
        Some(Job { file: Arc::clone(&segment.file), with_folder: !segment.folder_synced })
    }

    fn wait_for_syncer(&mut self) -> Result<(), Failed> {
        if self.in_flight.is_none() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox.lock();
        let result = loop {
            match inbox.sync_done.take() {
                Some(result) => break result,
                None => shared.work.wait(&mut inbox),
            }
        };
        drop(inbox);
        self.finish_sync(result)
    }

    /// Lets go of what is safe now.
    fn finish_sync(&mut self, result: io::Result<()>) -> Result<(), Failed> {
        let Some(InFlight { chunks, since }) = self.in_flight.take() else { return Ok(()) };
        if let Err(error) = result {
            return Err(self.sync_failed(&error));
        }
        if let Some(segment) = &mut self.segment {
            segment.folder_synced = true;
        }
        self.shared.counters.syncs.inc();
        self.let_go(chunks);
        // What was written since the sync began waits no longer than that.
        self.unsynced_since = (self.in_segment > 0).then_some(since);
        Ok(())
    }

    fn let_go(&mut self, chunks: usize) {
        for chunk in self.held.drain(..chunks) {
            self.synced_to = chunk.last;
            self.shared.watermarks.sub_held(chunk.bytes.len());
            if self.spare.len() < SPARE_MAX && chunk.bytes.capacity() <= SPARE_BYTES_MAX {
                self.spare.push(chunk.bytes);
            }
        }
        self.in_segment -= chunks;
    }

    /// Ends the segment with what was written before, as far as the disk still takes that.
    fn write_failed(&mut self, error: &io::Error) -> Failed {
        let shared = Arc::clone(&self.shared);
        shared.counters.write_errors.inc();
        daemon::warn_limited!(shared.clock, %error, log = shared.kind.name, "log cannot be written, will try again");
        let Some(segment) = &self.segment else { return Failed };
        let (number, bytes) = (segment.number, segment.bytes);
        if bytes <= HEADER_BYTES as u64 {
            drop(shared.disk.remove(&segment.path));
            shared.files.forget(number);
            self.segment = None;
            return Failed;
        }
        // If that does not succeed, the reader meets a torn frame, and then the next segment.
        drop(shared.disk.truncate(&segment.path, bytes));
        if self.sync().is_err() {
            return Failed;
        }
        shared.files.change(number, |info| info.open = false);
        self.segment = None;
        Failed
    }

    /// The kernel may have dropped what it could not write: only another file can be trusted with it.
    fn sync_failed(&mut self, error: &io::Error) -> Failed {
        let shared = &self.shared;
        shared.counters.sync_errors.inc();
        shared.counters.alarm.set(1.0);
        tracing::error!(%error, log = shared.kind.name, "log cannot be synced; all that is not known to be safe is written again elsewhere");
        if let Some(segment) = self.segment.take() {
            shared.files.change(segment.number, |info| info.open = false);
        }
        self.in_segment = 0;
        self.unsynced_since = None;
        Failed
    }
}

/// A write or sync has failed, and the segment with it: what is held waits for another.
#[derive(Debug)]
struct Failed;

#[cfg(test)]
mod tests {
    use daemon::clock::Manual;
    use testkit::{PATIENCE, wait_until};

    use super::*;
    use crate::sim::SimDisk;
    use crate::{Kind, LogConfig, LogCounters, Record, SegmentLog, Surroundings};

    const KIND: Kind = Kind {
        name: "test",
        magic: *b"PLUMTEST",
        suffix: ".test",
        thread: "test-log",
        sync_thread: "test-sync",
    };

    #[derive(Clone, Copy)]
    struct Item;

    impl Record for Item {
        fn kind(&self) -> u8 {
            1
        }

        fn encode(&self, into: &mut Vec<u8>) {
            into.push(b'x');
        }
    }

    #[test]
    fn what_comes_while_the_disk_refuses_is_taken_before_its_next_attempt() {
        let (disk, clock) = (SimDisk::default(), Arc::new(Manual::at(1_700_000_000)));
        let config = LogConfig::default();
        let interval = config.commit_interval;
        let with = Surroundings {
            disk: Arc::new(disk.clone()),
            clock: Arc::clone(&clock) as Arc<dyn daemon::Clock>,
            counters: LogCounters::default(),
        };
        let (log, _) = SegmentLog::open("/log".as_ref(), &KIND, config, with).unwrap();
        disk.set_full(true);
        log.append([Item]);
        clock.advance(interval);
        wait_until("the disk to refuse", PATIENCE, || log.is_stalled().then_some(()));
        let second = log.append([Item]);
        clock.advance(interval);
        // The next attempt comes only after BACK_OFF_MIN of this clock.
        wait_until("the second item", PATIENCE, || (log.taken() >= second).then_some(()));
        assert!(log.is_stalled() && log.written() < second);
        disk.set_full(false);
        clock.advance(BACK_OFF_MAX);
        wait_until("the disk to take it", PATIENCE, || (log.written() >= second).then_some(()));
    }
}
