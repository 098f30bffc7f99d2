//! What is sent to a cluster, and what it therefore has to hold.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::clock::{Clock, System};
use parking_lot::Mutex;
use testkit::send_lines_and_wait_for_close;
use tokio::task::JoinHandle;

/// Seconds of a slot of the finest archive.
pub(crate) const STEP_S: i64 = 10;

/// Slots of every series that are filled before a drill begins.
const PAST_SLOTS: i64 = 30;

/// Of so many slots one is filled.
const PAST_STRIDE: i64 = 3;

/// Age of the newest of them: nothing that was sent before is still on its way.
const PAST_AGE_S: i64 = 120;

/// Lines of the load in a second.
const LINES_PER_SECOND: u32 = 20_000;

/// Few series are sent no more often than this.
const PASS_MIN: Duration = Duration::from_millis(500);

/// Lines that go to the relay together.
const PART_LINES: usize = 1_000;

/// How many series a drill has.
pub(crate) fn series_count() -> usize {
    std::env::var("PLUMBAGO_DRILL_SERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

/// The value of a series in a slot: of two that come late or twice, both are right.
pub(crate) fn value(series: usize, interval: i64) -> f64 {
    (interval / STEP_S % 1_000) as f64 + series as f64
}

/// Slots that go to a cluster, and its senders.
pub(crate) struct Load {
    pub(crate) names: Arc<[String]>,
    relay: SocketAddr,
    sent: Arc<Mutex<BTreeSet<i64>>>,
    /// How long the relay took to take each part of the load.
    took: Arc<Mutex<Vec<Duration>>>,
    is_over: Arc<AtomicBool>,
    /// Held while a slot is sent.
    sending: Arc<tokio::sync::Mutex<()>>,
    sender: Option<JoinHandle<()>>,
}

impl Load {
    /// Sends slots of the past to a relay, then that of now again and again.
    pub(crate) async fn start(relay: SocketAddr, series: usize) -> Self {
        let names = (0..series).map(|n| format!("drill.host{:03}.metric{n}", n % 97));
        let names = names.collect();
        let (sent, took) = (Arc::default(), Arc::default());
        let (is_over, sending) = (Arc::default(), Arc::default());
        let mut load = Self { names, relay, sent, took, is_over, sending, sender: None };
        let now = System::new().now_unix_seconds();
        let newest = now - now.rem_euclid(STEP_S) - PAST_AGE_S;
        for slot in 0..PAST_SLOTS {
            let interval = newest - slot * STEP_S * PAST_STRIDE;
            send(relay, load.names.iter().enumerate(), interval).await;
            load.sent.lock().insert(interval);
        }
        load.sender = Some(load.begin());
        load
    }

    fn begin(&self) -> JoinHandle<()> {
        let (relay, names) = (self.relay, Arc::clone(&self.names));
        let (sent, is_over) = (Arc::clone(&self.sent), Arc::clone(&self.is_over));
        let (sending, took) = (Arc::clone(&self.sending), Arc::clone(&self.took));
        let pass = (Duration::from_secs(names.len() as u64) / LINES_PER_SECOND).max(PASS_MIN);
        let parts = names.len().div_ceil(PART_LINES) as u32;
        tokio::spawn(async move {
            let (clock, mut pace) = (System::new(), tokio::time::interval(pass / parts));
            while !is_over.load(Ordering::Relaxed) {
                let turn = sending.lock().await;
                let now = clock.now_unix_seconds();
                let interval = now - now.rem_euclid(STEP_S);
                for (part, names) in names.chunks(PART_LINES).enumerate() {
                    pace.tick().await;
                    let begun = clock.monotonic();
                    send(relay, (part * PART_LINES..).zip(names), interval).await;
                    took.lock().push(clock.monotonic() - begun);
                }
                sent.lock().insert(interval);
                drop(turn);
            }
        })
    }

    /// Sends slots of the past that nobody has yet straight to a node: those of the series with these numbers.
    pub(crate) async fn send_between(&self, line: SocketAddr, owned: &[usize]) {
        let first = self.first();
        for slot in 0..PAST_SLOTS {
            let interval = first + STEP_S + slot * STEP_S * PAST_STRIDE;
            let series = owned.iter().map(|&series| (series, &self.names[series]));
            send(line, series, interval).await;
            self.sent.lock().insert(interval);
        }
    }

    /// All slots that every series has.
    pub(crate) fn sent(&self) -> BTreeSet<i64> {
        self.sent.lock().clone()
    }

    /// The oldest of them.
    pub(crate) fn first(&self) -> i64 {
        *self.sent.lock().first().unwrap()
    }

    /// How long the relay took to take each part of the load so far.
    pub(crate) fn took(&self) -> Vec<Duration> {
        self.took.lock().clone()
    }

    /// Nothing is sent as long as the guard lives.
    pub(crate) async fn pause(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.sending).lock_owned().await
    }

    /// Sends no more.
    pub(crate) async fn end(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            sender.await.unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Sends one slot of some series; returns once the receiver has it.
async fn send(line: SocketAddr, names: impl Iterator<Item = (usize, &String)>, interval: i64) {
    let text = |(series, name)| format!("{name} {} {interval}", value(series, interval));
    let lines: Vec<String> = names.map(text).collect();
    send_lines_and_wait_for_close(line, &lines).await;
}
