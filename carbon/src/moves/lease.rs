//! Who may change the node's series: one job at a time, by name and for a time.

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use parking_lot::Mutex;

/// Longest time for which it can be asked.
const SECONDS_MAX: u32 = 600;

/// Longest name of a holder.
const HOLDER_BYTES_MAX: usize = 200;

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LeaseError {
    /// Another job has it.
    #[error("the node is leased to {holder} for another {seconds} s")]
    Held {
        /// Which one.
        holder: String,
        /// How long.
        seconds: u64,
    },
    /// Nobody has it, this job neither.
    #[error("{0} has no lease of the node")]
    NotHeld(String),
    /// A name or time that cannot be.
    #[error("a lease needs a holder of 1 to {HOLDER_BYTES_MAX} bytes and at most {SECONDS_MAX} s")]
    Absurd,
}

#[derive(Debug)]
struct Holding {
    holder: String,
    until: Duration,
}

/// The lease of a node; it is forgotten when the node stops.
#[derive(Debug)]
pub(crate) struct Lease {
    clock: Arc<dyn Clock>,
    holding: Mutex<Option<Holding>>,
}

impl Lease {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, holding: Mutex::default() }
    }

    /// Takes or renews it; 0 seconds give it back.
    pub(crate) fn take(&self, holder: &str, seconds: u32) -> Result<(), LeaseError> {
        if holder.is_empty() || holder.len() > HOLDER_BYTES_MAX || seconds > SECONDS_MAX {
            return Err(LeaseError::Absurd);
        }
        let now = self.clock.monotonic();
        let mut holding = self.holding.lock();
        if let Some(other) = holding.as_ref().filter(|one| one.until > now && one.holder != holder)
        {
            return Err(held(other, now));
        }
        let until = now.saturating_add(Duration::from_secs(seconds.into()));
        *holding = (seconds > 0).then(|| Holding { holder: holder.to_owned(), until });
        Ok(())
    }

    /// Whether this job has it now.
    pub(crate) fn check(&self, holder: &str) -> Result<(), LeaseError> {
        let now = self.clock.monotonic();
        match self.holding.lock().as_ref().filter(|one| one.until > now) {
            Some(one) if one.holder == holder => Ok(()),
            Some(other) => Err(held(other, now)),
            None => Err(LeaseError::NotHeld(holder.to_owned())),
        }
    }
}

fn held(other: &Holding, now: Duration) -> LeaseError {
    let seconds = other.until.saturating_sub(now).as_secs_f64().ceil() as u64;
    LeaseError::Held { holder: other.holder.clone(), seconds }
}

#[cfg(test)]
mod tests {
    use daemon::clock::Manual;

    use super::*;

    #[test]
    fn one_job_at_a_time_and_the_next_one_when_its_time_is_over() {
        let clock = Arc::new(Manual::at(0));
        let lease = Lease::new(Arc::<Manual>::clone(&clock));
        assert!(lease.check("a").is_err(), "nobody has it");
        lease.take("a", 10).unwrap();
        lease.check("a").unwrap();
        let error = lease.take("b", 10).unwrap_err().to_string();
        assert_eq!(error, "the node is leased to a for another 10 s");
        assert!(lease.check("b").is_err());
        clock.advance(Duration::from_secs(6));
        lease.take("a", 10).unwrap();
        clock.advance(Duration::from_secs(9));
        lease.check("a").unwrap();
        clock.advance(Duration::from_secs(1));
        assert!(lease.check("a").is_err(), "it was not renewed");
        lease.take("b", 10).unwrap();
        assert!(lease.take("a", 0).is_err(), "nobody gives back what another one has");
        lease.take("b", 0).unwrap();
        lease.take("a", 1).unwrap();
        assert!(lease.take("", 1).is_err() && lease.take("a", SECONDS_MAX + 1).is_err());
    }
}
