//! Named OS threads for what blocks: disk, compression, drawing. Sockets stay on the runtime.

use std::collections::VecDeque;
use std::io;
use std::panic;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// What a panic in any thread does to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanicPolicy {
    /// The process aborts: it restarts and replays, rather than go on without a part.
    Abort,
    /// The thread or request fails; `http::serve` answers 500.
    PerRequest,
}

/// Logs every panic with its place and applies `policy`. For mains only.
pub fn set_panic_policy(policy: PanicPolicy) {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let place = info.location().map(ToString::to_string);
        tracing::error!(thread = thread.name(), place, "panic: {}", panic_text(info.payload()));
        previous(info);
        if policy == PanicPolicy::Abort {
            std::process::abort();
        }
    }));
}

pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// Starts a thread that debuggers and `top -H` show by `name` (15 bytes are shown).
///
/// # Errors
/// When the system gives no more threads.
pub fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(body)
}

/// Why a job gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// As many jobs wait as may.
    #[error("the thread pool's queue is full")]
    Full,
    /// The job panicked, or the pool was dropped before it ran.
    #[error("the job ended without a result")]
    Lost,
}

type Job = Box<dyn FnOnce() + Send>;

/// A few named threads with a bounded queue of jobs; dropping it lets queued jobs finish.
#[derive(Debug)]
pub struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    changed: Condvar,
    jobs_max: usize,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("jobs_max", &self.jobs_max).finish_non_exhaustive()
    }
}

impl Pool {
    /// `threads` threads called `name-0`, `name-1` …, and room for `jobs_max` waiting jobs.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(name: &str, threads: usize, jobs_max: usize) -> io::Result<Self> {
        Self::nice(name, threads, jobs_max, 0)
    }

    /// The same with threads that give way to others where processors are short, as nice(1) counts: up to 19.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn nice(name: &str, threads: usize, jobs_max: usize, niceness: u8) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            jobs: Mutex::new((VecDeque::new(), false)),
            changed: Condvar::new(),
            jobs_max,
        });
        let threads = (0..threads)
            .map(|number| {
                let queue = Arc::clone(&queue);
                spawn(&format!("{name}-{number}"), move || {
                    give_way(niceness);
                    queue.work();
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { queue, threads })
    }

    /// Runs `job` on one of the threads. If the returned future is dropped, the job still runs.
    ///
    /// # Errors
    /// When the queue is full, or the job panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            // Nobody may be waiting any more, which is their choice.
            drop(sender.send(job()));
        };
        {
            let mut jobs = self.queue.jobs.lock();
            if jobs.0.len() >= self.queue.jobs_max {
                return Err(PoolError::Full);
            }
            jobs.0.push_back(Box::new(job));
        }
        self.queue.changed.notify_one();
        receiver.await.or(Err(PoolError::Lost))
    }
}

/// Linux keeps the niceness of each thread apart.
pub(crate) fn give_way(niceness: u8) {
    if niceness > 0
        && let Err(error) = rustix::process::nice(niceness.into())
    {
        tracing::warn!(%error, "a thread does not give way to others");
    }
}

impl Queue {
    fn work(&self) {
        while let Some(job) = self.next() {
            // The hook has logged it; the thread goes on with the next job.
            drop(panic::catch_unwind(panic::AssertUnwindSafe(job)));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            if let Some(job) = jobs.0.pop_front() {
                return Some(job);
            }
            if jobs.1 {
                return None;
            }
            self.changed.wait(&mut jobs);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.jobs.lock().1 = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // Jobs' panics are caught, so a thread always ends well.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_run_on_named_threads_and_survive_a_panic_before_them() {
        let pool = Pool::new("read", 1, 8).unwrap();
        assert_eq!(pool.run(|| panic!("wanted by the test")).await, Err::<(), _>(PoolError::Lost));
        let name = pool.run(|| std::thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Ok(Some("read-0".to_owned())));
    }

    #[tokio::test]
    async fn nice_threads_give_way_and_leave_the_others_as_they_are() {
        let pool = Pool::nice("read", 1, 8, 7).unwrap();
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let own = niceness();
        assert_eq!(pool.run(niceness).await, Ok((own + 7).min(19)));
        assert_eq!(niceness(), own);
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let pool = Pool::new("read", 1, 0).unwrap();
        assert_eq!(pool.run(|| 1).await, Err(PoolError::Full));
    }

    #[test]
    fn a_thread_carries_its_name() {
        let handle = spawn("writer-7", || std::thread::current().name().map(str::to_owned));
        assert_eq!(handle.unwrap().join().unwrap().as_deref(), Some("writer-7"));
    }
}
