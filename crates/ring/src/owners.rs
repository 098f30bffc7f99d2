//! The answer of a lookup: a few node indices, without allocation.

use std::fmt;
use std::ops::Deref;

/// Most copies a ring can be asked for. With their count they fill one cache line.
pub const COPIES_MAX: usize = 31;

/// The owners of a name as indices into the nodes in config order, the primary first.
#[derive(Clone, Copy)]
pub struct Owners {
    count: u16,
    nodes: [u16; COPIES_MAX],
}

impl Owners {
    pub(crate) const fn none() -> Self {
        Self { count: 0, nodes: [0; COPIES_MAX] }
    }

    /// Adds an owner. The ring's spec has bounded the number of copies.
    pub(crate) fn push(&mut self, node: u16) {
        self.nodes[usize::from(self.count)] = node;
        self.count += 1;
    }

    /// The first owner.
    pub const fn primary(&self) -> u16 {
        self.nodes[0]
    }

    /// All owners, the primary first.
    pub fn as_slice(&self) -> &[u16] {
        &self.nodes[..usize::from(self.count)]
    }
}

impl Deref for Owners {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        self.as_slice()
    }
}

impl<'a> IntoIterator for &'a Owners {
    type Item = u16;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, u16>>;

    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter().copied()
    }
}

impl PartialEq for Owners {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Owners {}

impl fmt::Debug for Owners {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(out)
    }
}
