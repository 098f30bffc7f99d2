//! How many second tries there may be, so that a cluster in trouble is not asked ever more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// First tries that earn one second try.
const TRIES_PER_RETRY: u64 = 5;

/// Second tries that quiet times save up, in first tries.
const SAVED_MAX: u64 = 100 * TRIES_PER_RETRY;

/// What first tries have earned and second tries have not spent yet.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    saved: AtomicU64,
}

impl RetryBudget {
    /// As after a quiet time.
    pub(crate) const fn new() -> Self {
        Self { saved: AtomicU64::new(SAVED_MAX) }
    }

    /// A first try.
    pub(crate) fn earn(&self) {
        let more = |saved: u64| Some(saved.saturating_add(1).min(SAVED_MAX));
        // It gives something always.
        let _before = self.saved.fetch_update(Relaxed, Relaxed, more);
    }

    /// Whether there may be a second try; if so, it is spent.
    pub(crate) fn spend(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(TRIES_PER_RETRY);
        self.saved.fetch_update(Relaxed, Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_tries_may_be_second_ones_and_quiet_times_save_some() {
        let budget = RetryBudget::new();
        (0..10_000).for_each(|_| budget.earn());
        let spent = (0..1000).filter(|_| budget.spend()).count();
        assert_eq!(spent, 100, "what was saved");
        (0..4).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
    }
}
