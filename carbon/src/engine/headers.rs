//! The headers of the files, each kind once: a node has few kinds and many files.

use std::sync::Arc;

use parking_lot::RwLock;
use whisper::Header;

/// Headers by number.
#[derive(Debug, Default)]
pub(super) struct Headers {
    known: RwLock<Vec<Arc<Header>>>,
}

impl Headers {
    /// The number of a header; `None` if there are too many kinds.
    pub(super) fn number(&self, header: &Header) -> Option<u16> {
        let find = |known: &[Arc<Header>]| known.iter().position(|other| **other == *header);
        let found = find(&self.known.read());
        let at = found.unwrap_or_else(|| {
            let mut known = self.known.write();
            find(&known).unwrap_or_else(|| {
                if known.len() <= usize::from(u16::MAX) {
                    known.push(Arc::new(header.clone()));
                }
                known.len() - 1
            })
        });
        let number = u16::try_from(at).ok()?;
        // The last place is taken by another kind once all are.
        (*self.known.read()[at] == *header).then_some(number)
    }

    pub(super) fn get(&self, number: u16) -> Option<Arc<Header>> {
        self.known.read().get(usize::from(number)).cloned()
    }
}
