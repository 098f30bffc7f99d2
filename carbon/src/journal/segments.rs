//! The files of the journal: which there are, what they hold, when they may go.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use daemon::Clock;
use parking_lot::Mutex;

use super::format::{FRAME_HEAD_BYTES, HEADER_BYTES, Header, HeaderState};
use super::replay::SegmentReader;
use super::{JournalCounters, JournalDisk, Position};

const SUFFIX: &str = ".journal";
/// Frame numbers start above the seconds since 1970, shifted by this: they grow even if all segments are gone.
const SECONDS_SHIFT: u32 = 24;
/// Names that are tried for a file that is set aside.
const ASIDE_MAX: u32 = 1_000;

/// One segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number, as in its name.
    pub number: u64,
    /// The first frame that it may hold.
    pub first: Position,
    /// The last frame that it holds, or at most can hold as long as it is not replayed.
    pub last: Position,
    /// Its size.
    pub bytes: u64,
    /// Whether it is being written.
    pub open: bool,
    /// Whether its records have been handed on since the start.
    pub replayed: bool,
}

/// A segment of a former run.
#[derive(Debug, Clone)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    pub(super) info: SegmentInfo,
    pub(super) header_holds: bool,
}

/// What lies in the folder at start.
#[derive(Debug)]
pub(super) struct Found {
    /// Oldest first.
    pub(super) files: Vec<FoundFile>,
    pub(super) next_segment: u64,
    pub(super) next_frame: u64,
}

pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SUFFIX}"))
}

fn number_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // One below the maximum is kept for what comes next.
    let number: u64 = digits.parse().ok().filter(|&number| number < u64::MAX)?;
    all_digits.then_some(number)
}

/// Looks at all files of the folder, and puts those aside that are no segments.
pub(super) fn find(
    folder: &Path,
    disk: &dyn JournalDisk,
    clock: &dyn Clock,
    counters: &JournalCounters,
) -> io::Result<Found> {
    disk.create_folder(folder)?;
    let listed = disk.list(folder)?;
    let mut listed: Vec<_> = listed
        .into_iter()
        .filter_map(|(path, bytes)| number_of(&path).map(|number| (number, path, bytes)))
        .collect();
    listed.sort_unstable();
    let next_segment = listed.last().map_or(1, |(number, ..)| number + 1);
    let now_s = u32::try_from(clock.now_unix_seconds().max(0)).unwrap_or(u32::MAX);
    let mut next_frame = (u64::from(now_s) << SECONDS_SHIFT).max(1);
    let mut files = Vec::new();
    for (number, path, bytes) in listed {
        match look_at(number, &path, bytes, disk) {
            Ok(Some(file)) => {
                next_frame = next_frame.max(file.info.last.0 + 1);
                files.push(file);
            }
            Ok(None) => set_aside(&path, bytes, disk, counters),
            Err(error) => {
                counters.files_unusable.inc();
                tracing::error!(path = %path.display(), %error, "journal segment cannot be read, left where it is");
            }
        }
    }
    Ok(Found { files, next_segment, next_frame })
}

/// What a file holds; `None` if that is nothing that can be read.
fn look_at(
    number: u64,
    path: &Path,
    bytes: u64,
    disk: &dyn JournalDisk,
) -> io::Result<Option<FoundFile>> {
    if bytes < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    disk.open(path)?.read_exact(&mut header)?;
    let (first, header_holds) = match Header::decode(&header) {
        HeaderState::Sound(header) => (header.first_frame, true),
        HeaderState::Foreign => return Ok(None),
        HeaderState::Damaged => {
            let mut reader = SegmentReader::open(path, None, disk)?;
            reader.advance();
            let Some(first) = reader.number() else { return Ok(None) };
            (first, false)
        }
    };
    let last = Position(first + bytes / FRAME_HEAD_BYTES as u64);
    let first = Position(first);
    let info = SegmentInfo { number, first, last, bytes, open: false, replayed: false };
    Ok(Some(FoundFile { path: path.to_owned(), info, header_holds }))
}

fn set_aside(path: &Path, bytes: u64, disk: &dyn JournalDisk, counters: &JournalCounters) {
    let result = if bytes == 0 {
        disk.remove(path)
    } else {
        counters.files_unusable.inc();
        rename_aside(path, disk)
    };
    if let Err(error) = result {
        tracing::error!(path = %path.display(), %error, "journal: file cannot be set aside");
    }
}

fn rename_aside(path: &Path, disk: &dyn JournalDisk) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let taken: Vec<PathBuf> = disk.list(folder)?.into_iter().map(|(path, _)| path).collect();
    let candidate = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside-{n}"));
        PathBuf::from(name)
    };
    let free = (1..ASIDE_MAX).map(candidate).find(|path| !taken.contains(path));
    let aside = free.ok_or(io::ErrorKind::AlreadyExists)?;
    tracing::error!(path = %path.display(), aside = %aside.display(), "journal: no segment, set aside");
    disk.rename(path, &aside)
}

/// All segments of the running journal.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    /// Oldest first.
    list: Mutex<Vec<SegmentInfo>>,
    /// No later segment has a lower number.
    next: AtomicU64,
    rotation_wanted: AtomicBool,
}

impl Segments {
    pub(super) fn new(folder: &Path, found: &Found) -> Self {
        let list = found.files.iter().map(|file| file.info).collect();
        Self {
            folder: folder.to_owned(),
            list: Mutex::new(list),
            next: AtomicU64::new(found.next_segment),
            rotation_wanted: AtomicBool::new(false),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn list(&self) -> Vec<SegmentInfo> {
        self.list.lock().clone()
    }

    pub(super) fn want_rotation(&self) {
        self.rotation_wanted.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_rotation(&self) -> bool {
        self.rotation_wanted.swap(false, Ordering::Relaxed)
    }

    pub(super) fn begin(&self, number: u64, first: u64) {
        let (first, last) = (Position(first), Position(first.saturating_sub(1)));
        let bytes = HEADER_BYTES as u64;
        let info = SegmentInfo { number, first, last, bytes, open: true, replayed: true };
        let mut list = self.list.lock();
        list.push(info);
        self.next.store(number + 1, Ordering::Relaxed);
    }

    /// The segment that has or will have what is at `position`, or one before it.
    pub(super) fn of(&self, position: Position) -> u64 {
        let list = self.list.lock();
        let holds = |info: &&SegmentInfo| info.open || info.last >= position;
        let found = list.iter().find(holds).map(|info| info.number);
        found.unwrap_or_else(|| self.next.load(Ordering::Relaxed))
    }

    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut SegmentInfo)) {
        let mut list = self.list.lock();
        if let Some(info) = list.iter_mut().find(|info| info.number == number) {
            change(info);
        }
    }

    /// Nothing is written any more.
    pub(super) fn end_all(&self) {
        self.list.lock().iter_mut().for_each(|info| info.open = false);
    }

    pub(super) fn forget(&self, number: u64) {
        self.list.lock().retain(|info| info.number != number);
    }

    pub(super) fn release(
        &self,
        agree: impl Fn(&SegmentInfo) -> bool,
        disk: &dyn JournalDisk,
        counters: &JournalCounters,
    ) -> usize {
        // The disk may take its time with a large file: the committer must not wait for that.
        let may_go = |info: &SegmentInfo| !info.open && info.replayed && agree(info);
        let wanted: Vec<SegmentInfo> = self.list().into_iter().take_while(may_go).collect();
        let mut gone = 0;
        for info in wanted {
            let path = path_of(&self.folder, info.number);
            match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(path = %path.display(), %error, "journal segment cannot be deleted");
                    break;
                }
                _gone => {}
            }
            self.forget(info.number);
            counters.bytes_released.add(info.bytes);
            gone += 1;
        }
        if gone > 0
            && let Err(error) = disk.sync_folder(&self.folder)
        {
            // What comes back after a power cut is only read once more.
            tracing::warn!(%error, "journal folder cannot be synced");
        }
        gone
    }
}
