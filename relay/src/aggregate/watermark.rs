//! A rule's idea of time: how far its data has come.

/// The newest timestamp of the data, and when it was seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watermark {
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    newest: i64,
    /// The wall clock when `newest` came.
    at: i64,
}

impl Watermark {
    /// Notes a point's time. A sender whose clock is ahead moves it no further than now.
    pub(super) fn see(&mut self, timestamp: i64, now: i64) {
        let newest = timestamp.min(now);
        if self.seen.is_none_or(|seen| newest > seen.newest) {
            self.seen = Some(Seen { newest, at: now });
        }
    }

    /// The newest timestamp; lateness is measured from it.
    pub(super) fn newest(&self) -> Option<i64> {
        self.seen.map(|seen| seen.newest)
    }

    /// The newest timestamp plus the time that has passed since: when windows are due, so that
    /// data that has ended does not hold its last windows back.
    pub(super) fn running(&self, now: i64) -> Option<i64> {
        self.seen.map(|seen| seen.newest + (now - seen.at).max(0))
    }
}
