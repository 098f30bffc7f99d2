//! When which series are due, in seconds.

use std::collections::BTreeMap;

/// Series by the second at which they are due. Who is no longer due at that second is skipped when its time comes.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_second: BTreeMap<u32, Vec<u32>>,
}

impl Agenda {
    /// Puts a series on the agenda; returns the second, which is never 0.
    pub(super) fn add(&mut self, due_s: u32, id: u32) -> u32 {
        let due_s = due_s.max(1);
        self.by_second.entry(due_s).or_default().push(id);
        due_s
    }

    /// Takes one that is due at `until_s` or before, the earliest first.
    pub(super) fn take(&mut self, until_s: u32) -> Option<(u32, u32)> {
        let mut first = self.by_second.first_entry().filter(|first| *first.key() <= until_s)?;
        let due_s = *first.key();
        let id = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        Some((due_s, id?))
    }
}
