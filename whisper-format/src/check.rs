//! Check: what a file's slots look like beyond the header's own checks.

use crate::archive::{Archive, POINT_BYTES};
use crate::error::Error;
use crate::header::Header;
use crate::open::Whisper;
use crate::read::point_at;
use crate::storage::Storage;

/// Slots read at a time.
const CHUNK_POINTS: u32 = 8 * 1024;

/// What a sound header was found with.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What the header says.
    pub header: Header,
    /// Bytes behind the last archive; harmless, but not written by Whisper.
    pub trailing_bytes: u64,
    /// One report an archive.
    pub archives: Vec<ArchiveReport>,
}

impl Report {
    /// Whether nothing odd was found.
    pub fn is_clean(&self) -> bool {
        self.trailing_bytes == 0
            && self.archives.iter().all(|archive| archive.unaligned + archive.misplaced == 0)
    }
}

/// The slots of one archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Slots that hold a point, stale or not.
    pub used: u64,
    /// Points whose interval is not a multiple of the step: torn, or written by something else.
    pub unaligned: u64,
    /// Points in a slot where their interval does not belong; no fetch can see them.
    pub misplaced: u64,
    /// The newest interval of a point that is in its place.
    pub newest: Option<u32>,
}

/// Opens a file and reads every slot of it.
pub fn check<S: Storage>(storage: S) -> Result<Report, Error> {
    let file = Whisper::open(storage)?;
    let header = file.header().clone();
    let trailing_bytes = file.storage().size()?.saturating_sub(header.file_bytes());
    let reports = header.archives.iter().map(|archive| check_archive(&file, archive));
    let archives = reports.collect::<Result<_, _>>()?;
    Ok(Report { header, trailing_bytes, archives })
}

fn check_archive<S: Storage>(file: &Whisper<S>, archive: &Archive) -> Result<ArchiveReport, Error> {
    let mut overlay = file.overlay();
    let base = overlay.base(archive)?;
    let mut report = ArchiveReport::default();
    let mut slot = 0;
    while slot < archive.points {
        let count = CHUNK_POINTS.min(archive.points - slot);
        let bytes = overlay.read(archive, slot, count as usize)?;
        for (slot, point) in (slot..).zip(bytes.chunks_exact(POINT_BYTES).map(point_at)) {
            let interval = point.interval;
            if interval == 0 {
                continue;
            }
            report.used += 1;
            if interval % archive.seconds_per_point != 0 {
                report.unaligned += 1;
            } else if base == 0 || archive.slot(i64::from(interval), base) != slot {
                report.misplaced += 1;
            } else {
                report.newest = report.newest.max(Some(interval));
            }
        }
        slot += count;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Point, Retention, storage::memory::MemoryStorage};

    fn file() -> Whisper<MemoryStorage> {
        let retention = Retention { seconds_per_point: 60, points: 5 };
        let header = Header::new(&[retention], 0.5, Method::Average).unwrap();
        let mut storage = MemoryStorage::default();
        crate::create::build(&mut storage, &header).unwrap();
        let mut file = Whisper::open(storage).unwrap();
        file.update_many(&[(600, 1.0), (660, 2.0)], 660).unwrap();
        file
    }

    #[test]
    fn a_written_file_is_clean() {
        let report = check(file().into_parts().0).unwrap();
        assert!(report.is_clean());
        assert_eq!((report.archives[0].used, report.archives[0].newest), (2, Some(660)));
    }

    #[test]
    fn torn_misplaced_and_trailing_bytes_are_told_apart() {
        let mut storage = file().into_parts().0;
        let at = |slot: u64| 28 + slot * POINT_BYTES as u64;
        storage.write_at(&Point { interval: 721, value: 1.0 }.to_bytes(), at(2)).unwrap();
        storage.write_at(&Point { interval: 600, value: 1.0 }.to_bytes(), at(3)).unwrap();
        storage.set_size(90).unwrap();
        let report = check(storage).unwrap();
        let archive = report.archives[0];
        assert_eq!((archive.unaligned, archive.misplaced, report.trailing_bytes), (1, 1, 2));
    }
}
