//! The thread that waits for the disk, so that writing does not: an fdatasync beside heavy writes takes long.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::{JournalFile, Shared};

/// What is to be made safe.
pub(super) struct Job {
    pub(super) file: Arc<dyn JournalFile>,
    /// Whether the file's name is new.
    pub(super) with_folder: bool,
}

impl Job {
    /// The result counts for all that was written before.
    pub(super) fn run(&self, shared: &Shared) -> io::Result<()> {
        if self.with_folder {
            shared.disk.sync_folder(shared.segments.folder())?;
        }
        self.file.sync_data()
    }
}

/// Does one job at a time; the result goes to the inbox.
#[derive(Debug)]
pub(super) struct Syncer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (jobs, received) = sync_channel(1);
        let shared = Arc::clone(shared);
        let work = move || work(&shared, &received);
        let thread = daemon::threads::spawn("carbon-jsync", work)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over; gives it back if nobody takes it.
    pub(super) fn hand(&self, job: Job) -> Result<(), Job> {
        match &self.jobs {
            Some(jobs) => jobs.send(job).map_err(|error| error.0),
            None => Err(job),
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.jobs = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's sync thread had panicked");
        }
    }
}

fn work(shared: &Shared, jobs: &Receiver<Job>) {
    for job in jobs {
        let result = job.run(shared);
        shared.inbox.lock().sync_done = Some(result);
        shared.work.notify_one();
    }
}
