//! Files that were read lately stay open: finding a file by its path takes longer than reading it.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use parking_lot::Mutex;
use rustix::fs::Stat;
use whisper::{Spec, Storage};

use super::disk::{Beginning, Disk, DiskFile, FileMark, FreeSpace, OpenFile, RealDisk};

/// Files kept open at most; fewer where the process may not have four times as many.
const FILES_MAX: u64 = 8192;

/// How long one is kept: a folder that somebody moves away takes its files along, and nothing about these tells.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A change within one tick of the clock may leave a file's time as it was: how a file begins is kept only once its last
/// change is older than any tick.
const SETTLED_NS: i64 = 1_000_000_000;

/// The machine's file systems, with files kept open for the next read.
#[derive(Debug)]
pub struct OpenFiles {
    files_max: usize,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Arc<Path>, Opened>,
    /// Paths in the order in which their files were opened, with the numbers of the openings.
    order: VecDeque<(Arc<Path>, u64)>,
    openings: u64,
}

#[derive(Debug, Clone)]
struct Opened {
    file: Arc<SharedFile>,
    number: u64,
    at: Duration,
    changed: (i64, i64),
}

impl OpenFiles {
    /// None are open yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files_max = limit.map_or(FILES_MAX, |limit| FILES_MAX.min(limit / 4));
        let files_max = usize::try_from(files_max).unwrap_or(usize::MAX);
        Self { files_max, clock, kept: Mutex::default() }
    }

    /// The file that is open under this path, unless it has lain there for long.
    fn find(&self, path: &Path) -> Option<Opened> {
        let now = self.clock.monotonic();
        let opened = self.kept.lock().files.get(path).cloned()?;
        (now.saturating_sub(opened.at) < KEPT_FOR).then_some(opened)
    }

    /// The file as it is used once, with what is known of it.
    fn shared(&self, file: Arc<SharedFile>, facts: &Stat) -> DiskFile {
        let mark = FileMark::of(facts);
        let now_ns = self.clock.now_unix_ms().saturating_mul(1_000_000);
        let is_settled = now_ns.saturating_sub(mark.modified_ns) > SETTLED_NS;
        DiskFile::known(Shared { file, is_settled }, mark)
    }

    fn keep(&self, path: &Path, file: &Arc<SharedFile>, facts: &Stat) {
        let at = self.clock.monotonic();
        let path: Arc<Path> = path.into();
        let mut kept = self.kept.lock();
        let number = kept.openings;
        kept.openings += 1;
        let opened = Opened { file: Arc::clone(file), number, at, changed: changed(facts) };
        kept.files.insert(Arc::clone(&path), opened);
        kept.order.push_back((path, number));
        kept.make_room(self.files_max, at);
    }

    fn forget(&self, path: &Path) {
        self.kept.lock().files.remove(path);
    }
}

impl Kept {
    /// Closes what is too much, or has been open for long.
    fn make_room(&mut self, files_max: usize, now: Duration) {
        while let Some((path, number)) = self.order.front() {
            let opened = self.files.get(path).filter(|opened| opened.number == *number);
            let is_good = opened.is_some_and(|opened| now.saturating_sub(opened.at) < KEPT_FOR);
            if is_good && self.files.len() <= files_max {
                return;
            }
            if opened.is_some() {
                self.files.remove(&**path);
            }
            self.order.pop_front();
        }
    }
}

impl Opened {
    /// Whether it is still what lies under its path. Writing gives a file one time for its data and for itself, so that a
    /// new time for itself alone says that it was moved, or given another owner.
    fn is_in_place(&self, facts: &Stat) -> bool {
        let is_written = changed(facts) == (facts.st_mtime, facts.st_mtime_nsec as i64);
        facts.st_nlink > 0 && (changed(facts) == self.changed || is_written)
    }
}

fn changed(facts: &Stat) -> (i64, i64) {
    (facts.st_ctime, facts.st_ctime_nsec as i64)
}

impl Disk for OpenFiles {
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<DiskFile> {
        if for_writing {
            return RealDisk.open(path, true);
        }
        if let Some(opened) = self.find(path) {
            let facts = rustix::fs::fstat(&opened.file.file)?;
            if opened.is_in_place(&facts) {
                return Ok(self.shared(opened.file, &facts));
            }
        }
        let file = SharedFile::new(File::open(path)?);
        let facts = rustix::fs::fstat(&file.file)?;
        self.keep(path, &file, &facts);
        Ok(self.shared(file, &facts))
    }

    fn create(&self, path: &Path, spec: &Spec) -> Result<(), whisper::Error> {
        self.forget(path);
        RealDisk.create(path, spec)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.forget(path);
        RealDisk.remove(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<FreeSpace> {
        RealDisk.free_space(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync(path)
    }

    fn unsynced_bytes(&self) -> Option<u64> {
        RealDisk.unsynced_bytes()
    }
}

/// A file that several may be reading.
#[derive(Debug)]
struct SharedFile {
    file: File,
    /// How it began when it had this mark.
    beginning: Mutex<Option<(FileMark, Arc<Beginning>)>>,
}

impl SharedFile {
    fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file, beginning: Mutex::default() })
    }
}

/// One who reads it.
struct Shared {
    file: Arc<SharedFile>,
    /// Whether its last change is over for good.
    is_settled: bool,
}

impl Storage for Shared {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.file.read_at(buffer, offset)
    }

    fn write_at(&mut self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn size(&self) -> io::Result<u64> {
        self.file.file.size()
    }

    fn set_size(&mut self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OpenFile for Shared {
    fn mark(&self) -> io::Result<FileMark> {
        self.file.file.mark()
    }

    fn beginning(&self, mark: FileMark) -> Option<Arc<Beginning>> {
        let kept = self.file.beginning.lock();
        kept.as_ref().filter(|(then, _)| *then == mark).map(|(_, beginning)| Arc::clone(beginning))
    }

    fn keep_beginning(&self, mark: FileMark, beginning: Beginning) {
        if self.is_settled {
            *self.file.beginning.lock() = Some((mark, Arc::new(beginning)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use daemon::clock::Manual;
    use whisper::Whisper;

    use crate::engine::prefixed::Prefixed;

    struct Tree {
        folder: tempfile::TempDir,
        clock: Arc<Manual>,
        disk: OpenFiles,
    }

    impl Tree {
        fn new() -> Self {
            let clock = Arc::new(Manual::at(0));
            let disk = OpenFiles::new(clock.clone());
            Self { folder: tempfile::tempdir().unwrap(), clock, disk }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn read(&self, name: &str) -> Option<String> {
            let file = self.disk.open(&self.path(name), false).ok()?;
            let mut bytes = vec![0; file.size().unwrap() as usize];
            file.read_at(&mut bytes, 0).unwrap();
            Some(String::from_utf8(bytes).unwrap())
        }

        fn open(&self) -> usize {
            self.disk.kept.lock().files.len()
        }
    }

    #[test]
    fn a_file_is_opened_once_and_what_is_written_to_it_is_seen() {
        let tree = Tree::new();
        fs::write(tree.path("a"), "one").unwrap();
        assert_eq!(tree.read("a").as_deref(), Some("one"));
        let mut file = tree.disk.open(&tree.path("a"), true).unwrap();
        file.write_at(b"two", 0).unwrap();
        assert_eq!(tree.read("a").as_deref(), Some("two"));
        assert_eq!(tree.disk.kept.lock().openings, 1);
    }

    #[test]
    fn what_others_replace_remove_or_move_is_looked_up_again() {
        let tree = Tree::new();
        for name in ["replaced", "removed"] {
            fs::write(tree.path(name), "old").unwrap();
            assert_eq!(tree.read(name).as_deref(), Some("old"));
        }
        fs::write(tree.path("beside"), "new").unwrap();
        fs::rename(tree.path("beside"), tree.path("replaced")).unwrap();
        fs::remove_file(tree.path("removed")).unwrap();
        assert_eq!(tree.read("replaced").as_deref(), Some("new"));
        assert_eq!(tree.read("removed"), None);
    }

    #[test]
    fn a_new_time_for_the_file_alone_says_that_it_was_moved() {
        let tree = Tree::new();
        fs::write(tree.path("a"), "old").unwrap();
        let file = SharedFile::new(File::open(tree.path("a")).unwrap());
        let facts = rustix::fs::fstat(&file.file).unwrap();
        let opened = Opened { file, number: 0, at: Duration::ZERO, changed: changed(&facts) };
        assert!(opened.is_in_place(&facts));
        let mut moved = facts;
        moved.st_ctime += 1;
        assert!(!opened.is_in_place(&moved));
        let mut written = moved;
        (written.st_mtime, written.st_mtime_nsec) = (moved.st_ctime, moved.st_ctime_nsec);
        assert!(opened.is_in_place(&written));
        let mut removed = facts;
        removed.st_nlink = 0;
        assert!(!opened.is_in_place(&removed));
    }

    #[test]
    fn how_a_file_begins_is_known_until_it_changes_and_never_of_one_that_changed_just_now() {
        let tree = Tree::new();
        let spec = Spec::new(whisper::parse_retentions("1m:1h").unwrap());
        RealDisk.create(&tree.path("a"), &spec).unwrap();
        let modified_s = fs::metadata(tree.path("a")).unwrap().mtime();
        let open = || tree.disk.open(&tree.path("a"), false).unwrap();
        let learn = || {
            let file = Whisper::open(Prefixed::read(open(), 1 << 10).unwrap()).unwrap();
            file.storage().keep_beginning(file.header());
            file.header().clone()
        };
        tree.clock.set(modified_s);
        learn();
        assert_eq!(open().beginning(), None, "it may change within the same tick");
        tree.clock.set(modified_s + 10);
        let header = learn();
        assert_eq!(open().beginning().unwrap().header, header);
        let file = File::options().write(true).open(tree.path("a")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(open().beginning(), None, "it is another file now");
    }

    #[test]
    fn a_file_in_a_folder_that_was_moved_is_found_missing_in_a_minute() {
        let tree = Tree::new();
        fs::create_dir(tree.path("f")).unwrap();
        fs::write(tree.path("f/a"), "old").unwrap();
        assert_eq!(tree.read("f/a").as_deref(), Some("old"));
        fs::rename(tree.path("f"), tree.path("g")).unwrap();
        tree.clock.advance(KEPT_FOR);
        assert_eq!(tree.read("f/a"), None);
    }

    #[test]
    fn so_many_are_open_and_no_more() {
        let mut tree = Tree::new();
        tree.disk.files_max = 2;
        for name in ["a", "b", "c", "a"] {
            fs::write(tree.path(name), name).unwrap();
            assert_eq!(tree.read(name).as_deref(), Some(name));
        }
        assert_eq!(tree.open(), 2);
        tree.disk.remove(&tree.path("a")).unwrap();
        assert_eq!(tree.open(), 1);
        tree.clock.advance(KEPT_FOR);
        tree.read("b");
        assert_eq!(tree.open(), 1, "the one of before was closed");
    }
}
