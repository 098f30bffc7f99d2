//! The names that do not change any more, in a file that is searched where it lies.
//!
//! A seal holds all series up to an id: the tree of untagged names, the tagged names, the postings of their tags, and a
//! table from hash to series. It is derived from the names log, and whoever holds one also holds what came after it.
//! The bytes: docs/formats/index.md.
//!
//! What it is not: it does not know which of its series were removed since, nor when they were active.

mod build;
mod error;
mod format;
mod mapped;
mod names;
mod tags;
mod write;

use std::fs::File;
use std::hash::BuildHasher;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use foldhash::fast::FixedState;

pub(crate) use self::build::{Builder, Covers};
pub use self::error::SealError;
use self::format::{HASH_SAMPLE, Header, LOG_SAMPLE_BYTES, NONE, Section};
use self::mapped::Mapped;
pub(crate) use self::names::by_component;
pub(crate) use self::tags::{SealedTags, SealedValue};

/// Numbers in an entry of the nodes.
const NODE_WORDS: usize = 4;

/// Names, sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    map: Mapped,
    header: Header,
    hasher: FixedState,
    nodes: u32,
    slots: usize,
}

/// Where a series stands in a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the tree.
    Node(u32),
    /// Among the tagged names.
    Tagged(u32),
}

impl Sealed {
    /// Opens a seal, if there is one that checks and that belongs to this names log.
    pub(crate) fn open(path: &Path, names_log: &Path) -> io::Result<Option<Self>> {
        let mapped = match Mapped::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => None,
            mapped => mapped?,
        };
        let Some((map, header)) = mapped else { return Ok(None) };
        let hasher = FixedState::with_seed(header.seed);
        let is_of_log = log_sample(names_log, header.log_end)? == Some(header.log_sample_crc);
        if !is_of_log || hasher.hash_one(HASH_SAMPLE) != header.hash_sample {
            return Ok(None);
        }
        // The last node closes the one before it.
        let nodes = map.bytes(Section::Nodes).len() / (4 * NODE_WORDS);
        let nodes = u32::try_from(nodes.saturating_sub(1)).unwrap_or(0);
        let slots = map.bytes(Section::Slots).len() / 8;
        Ok(Some(Self { map, header, hasher, nodes, slots }))
    }

    /// Every id below it is in here or gone.
    pub(crate) fn id_end(&self) -> u32 {
        self.header.id_end
    }

    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.header.series as usize
    }

    /// Up to where the names log is covered.
    pub(crate) fn log_end(&self) -> u64 {
        self.header.log_end
    }

    /// What seeds the hash of names.
    pub(crate) fn seed(&self) -> u64 {
        self.header.seed
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> usize {
        self.map.len()
    }

    /// The series of a name with this hash.
    pub(crate) fn find(&self, hash: u64, name: &str) -> Option<u32> {
        debug_assert_eq!(hash, self.hasher.hash_one(name));
        let mut at = first_slot(hash, self.slots);
        for _ in 0..self.slots {
            let place = self.map.word(Section::Slots, 2 * at);
            if place == NONE {
                return None;
            }
            if self.map.word(Section::Slots, 2 * at + 1) == hash as u32 && self.is(place, name) {
                return Some(self.id_at(self.placed(place)));
            }
            at = (at + 1) % self.slots;
        }
        None
    }

    /// Where a series stands, unless it was gone when the seal was made.
    pub(crate) fn place(&self, id: u32) -> Option<Place> {
        if id >= self.header.id_end {
            return None;
        }
        let place = self.map.word(Section::Places, id as usize);
        (place != NONE).then(|| self.placed(place))
    }

    /// The name of a series.
    pub(crate) fn name(&self, id: u32) -> Option<String> {
        Some(match self.place(id)? {
            Place::Node(node) => self.path(node),
            Place::Tagged(at) => self.tagged(at).to_owned(),
        })
    }

    /// Calls `each` with all untagged series, ordered by component.
    pub(crate) fn each_untagged<E>(
        &self,
        mut each: impl FnMut(&str, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut path = String::new();
        // For each level what is left of the siblings, and how long the path above them is.
        let mut levels = vec![(self.children(0), 0)];
        while let Some((siblings, above)) = levels.last_mut() {
            path.truncate(*above);
            let Some(node) = siblings.next() else {
                levels.pop();
                continue;
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(self.component(node));
            if let Some(id) = self.series(node) {
                each(&path, id)?;
            }
            levels.push((self.children(node), path.len()));
        }
        Ok(())
    }

    /// Calls `each` with all tagged series in the order of names.
    pub(crate) fn each_tagged<E>(
        &self,
        mut each: impl FnMut(&str, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let count = self.map.bytes(Section::TaggedIds).len() / 4;
        (0..count as u32).try_for_each(|at| each(self.tagged(at), self.id_at(Place::Tagged(at))))
    }

    /// The tags.
    pub(crate) fn tags(&self) -> SealedTags<'_> {
        SealedTags(&self.map)
    }

    /// How many nodes the tree has; the first one, 0, is above all names.
    pub(crate) fn node_count(&self) -> u32 {
        self.nodes
    }

    /// The children of a node, in the order of their texts.
    pub(crate) fn children(&self, node: u32) -> Range<u32> {
        self.node_word(node, 2)..self.node_word(node + 1, 2)
    }

    /// The child of a node with this text.
    pub(crate) fn child(&self, node: u32, text: &str) -> Option<u32> {
        let components = self.map.bytes(Section::ComponentEnds).len() / 4;
        let number = first_from(0..components as u32, |at| self.component_text(at) >= text);
        if number == components as u32 || self.component_text(number) != text {
            return None;
        }
        let children = self.children(node);
        let child = first_from(children.clone(), |child| self.node_word(child, 1) >= number);
        (child < children.end && self.node_word(child, 1) == number).then_some(child)
    }

    /// The node above, unless there is none.
    pub(crate) fn parent(&self, node: u32) -> Option<u32> {
        Some(self.node_word(node, 0)).filter(|&parent| parent != NONE)
    }

    /// The text of a node.
    pub(crate) fn component(&self, node: u32) -> &str {
        self.component_text(self.node_word(node, 1))
    }

    /// The series that ends at a node.
    pub(crate) fn series(&self, node: u32) -> Option<u32> {
        Some(self.node_word(node, 3)).filter(|&id| id != NONE)
    }

    /// The full name that leads to a node.
    pub(crate) fn path(&self, node: u32) -> String {
        let ancestry = std::iter::successors(Some(node), |&node| self.parent(node));
        let mut components: Vec<&str> =
            ancestry.take_while(|&node| node != 0).map(|node| self.component(node)).collect();
        components.reverse();
        components.join(".")
    }

    fn node_word(&self, node: u32, at: usize) -> u32 {
        self.map.word(Section::Nodes, node as usize * NODE_WORDS + at)
    }

    fn component_text(&self, component: u32) -> &str {
        self.map.text_by_end(Section::ComponentTexts, Section::ComponentEnds, component)
    }

    fn tagged(&self, at: u32) -> &str {
        self.map.text_by_end(Section::TaggedTexts, Section::TaggedEnds, at)
    }

    fn placed(&self, place: u32) -> Place {
        match place.checked_sub(self.nodes) {
            None => Place::Node(place),
            Some(at) => Place::Tagged(at),
        }
    }

    fn id_at(&self, place: Place) -> u32 {
        match place {
            Place::Node(node) => self.node_word(node, 3),
            Place::Tagged(at) => self.map.word(Section::TaggedIds, at as usize),
        }
    }

    /// Whether a place has this name, seen from the end: names mostly differ there.
    fn is(&self, place: u32, name: &str) -> bool {
        let mut node = match self.placed(place) {
            Place::Tagged(at) => return self.tagged(at) == name,
            Place::Node(node) => node,
        };
        let mut rest = name;
        loop {
            let Some(before) = rest.strip_suffix(self.component(node)) else { return false };
            node = self.node_word(node, 0);
            if node == 0 {
                return before.is_empty();
            }
            let Some(above) = before.strip_suffix('.') else { return false };
            rest = above;
        }
    }
}

/// What the names log holds before an offset, summed up; `None` where it is not that long.
pub(crate) fn log_sample(names_log: &Path, log_end: u64) -> io::Result<Option<u32>> {
    let file = match File::open(names_log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if file.metadata()?.len() < log_end {
        return Ok(None);
    }
    let length = log_end.min(LOG_SAMPLE_BYTES);
    let mut sample = vec![0; length as usize];
    file.read_exact_at(&mut sample, log_end - length)?;
    Ok(Some(crc32fast::hash(&sample)))
}

/// Where the search for a hash begins in a table of so many slots.
fn first_slot(hash: u64, slots: usize) -> usize {
    (((hash >> 32) * slots as u64) >> 32) as usize
}

/// The first number of a sorted range for which it holds; the end if there is none.
fn first_from(range: Range<u32>, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = u32::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests;
