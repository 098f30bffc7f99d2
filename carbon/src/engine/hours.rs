//! First and last hour of each series over restarts: without them a node that was just started would have to look at
//! every file to know what was silent when.
//!
//! The bytes: docs/formats/names.md.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::index::Index;
use crate::series::SeriesId;

const FILE: &str = "hours";
const MAGIC: &[u8; 8] = b"PLUMHOUR";
const VERSION: u32 = 1;
/// Magic, version, number of series.
const HEAD_BYTES: usize = 16;
/// First and last hour.
const ROW_BYTES: usize = 8;
const CRC_BYTES: usize = 4;

/// Writes the hours of all series below `id_end`, and makes that survive the loss of power.
pub(super) fn save(folder: &Path, index: &dyn Index, id_end: u32) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + id_end as usize * ROW_BYTES + CRC_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&id_end.to_le_bytes());
    for id in 0..id_end {
        let (first, last) = index.activity(SeriesId(id)).unwrap_or_default();
        bytes.extend_from_slice(&first.to_le_bytes());
        bytes.extend_from_slice(&last.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let temporary = folder.join(format!("{FILE}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(FILE))
}

/// Tells the index what the last [`save`] knew. With `extra_hours` the series may have been active that much longer.
/// A file that does not check is none; false then.
pub(super) fn load(folder: &Path, index: &dyn Index, extra_hours: u32) -> bool {
    let Ok(bytes) = fs::read(folder.join(FILE)) else { return false };
    let Some(rows) = rows(&bytes) else { return false };
    for (id, row) in (0..).zip(rows.chunks_exact(ROW_BYTES)) {
        let hour = |at: usize| u32::from_le_bytes(*row[at..].first_chunk().expect("two words"));
        let (first, last) = (hour(0), hour(4));
        if last > 0 {
            index.touch(SeriesId(id), first);
            index.touch(SeriesId(id), last.saturating_add(extra_hours));
        }
    }
    index.settle();
    true
}

fn rows(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    let (head, rows) = body.split_first_chunk::<HEAD_BYTES>()?;
    let word = |at: usize| head[at..].first_chunk().copied().map(u32::from_le_bytes);
    let is_sound = head.starts_with(MAGIC)
        && word(8) == Some(VERSION)
        && word(12).is_some_and(|count| rows.len() == count as usize * ROW_BYTES)
        && crc32fast::hash(body) == u32::from_le_bytes(*crc);
    is_sound.then_some(rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::index::NameIndex;
    use crate::series::SeriesTable;

    fn index_of(folder: &Path) -> NameIndex {
        let (table, _) = SeriesTable::open(&folder.join("names.log")).unwrap();
        let (mut ids, mut fresh) = (Vec::new(), Vec::new());
        table.resolve(&["a", "b", "c"], 9, &mut ids, &mut fresh);
        NameIndex::new(Arc::new(table))
    }

    #[test]
    fn hours_come_back_and_a_damaged_file_is_none() {
        let folder = testkit::folder();
        let index = index_of(folder.path());
        for (id, hour) in [(0, 500), (0, 700), (2, 900)] {
            index.touch(SeriesId(id), hour);
        }
        save(folder.path(), &index, 3).unwrap();
        let again = index_of(folder.path());
        assert!(load(folder.path(), &again, 1));
        let hours = [0, 1, 2].map(|id| again.activity(SeriesId(id)));
        assert_eq!(hours, [Some((500, 701)), None, Some((900, 901))]);

        let path = folder.path().join(FILE);
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 4;
            fs::write(&path, damaged).unwrap();
            let again = index_of(folder.path());
            assert!(!load(folder.path(), &again, 0), "byte {at}");
            assert_eq!(again.activity(SeriesId(0)), None);
        }
        fs::write(&path, &sound[..3]).unwrap();
        assert!(!load(folder.path(), &index, 0));
    }
}
