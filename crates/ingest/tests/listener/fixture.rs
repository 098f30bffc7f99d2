//! A listener with a sink that remembers, for the tests of this folder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daemon::{Context, Metric};
use parking_lot::Mutex;
use plumbago_ingest::{Counters, Listeners, Point, Refusals, Service, Sink};
use testkit::{PATIENCE, wait_until_async};

/// The clock of these tests: Tuesday 14 November 2023, 22:13:20 UTC.
pub(crate) const NOW: i64 = 1_700_000_000;

const METRICS: &[Metric] = &[
    Metric::counter("plumbago_test_points_received_total", "Read."),
    Metric::counter("plumbago_test_points_dropped_total", "Refused.").labels(&["reason"]),
];

/// One point as the sink got it.
pub(crate) type Taken = (String, f64, u32);

/// Keeps every point.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    taken: Mutex<Vec<Taken>>,
    /// Whether it can no longer commit, as with a disk that is gone.
    stuck: AtomicBool,
}

impl Sink for Memory {
    fn accept(&self, points: &[Point<'_>]) {
        let taken = points.iter().map(|p| (p.name.to_string(), p.value, p.timestamp));
        self.taken.lock().extend(taken);
    }

    async fn room(&self) {}

    async fn committed(&self) {
        if self.stuck.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// A running listener on ports that the system chose.
pub(crate) struct Fixture {
    pub(crate) context: Context,
    pub(crate) listeners: Listeners<Memory>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) lines: SocketAddr,
    pub(crate) datagrams: SocketAddr,
    pub(crate) pickles: SocketAddr,
    sink: Arc<Memory>,
}

impl Fixture {
    pub(crate) fn start() -> Self {
        let clock = Arc::new(daemon::clock::Manual::at(NOW));
        let context = Context::new("test", METRICS).with_clock(clock);
        let counters = Counters::new(
            &context.metrics,
            "plumbago_test_points_received_total",
            "plumbago_test_points_dropped_total",
        );
        let refusals = Arc::new(Refusals::new(counters, Arc::clone(&context.clock)));
        let sink = Arc::new(Memory::default());
        let listeners = Listeners::new(Service {
            sink: Arc::clone(&sink),
            refusals: Arc::clone(&refusals),
            clock: Arc::clone(&context.clock),
            shutdown: context.shutdown.clone(),
            limits: metric::Limits::default(),
            settings: plumbago_ingest::Settings {
                line_bytes_max: 16 * 1024,
                frame_bytes_max: 1 << 20,
                connections_max: 100,
                future_max: std::time::Duration::from_secs(600),
            },
        });
        let tcp = || daemon::listen::tcp("test", testkit::ANY_PORT).unwrap();
        let (line, pickle) = (tcp(), tcp());
        let udp = daemon::listen::udp("test", testkit::ANY_PORT, 1 << 20).unwrap();
        let addresses =
            [line.local_addr(), udp.local_addr(), pickle.local_addr()].map(Result::unwrap);
        listeners.lines(line);
        listeners.datagrams(udp);
        listeners.pickles(pickle);
        let [lines, datagrams, pickles] = addresses;
        Self { context, listeners, refusals, lines, datagrams, pickles, sink }
    }

    /// What the sink has.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.sink.taken.lock().clone()
    }

    /// From now on nothing is committed.
    pub(crate) fn cannot_commit(&self) {
        self.sink.stuck.store(true, Ordering::Relaxed);
    }

    /// How many points were read, whatever became of them.
    pub(crate) fn received(&self) -> f64 {
        self.context.metrics.value("plumbago_test_points_received_total", &[]).unwrap()
    }

    /// How many were refused for `reason`.
    pub(crate) fn refused(&self, reason: &str) -> f64 {
        self.context.metrics.value("plumbago_test_points_dropped_total", &[reason]).unwrap()
    }

    /// Waits until so many points were read.
    pub(crate) async fn wait_for_received(&self, count: f64) {
        wait_until_async("the points to be read", PATIENCE, async || {
            (self.received() >= count).then_some(())
        })
        .await;
    }
}
