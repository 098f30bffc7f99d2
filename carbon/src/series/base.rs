//! The sealed part of the table, and what was removed from it since.

use std::path::Path;
use std::sync::Arc;

use hashbrown::HashSet;

use super::SeriesId;
use crate::sealed::Sealed;

/// The series of a seal that are still there.
#[derive(Debug, Default)]
pub(super) struct Base {
    sealed: Option<Arc<Sealed>>,
    removed: HashSet<u32>,
    /// While the next seal is made: every series removed since that began.
    removed_meanwhile: Option<Vec<u32>>,
}

impl Base {
    /// The seal beside a names log. One that cannot be used is as good as none: the log has it all.
    pub(super) fn open(seal: &Path, names_log: &Path) -> Self {
        let sealed = match Sealed::open(seal, names_log) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!(path = %seal.display(), %error, "sealed index cannot be read");
                None
            }
        };
        if sealed.is_none() && seal.exists() {
            tracing::warn!(path = %seal.display(), "sealed index does not check, the names log is read whole");
        }
        Self { sealed: sealed.map(Arc::new), ..Self::default() }
    }

    pub(super) fn sealed(&self) -> Option<&Arc<Sealed>> {
        self.sealed.as_ref()
    }

    /// Ids from here on are not sealed.
    pub(super) fn id_end(&self) -> u32 {
        self.sealed.as_ref().map_or(0, |sealed| sealed.id_end())
    }

    pub(super) fn removed(&self) -> usize {
        self.removed.len()
    }

    pub(super) fn find(&self, hash: u64, name: &str) -> Option<SeriesId> {
        let id = self.sealed.as_ref()?.find(hash, name)?;
        (!self.removed.contains(&id)).then_some(SeriesId(id))
    }

    pub(super) fn is_living(&self, id: SeriesId) -> bool {
        let is_sealed = self.sealed.as_ref().is_some_and(|sealed| sealed.place(id.0).is_some());
        is_sealed && !self.removed.contains(&id.0)
    }

    pub(super) fn name(&self, id: SeriesId) -> Option<String> {
        let sealed = self.sealed.as_ref().filter(|_| !self.removed.contains(&id.0))?;
        sealed.name(id.0)
    }

    /// Notes that a series is gone; says whether it was sealed and there.
    pub(super) fn remove(&mut self, id: SeriesId) -> bool {
        self.note_removal(id);
        self.is_living(id) && self.removed.insert(id.0)
    }

    /// Notes the removal of a series that is in memory only.
    pub(super) fn note_removal(&mut self, id: SeriesId) {
        if let Some(removed) = &mut self.removed_meanwhile {
            removed.push(id.0);
        }
    }

    /// From here on removals are kept for the seal that is being made.
    pub(super) fn begin_sealing(&mut self) {
        self.removed_meanwhile = Some(Vec::new());
    }

    /// No seal came of it.
    pub(super) fn give_up_sealing(&mut self) {
        self.removed_meanwhile = None;
    }

    /// The new seal takes over.
    pub(super) fn replace(&mut self, sealed: Arc<Sealed>) {
        let meanwhile = self.removed_meanwhile.take().unwrap_or_default();
        self.removed = meanwhile.into_iter().filter(|&id| sealed.place(id).is_some()).collect();
        self.sealed = Some(sealed);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, |sealed| sealed.bytes());
        sealed + self.removed.allocation_size()
    }
}
