//! What moving a series asks of the engine: its whole file, another node's file merged into ours, its file put away.
//!
//! All of it happens in the series' turn, between two writes of the writers: points may come meanwhile, and are written
//! over what was merged as over anything else.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use whisper::{Archive, Fill, Header, Storage, Whisper, fill};

use super::image::Image;
use super::salvage::spec_of;
use super::write::Written;
use super::{Engine, ReadError, Store};
use crate::index::hour_of;
use crate::series::SeriesId;

/// Bytes looked at together for whether they are worth writing to a new file.
const PAGE_BYTES: usize = 4096;

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// There was no file of the series, or none that could be read.
    Created,
    /// Holes were filled.
    Filled,
}

/// Why another node's file was not merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MergeError {
    /// The bytes are no Whisper file.
    #[error("the file that came: {0}")]
    Foreign(whisper::Error),
    /// No series of this name may be made.
    #[error("the node has all the series it may have, or a quota is used up")]
    Limit,
    /// The two files have other archives.
    #[error("the archives are {here} here and {there} there")]
    OtherArchives {
        /// Those of the node's own file.
        here: String,
        /// Those of the file that came.
        there: String,
    },
    /// The free-space floor.
    #[error("the disk has no room for new files")]
    NoRoom,
    /// What waits could not be written first.
    #[error("its waiting points cannot be written")]
    Unwritten,
    /// The series was deleted at this moment.
    #[error("the series is gone")]
    Gone,
    /// The node's own file.
    #[error(transparent)]
    File(#[from] ReadError),
}

/// Merges that the loss of power might undo: the journal knows nothing of them.
#[derive(Debug, Default)]
pub(super) struct Merges {
    /// Those of this run.
    made: AtomicU64,
    /// How many of them were synced; none is known of former runs.
    synced: Mutex<Option<u64>>,
}

/// A file that came from another node, understood.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) file: Whisper<Image>,
    /// Its newest point, or the time at which it came.
    newest_s: i64,
}

impl Incoming {
    pub(crate) fn read(bytes: Vec<u8>, now: i64) -> Result<Self, MergeError> {
        let file = Whisper::open(Image(bytes)).map_err(MergeError::Foreign)?;
        let fetched = file.fetch(0, now, now, None).map_err(MergeError::Foreign)?;
        let newest = fetched.and_then(|fetched| fetched.points().last());
        Ok(Self { newest_s: newest.map_or(now, |(interval, _)| interval), file })
    }
}

impl Engine {
    /// The id of the name, which becomes a series that was active when the file's newest point came.
    pub(crate) fn adopt(&self, name: &str, incoming: &Incoming) -> Option<SeriesId> {
        if self.is_over_quota(name) {
            return None;
        }
        let mut ids = Vec::new();
        let hour = hour_of(incoming.newest_s);
        self.resolve_up_to(&[name], self.store.config.series_max, hour, &mut ids);
        ids.pop().flatten()
    }

    /// Fills the holes of the series' file since `from`, or makes the file. What is there stays.
    pub(crate) fn merge(
        &self,
        id: SeriesId,
        incoming: Incoming,
        from: Option<i64>,
    ) -> Result<Merged, MergeError> {
        let _turn = self.store.turns.take(id);
        let merged = self.store.merge_in_turn(id, incoming, from);
        // Even if it failed half-way. Whoever compares the file has its turn after this one, and syncs after that.
        self.store.merges.made.fetch_add(1, Ordering::Release);
        self.store.sums.drop_one(id);
        merged
    }

    /// Makes all merges that have ended survive the loss of power; false where that was done since the last of them.
    ///
    /// # Errors
    /// What the disk says; nobody may rely on the files then.
    pub(crate) fn sync_merges(&self) -> io::Result<bool> {
        let merges = &self.store.merges;
        // Others who wait here need no sync of their own.
        let mut synced = merges.synced.lock();
        let made = merges.made.load(Ordering::Acquire);
        let is_due = *synced != Some(made);
        if is_due {
            self.sync_files()?;
            *synced = Some(made);
        }
        Ok(is_due)
    }

    /// Puts the series' file into `folder` under the path that it had, and forgets the series. False if there was none.
    pub(crate) fn put_away(&self, id: SeriesId, folder: &Path) -> Result<bool, ReadError> {
        let store = &self.store;
        let Some(path) = store.path(id) else { return Ok(false) };
        let _turn = store.turns.take(id);
        store.write_all_in_turn(id);
        let relative = path.strip_prefix(&store.config.whisper).unwrap_or(&path);
        match store.move_away(&path, &free_name(&folder.join(relative))) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ReadError::file(path, source.into()))
            }
            _moved => Ok(store.forget(id)),
        }
    }

    /// Bytes of the series' file, as far as that is known without looking: of a file whose header is not remembered, as
    /// the rules have it.
    pub(crate) fn expected_bytes(&self, id: SeriesId, name: &str) -> u64 {
        let store = &self.store;
        let known = store.pending.header_of(id).and_then(|number| store.headers.get(number));
        let ruled = || store.specs.spec_for(name).header().ok();
        let bytes = known.map(|header| header.file_bytes());
        bytes.or_else(|| ruled().map(|header| header.file_bytes())).unwrap_or(0)
    }
}

impl Store {
    fn merge_in_turn(
        &self,
        id: SeriesId,
        incoming: Incoming,
        from: Option<i64>,
    ) -> Result<Merged, MergeError> {
        let (Some(path), Some(name)) = (self.path(id), self.table.name(id)) else {
            return Err(MergeError::Gone);
        };
        if let Written::Failed(_) | Written::Delayed = self.write_all_in_turn(id) {
            return Err(MergeError::Unwritten);
        }
        let merged = match self.open_or_set_aside(&path, &name)? {
            Some(mut file) => {
                let (here, there) = (file.header(), incoming.file.header());
                if here.archives != there.archives {
                    let (here, there) = (archives(here), archives(there));
                    return Err(MergeError::OtherArchives { here, there });
                }
                let now = self.clock.now_unix_seconds();
                fill(&incoming.file, &mut file, Fill { from, overwrite: false }, now)
                    .map_err(|source| ReadError::file(path, source))?;
                Merged::Filled
            }
            None => {
                self.place(&path, incoming.file)?;
                Merged::Created
            }
        };
        // What was known of the file is no longer so.
        self.pending.confirm(id, 0, None, self.now_s());
        Ok(merged)
    }

    /// The series' file, to be written. One that is no sound Whisper file is set aside and taken to be missing.
    fn open_or_set_aside(
        &self,
        path: &Path,
        name: &str,
    ) -> Result<Option<Whisper<super::DiskFile>>, ReadError> {
        let failed = |source: whisper::Error| ReadError::file(path.to_owned(), source);
        let file = match self.disk.open(path, true) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        match Whisper::open(file) {
            Ok(file) => Ok(Some(file)),
            Err(whisper::Error::Corrupt(reason)) => {
                let relative = metric::path::whisper_path(name);
                let to = self.set_aside(path, &relative).map_err(|error| failed(error.into()))?;
                self.counters.files_set_aside.inc();
                let to = to.display();
                tracing::warn!(relative, %to, %reason, "unreadable file set aside, the other copy takes its place");
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes a file of the bytes that came; pages of zeros stay holes of the file.
    fn place(&self, path: &Path, file: Whisper<Image>) -> Result<(), MergeError> {
        self.look_at_free_space();
        if !self.may_create.load(Ordering::Relaxed) {
            return Err(MergeError::NoRoom);
        }
        let failed = |source: whisper::Error| ReadError::file(path.to_owned(), source);
        let (Image(mut bytes), header) = file.into_parts();
        bytes.truncate(usize::try_from(header.file_bytes()).unwrap_or(usize::MAX));
        self.disk.create(path, &spec_of(&header)).map_err(failed)?;
        self.counters.creates.inc();
        let mut file = self.disk.open(path, true).map_err(|error| failed(error.into()))?;
        let pages = bytes.chunks(PAGE_BYTES).enumerate();
        let mut pages = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        let write =
            |(number, page): (usize, &[u8])| file.write_at(page, (number * PAGE_BYTES) as u64);
        pages.try_for_each(write).map_err(|error| failed(error.into()).into())
    }

    /// Moves a file, also to another file system.
    fn move_away(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.disk.rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                std::fs::copy(from, to)?;
                std::fs::File::open(to)?.sync_all()?;
                self.disk.remove(from)
            }
            moved => moved,
        }
    }
}

/// The path itself, or with the first number behind it that makes it free.
fn free_name(path: &Path) -> std::path::PathBuf {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    };
    if !path.exists() {
        return path.to_owned();
    }
    (1..).map(numbered).find(|path: &std::path::PathBuf| !path.exists()).unwrap_or_default()
}

/// Archives as schemas write them.
fn archives(header: &Header) -> String {
    let text = |one: &Archive| format!("{}:{}", one.seconds_per_point, one.points);
    header.archives.iter().map(text).collect::<Vec<_>>().join(",")
}
