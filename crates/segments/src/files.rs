//! The files of a log: which there are, what they hold, when they may go.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use daemon::Clock;
use parking_lot::Mutex;

use crate::frame::{FRAME_HEAD_BYTES, HEADER_BYTES, Header, HeaderState};
use crate::segment::SegmentReader;
use crate::{Kind, LogCounters, LogDisk, Position};

/// Frame numbers start above the seconds since 1970, shifted by this: they grow even if all segments are gone.
const SECONDS_SHIFT: u32 = 24;
/// Names that are tried for a file that is set aside.
const ASIDE_MAX: u32 = 1_000;
/// How far remembered ends of writes lie apart.
const ENDS_APART_BYTES: u64 = 256 << 10;
/// Most that are remembered: those of the newest 4 GiB.
const ENDS_MAX: usize = 16 << 10;

/// Where the segment of this number lies.
#[must_use]
pub fn path_of(folder: &Path, suffix: &str, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{suffix}"))
}

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
    /// When it was created, seconds since 1970; 0 if its header does not say.
    pub created_s: u32,
    /// Whether it is being written.
    pub open: bool,
    /// Whether its records have been handed on since the start.
    pub replayed: bool,
}

impl SegmentInfo {
    /// Whether nothing of ours needs it any more.
    fn may_go(&self) -> bool {
        !self.open && self.replayed
    }
}

/// A segment of a former run.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    pub(crate) path: PathBuf,
    pub(crate) info: SegmentInfo,
    pub(crate) header_holds: bool,
}

/// What lies in the folder at start.
#[derive(Debug)]
pub(crate) struct Found {
    /// Oldest first.
    pub(crate) files: Vec<FoundFile>,
    pub(crate) next_segment: u64,
    pub(crate) next_frame: u64,
}

fn number_of(path: &Path, kind: &Kind) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(kind.suffix)?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // One below the maximum is kept for what comes next.
    let number: u64 = digits.parse().ok().filter(|&number| number < u64::MAX)?;
    all_digits.then_some(number)
}

/// Looks at all files of the folder, and puts those aside that are no segments.
pub(crate) fn find(
    folder: &Path,
    kind: &Kind,
    disk: &dyn LogDisk,
    clock: &dyn Clock,
    counters: &LogCounters,
) -> io::Result<Found> {
    disk.create_folder(folder)?;
    let listed = disk.list(folder)?;
    let mut listed: Vec<_> = listed
        .into_iter()
        .filter_map(|(path, bytes)| number_of(&path, kind).map(|number| (number, path, bytes)))
        .collect();
    listed.sort_unstable();
    let next_segment = listed.last().map_or(1, |(number, ..)| number + 1);
    let now_s = u32::try_from(clock.now_unix_seconds().max(0)).unwrap_or(u32::MAX);
    let mut next_frame = (u64::from(now_s) << SECONDS_SHIFT).max(1);
    let mut files = Vec::new();
    for (number, path, bytes) in listed {
        match look_at((number, &path, bytes), kind, disk) {
            Ok(Some(file)) => {
                next_frame = next_frame.max(file.info.last.0 + 1);
                files.push(file);
            }
            Ok(None) => set_aside(&path, bytes, disk, counters),
            Err(error) => {
                counters.files_unusable.inc();
                tracing::error!(path = %path.display(), %error, "segment cannot be read, left where it is");
            }
        }
    }
    Ok(Found { files, next_segment, next_frame })
}

/// What a file holds; `None` if that is nothing that can be read.
fn look_at(
    (number, path, bytes): (u64, &Path, u64),
    kind: &Kind,
    disk: &dyn LogDisk,
) -> io::Result<Option<FoundFile>> {
    if bytes < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    disk.open(path, 0)?.read_exact(&mut header)?;
    let (first, created_s, header_holds) = match Header::decode(&header, kind.magic) {
        HeaderState::Sound(header) => (header.first_frame, header.created_s, true),
        HeaderState::Foreign => return Ok(None),
        HeaderState::Damaged => {
            let mut reader = SegmentReader::open(path, None, disk)?;
            reader.advance();
            let Some(first) = reader.number() else { return Ok(None) };
            (first, 0, false)
        }
    };
    let last = Position(first + bytes / FRAME_HEAD_BYTES as u64);
    let first = Position(first);
    let info = SegmentInfo { number, first, last, bytes, created_s, open: false, replayed: false };
    Ok(Some(FoundFile { path: path.to_owned(), info, header_holds }))
}

fn set_aside(path: &Path, bytes: u64, disk: &dyn LogDisk, counters: &LogCounters) {
    let result = if bytes == 0 {
        disk.remove(path)
    } else {
        counters.files_unusable.inc();
        rename_aside(path, disk)
    };
    if let Err(error) = result {
        tracing::error!(path = %path.display(), %error, "file cannot be set aside");
    }
}

fn rename_aside(path: &Path, disk: &dyn LogDisk) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let taken: Vec<PathBuf> = disk.list(folder)?.into_iter().map(|(path, _)| path).collect();
    let candidate = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside-{n}"));
        PathBuf::from(name)
    };
    let free = (1..ASIDE_MAX).map(candidate).find(|path| !taken.contains(path));
    let aside = free.ok_or(io::ErrorKind::AlreadyExists)?;
    tracing::error!(path = %path.display(), aside = %aside.display(), "no segment, set aside");
    disk.rename(path, &aside)
}

/// All segments of a running log.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    suffix: &'static str,
    /// Oldest first.
    list: Mutex<Vec<SegmentInfo>>,
    /// No later segment has a lower number.
    next: AtomicU64,
    rotation_wanted: AtomicBool,
    /// Ends of writes of this run, oldest first: a reader that comes back begins behind one.
    ends: Mutex<VecDeque<End>>,
}

/// The end of a write: a segment had so many bytes, and all frames up to `last`.
#[derive(Debug, Clone, Copy)]
struct End {
    segment: u64,
    last: Position,
    bytes: u64,
}

impl Files {
    pub(crate) fn new(folder: &Path, kind: &Kind, found: &Found) -> Self {
        let list = found.files.iter().map(|file| file.info).collect();
        Self {
            folder: folder.to_owned(),
            suffix: kind.suffix,
            list: Mutex::new(list),
            next: AtomicU64::new(found.next_segment),
            rotation_wanted: AtomicBool::new(false),
            ends: Mutex::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn path_of(&self, number: u64) -> PathBuf {
        path_of(&self.folder, self.suffix, number)
    }

    /// The first segment that may have a frame beyond `position`, of those after the segment `number`.
    pub(crate) fn next(&self, number: Option<u64>, position: Position) -> Option<SegmentInfo> {
        let list = self.list.lock();
        let is_next = |info: &&SegmentInfo| {
            number.is_none_or(|number| info.number > number) && (info.open || info.last > position)
        };
        list.iter().find(is_next).copied()
    }

    /// Bytes of a segment that hold whole frames; none if the segment is gone.
    pub(crate) fn bytes_of(&self, number: u64) -> Option<u64> {
        self.list.lock().iter().find(|info| info.number == number).map(|info| info.bytes)
    }

    pub(crate) fn list(&self) -> Vec<SegmentInfo> {
        self.list.lock().clone()
    }

    pub(crate) fn want_rotation(&self) {
        self.rotation_wanted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take_rotation(&self) -> bool {
        self.rotation_wanted.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn begin(&self, number: u64, first: u64, created_s: u32) {
        let (first, last) = (Position(first), Position(first.saturating_sub(1)));
        let bytes = HEADER_BYTES as u64;
        let info =
            SegmentInfo { number, first, last, bytes, created_s, open: true, replayed: true };
        let mut list = self.list.lock();
        list.push(info);
        self.next.store(number + 1, Ordering::Relaxed);
    }

    /// The segment that has or will have what is at `position`, or one before it.
    pub(crate) fn of(&self, position: Position) -> u64 {
        let list = self.list.lock();
        let holds = |info: &&SegmentInfo| info.open || info.last >= position;
        let found = list.iter().find(holds).map(|info| info.number);
        found.unwrap_or_else(|| self.next.load(Ordering::Relaxed))
    }

    /// A segment has so many bytes now, with all frames up to `last`.
    pub(crate) fn grown(&self, number: u64, last: Position, bytes: u64) {
        self.change(number, |info| (info.last, info.bytes) = (last, bytes));
        let mut ends = self.ends.lock();
        let newest = ends.back().filter(|end| end.segment == number);
        if newest.is_some_and(|end| bytes < end.bytes + ENDS_APART_BYTES) {
            return;
        }
        if ends.len() >= ENDS_MAX {
            ends.pop_front();
        }
        ends.push_back(End { segment: number, last, bytes });
    }

    /// Where in a segment a reader may begin that has all up to `last`: behind its header, or at the end of some write.
    pub(crate) fn offset_before(&self, segment: u64, last: Position) -> u64 {
        let ends = self.ends.lock();
        let known = ends.iter().rfind(|end| end.segment == segment && end.last <= last);
        known.map_or(HEADER_BYTES as u64, |end| end.bytes)
    }

    pub(crate) fn change(&self, number: u64, change: impl FnOnce(&mut SegmentInfo)) {
        let mut list = self.list.lock();
        if let Some(info) = list.iter_mut().find(|info| info.number == number) {
            change(info);
        }
    }

    /// Nothing is written any more.
    pub(crate) fn end_all(&self) {
        self.list.lock().iter_mut().for_each(|info| info.open = false);
    }

    pub(crate) fn forget(&self, number: u64) {
        self.list.lock().retain(|info| info.number != number);
    }

    pub(crate) fn release(
        &self,
        agree: impl Fn(&SegmentInfo) -> bool,
        disk: &dyn LogDisk,
        counters: &LogCounters,
    ) -> usize {
        self.delete(
            self.list().into_iter().take_while(|info| info.may_go() && agree(info)),
            disk,
            counters,
        )
    }

    pub(crate) fn release_where(
        &self,
        agree: impl Fn(&SegmentInfo) -> bool,
        disk: &dyn LogDisk,
        counters: &LogCounters,
    ) -> usize {
        self.delete(
            self.list().into_iter().filter(|info| info.may_go() && agree(info)),
            disk,
            counters,
        )
    }

    /// The disk may take its time with a large file: the committer must not wait for that, so the list is not locked.
    fn delete(
        &self,
        wanted: impl Iterator<Item = SegmentInfo>,
        disk: &dyn LogDisk,
        counters: &LogCounters,
    ) -> usize {
        let mut gone = 0;
        for info in wanted {
            let path = self.path_of(info.number);
            match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(path = %path.display(), %error, "segment cannot be deleted");
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
            tracing::warn!(%error, "folder of segments cannot be synced");
        }
        gone
    }
}
