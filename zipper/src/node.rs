//! One node as the zipper knows it.

mod folds;

use std::sync::atomic::Ordering;
use std::time::Duration;

use daemon::{Context, Counter, Histogram};
use remote::{Client, ClientSettings, Deadline, RemoteErrorKind};

use folds::Folds;

use crate::config::Destination;
use crate::health::{Health, Recent};

/// A node that was silent for so long is failing; less may be a busy moment.
pub(crate) const TIMEOUT_TELLING: Duration = Duration::from_secs(1);

/// A deadline shorter than this says nothing of the node.
const TIMEOUT_NOTED: Duration = Duration::from_millis(20);

/// What a request asks for. Answers of one kind take alike long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Render,
    Find,
    Info,
    List,
    Tags,
}

/// How many kinds there are.
const KINDS: usize = 5;

impl Kind {
    /// The word in metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Render => "render",
            Self::Find => "find",
            Self::Info => "info",
            Self::List => "list",
            Self::Tags => "tags",
        }
    }
}

/// A node, how it did lately, and its numbers.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) health: Health,
    recent: [Recent; KINDS],
    duration: Histogram,
    pub(crate) hedges: Counter,
    pub(crate) hedges_refused: Counter,
    pub(crate) folds: Folds,
    context: Context,
}

impl Node {
    pub(crate) fn new(
        destination: &Destination,
        settings: ClientSettings,
        context: &Context,
    ) -> Self {
        let clock = std::sync::Arc::clone(&context.clock);
        let name = destination.name.clone();
        let labels = [name.as_str()];
        let client = Client::new(destination.endpoint.clone(), settings, clock);
        let received = client.received();
        let received = move || received.load(Ordering::Relaxed) as f64;
        context.metrics.callback("plumbago_zipper_node_received_bytes_total", &labels, received);
        Self {
            client,
            folds: Folds::default(),
            health: Health::default(),
            recent: Default::default(),
            duration: context
                .metrics
                .histogram_with("plumbago_zipper_node_duration_seconds", &labels),
            hedges: context.metrics.counter_with("plumbago_zipper_hedges_total", &labels),
            hedges_refused: context
                .metrics
                .counter_with("plumbago_zipper_hedges_refused_total", &labels),
            context: context.clone(),
            name,
        }
    }

    /// How long an answer mostly takes.
    pub(crate) fn p95(&self, kind: Kind) -> Duration {
        self.recent[kind as usize].p95()
    }

    pub(crate) fn answered(&self, kind: Kind, took: Duration, now: Duration) {
        self.health.answered(now);
        self.recent[kind as usize].add(took);
        self.duration.observe(took.as_secs_f64());
    }

    /// It did not answer well within `took`.
    pub(crate) fn failed(&self, kind: &RemoteErrorKind, took: Duration, now: Duration) {
        self.count_failure(kind.label());
        match kind {
            // It is well: the request was not.
            kind if kind.is_refusal() => self.health.answered(now),
            // A stranger's short patience proves little about the node.
            RemoteErrorKind::Timeout if took < TIMEOUT_TELLING => {
                if took >= TIMEOUT_NOTED {
                    self.health.late(now);
                }
            }
            _ => self.health.failed(now),
        }
    }

    /// It had not answered after `took`, when the others had.
    pub(crate) fn late(&self, kind: Kind, took: Duration, now: Duration) {
        self.count_failure("late");
        // At least so long: a node that always takes longer shall be waited for longer.
        self.recent[kind as usize].add(took);
        if took < TIMEOUT_TELLING {
            self.health.late(now);
        } else {
            self.health.failed(now);
        }
    }

    /// Sees whether it is back.
    pub(crate) async fn probe(&self) {
        let clock = self.client.clock();
        let answer = self.client.capabilities(&Deadline::after(clock, TIMEOUT_TELLING)).await;
        if answer.is_ok() {
            self.health.answered(clock.monotonic());
        }
    }

    fn count_failure(&self, label: &str) {
        let labels = [self.name.as_str(), label];
        self.context.metrics.counter_with("plumbago_zipper_node_failures_total", &labels).inc();
    }
}
