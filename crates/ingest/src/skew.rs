//! Whether this machine's clock and the times of the points agree: a clock that stands wrong spoils every point without a
//! time of its own, and whatever goes by now.

use std::time::Duration;

use daemon::{Clock, Gauge};
use parking_lot::Mutex;

use crate::point::Point;

/// How far apart clock and points may be: the step of most series.
const STEP_S: i64 = 60;

/// How long points are looked at before something is said about the clock.
const LOOK: Duration = Duration::from_secs(60);

/// With fewer points in that time nothing is said.
const POINTS_MIN: u64 = 60;

/// The alarm of one daemon.
#[derive(Debug)]
pub(crate) struct Skew {
    alarm: Gauge,
    look: Mutex<Look>,
}

/// What one look has seen.
#[derive(Debug, Default)]
struct Look {
    began: Option<Duration>,
    points: u64,
    /// More than a step ahead of the clock.
    ahead: u64,
    /// More than a step behind it.
    behind: u64,
}

impl Look {
    /// What is wrong: none where the clock may be right.
    fn verdict(&self) -> Option<&'static str> {
        if self.points < POINTS_MIN {
            return None;
        }
        // Points that come late are usual, points from the future are not: so most of these and all of those tell.
        if self.ahead * 2 > self.points {
            return Some("most points lie ahead of this machine's clock: it is behind");
        }
        let all_late = self.behind == self.points;
        all_late.then_some(
            "all points lie behind this machine's clock: it is ahead, or nothing comes in time",
        )
    }
}

impl Skew {
    pub(crate) fn new(alarm: Gauge) -> Self {
        Self { alarm, look: Mutex::default() }
    }

    /// Looks at the times of points, and at how many were refused because they lie too far ahead.
    pub(crate) fn look_at(&self, points: &[Point<'_>], refused_ahead: u64, clock: &dyn Clock) {
        let now_s = clock.now_unix_seconds();
        let (mut ahead, mut behind) = (refused_ahead, 0);
        for point in points {
            let off_s = i64::from(point.timestamp) - now_s;
            ahead += u64::from(off_s > STEP_S);
            behind += u64::from(off_s < -STEP_S);
        }
        let now = clock.monotonic();
        let mut look = self.look.lock();
        let began = *look.began.get_or_insert(now);
        look.points += points.len() as u64 + refused_ahead;
        look.ahead += ahead;
        look.behind += behind;
        if now.saturating_sub(began) < LOOK {
            return;
        }
        let done = std::mem::take(&mut *look);
        drop(look);
        self.tell(done.verdict());
    }

    fn tell(&self, verdict: Option<&'static str>) {
        let was_wrong = self.alarm.get() > 0.0;
        self.alarm.set(f64::from(u8::from(verdict.is_some())));
        match verdict {
            Some(wrong) if !was_wrong => tracing::warn!(step_s = STEP_S, "{wrong}"),
            None if was_wrong => tracing::info!("this machine's clock and the points agree again"),
            _ => {}
        }
    }
}
