//! A pass over the tree of Whisper files: finds files that were copied in and series whose file is gone.

use std::fs::{DirEntry, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use metric::path::{TAGGED_FOLDER, name_of, whisper_path};

use super::{Index, hour_of};
use crate::series::{SeriesId, SeriesTable};

/// What a pass found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ScanReport {
    /// Whisper files that a name leads to.
    pub files: u64,
    /// Of these, files whose names were new.
    pub added: u64,
    /// Files and folders that are no part of the tree.
    pub foreign: u64,
    /// Folders that could not be read.
    pub unreadable: u64,
    /// Series that the table knows and the tree does not have. They may still have points that wait for a file.
    pub missing: Vec<SeriesId>,
    /// Of these, the ones that are no series any more.
    pub forgotten: Vec<SeriesId>,
    /// Whether the pass reached the end.
    pub complete: bool,
}

/// The first hour of a series whose file does not say when it began.
const BEGAN_UNKNOWN: u32 = 1;

/// Walks the tree under `root`, which holds nothing but what carbon lays out.
///
/// `keep_going` is asked before every folder; it may wait, so that the pass stays slow, and may end it. Hashed files
/// of names that the table does not have are not found: their names cannot be read from their paths.
pub fn scan(
    root: &Path,
    table: &SeriesTable,
    index: &dyn Index,
    keep_going: &mut dyn FnMut() -> bool,
) -> ScanReport {
    let id_end = table.id_end();
    let mut pass = Pass {
        root,
        table,
        index,
        seen: vec![false; id_end as usize],
        folders: vec![PathBuf::new()],
        report: ScanReport::default(),
        learned: false,
    };
    while let Some(folder) = pass.folders.pop() {
        if !keep_going() {
            return pass.report;
        }
        pass.folder(&folder);
    }
    pass.report.complete = true;
    pass.look_for_unseen(keep_going);
    if pass.learned {
        index.settle();
    }
    pass.report
}

struct Pass<'a> {
    root: &'a Path,
    table: &'a SeriesTable,
    index: &'a dyn Index,
    /// By id: whether the file was met.
    seen: Vec<bool>,
    /// Folders still to be read, relative to the root.
    folders: Vec<PathBuf>,
    report: ScanReport,
    /// Whether any series' activity became known.
    learned: bool,
}

impl Pass<'_> {
    fn folder(&mut self, folder: &Path) {
        let entries = match std::fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            // Folders may vanish while the pass goes on.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(_) => {
                self.report.unreadable += 1;
                return;
            }
        };
        for entry in entries {
            match entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind))) {
                Ok((entry, kind)) if kind.is_dir() => {
                    if folder.as_os_str().is_empty() && entry.file_name() == TAGGED_FOLDER {
                        continue;
                    }
                    self.folders.push(folder.join(entry.file_name()));
                }
                Ok((entry, kind)) if kind.is_file() => self.file(folder, &entry),
                Ok(_) => self.report.foreign += 1,
                Err(_) => self.report.unreadable += 1,
            }
        }
    }

    fn file(&mut self, folder: &Path, entry: &DirEntry) {
        let path = folder.join(entry.file_name());
        let Some(name) = path.to_str().and_then(name_of) else {
            self.report.foreign += 1;
            return;
        };
        self.report.files += 1;
        if let Some(id) = self.table.get(&name) {
            self.known(id, || entry.metadata());
            return;
        }
        let (mut ids, mut fresh) = (Vec::new(), Vec::new());
        self.table.resolve(&[&name], usize::MAX, &mut ids, &mut fresh);
        for id in fresh {
            let hour = entry.metadata().ok().and_then(|metadata| last_write_hour(&metadata));
            self.index.insert(id, &name, hour);
            self.index.touch(id, BEGAN_UNKNOWN);
            self.report.added += 1;
        }
    }

    /// A file is written when its series is active, so its time says when that was last.
    fn known(&mut self, id: SeriesId, metadata: impl FnOnce() -> std::io::Result<Metadata>) {
        if let Some(seen) = self.seen.get_mut(id.0 as usize) {
            *seen = true;
        }
        if self.index.activity(id).is_some() {
            return;
        }
        if let Some(hour) = metadata().ok().and_then(|metadata| last_write_hour(&metadata)) {
            self.index.touch(id, hour);
            self.index.touch(id, BEGAN_UNKNOWN);
            self.learned = true;
        }
    }

    /// Series whose files the walk did not meet: hashed ones, and those that are gone.
    fn look_for_unseen(&mut self, keep_going: &mut dyn FnMut() -> bool) {
        const BETWEEN_QUESTIONS: u32 = 1024;
        for id in 0..u32::try_from(self.seen.len()).unwrap_or(u32::MAX) {
            if self.seen[id as usize] {
                continue;
            }
            if id.is_multiple_of(BETWEEN_QUESTIONS) && !keep_going() {
                self.report.complete = false;
                return;
            }
            let Some(path) = self.table.with_name(SeriesId(id), whisper_path) else { continue };
            match std::fs::symlink_metadata(self.root.join(path)) {
                Ok(metadata) => {
                    self.report.files += 1;
                    self.known(SeriesId(id), || Ok(metadata));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.report.missing.push(SeriesId(id));
                }
                Err(_) => self.report.unreadable += 1,
            }
        }
    }
}

fn last_write_hour(metadata: &Metadata) -> Option<u32> {
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(hour_of(i64::try_from(modified.as_secs()).ok()?))
}
