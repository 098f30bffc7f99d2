//! What the connections of a daemon have in common.

use std::sync::Arc;

use daemon::{Context, Counter};
use metric::Limits;
use wire::line::Rules;

use crate::point::Sink;
use crate::refusals::Refusals;
use crate::settings::Settings;
use crate::source::Source;

/// What every connection of a daemon shares.
#[derive(Debug)]
pub struct Service<S> {
    /// Takes the points over.
    pub sink: Arc<S>,
    /// Counts what is read and keeps what is refused.
    pub refusals: Arc<Refusals>,
    /// The daemon's clock, metrics and stop signal.
    pub context: Context,
    /// What a name may hold.
    pub limits: Limits,
    /// What is accepted, and where.
    pub settings: Settings,
}

impl<S: Sink> Service<S> {
    /// The rules for lines at this moment.
    pub(crate) fn rules(&self) -> Rules {
        let future_s_max = i64::try_from(self.settings.future_max.as_secs()).unwrap_or(i64::MAX);
        Rules { future_s_max, ..Rules::at(self.context.clock.now_unix_seconds()) }
    }

    /// What judges the points of one sender, which are counted in `points` too.
    pub(crate) fn source(&self, peer: String, points: Counter) -> Source<S> {
        Source {
            sink: Arc::clone(&self.sink),
            refusals: Arc::clone(&self.refusals),
            limits: self.limits,
            peer,
            points,
        }
    }
}
