//! What a node has lately said of folds, so that it is not asked in vain.

use std::time::Duration;

use metric::Window;
use parking_lot::Mutex;
use wire::pb_v3::Hole;

/// A node that sent series in place of a fold is another program, or an older one that may be replaced;
/// one with a hole may have been given what it missed.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// What one node has said.
#[derive(Debug, Default)]
pub(crate) struct Folds {
    /// Until when it is not asked at all.
    unable_until: Mutex<Duration>,
    /// Its holes, and until when they are believed.
    holes: Mutex<(Vec<Hole>, Duration)>,
}

impl Folds {
    /// Whether it may know how to fold.
    pub(crate) fn is_able(&self, now: Duration) -> bool {
        now >= *self.unable_until.lock()
    }

    /// It answered with series, or knows another ring.
    pub(crate) fn set_unable(&self, now: Duration) {
        *self.unable_until.lock() = now.saturating_add(KNOWN_FOR);
    }

    /// It may have missed points.
    pub(crate) fn set_holes(&self, holes: Vec<Hole>, now: Duration) {
        *self.holes.lock() = (holes, now.saturating_add(KNOWN_FOR));
    }

    /// Whether it is known to refuse this window.
    pub(crate) fn lacks(&self, window: Window, now: Duration) -> bool {
        let (holes, until) = &*self.holes.lock();
        let touches = |hole: &Hole| hole.from_s < window.until && hole.until_s > window.from;
        now < *until && holes.iter().any(touches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_said_is_believed_for_a_minute() {
        let at = Duration::from_secs;
        let folds = Folds::default();
        assert!(folds.is_able(at(0)) && !folds.lacks(Window::new(0, 1000), at(0)));
        folds.set_unable(at(10));
        assert!(!folds.is_able(at(69)) && folds.is_able(at(70)));
        folds.set_holes(vec![Hole { from_s: 60, until_s: 120 }], at(10));
        let lacks = |from, until, now| folds.lacks(Window::new(from, until), at(now));
        assert!(lacks(0, 61, 69) && lacks(119, 300, 69));
        assert!(!lacks(120, 300, 69) && !lacks(0, 60, 69));
        assert!(!lacks(0, 61, 70));
    }
}
