//! `names.log`: which id stands for which name, on disk. The bytes: docs/formats/names.md.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::text::TEXT_BYTES_MAX;
use super::{SeriesError, SeriesId};

const MAGIC: &[u8; 8] = b"PLUMNAME";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const MARK: [u8; 2] = [0xA7, 0x4E];
const FRAME_HEAD_BYTES: usize = 13;
const FRAME_BYTES_MAX: usize = FRAME_HEAD_BYTES + TEXT_BYTES_MAX;
const READ_BYTES: usize = 1 << 20;

/// What one frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// The id stands for the name from here on.
    Named(SeriesId, &'a str),
    /// The id and the name are gone.
    Removed(SeriesId, &'a str),
}

/// What reading the log at start found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// Frames that were read and hold.
    pub frames: u64,
    /// Stretches between frames that did not check.
    pub damaged_stretches: u64,
    /// Frames that contradict an earlier one.
    pub contradictions: u64,
    /// Bytes cut off at the end.
    pub torn_bytes: u64,
    /// Where a file with an unreadable header went.
    pub set_aside: Option<PathBuf>,
}

/// The open log: frames gather in memory until [`NamesLog::commit`].
#[derive(Debug)]
pub(super) struct NamesLog {
    gathered: Mutex<Vec<u8>>,
    file: Mutex<LogFile>,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    /// Bytes known to be whole on disk; the next write starts here.
    len: u64,
    unwritten: Vec<u8>,
    unsynced: bool,
}

impl NamesLog {
    /// Opens or creates the log and hands every sound frame behind `from` to `apply`, which says whether it held.
    pub(super) fn open(
        path: &Path,
        from: u64,
        mut apply: impl FnMut(Entry<'_>) -> bool,
    ) -> Result<(Self, LoadReport), SeriesError> {
        let failed = |source| SeriesError::Log { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = open_for_append(path).map_err(failed)?;
        let (mut report, header) = read_frames(&mut file, from, &mut apply).map_err(failed)?;
        let mut unwritten = Vec::new();
        let len = match header {
            Header::Good { end } => {
                file.set_len(end).map_err(failed)?;
                end
            }
            Header::Missing => {
                file.set_len(0).map_err(failed)?;
                unwritten.extend_from_slice(&header_bytes());
                0
            }
            Header::Unreadable => {
                let aside = free_aside_path(path);
                std::fs::rename(path, &aside).map_err(failed)?;
                salvage(&aside, &mut unwritten).map_err(failed)?;
                report.set_aside = Some(aside);
                file = open_for_append(path).map_err(failed)?;
                0
            }
        };
        let file = LogFile { file, len, unwritten, unsynced: true };
        let log = Self { gathered: Mutex::default(), file: Mutex::new(file) };
        log.commit(true, &AtomicU32::new(0)).map_err(failed)?;
        Ok((log, report))
    }

    /// Adds a frame to those that the next commit writes.
    pub(super) fn push(&self, entry: Entry<'_>) {
        self.gather().push(entry);
    }

    /// The frames that the next commit writes. Ids are given while this is held, so that a commit knows whose it has.
    pub(super) fn gather(&self) -> Gathered<'_> {
        Gathered(self.gathered.lock())
    }

    /// Writes what has gathered; with `sync`, waits until the disk has it. Returns what `next_id` was when that was
    /// taken, and how long the log is: all ids below the one are before the other.
    pub(super) fn commit(&self, sync: bool, next_id: &AtomicU32) -> io::Result<(u32, u64)> {
        let mut log = self.file.lock();
        let mut waiting = self.gathered.lock();
        let gathered = std::mem::take(&mut *waiting);
        let id_end = next_id.load(Ordering::Relaxed);
        drop(waiting);
        if log.unwritten.is_empty() {
            log.unwritten = gathered;
        } else {
            log.unwritten.extend_from_slice(&gathered);
        }
        if !log.unwritten.is_empty() {
            log.file.write_all_at(&log.unwritten, log.len)?;
            log.len += log.unwritten.len() as u64;
            log.unwritten = Vec::new();
            log.unsynced = true;
        }
        if sync && log.unsynced {
            log.file.sync_data()?;
            log.unsynced = false;
        }
        Ok((id_end, log.len))
    }
}

/// Frames for the next commit.
pub(super) struct Gathered<'a>(MutexGuard<'a, Vec<u8>>);

impl Gathered<'_> {
    pub(super) fn push(&mut self, entry: Entry<'_>) {
        encode(&mut self.0, entry);
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn free_aside_path(path: &Path) -> PathBuf {
    let candidate = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside-{n}"));
        PathBuf::from(name)
    };
    (1..).map(candidate).find(|path| !path.exists()).expect("numbers do not run out")
}

/// The sound frames of a file whose header cannot be trusted, behind a fresh header.
fn salvage(aside: &Path, into: &mut Vec<u8>) -> io::Result<()> {
    into.extend_from_slice(&header_bytes());
    read_frames(&mut File::open(aside)?, 0, &mut |entry| {
        encode(into, entry);
        true
    })?;
    Ok(())
}

fn header_bytes() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

fn encode(into: &mut Vec<u8>, entry: Entry<'_>) {
    let (kind, id, name) = match entry {
        Entry::Named(id, name) => (1u8, id, name),
        Entry::Removed(id, name) => (2u8, id, name),
    };
    let length = u16::try_from(name.len()).expect("names are bounded by TEXT_BYTES_MAX");
    let mut head = [0; FRAME_HEAD_BYTES];
    head[..2].copy_from_slice(&MARK);
    head[2] = kind;
    head[3..5].copy_from_slice(&length.to_le_bytes());
    head[5..9].copy_from_slice(&id.0.to_le_bytes());
    let crc = frame_crc(&head[2..9], name.as_bytes());
    head[9..].copy_from_slice(&crc.to_le_bytes());
    into.extend_from_slice(&head);
    into.extend_from_slice(name.as_bytes());
}

fn frame_crc(head: &[u8], name: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(name);
    hasher.finalize()
}

/// The frame that starts at the first byte, with its length.
fn decode(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
    let head = bytes.get(..FRAME_HEAD_BYTES)?;
    if head[..2] != MARK {
        return None;
    }
    let length = usize::from(u16::from_le_bytes([head[3], head[4]]));
    if length == 0 || length > TEXT_BYTES_MAX {
        return None;
    }
    let name = bytes.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length)?;
    let crc = u32::from_le_bytes([head[9], head[10], head[11], head[12]]);
    if crc != frame_crc(&head[2..9], name) {
        return None;
    }
    let id = SeriesId(u32::from_le_bytes([head[5], head[6], head[7], head[8]]));
    let name = std::str::from_utf8(name).ok()?;
    let entry = match head[2] {
        1 => Entry::Named(id, name),
        2 => Entry::Removed(id, name),
        _ => return None,
    };
    Some((entry, FRAME_HEAD_BYTES + length))
}

enum Header {
    /// Sound; appending goes on at `end`.
    Good {
        end: u64,
    },
    Missing,
    Unreadable,
}

/// A window over the file that always holds a whole frame, if the file has one there.
struct Window<'a> {
    file: &'a mut File,
    bytes: Vec<u8>,
    at: usize,
    at_end: bool,
}

impl Window<'_> {
    /// Goes on at another offset of the file.
    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.bytes.clear();
        (self.at, self.at_end) = (0, false);
        Ok(())
    }

    fn fill(&mut self) -> io::Result<&[u8]> {
        if !self.at_end && self.bytes.len() - self.at < FRAME_BYTES_MAX {
            self.bytes.drain(..self.at);
            self.at = 0;
            let mut part = Read::take(&mut *self.file, READ_BYTES as u64);
            self.at_end = part.read_to_end(&mut self.bytes)? < READ_BYTES;
        }
        Ok(&self.bytes[self.at..])
    }
}

/// Reads the header and the frames from offset `from` on, or from the first one.
fn read_frames(
    file: &mut File,
    from: u64,
    apply: &mut impl FnMut(Entry<'_>) -> bool,
) -> io::Result<(LoadReport, Header)> {
    file.seek(SeekFrom::Start(0))?;
    let mut report = LoadReport::default();
    let mut window = Window { file, bytes: Vec::new(), at: 0, at_end: false };
    let start = window.fill()?;
    if start.is_empty() {
        return Ok((report, Header::Missing));
    }
    let header_holds = start.get(..HEADER_BYTES) == Some(&header_bytes()[..]);
    window.at = if header_holds { HEADER_BYTES } else { 0 };
    let mut offset = window.at as u64;
    if from > offset {
        window.skip_to(from)?;
        offset = from;
    }
    let mut sound_end = offset;
    let mut in_damage = false;
    loop {
        let bytes = window.fill()?;
        if bytes.is_empty() {
            break;
        }
        let Some((entry, length)) = decode(bytes) else {
            in_damage = true;
            window.at += 1;
            offset += 1;
            continue;
        };
        report.damaged_stretches += u64::from(std::mem::take(&mut in_damage));
        if apply(entry) {
            report.frames += 1;
        } else {
            report.contradictions += 1;
        }
        window.at += length;
        offset += length as u64;
        sound_end = offset;
    }
    report.torn_bytes = offset - sound_end;
    let header = if header_holds { Header::Good { end: sound_end } } else { Header::Unreadable };
    Ok((report, header))
}

#[cfg(test)]
mod tests;
