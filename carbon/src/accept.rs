//! Takes the batches of the listeners over: names become ids, points go to journal and engine.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Counter, Shutdown};
use ingest::{Point, Refusals, Sink};

use crate::journal::{Position, SenderMark};
use crate::keeper::Keeper;
use crate::prefixes::Busy;

/// Label of points whose series may not be created.
pub(crate) const SERIES_LIMIT: &str = "series_limit";

/// Label of points whose series may not be created because a quota is used up.
pub(crate) const QUOTA: &str = "quota";

/// How long a stop waits for a journal that cannot be written.
const COMMIT_AT_STOP_MAX: Duration = Duration::from_secs(1);

/// Where all points of the node come in.
#[derive(Debug)]
pub(crate) struct Accept {
    pub(crate) keeper: Arc<Keeper>,
    /// Keeps a sample of what is refused.
    pub(crate) refusals: Arc<Refusals>,
    /// Points of names beyond the limit on series.
    pub(crate) over_limit: Counter,
    /// Points of new names below a prefix whose quota is used up.
    pub(crate) over_quota: Counter,
    /// Reads that had to wait for room.
    pub(crate) waited: Counter,
    pub(crate) shutdown: Shutdown,
    /// Where points come from.
    pub(crate) busy: Busy,
}

impl Accept {
    /// Takes points over, with the mark of their sender if it numbers its batches; says where in the journal all that is.
    pub(crate) fn take(&self, points: &[Point<'_>], mark: Option<SenderMark>) -> Option<Position> {
        self.keeper.born.note_points(|| self.busy.now());
        self.take_in(points, mark)
    }

    fn take_in(&self, points: &[Point<'_>], mark: Option<SenderMark>) -> Option<Position> {
        self.busy.note(points);
        let names: Vec<&str> = points.iter().map(|point| &*point.name).collect();
        let mut ids = Vec::with_capacity(points.len());
        let values = points.iter().map(|point| (point.timestamp, point.value));
        let position = self.keeper.accept(&names, values, mark, &mut ids);
        for (point, _refused) in points.iter().zip(&ids).filter(|(_, id)| id.is_none()) {
            let (counter, reason) = match self.keeper.engine.is_over_quota(&point.name) {
                true => (&self.over_quota, QUOTA),
                false => (&self.over_limit, SERIES_LIMIT),
            };
            counter.inc();
            self.refusals.keep(reason, "", point.name.as_bytes());
        }
        position
    }
}

impl Sink for Accept {
    fn accept(&self, points: &[Point<'_>]) {
        self.take(points, None);
    }

    fn room(&self) -> impl Future<Output = ()> + Send {
        let has_room = self.keeper.has_room();
        if !has_room {
            self.waited.inc();
        }
        async move {
            if !has_room {
                tokio::select! {
                    () = self.keeper.wait_for_room() => {}
                    () = self.shutdown.wait() => {}
                }
            }
        }
    }

    fn holds(&self, name: &str) -> Option<bool> {
        Some(self.keeper.holds(name))
    }

    async fn committed(&self) {
        let stop = async {
            self.shutdown.wait().await;
            tokio::time::sleep(COMMIT_AT_STOP_MAX).await;
        };
        tokio::select! {
            () = self.keeper.committed() => {}
            () = stop => {}
        }
    }
}

/// Where the node's own numbers come in: they come whether or not anybody sends, and do not show since when the node is
/// given points.
#[derive(Debug)]
pub(crate) struct OwnNumbers(pub(crate) Arc<Accept>);

impl Sink for OwnNumbers {
    fn accept(&self, points: &[Point<'_>]) {
        self.0.take_in(points, None);
    }

    fn room(&self) -> impl Future<Output = ()> + Send {
        self.0.room()
    }
}
