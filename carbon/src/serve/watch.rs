//! What is counted of each request.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use daemon::{Clock, Registry};

use crate::read::ReadFault;

/// Counts one request when it ends, however that is.
#[derive(Debug)]
pub(super) struct Watch {
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    label: &'static str,
    began: Duration,
}

impl Watch {
    /// A request that comes in now.
    pub(super) fn new(registry: Arc<Registry>, clock: Arc<dyn Clock>, label: &'static str) -> Self {
        let began = clock.monotonic();
        Self { registry, clock, label, began }
    }

    /// The answer has been given.
    pub(super) fn end(self, status: StatusCode) {
        self.count(status.as_str());
    }

    /// The answer broke off after its status had been sent.
    pub(super) fn cut_off(self) {
        self.count("cut_off");
    }

    /// The answer met a limit.
    pub(super) fn met(&self, fault: &ReadFault) {
        if let Some(limit) = fault.limit_label() {
            self.registry.counter_with("plumbago_carbon_read_refused_total", &[limit]).inc();
        }
    }

    fn count(&self, status: &str) {
        let labels = [self.label, status];
        self.registry.counter_with("plumbago_carbon_read_requests_total", &labels).inc();
        let took = self.clock.monotonic().saturating_sub(self.began);
        self.registry
            .histogram_with("plumbago_carbon_read_seconds", &[self.label])
            .observe(took.as_secs_f64());
    }
}
