//! Series whose files are not of the kind that the rules give to new ones today.

use whisper::Header;

use super::{Engine, ReadError};
use crate::series::SeriesId;

/// One such series.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifted {
    /// Its name.
    pub name: String,
    /// What its file is.
    pub file: Header,
    /// What a new file would be.
    pub rules: Header,
}

/// A part of the series, looked at.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct DriftReport {
    /// Those that differ.
    pub drifted: Vec<Drifted>,
    /// Series with a file that were compared.
    pub checked: u64,
    /// Files that had to be read for it; of the others the node remembers the header.
    pub read: u64,
    /// Files that could not be read.
    pub unreadable: u64,
    /// Where to go on.
    pub next: Option<SeriesId>,
}

impl Engine {
    /// Compares series from `first` on, until `files_max` files have been read or as many series differ. `rest` is called
    /// before each file that is read.
    pub fn schema_drift(
        &self,
        first: SeriesId,
        files_max: u64,
        rest: &mut dyn FnMut(),
    ) -> DriftReport {
        let mut report = DriftReport::default();
        for id in (first.0..self.table().id_end()).map(SeriesId) {
            if report.read >= files_max || report.drifted.len() as u64 >= files_max {
                report.next = Some(id);
                break;
            }
            self.compare(id, &mut report, rest);
        }
        report
    }

    fn compare(&self, id: SeriesId, report: &mut DriftReport, rest: &mut dyn FnMut()) {
        let store = &self.store;
        let Some(name) = store.table.name(id) else { return };
        let Ok(rules) = store.specs.spec_for(&name).header() else { return };
        let known = store.pending.header_of(id).and_then(|number| store.headers.get(number));
        let file = match known {
            Some(known) => Ok(Some(Header::clone(&known))),
            None => {
                rest();
                report.read += 1;
                self.header_on_disk(id)
            }
        };
        match file {
            Ok(Some(file)) => {
                report.checked += 1;
                if file != rules {
                    report.drifted.push(Drifted { name, file, rules });
                }
            }
            Ok(None) => {}
            Err(_unreadable) => report.unreadable += 1,
        }
    }

    fn header_on_disk(&self, id: SeriesId) -> Result<Option<Header>, ReadError> {
        let store = &self.store;
        let Some(path) = store.path(id) else { return Ok(None) };
        let _turn = store.turns.take(id);
        let opened = store.open_for_reading(&path);
        let opened = opened.map_err(|source| ReadError::file(path, source))?;
        Ok(opened.map(|file| file.header().clone()))
    }
}
