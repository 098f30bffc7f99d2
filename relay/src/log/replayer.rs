//! The thread that reads the log back for nodes that memory cannot feed, at a bounded rate.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, park_timeout};
use std::time::Duration;

use daemon::Clock;
use parking_lot::Mutex;
use segments::Position;
use tokio::sync::oneshot;

use super::RelayLog;
use super::format::lines_of;
use super::passes::{Passes, Step};
use crate::forward::LineBatch;

/// Lines of one answer.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// What is read at most for one answer: lines of other nodes must not hold up the next one.
const READ_BYTES_MAX: usize = 4 << 20;
/// How long live traffic is given way at a time.
const GIVE_WAY: Duration = Duration::from_millis(5);
/// How often that may happen in a row.
const GIVE_WAY_MAX: u32 = 20;
/// What may be read at once although the rate is bounded.
const BURST: Duration = Duration::from_millis(50);

/// Lines that wait for a node since a former run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: u64,
    pub(crate) lines: u64,
    pub(crate) bytes: usize,
}

/// What the log has for a node.
#[derive(Debug, Default)]
pub(crate) struct ReadBack {
    pub(crate) batch: LineBatch,
    /// With these lines the node has all up to here.
    pub(crate) up_to: Position,
    /// The log had no more.
    pub(crate) at_end: bool,
}

#[derive(Debug)]
struct Request {
    key: u64,
    after: Position,
    /// Nothing is wanted behind.
    until: Option<Position>,
    answer: oneshot::Sender<ReadBack>,
}

/// Asks the thread; dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Replayer {
    requests: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Replayer {
    /// Starts the thread. `is_pressed`: live traffic needs the machine.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        log: Arc<RelayLog>,
        clock: Arc<dyn Clock>,
        is_pressed: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let (requests, received) = channel();
        let worker = Worker { log, clock, passes: Passes::default(), ahead: Duration::ZERO };
        let work = move || worker.work(&received, &is_pressed);
        let thread = daemon::threads::spawn("relay-replay", work)?;
        Ok(Self { requests: Mutex::new(Some(requests)), thread: Mutex::new(Some(thread)) })
    }

    /// What the log has for the node with this key behind `after`; none when the relay ends.
    pub(crate) async fn read(
        &self,
        key: u64,
        after: Position,
        until: Option<Position>,
    ) -> Option<ReadBack> {
        let (answer, read) = oneshot::channel();
        self.requests.lock().as_ref()?.send(Request { key, after, until, answer }).ok()?;
        read.await.ok()
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        *self.requests.lock() = None;
        if self.thread.lock().take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads the log back had panicked");
        }
    }
}

struct Worker {
    log: Arc<RelayLog>,
    clock: Arc<dyn Clock>,
    passes: Passes,
    /// The time at which the rate allows what was read so far.
    ahead: Duration,
}

impl Worker {
    fn work(mut self, requests: &Receiver<Request>, is_pressed: &dyn Fn() -> bool) {
        for request in requests {
            if request.answer.is_closed() {
                continue;
            }
            for _ in 0..GIVE_WAY_MAX {
                if !is_pressed() {
                    break;
                }
                park_timeout(GIVE_WAY);
            }
            let (read, bytes) = self.read(&request);
            self.keep_rate(bytes);
            // The node's connection may have ended meanwhile: nothing was taken from the log.
            drop(request.answer.send(read));
        }
    }

    /// The answer, and how much had to be read for it.
    fn read(&mut self, request: &Request) -> (ReadBack, usize) {
        let Request { key, after, until, .. } = *request;
        let mut turn = self.passes.turn(key, after, &self.log.segments);
        let mut lines = LineBatch::default();
        let (mut up_to, mut at_end, mut bytes) = (after, false, 0);
        while !at_end && lines.as_bytes().len() < ANSWER_BYTES_MAX && bytes < READ_BYTES_MAX {
            match turn.step() {
                Ok(Step::Frame(position, body)) => {
                    up_to = position;
                    bytes += body.len();
                    if until.is_none_or(|until| position <= until) {
                        let own = lines_of(body).filter(|lines| lines.keys().any(|one| one == key));
                        own.for_each(|own| lines.add(own.bytes, own.lines.into()));
                    }
                }
                Ok(Step::End(position)) => (up_to, at_end) = (position, true),
                Err(error) => {
                    tracing::error!(%error, "a segment of the relay's log cannot be read");
                }
            }
            if let Some(until) = until.filter(|until| up_to >= *until) {
                (up_to, at_end) = (until, true);
            }
        }
        let bytes_read = turn.bytes_read;
        if at_end {
            self.passes.leave(key);
        }
        (ReadBack { batch: lines, up_to, at_end }, bytes_read)
    }

    /// Rests until the rate allows what was read.
    fn keep_rate(&mut self, bytes: usize) {
        let rate = self.log.settings.replay_bytes_per_s_max.max(1);
        let now = self.clock.monotonic();
        let earliest = now.saturating_sub(BURST);
        self.ahead = self.ahead.max(earliest) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        if let Some(rest) = self.ahead.checked_sub(now) {
            park_timeout(rest);
        }
    }
}
