//! The waiting points of one series into its file.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use metric::path::whisper_path;
use whisper::{Header, Whisper};

use super::Store;
use super::disk::{DiskFile, aside_path};
use crate::series::SeriesId;

/// Whether a file may be created now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creates {
    /// If the budget has a permit.
    Budgeted,
    /// The permit has been taken, or none is needed.
    Free,
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

enum Obstacle {
    NoCreate,
    Disk(whisper::Error),
}

impl<E: Into<whisper::Error>> From<E> for Obstacle {
    fn from(error: E) -> Self {
        Self::Disk(error.into())
    }
}

impl Store {
    /// Writes what waits for the series, in its turn.
    pub(super) fn write(&self, id: SeriesId, creates: Creates) -> Written {
        let _turn = self.turns.take(id);
        let points = self.pending.of(id);
        if points.is_empty() {
            return Written::Nothing;
        }
        let Some(name) = self.table.name(id) else {
            self.counters.points_of_deleted.add(self.pending.discard(id) as u64);
            self.tell_of_room();
            return Written::Nothing;
        };
        let batch = one_per_timestamp(&points);
        let written = match self.update_file(&name, &batch, creates) {
            Ok(header) => self.count_written(&header, &batch, points.len()),
            Err(Obstacle::NoCreate) => {
                self.counters.creates_delayed.inc();
                return Written::Delayed;
            }
            Err(Obstacle::Disk(error)) => {
                self.counters.write_errors.inc();
                daemon::warn_limited!(self.clock, name, %error, "points cannot be written, will try again");
                return Written::Failed(self.pending.failed(id));
            }
        };
        self.pending.confirm(id, points.len(), self.now_s());
        self.tell_of_room();
        written
    }

    fn count_written(&self, header: &Header, batch: &[(i64, f64)], received: usize) -> Written {
        let oldest = self.clock.now_unix_seconds().saturating_sub(header.max_retention.into());
        let too_old = batch.partition_point(|point| point.0 < oldest) as u64;
        let points = batch.len() as u64 - too_old;
        self.counters.updates.inc();
        self.counters.points_written.add(points);
        self.counters.points_too_old.add(too_old);
        self.counters.points_superseded.add((received - batch.len()) as u64);
        Written::Points(points)
    }

    fn tell_of_room(&self) {
        if self.has_room() {
            self.room_again.notify_waiters();
        }
    }

    fn update_file(
        &self,
        name: &str,
        batch: &[(i64, f64)],
        creates: Creates,
    ) -> Result<Header, Obstacle> {
        let relative = whisper_path(name);
        let path = self.config.whisper.join(&relative);
        let mut file = match self.open_sound(&path, &relative)? {
            Some(file) => file,
            None => self.create(name, &path, creates)?,
        };
        file.update_many(batch, self.clock.now_unix_seconds())?;
        Ok(file.into_parts().1)
    }

    /// Opens a file; one that is no sound Whisper file is set aside and taken to be missing.
    fn open_sound(
        &self,
        path: &Path,
        relative: &str,
    ) -> Result<Option<Whisper<DiskFile>>, Obstacle> {
        let file = match self.disk.open(path, true) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match Whisper::open(file) {
            Ok(file) => Ok(Some(file)),
            Err(whisper::Error::Corrupt(reason)) => {
                let to = self.set_aside(path, relative)?;
                self.counters.files_set_aside.inc();
                let to = to.display().to_string();
                daemon::warn_limited!(self.clock, relative, to, %reason, "unreadable file set aside");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set_aside(&self, path: &Path, relative: &str) -> io::Result<std::path::PathBuf> {
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

    fn create(
        &self,
        name: &str,
        path: &Path,
        creates: Creates,
    ) -> Result<Whisper<DiskFile>, Obstacle> {
        if !self.may_create.load(Ordering::Relaxed) {
            return Err(Obstacle::NoCreate);
        }
        if creates == Creates::Budgeted && self.creates.take(1, self.clock.monotonic()) == 0 {
            return Err(Obstacle::NoCreate);
        }
        self.disk.create(path, &self.specs.spec_for(name))?;
        self.counters.creates.inc();
        Ok(Whisper::open(self.disk.open(path, true)?)?)
    }
}

/// Points in the order of their time, of equal timestamps the one received last.
pub(super) fn one_per_timestamp(points: &[(u32, f64)]) -> Vec<(i64, f64)> {
    let mut batch: Vec<(i64, f64)> =
        points.iter().map(|&(timestamp, value)| (timestamp.into(), value)).collect();
    if !batch.is_sorted_by(|a, b| a.0 < b.0) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_timestamp_the_last_received_stays() {
        let points = [(120, 1.0), (60, 2.0), (120, 3.0), (60, 4.0), (60, 5.0)];
        assert_eq!(one_per_timestamp(&points), [(60, 5.0), (120, 3.0)]);
        assert_eq!(one_per_timestamp(&[(1, 1.0), (2, 2.0)]), [(1, 1.0), (2, 2.0)]);
    }
}
