//! A listener with a sink that remembers, for the tests of this folder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daemon::{Context, Kind, Metric, Running, Setting, StartError, Values};
use parking_lot::Mutex;
use plumbago_ingest::settings::{self, ListenerSettings};
use plumbago_ingest::{Counters, Listeners, Point, Refusals, Service, Settings, Sink, metrics};
use testkit::{ANY_PORT, PATIENCE, wait_until_async};

/// The clock of these tests: Tuesday 14 November 2023, 22:13:20 UTC.
pub(crate) const NOW: i64 = 1_700_000_000;

const METRICS: &[Metric] = &[
    Metric::counter("plumbago_test_points_received_total", "Read."),
    Metric::counter("plumbago_test_points_dropped_total", "Refused.").labels(&["reason"]),
    metrics::CONNECTIONS,
    metrics::CONNECTIONS_CLOSED,
    metrics::BYTES,
    metrics::POINTS,
    metrics::PAUSES,
    metrics::HTTP_REQUESTS,
    metrics::HTTP_SECONDS,
    metrics::RAMP_REFUSED,
    metrics::CLOCK_ALARM,
];

const SETTINGS: &[Setting] = &[
    Setting::new("line", Kind::Address, ANY_PORT, "Lines.").list(),
    Setting::new("pickle", Kind::Address, ANY_PORT, "Pickles.").list(),
    settings::HTTP,
    settings::LISTENER,
    settings::TENANT,
    settings::LINE_BYTES_MAX,
    settings::FRAME_BYTES_MAX,
    settings::CONNECTIONS_MAX,
    settings::FUTURE_MAX,
    settings::HTTP_BODY_BYTES_MAX,
    settings::HTTP_POINTS_MAX,
    settings::HTTP_MEMORY_MAX,
    settings::HTTP_REQUESTS_PER_SECOND_MAX,
    settings::HTTP_POINTS_PER_SECOND_MAX,
    settings::HTTP_NEW_SERIES_PER_HOUR_MAX,
    settings::HEALTH_RAMP,
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

/// Running listeners on ports that the system chose.
pub(crate) struct Fixture {
    pub(crate) clock: Arc<daemon::clock::Manual>,
    pub(crate) context: Context,
    pub(crate) running: Running,
    pub(crate) values: Values,
    pub(crate) refusals: Arc<Refusals>,
    /// Lines, by TCP and UDP.
    pub(crate) lines: SocketAddr,
    pub(crate) pickles: SocketAddr,
    sink: Arc<Memory>,
}

impl Fixture {
    /// Lines and pickles.
    pub(crate) fn start() -> Self {
        Self::start_with(&[], |_| {})
    }

    /// One more listener, at [`Fixture::extra`].
    pub(crate) fn start_and_listen(listener: ListenerSettings) -> Self {
        Self::start_with(&[], |settings| settings.listeners.push(listener))
    }

    /// Requests with points, at [`Fixture::http`], under these settings.
    pub(crate) fn start_http(values: &[(&str, &str)]) -> Self {
        Self::start_with(&[&[("http", ANY_PORT)], values].concat(), |_| {})
    }

    pub(crate) fn start_with(values: &[(&str, &str)], change: impl FnOnce(&mut Settings)) -> Self {
        Self::try_start_with(values, change).unwrap()
    }

    pub(crate) fn try_start_with(
        values: &[(&str, &str)],
        change: impl FnOnce(&mut Settings),
    ) -> Result<Self, StartError> {
        let clock = Arc::new(daemon::clock::Manual::at(NOW));
        let context = Context::new("test", METRICS).with_clock(clock.clone());
        context.ready.set();
        let counters = Counters::new(
            &context.metrics,
            "plumbago_test_points_received_total",
            "plumbago_test_points_dropped_total",
        );
        let refusals = Arc::new(Refusals::new(counters, Arc::clone(&context.clock)));
        let sink = Arc::new(Memory::default());
        let values = values
            .iter()
            .fold(Values::defaults(SETTINGS), |values, (key, text)| values.with(key, text));
        let mut settings = Settings::from_values(&values).unwrap();
        change(&mut settings);
        let listeners = Listeners::new(Arc::new(Service {
            sink: Arc::clone(&sink),
            refusals: Arc::clone(&refusals),
            context: context.clone(),
            limits: metric::Limits::default(),
            settings,
        }));
        let mut running = Running::new(context.clone());
        drop(listeners.open(&mut running)?);
        let address = |setting| running.address(setting).unwrap();
        let (lines, pickles) = (address("line"), address("pickle"));
        Ok(Self { clock, context, lines, pickles, running, values, refusals, sink })
    }

    /// Where the listener of [`Fixture::start_and_listen`] listens.
    pub(crate) fn extra(&self) -> SocketAddr {
        self.running.address("listener").unwrap()
    }

    /// Where requests are taken.
    pub(crate) fn http(&self) -> SocketAddr {
        self.running.address("http").unwrap()
    }

    /// Stops in order.
    pub(crate) async fn stop(self) -> Vec<Taken> {
        self.running.stop(PATIENCE).await.unwrap();
        self.sink.taken.lock().clone()
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

    /// How many connections were ended for `reason`, by all listeners.
    pub(crate) fn closed(&self, reason: &str) -> f64 {
        let text = self.context.metrics.prometheus();
        let label = format!("reason=\"{reason}\"");
        let rows = text.lines().filter(|row| {
            row.starts_with("plumbago_ingest_connections_closed_total{") && row.contains(&label)
        });
        rows.map(|row| row.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until so many points were read.
    pub(crate) async fn wait_for_received(&self, count: f64) {
        wait_until_async("the points to be read", PATIENCE, async || {
            (self.received() >= count).then_some(())
        })
        .await;
    }
}
