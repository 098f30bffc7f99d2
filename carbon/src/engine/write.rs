//! The waiting points of one series into its file.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use metric::path::whisper_path;
use whisper::{Header, Whisper};

use super::Store;
use super::archives::{Archives, clocks_s};
use super::disk::{DiskFile, FileMark, aside_path};
use super::pending::{KnownFile, Look};
use super::prefixed::Prefixed;
use super::recovery::not_in_file;
use super::salvage::{Salvaged, is_misfit, salvage};
use super::settle::{Owed, settle};
use crate::series::SeriesId;

/// Whether a file may be created now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creates {
    /// If the budget has a permit.
    Budgeted,
    /// The permit has been taken, or none is needed.
    Free,
}

/// Which rollups are written along with the points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollups {
    /// Those whose time has come.
    Due,
    /// All, also those of intervals that are not over.
    All,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing waited.
    Nothing,
    /// So many distinct points are in the file.
    Points(u64),
    /// The file has to be created and may not be, yet.
    Delayed,
    /// So many writes have failed in a row.
    Failed(u8),
}

impl Written {
    pub(super) fn points(self) -> u64 {
        if let Self::Points(points) = self { points } else { 0 }
    }
}

#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error("no file may be created now")]
    NoCreate,
    #[error("its points do not lie where its header has them")]
    Misfit,
    #[error(transparent)]
    Disk(whisper::Error),
}

impl<E: Into<whisper::Error>> From<E> for Obstacle {
    fn from(error: E) -> Self {
        Self::Disk(error.into())
    }
}

/// One series to be written.
struct Visit<'a> {
    id: SeriesId,
    name: &'a str,
    look: &'a Look,
    batch: &'a [(i64, f64)],
    /// A node that died may have left rollups undone.
    unsettled: bool,
    creates: Creates,
    rollups: Rollups,
    now: i64,
}

/// A file that can be written.
struct Opened<'a> {
    file: Whisper<Prefixed>,
    archives: Archives,
    /// The points that it lacks.
    batch: Cow<'a, [(i64, f64)]>,
}

impl Store {
    /// Ends what is to be written of these series at the points that wait now, and returns when the journal has those on
    /// disk. A point that a loss of power tears on its way to its file is then written again.
    pub(super) fn secure(&self, ids: &[SeriesId]) {
        self.pending.mark(ids);
        if let Some(journal) = self.journal.get().filter(|_| !ids.is_empty()) {
            journal.wait_synced();
        }
    }

    /// Writes what is secured of the series, in its turn.
    pub(super) fn write(&self, id: SeriesId, creates: Creates, rollups: Rollups) -> Written {
        let _turn = self.turns.take(id);
        self.write_in_turn(id, creates, rollups)
    }

    /// Writes all that waits for the series, secured or not, for who has its turn already.
    pub(super) fn write_all_in_turn(&self, id: SeriesId) -> Written {
        self.pending.mark(&[id]);
        self.write_in_turn(id, Creates::Free, Rollups::All)
    }

    fn write_in_turn(&self, id: SeriesId, creates: Creates, rollups: Rollups) -> Written {
        let mut look = self.pending.look(id);
        look.points.truncate(look.marked);
        let unsettled = self.recovery.concerns(id) && !look.settled;
        if look.points.is_empty() && !look.owes_rollups() && !unsettled {
            return Written::Nothing;
        }
        let Some(name) = self.table.name(id) else {
            self.counters.points_of_deleted.add(self.pending.discard(id) as u64);
            self.tell_of_room();
            return Written::Nothing;
        };
        let batch = look.batch();
        let now = self.clock.now_unix_seconds();
        let (name, batch) = (&name, &batch);
        let visit = Visit { id, name, look: &look, batch, unsettled, creates, rollups, now };
        let (known, points) = match self.update_file(&visit) {
            Ok((header, known)) => (known, self.count_written(&header, &visit)),
            Err(Obstacle::NoCreate) if visit.batch.is_empty() => (None, 0),
            Err(Obstacle::NoCreate) => {
                self.counters.creates_delayed.inc();
                return Written::Delayed;
            }
            Err(error) => {
                self.counters.write_errors.inc();
                daemon::warn_limited!(self.clock, name, %error, "points cannot be written, will try again");
                return Written::Failed(self.pending.failed(id));
            }
        };
        self.pending.confirm(id, look.points.len(), known, self.now_s());
        self.tell_of_room();
        Written::Points(points)
    }

    fn count_written(&self, header: &Header, visit: &Visit<'_>) -> u64 {
        let (batch, received) = (visit.batch, visit.look.points.len());
        let oldest = visit.now.saturating_sub(header.max_retention.into());
        let too_old = batch.partition_point(|point| point.0 < oldest) as u64;
        let points = batch.len() as u64 - too_old;
        self.counters.updates.inc();
        self.counters.points_written.add(points);
        self.counters.points_too_old.add(too_old);
        self.counters.points_superseded.add((received - batch.len()) as u64);
        points
    }

    fn tell_of_room(&self) {
        if self.has_room() {
            self.room_again.notify_waiters();
        }
    }

    /// Writes a series' points and rollups; returns the file's header and what is known of it then.
    fn update_file(&self, visit: &Visit<'_>) -> Result<(Header, Option<KnownFile>), Obstacle> {
        let relative = whisper_path(visit.name);
        let path = self.config.whisper.join(&relative);
        let opened = self.disk.open(&path, true);
        if opened.as_ref().map_or(true, |file| visit.look.untouched(file.mark()).is_none()) {
            self.sums.drop_one(visit.id);
        }
        let opened = match opened {
            Ok(file) => self.open_sound(visit, file, &path, &relative)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mut opened = match opened {
            Some(opened) => opened,
            None => self.create(visit, &path)?,
        };
        let header = opened.file.header().clone();
        let number = self.headers.number(&header);
        let next = match self.short_way(visit, &opened, &header) {
            Some(next) => self.write_known(visit, &mut opened, &header, next)?,
            None => {
                let owed = Owed::Rollups(&opened.archives);
                settle(&mut opened.file, &owed, &opened.batch, visit.now)?;
                self.counters.updates_late.inc();
                return Ok((header, None));
            }
        };
        // A file that cannot be looked at is read again.
        let mark = opened.file.storage().mark_now().ok();
        let known = number.zip(mark);
        let known = known.map(|(number, mark)| self.known_file(number, &header, mark, &next));
        Ok((header, known))
    }

    /// What to write and what is known then, if nothing has to be read for it.
    fn short_way(
        &self,
        visit: &Visit<'_>,
        opened: &Opened<'_>,
        header: &Header,
    ) -> Option<(Vec<whisper::Point>, Archives)> {
        if visit.look.doubtful {
            // A part of these points may be in the file already, and rollups of that part not.
            return None;
        }
        if opened.batch.is_empty() {
            return Some((Vec::new(), opened.archives.clone()));
        }
        opened.archives.advance(header, &opened.batch, visit.now, self.now_s())
    }

    /// Writes one run for the points and one for each archive whose rollups are due.
    fn write_known(
        &self,
        visit: &Visit<'_>,
        opened: &mut Opened<'_>,
        header: &Header,
        (points, mut next): (Vec<whisper::Point>, Archives),
    ) -> Result<Archives, whisper::Error> {
        let base = opened.archives.known[0].base;
        let base = opened.file.write_points(0, base, &points)?;
        next.written(header, 0, base);
        let now_s = self.now_s();
        for (index, clock_s) in (1..).zip(self.clocks_s(header)) {
            let known = &next.known[index];
            let due = visit.rollups == Rollups::All || known.is_due(next.newest, clock_s, now_s);
            if due && known.unwritten > 0 {
                let base = opened.file.write_points(index, known.base, known.unwritten())?;
                next.written(header, index, base);
            }
        }
        Ok(next)
    }

    fn known_file(
        &self,
        number: u16,
        header: &Header,
        mark: FileMark,
        archives: &Archives,
    ) -> KnownFile {
        let owed = archives.known.iter().skip(1).zip(self.clocks_s(header));
        let owed = owed.filter(|(known, _clock_s)| known.unwritten > 0);
        let due = owed.map(|(known, clock_s)| known.since_s.saturating_add(clock_s).max(1)).min();
        KnownFile {
            header: number,
            inode: fold(mark.inode),
            stamp: mark.stamp(),
            archives: archives.pack(),
            rollups_due_s: due.unwrap_or(0),
            age_s: self.age_s(header),
        }
    }

    /// How far each coarser archive may be behind.
    pub(super) fn clocks_s(&self, header: &Header) -> Vec<u32> {
        clocks_s(header, self.config.first_rollup_s, self.config.next_rollups_s)
    }

    /// How long points of such a file may wait: never so long that they grow too old for the archive they came for.
    pub(super) fn age_s(&self, header: &Header) -> u32 {
        let safe = u32::try_from(header.archives[0].retention() / 4).unwrap_or(u32::MAX);
        self.config.write_age_s.min(safe).max(1)
    }

    /// Makes a file ready: by what is known of it or, if nobody knows or somebody else has touched it, by reading. One
    /// that is no sound Whisper file is set aside and taken to be missing.
    fn open_sound<'a>(
        &self,
        visit: &Visit<'a>,
        file: DiskFile,
        path: &Path,
        relative: &str,
    ) -> Result<Option<Opened<'a>>, Obstacle> {
        let mark = file.mark();
        let opened = match visit.look.untouched(mark) {
            Some(known) if !visit.unsettled => match self.known_archives(known) {
                Some((header, archives)) => {
                    Whisper::with_header(Prefixed::plain(file), Header::clone(&header))
                        .map(|file| Opened { file, archives, batch: visit.batch.into() })
                        .map_err(Obstacle::from)
                }
                None => self.learn(visit, file),
            },
            _ => self.learn(visit, file),
        };
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(damage @ (Obstacle::Misfit | Obstacle::Disk(whisper::Error::Corrupt(_)))) => {
                self.replace(visit, path, relative, &damage)
            }
            Err(error) => Err(error),
        }
    }

    /// Header and archives as the last write left them.
    pub(super) fn known_archives(
        &self,
        known: &KnownFile,
    ) -> Option<(std::sync::Arc<Header>, Archives)> {
        let header = self.headers.get(known.header)?;
        let archives = Archives::unpack(&known.archives, header.archives.len())?;
        Some((header, archives))
    }

    /// Reads what later writes need not read again, in one go where the file is of the expected kind, and writes what
    /// it is owed.
    fn learn<'a>(&self, visit: &Visit<'a>, file: DiskFile) -> Result<Opened<'a>, Obstacle> {
        let likely = self.likely_headers(visit);
        let end_of_needed = |header: &Header| {
            header.archives.last().map_or(0, |last| u64::from(last.offset)) + POINT_BYTES
        };
        let wanted = likely.last().map_or(0, end_of_needed);
        let mut file = Whisper::open(Prefixed::read(file, wanted)?)?;
        let is_likely = likely.iter().any(|likely| likely.archives == file.header().archives);
        if !is_likely && is_misfit(&file, &likely, visit.now)? {
            return Err(Obstacle::Misfit);
        }
        self.counters.files_learned.inc();
        let clocks_s = self.clocks_s(file.header());
        let known = visit.look.known.as_ref().filter(|known| known.rollups_due_s > 0);
        let known = known.and_then(|known| self.known_archives(known));
        let owed = match &known {
            _ if visit.unsettled => Owed::Unknown(&clocks_s),
            Some((header, archives)) if **header == *file.header() => Owed::Rollups(archives),
            Some(_other_header) => Owed::Unknown(&clocks_s),
            None => Owed::Nothing,
        };
        settle(&mut file, &owed, &[], visit.now)?;
        let mut batch = Cow::Borrowed(visit.batch);
        if visit.unsettled {
            let since_s = self.recovery.received_from_s();
            batch = not_in_file(&file, visit.batch, since_s, visit.now)?.into();
        }
        let first = batch.first().map(|point| point.0);
        let archives = Archives::read(&file, first, visit.now)?;
        Ok(Opened { file, archives, batch })
    }

    /// The header that the node remembers of the file, and the one that the rules give.
    fn likely_headers(&self, visit: &Visit<'_>) -> Vec<Header> {
        let known = visit.look.known.as_ref().and_then(|known| self.headers.get(known.header));
        let known = known.map(|header| Header::clone(&header));
        known.into_iter().chain(self.specs.spec_for(visit.name).header().ok()).collect()
    }

    /// Puts a file in the place of a corrupt one, with the points that can still be read; none if there are none.
    fn replace<'a>(
        &self,
        visit: &Visit<'a>,
        path: &Path,
        relative: &str,
        damage: &Obstacle,
    ) -> Result<Option<Opened<'a>>, Obstacle> {
        if !self.may_create.load(Ordering::Relaxed) {
            return Err(Obstacle::NoCreate);
        }
        let file = self.disk.open(path, false)?;
        let by_own = !matches!(damage, Obstacle::Misfit);
        let salvaged = salvage(&file, by_own, &self.likely_headers(visit), visit.now)?;
        let to = self.set_aside(path, relative)?;
        self.counters.files_set_aside.inc();
        let (to, points) = (to.display(), salvaged.as_ref().map_or(0, Salvaged::points));
        tracing::warn!(relative, %to, %damage, points, "unreadable file set aside, points that can be read taken over");
        let Some(salvaged) = salvaged else { return Ok(None) };
        self.disk.create(path, &salvaged.spec())?;
        self.counters.creates.inc();
        let mut file = Whisper::open(self.disk.open(path, true)?)?;
        salvaged.write_to(&mut file)?;
        self.counters.points_salvaged.add(points as u64);
        let (file, _header) = file.into_parts();
        Ok(Some(self.learn(visit, file)?))
    }

    pub(super) fn set_aside(&self, path: &Path, relative: &str) -> io::Result<std::path::PathBuf> {
        let now = self.clock.now_unix_seconds();
        let to = aside_path(&self.config.aside, relative, now);
        match self.disk.rename(path, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                // The tree lies on another file system: the file stays beside its old place.
                let to = path.with_extension(format!("wsp.aside-{now}"));
                self.disk.rename(path, &to)?;
                Ok(to)
            }
            result => result.map(|()| to),
        }
    }

    fn create<'a>(&self, visit: &Visit<'a>, path: &Path) -> Result<Opened<'a>, Obstacle> {
        if visit.batch.is_empty() || !self.may_create.load(Ordering::Relaxed) {
            return Err(Obstacle::NoCreate);
        }
        if visit.creates == Creates::Budgeted && self.creates.take(1, self.clock.monotonic()) == 0 {
            return Err(Obstacle::NoCreate);
        }
        let spec = self.specs.spec_for(visit.name);
        self.disk.create(path, &spec)?;
        self.counters.creates.inc();
        let header = spec.header()?;
        let (file, archives) = (self.disk.open(path, true)?, Archives::empty(&header));
        let file = Whisper::with_header(Prefixed::plain(file), header)?;
        Ok(Opened { file, archives, batch: visit.batch.into() })
    }
}

/// Bytes of one point: of the last archive no more is needed than where its ring begins.
const POINT_BYTES: u64 = whisper::POINT_BYTES as u64;

impl Look {
    /// Points in the order of their time, of equal timestamps the one received last.
    pub(super) fn batch(&self) -> Vec<(i64, f64)> {
        let points = self.points.iter();
        let mut batch: Vec<(i64, f64)> =
            points.map(|&(timestamp, value)| (timestamp.into(), value)).collect();
        if !self.ordered {
            batch.sort_by_key(|point| point.0);
            batch.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 = later.1;
                }
                same
            });
        }
        batch
    }

    pub(super) fn owes_rollups(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.rollups_due_s > 0)
    }

    /// What is known of the file, if this is the file and nobody else has written to it since.
    fn untouched(&self, mark: FileMark) -> Option<&KnownFile> {
        let same =
            |known: &&KnownFile| known.inode == fold(mark.inode) && known.stamp == mark.stamp();
        self.known.as_ref().filter(|_| !self.doubtful).filter(same)
    }
}

/// Half of an inode's number: to put files in order, and to notice that one was replaced.
fn fold(inode: u64) -> u32 {
    u32::try_from(inode & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_timestamp_the_last_received_stays() {
        let batch = |points: &[(u32, f64)], ordered| {
            Look { points: points.to_vec(), ordered, ..Look::default() }.batch()
        };
        let points = [(120, 1.0), (60, 2.0), (120, 3.0), (60, 4.0), (60, 5.0)];
        assert_eq!(batch(&points, false), [(60, 5.0), (120, 3.0)]);
        assert_eq!(batch(&[(1, 1.0), (2, 2.0)], true), [(1, 1.0), (2, 2.0)]);
    }
}
