//! The thread that waits for the disk, so that writing does not: an fdatasync beside heavy writes takes long.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::{LogFile, Shared};

/// What is to be made safe.
pub(crate) struct Job {
    pub(crate) file: Arc<dyn LogFile>,
    /// Whether the file's name is new.
    pub(crate) with_folder: bool,
}

impl Job {
    /// The result counts for all that was written before.
    pub(crate) fn run(&self, shared: &Shared) -> io::Result<()> {
        if self.with_folder {
            shared.disk.sync_folder(shared.files.folder())?;
        }
        self.file.sync_data()
    }
}

/// Does one job at a time; the result goes to the inbox.
#[derive(Debug)]
pub(crate) struct Syncer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (jobs, received) = sync_channel(1);
        let name = shared.kind.sync_thread;
        let shared = Arc::clone(shared);
        let thread = daemon::threads::spawn(name, move || work(&shared, &received))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over; gives it back if nobody takes it.
    pub(crate) fn hand(&self, job: Job) -> Result<(), Job> {
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
            tracing::error!("a log's sync thread had panicked");
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
