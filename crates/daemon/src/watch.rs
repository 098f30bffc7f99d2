//! Files beside the settings that a daemon follows: once one of them has changed, all settings are
//! read again, as at SIGHUP.
//!
//! A change counts when two looks in a row find the same: what is still being written is left to
//! the next look.

use std::collections::BTreeMap;
use std::fs::{Metadata, metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// What to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Files; one that does not exist may come.
    pub files: Vec<PathBuf>,
    /// From one look to the next; zero for never.
    pub interval: Duration,
}

/// Files as they were; none for one that could not be looked at.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// What differs between two states of a file: also where one is moved into the place of another,
/// or written twice within a tick of the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        let modified = (file.mtime(), file.mtime_nsec());
        Self { modified, bytes: file.size(), inode: file.ino() }
    }
}

/// Files, as they were when they were read and when they were last looked at.
#[derive(Debug)]
pub(crate) struct Watch {
    watched: Watched,
    read: Stamps,
    seen: Stamps,
}

impl Watch {
    /// Begins before the files are read.
    pub(crate) fn new(watched: Watched) -> Self {
        let mut watch = Self { watched, read: Stamps::new(), seen: Stamps::new() };
        watch.reading();
        watch
    }

    /// The files are about to be read, whether they have changed or not.
    pub(crate) fn reading(&mut self) {
        self.read = self.stamps();
        self.seen = self.read.clone();
    }

    /// Follows other files from now on; one that is new counts as changed, since nobody knows what
    /// happened to it since it was read.
    pub(crate) fn follow(&mut self, watched: Watched) {
        self.watched = watched;
    }

    /// Returns when a change is there to be read.
    pub(crate) async fn changed(&mut self) {
        if self.watched.interval.is_zero() || self.watched.files.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(self.watched.interval).await;
            if self.look() {
                return;
            }
        }
    }

    /// Whether a change is there to be read; true once for each.
    fn look(&mut self) -> bool {
        let now = self.stamps();
        let is_settled = now == self.seen;
        self.seen = now;
        let has_changed = is_settled && self.seen != self.read;
        if has_changed {
            self.read = self.seen.clone();
        }
        has_changed
    }

    fn stamps(&self) -> Stamps {
        let stamp = |path: &PathBuf| (path.clone(), metadata(path).ok().as_ref().map(Stamp::of));
        self.watched.files.iter().map(stamp).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{remove_file, rename, write};

    #[test]
    fn a_change_counts_once_and_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.toml");
        write(&path, "one").unwrap();
        let files = vec![path.clone()];
        let mut watch = Watch::new(Watched { files: files.clone(), interval: Duration::ZERO });
        assert!(!watch.look());
        write(&path, "one and a half").unwrap();
        assert!(!watch.look(), "it may still be written");
        write(&path, "one and a half, whole").unwrap();
        assert!(!watch.look());
        assert_eq!([watch.look(), watch.look()], [true, false]);

        write(folder.path().join("new"), "one and a half, again").unwrap();
        rename(folder.path().join("new"), &path).unwrap();
        assert_eq!([watch.look(), watch.look(), watch.look()], [false, true, false]);
        remove_file(&path).unwrap();
        assert_eq!([watch.look(), watch.look(), watch.look()], [false, true, false]);

        write(&path, "two").unwrap();
        watch.reading();
        assert_eq!([watch.look(), watch.look()], [false, false], "somebody else had it read");
        let interval = Duration::ZERO;
        watch.follow(Watched { files: vec![path, folder.path().join("other")], interval });
        assert_eq!([watch.look(), watch.look(), watch.look()], [false, true, false]);
    }
}
