//! Whether a node is worth waiting for.
//!
//! A node that failed is suspect: it is asked where nobody else can answer, but not waited for longer
//! than a hedge takes. After a second a question aside from all requests tries whether it is back; if
//! not, the next one follows after twice the time. One that is back is given its share of requests
//! little by little.

use std::time::Duration;

use parking_lot::Mutex;

/// First time of suspicion.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Longest time of suspicion: a node that is back is noticed within this.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// So many late answers in a row make a node suspect; each alone may be chance.
const LATE_MAX: u32 = 3;

/// So long a node that is back is asked less than others: its caches are cold, and it is still given
/// what it missed.
const SLOW_START: Duration = Duration::from_secs(10);

/// Its share of requests in the first moment.
const SHARE_MIN: f64 = 0.1;

/// Answers that the 95th percentile is taken of.
const RECENT_MAX: usize = 64;

#[derive(Debug, Default)]
struct State {
    late: u32,
    backoff: Duration,
    /// When to see whether it is back, if it is suspect.
    probe_at: Option<Duration>,
    /// Since when it is back, if that is not long ago.
    back_since: Option<Duration>,
    /// What its share has come to since it was last asked; at 1 it is asked.
    due: f64,
}

/// What the last answers of a node say of its next one.
#[derive(Debug, Default)]
pub(crate) struct Health {
    state: Mutex<State>,
}

impl Health {
    /// Whether it is not to be waited for.
    pub(crate) fn is_suspect(&self) -> bool {
        self.state.lock().probe_at.is_some()
    }

    /// Whether to see now if it is back; true once for each time that it is due.
    pub(crate) fn is_probe_due(&self, now: Duration) -> bool {
        let mut state = self.state.lock();
        let is_due = state.probe_at.is_some_and(|probe_at| probe_at <= now);
        if is_due {
            state.backoff = (state.backoff * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
            state.probe_at = Some(now.saturating_add(state.backoff));
        }
        is_due
    }

    /// It answered.
    pub(crate) fn answered(&self, now: Duration) {
        let mut state = self.state.lock();
        let back_since = state.probe_at.map_or(state.back_since, |_| Some(now));
        *state = State { back_since, due: state.due, ..State::default() };
    }

    /// Whether it takes one more of the requests that another node could answer as well.
    pub(crate) fn takes_its_share(&self, now: Duration) -> bool {
        let mut state = self.state.lock();
        let Some(since) = state.back_since else { return true };
        let share = now.saturating_sub(since).as_secs_f64() / SLOW_START.as_secs_f64();
        if share >= 1.0 {
            (state.back_since, state.due) = (None, 0.0);
            return true;
        }
        state.due += share.max(SHARE_MIN);
        let is_due = state.due >= 1.0;
        if is_due {
            state.due -= 1.0;
        }
        is_due
    }

    /// It failed to answer.
    pub(crate) fn failed(&self, now: Duration) {
        let mut state = self.state.lock();
        if state.probe_at.is_none() {
            (state.late, state.backoff) = (0, BACKOFF_MIN);
            state.probe_at = Some(now.saturating_add(BACKOFF_MIN));
        }
    }

    /// It had not answered when the others had.
    pub(crate) fn late(&self, now: Duration) {
        let mut state = self.state.lock();
        state.late += 1;
        if state.late < LATE_MAX {
            return;
        }
        drop(state);
        self.failed(now);
    }
}

/// How long the last answers took.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    samples: Mutex<(Vec<Duration>, usize)>,
}

impl Recent {
    pub(crate) fn add(&self, sample: Duration) {
        let mut guard = self.samples.lock();
        let (samples, next) = &mut *guard;
        if samples.len() < RECENT_MAX {
            samples.push(sample);
        } else {
            samples[*next] = sample;
            *next = (*next + 1) % RECENT_MAX;
        }
    }

    /// What 95 % of them did not exceed; zero before the first.
    pub(crate) fn p95(&self) -> Duration {
        let mut samples = self.samples.lock().0.clone();
        let rank = (samples.len() * 95).div_ceil(100);
        match rank.checked_sub(1) {
            None => Duration::ZERO,
            Some(place) => *samples.select_nth_unstable(place).1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_failed_node_is_probed_once_a_time_and_less_often_each_time() {
        let health = Health::default();
        assert!(!health.is_probe_due(at(5)), "it is well");
        health.failed(at(10));
        assert!(health.is_suspect() && !health.is_probe_due(at(10)));
        assert!(health.is_probe_due(at(11)) && !health.is_probe_due(at(12)), "after a second");
        health.failed(at(12));
        assert!(health.is_probe_due(at(13)) && !health.is_probe_due(at(16)), "then after two");
        assert!(health.is_probe_due(at(17)) && health.is_suspect());
        health.answered(at(18));
        assert!(!health.is_suspect() && !health.is_probe_due(at(100)));
        health.failed(at(200));
        assert!(health.is_probe_due(at(201)), "an answer starts over");
    }

    #[test]
    fn one_late_answer_is_forgiven_three_are_not() {
        let health = Health::default();
        health.late(at(1));
        health.late(at(1));
        assert!(!health.is_suspect());
        health.answered(at(1));
        for _ in 0..LATE_MAX {
            assert!(!health.is_suspect());
            health.late(at(2));
        }
        assert!(health.is_suspect());
    }

    #[test]
    fn a_node_that_is_back_gets_its_share_little_by_little() {
        let health = Health::default();
        let taken = |now| (0..100).filter(|_| health.takes_its_share(at(now))).count();
        health.answered(at(0));
        assert_eq!(taken(0), 100, "it was never away");
        health.failed(at(1));
        health.answered(at(2));
        let shares = [taken(2), taken(7), taken(11)];
        assert!((9..=11).contains(&shares[0]), "{shares:?}");
        assert!((49..=51).contains(&shares[1]) && (89..=91).contains(&shares[2]), "{shares:?}");
        assert_eq!(taken(12), 100);
    }

    #[test]
    fn the_percentile_follows_the_recent_answers() {
        let recent = Recent::default();
        assert_eq!(recent.p95(), Duration::ZERO);
        (1..=100).for_each(|ms| recent.add(Duration::from_millis(ms)));
        assert_eq!(recent.p95(), Duration::from_millis(97), "of the last 64: 37 to 100");
        (0..64).for_each(|_| recent.add(Duration::from_millis(5)));
        assert_eq!(recent.p95(), Duration::from_millis(5));
    }
}
