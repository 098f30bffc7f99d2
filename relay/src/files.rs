//! Clusters of type `file`: lines appended to files by a thread of their own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use daemon::{Context, Counter, StartError};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use tracing::warn;

use crate::forward::LineBatch;

/// How much waits for one file before senders have to wait.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// Lines that wait for one file.
#[derive(Debug)]
pub(crate) struct FileSink {
    path: PathBuf,
    waiting: Mutex<Waiting>,
    filled: Condvar,
    emptied: Notify,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    /// The file is opened anew before the next line, since it may have been moved away.
    reopen: bool,
    ends: bool,
    thread: Option<JoinHandle<()>>,
}

impl FileSink {
    /// Opens the file and starts its thread.
    ///
    /// # Errors
    /// A file that cannot be appended to, or no thread.
    pub(crate) fn open(path: &Path, context: &Context) -> Result<Arc<Self>, StartError> {
        let file = append(path)
            .map_err(|error| StartError::io(format!("opening {}", path.display()), error))?;
        let sink = Arc::new(Self {
            path: path.to_owned(),
            waiting: Mutex::default(),
            filled: Condvar::new(),
            emptied: Notify::new(),
            dropped: context
                .metrics
                .counter_with("plumbago_relay_lines_dropped_total", &["file_error"]),
        });
        let writer = Arc::clone(&sink);
        let thread = daemon::threads::spawn("file", move || writer.write(file))
            .map_err(|error| StartError::io("starting a thread for a file", error))?;
        sink.waiting.lock().thread = Some(thread);
        Ok(sink)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes lines over.
    pub(crate) fn push(&self, batch: &LineBatch) {
        let mut waiting = self.waiting.lock();
        waiting.bytes.extend_from_slice(batch.as_bytes());
        waiting.lines += batch.lines();
        drop(waiting);
        self.filled.notify_one();
    }

    /// Resolves when there is room for more.
    pub(crate) async fn room(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.waiting.lock().bytes.len() < WAITING_BYTES_MAX {
                return;
            }
            emptied.await;
        }
    }

    /// The next line goes into the file that then has the path.
    pub(crate) fn reopen(&self) {
        self.waiting.lock().reopen = true;
    }

    /// Writes what waits and ends the thread. It blocks as long as the disk does.
    pub(crate) fn close(&self) {
        let thread = {
            let mut waiting = self.waiting.lock();
            waiting.ends = true;
            waiting.thread.take()
        };
        self.filled.notify_one();
        if let Some(thread) = thread {
            // A panic in it has been logged where it happened.
            drop(thread.join());
        }
    }

    fn write(&self, mut file: File) {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let (lines, reopen) = {
                let mut waiting = self.waiting.lock();
                while waiting.bytes.is_empty() && !waiting.ends {
                    self.filled.wait(&mut waiting);
                }
                std::mem::swap(&mut waiting.bytes, &mut bytes);
                (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.reopen))
            };
            if bytes.is_empty() {
                return;
            }
            self.emptied.notify_waiters();
            let opened = if reopen { append(&self.path).map(|new| file = new) } else { Ok(()) };
            if let Err(error) = opened.and_then(|()| file.write_all(&bytes)) {
                self.dropped.add(lines);
                warn!(path = %self.path.display(), lines, %error, "lines for a file dropped");
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::METRICS;

    fn lines(text: &str) -> LineBatch {
        LineBatch::from_bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_are_appended_and_a_moved_file_is_made_anew() {
        let folder = testkit::folder();
        let path = folder.path().join("lines");
        std::fs::write(&path, "before 1 1\n").unwrap();
        let context = Context::new("relay", METRICS);
        let sink = FileSink::open(&path, &context).unwrap();
        sink.push(&lines("a 1 1\n"));
        sink.push(&lines("b 1 1\n"));
        sink.close();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before 1 1\na 1 1\nb 1 1\n");

        let sink = FileSink::open(&path, &context).unwrap();
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        sink.reopen();
        sink.push(&lines("c 1 1\n"));
        sink.close();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "c 1 1\n");
        assert!(FileSink::open(folder.path(), &context).is_err(), "a folder is no file");
    }
}
