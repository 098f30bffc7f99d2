//! An open file: its header in memory, its points in a storage.

use std::borrow::Cow;

use crate::aggregation::Method;
use crate::archive::{POINT_BYTES, Point};
use crate::error::{Error, HeaderError};
use crate::header::{HEADER_BYTES_MAX, Header};
use crate::now::Now;
use crate::overlay::{Overlay, Run};
use crate::read::{self, Fetched, point_at};
use crate::storage::Storage;
use crate::update::{self, LongRun};

/// A Whisper file whose header passed every check.
#[derive(Debug)]
pub struct Whisper<S> {
    storage: S,
    header: Header,
}

impl<S: Storage> Whisper<S> {
    /// Reads and checks the header: one read.
    pub fn open(storage: S) -> Result<Self, Error> {
        let size = storage.size()?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(HEADER_BYTES_MAX)];
        storage.read_at(&mut bytes, 0)?;
        let header = Header::parse(&bytes, size)?;
        Ok(Self { storage, header })
    }

    /// Takes a header that was read before, without reading it again; only the size is compared,
    /// so that a file that was cut in the meantime is not grown back.
    pub fn with_header(storage: S, header: Header) -> Result<Self, Error> {
        let (size, expected) = (storage.size()?, header.file_bytes());
        if size < expected {
            return Err(HeaderError::Truncated { size, expected }.into());
        }
        Ok(Self { storage, header })
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes below.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Gives the storage and the header back.
    pub fn into_parts(self) -> (S, Header) {
        (self.storage, self.header)
    }

    /// The interval in slot 0 of an archive; 0 if the archive has no data.
    pub fn base_interval(&self, archive: usize) -> Result<u32, Error> {
        Ok(self.overlay().base(&self.header.archives[archive])?)
    }

    /// Slots as they lie on disk, wrapping, stale and empty ones included.
    pub fn slots(&self, archive: usize, first: u32, count: u32) -> Result<Vec<Point>, Error> {
        let archive = &self.header.archives[archive];
        let bytes = self.overlay().read(archive, archive.slot_after(first, 0), count as usize)?;
        Ok(bytes.chunks_exact(POINT_BYTES).map(point_at).collect())
    }

    /// Reads what fetch shows for `from` and `until`: `None` where the file covers nothing of it.
    /// `archive` asks for the archive with that step instead of the finest that reaches back far
    /// enough.
    pub fn fetch(
        &self,
        from: i64,
        until: i64,
        now: impl Into<Now>,
        archive: Option<u32>,
    ) -> Result<Option<Fetched>, Error> {
        read::fetch(
            &self.header,
            &mut self.overlay(),
            read::Request { from, until, now: now.into(), archive },
        )
    }

    /// Writes points given in any order: of one timestamp the first wins, of one interval the
    /// latest timestamp, points in the future are taken, points too old for every archive are
    /// dropped. Coarser archives are updated by aggregation. No point leaves its archive.
    pub fn update_many(&mut self, points: &[(i64, f64)], now: impl Into<Now>) -> Result<(), Error> {
        self.update_all(points, now.into(), LongRun::Wrap)
    }

    /// The same, byte for byte what Python whisper's `update_many` leaves. It differs where a batch
    /// has more points in the future, one step apart, than the finest archive has slots: Python
    /// writes the surplus over the end of the archive.
    pub fn update_many_as_python(
        &mut self,
        points: &[(i64, f64)],
        now: impl Into<Now>,
    ) -> Result<(), Error> {
        self.update_all(points, now.into(), LongRun::Spill)
    }

    fn update_all(&mut self, points: &[(i64, f64)], now: Now, long: LongRun) -> Result<(), Error> {
        let runs = {
            let mut overlay = self.overlay();
            update::many(&self.header, &mut overlay, Cow::Borrowed(points), now, long)?;
            overlay.into_runs()
        };
        self.commit(runs)
    }

    /// Writes one point, which must be neither in the future nor too old.
    pub fn update(&mut self, timestamp: i64, value: f64, now: impl Into<Now>) -> Result<(), Error> {
        let runs = {
            let mut overlay = self.overlay();
            update::strict(&self.header, &mut overlay, (timestamp, value), now.into())?;
            overlay.into_runs()
        };
        self.commit(runs)
    }

    /// Writes points of one archive as they are, without reading and without touching coarser
    /// archives: for a writer that knows the base and keeps the rollups itself. `base` is what
    /// [`Self::base_interval`] says; returns what it is afterwards. Intervals must be aligned and
    /// ascending. A base of 0 (no data yet) makes the first point the base.
    pub fn write_points(
        &mut self,
        archive: usize,
        base: u32,
        points: &[Point],
    ) -> Result<u32, Error> {
        let at = self.header.archives[archive];
        let Some(first) = points.first() else {
            return Ok(base);
        };
        let base = if base == 0 { first.interval } else { base };
        let (mut new_base, mut start) = (base, at.slot(i64::from(first.interval), base));
        let (mut next, mut expected) = (start, first.interval);
        let mut bytes = Vec::with_capacity(points.len() * POINT_BYTES);
        for point in points {
            // The usual point follows the one before, and needs no division to be placed.
            let slot = match point.interval == expected && next < at.points {
                true => next,
                false => at.slot(i64::from(point.interval), base),
            };
            if slot != next {
                self.storage.write_at(&bytes, at.position(start))?;
                bytes.clear();
                start = slot;
            }
            if slot == 0 {
                new_base = point.interval;
            }
            bytes.extend_from_slice(&point.to_bytes());
            (next, expected) = (slot + 1, point.interval.saturating_add(at.seconds_per_point));
        }
        self.storage.write_at(&bytes, at.position(start))?;
        Ok(new_base)
    }

    /// Changes what aggregation does from now on; existing points stay as they are.
    pub fn set(&mut self, method: Option<Method>, factor: Option<f64>) -> Result<(), Error> {
        let mut header = self.header.clone();
        header.method = method.unwrap_or(header.method);
        if let Some(factor) = factor {
            header.set_x_files_factor(factor)?;
        }
        self.storage.write_at(&header.metadata(), 0)?;
        self.header = header;
        Ok(())
    }

    /// Makes what was written survive a power cut.
    pub fn sync(&mut self) -> Result<(), Error> {
        Ok(self.storage.sync()?)
    }

    pub(crate) fn overlay(&self) -> Overlay<'_, S> {
        Overlay::new(&self.storage)
    }

    pub(crate) fn commit(&mut self, runs: Vec<Run>) -> Result<(), Error> {
        for run in runs {
            self.storage.write_at(&run.bytes, run.position)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
