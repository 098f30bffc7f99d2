//! Lines that went nowhere: counted by node and reason, and logged once a minute.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daemon::Registry;
use parking_lot::Mutex;

/// Why the relay gave lines up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DropReason {
    /// The log was full, and the oldest went.
    LogFullOldest,
    /// The log was full, and no more were kept for the node.
    LogFullNewest,
    /// They were older than the log keeps lines.
    LogAge,
    /// The node is not in the configuration any more.
    NodeRemoved,
    /// The relay stopped, and there is no log.
    UndeliveredAtStop,
}

impl DropReason {
    fn label(self) -> &'static str {
        match self {
            Self::LogFullOldest => "log_full_oldest",
            Self::LogFullNewest => "log_full_newest",
            Self::LogAge => "log_age",
            Self::NodeRemoved => "node_removed",
            Self::UndeliveredAtStop => "undelivered_at_stop",
        }
    }
}

/// How often what was dropped is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts drops.
#[derive(Debug)]
pub(super) struct Drops {
    registry: Arc<Registry>,
    since_log: Mutex<Unlogged>,
}

#[derive(Debug, Default)]
struct Unlogged {
    lines: BTreeMap<(String, DropReason), u64>,
    logged_at: Option<Duration>,
}

impl Drops {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        Self { registry: Arc::clone(registry), since_log: Mutex::default() }
    }

    /// A node does not get so many lines.
    pub(super) fn count(&self, node: &str, reason: DropReason, lines: u64) {
        if lines == 0 {
            return;
        }
        let label = reason.label();
        self.registry.counter_with("plumbago_relay_lines_dropped_total", &[label]).add(lines);
        let of_node = "plumbago_relay_node_lines_dropped_total";
        self.registry.counter_with(of_node, &[node, label]).add(lines);
        *self.since_log.lock().lines.entry((node.to_owned(), reason)).or_default() += lines;
    }

    /// Logs what was dropped since the last time: at once, and then once a minute.
    pub(super) fn log(&self, now: Duration) {
        let mut since_log = self.since_log.lock();
        let is_due = since_log.logged_at.is_none_or(|at| now.saturating_sub(at) >= LOG_INTERVAL);
        if since_log.lines.is_empty() || !is_due {
            return;
        }
        since_log.logged_at = Some(now);
        for ((node, reason), lines) in std::mem::take(&mut since_log.lines) {
            tracing::warn!(node, reason = reason.label(), lines, "lines dropped");
        }
    }
}
