//! Work that can wait for a processor, and is not to make anybody else wait for one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Pool, PoolError, Priority};
use crate::Clock;

/// A job has starved when it waited so many times longer for a processor than it had one …
const STARVED_RATIO: u32 = 10;

/// … and all in all longer than this.
const STARVED_MIN: Duration = Duration::from_millis(100);

/// How long jobs then run on threads that get their share.
const STARVED_REST: Duration = Duration::from_secs(30);

/// What the kernel says of a thread: it leads a file of two or three numbers for each.
const SCHEDSTAT: &str = "/proc/thread-self/schedstat";

/// Threads for long jobs in the background of a daemon.
///
/// Jobs run where a processor has nothing else to do: any other thread of the daemon is put in their place at once,
/// where a merely nice one may finish its time slice of some milliseconds first. Where processors are never idle,
/// such a job would get next to nothing, with what it has locked still locked: one that starved has the jobs of the
/// next half minute run on threads that get the small share of nice ones.
#[derive(Debug)]
pub struct Background {
    idle: Pool,
    nice: Pool,
    clock: Arc<dyn Clock>,
    starved_until: Arc<Mutex<Duration>>,
}

impl Background {
    /// Twice `threads` threads, half of which work at a time, and room for `jobs_max` waiting jobs; `niceness` as
    /// nice(1) counts.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(
        name: &str,
        threads: usize,
        jobs_max: usize,
        niceness: u8,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let pool = |name: &str, priority| Pool::start(name, threads, jobs_max, priority);
        Ok(Self {
            idle: pool(name, Priority::Idle)?,
            nice: pool(&format!("{name}-nice"), Priority::Nice(niceness))?,
            clock,
            starved_until: Arc::default(),
        })
    }

    /// Runs `job` on one of the threads. If the returned future is dropped, the job still runs.
    ///
    /// # Errors
    /// When the queue is full, or the job panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        if self.clock.monotonic() < *self.starved_until.lock() {
            return self.nice.run(job).await;
        }
        let (clock, starved_until) = (Arc::clone(&self.clock), Arc::clone(&self.starved_until));
        let watched = move || {
            let before = Share::of_this_thread();
            let result = job();
            if let (Some(before), Some(after)) = (before, Share::of_this_thread())
                && after.since(before).is_starved()
            {
                *starved_until.lock() = clock.monotonic().saturating_add(STARVED_REST);
            }
            result
        };
        self.idle.run(watched).await
    }
}

/// How a thread has fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    ran: Duration,
    /// For a processor, while it could have run.
    waited: Duration,
}

impl Share {
    /// None where the kernel does not count it.
    fn of_this_thread() -> Option<Self> {
        Self::parse(&std::fs::read_to_string(SCHEDSTAT).ok()?)
    }

    fn parse(schedstat: &str) -> Option<Self> {
        let mut fields = schedstat.split_ascii_whitespace();
        let mut next = || fields.next()?.parse().ok().map(Duration::from_nanos);
        Some(Self { ran: next()?, waited: next()? })
    }

    fn since(self, before: Self) -> Self {
        let ran = self.ran.saturating_sub(before.ran);
        Self { ran, waited: self.waited.saturating_sub(before.waited) }
    }

    fn is_starved(self) -> bool {
        self.waited > STARVED_MIN.max(self.ran.saturating_mul(STARVED_RATIO))
    }
}

#[cfg(test)]
mod tests {
    use thread_priority::{
        NormalThreadSchedulePolicy as Normal, ThreadSchedulePolicy, thread_schedule_policy,
    };

    use super::*;
    use crate::clock::Manual;

    fn niceness_and_policy() -> (i32, ThreadSchedulePolicy) {
        let niceness = rustix::process::getpriority_process(None).unwrap();
        (niceness, thread_schedule_policy().unwrap())
    }

    #[tokio::test]
    async fn jobs_run_where_a_processor_is_idle_and_get_a_share_after_one_that_starved() {
        let clock = Arc::new(Manual::at(0));
        let shared = Arc::<Manual>::clone(&clock) as Arc<dyn Clock>;
        let background = Background::new("moves", 1, 8, 7, shared).unwrap();
        let (own, _policy) = niceness_and_policy();
        let (_, policy) = background.run(niceness_and_policy).await.unwrap();
        assert_eq!(policy, ThreadSchedulePolicy::Normal(Normal::Idle));
        *background.starved_until.lock() = clock.monotonic() + STARVED_REST;
        let (niceness, policy) = background.run(niceness_and_policy).await.unwrap();
        assert_eq!(policy, ThreadSchedulePolicy::Normal(Normal::Other));
        assert_eq!(niceness, (own + 7).min(19));
        clock.advance(STARVED_REST);
        let (_, policy) = background.run(niceness_and_policy).await.unwrap();
        assert_eq!(policy, ThreadSchedulePolicy::Normal(Normal::Idle));
    }

    #[test]
    fn a_job_starved_if_it_waited_long_and_ran_little() {
        let ms = Duration::from_millis;
        let before = Share { ran: ms(50), waited: ms(70) };
        let starved = |ran, waited| {
            let after = Share { ran: before.ran + ms(ran), waited: before.waited + ms(waited) };
            after.since(before).is_starved()
        };
        assert!(starved(3, 120));
        assert!(!starved(3, 90), "not for long");
        assert!(!starved(20, 190), "it had its share");
        assert!(starved(20, 210));
    }

    #[test]
    fn what_the_kernel_says_is_understood_or_left() {
        let expected = Share { ran: Duration::from_nanos(142_455), waited: Duration::ZERO };
        assert_eq!(Share::parse("142455 0 1\n"), Some(expected));
        assert_eq!(Share::parse("142455\n"), None);
        assert_eq!(Share::parse("many 0 1\n"), None);
    }
}
