//! The tree of untagged names and the list of tagged ones, while they are built.

use std::cmp::Ordering;
use std::io;

use hashbrown::HashMap;

use super::error::SealError;
use super::format::NONE;
use super::write::SectionWriter;

/// The order of untagged names: component by component.
pub(crate) fn by_component(a: &str, b: &str) -> Ordering {
    // Where they differ first, a dot ends a component that the other one goes on with.
    match a.bytes().zip(b.bytes()).find(|(x, y)| x != y) {
        Some((b'.', _)) => Ordering::Less,
        Some((_, b'.')) => Ordering::Greater,
        Some((x, y)) => x.cmp(&y),
        None => a.len().cmp(&b.len()),
    }
}

/// Nodes of one depth, in the order of their names.
#[derive(Debug, Default)]
struct Level {
    /// Place of the parent within the level above.
    parents: Vec<u32>,
    components: Vec<u32>,
    series: Vec<u32>,
    hashes: Vec<u64>,
}

/// Names that come in order, cut into levels.
#[derive(Debug)]
pub(super) struct Names {
    levels: Vec<Level>,
    /// Every component by the number it got when it was met first.
    components: HashMap<Box<str>, u32>,
    last: String,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { levels: Vec::new(), components: HashMap::new(), last: String::new() }
    }

    /// Adds a name that comes after all before.
    pub(super) fn push(&mut self, name: &str, id: u32, hash: u64) -> Result<(), SealError> {
        if !self.levels.is_empty() && by_component(&self.last, name).is_ge() {
            return Err(SealError::OutOfOrder { name: name.to_owned() });
        }
        let shared = shared_components(&self.last, name);
        for (depth, component) in name.split('.').enumerate().skip(shared) {
            self.node(depth, component)?;
        }
        let depth = name.split('.').count() - 1;
        let level = &mut self.levels[depth];
        *level.series.last_mut().expect("a later name has a component of its own") = id;
        *level.hashes.last_mut().expect("as many as series") = hash;
        self.last.clear();
        self.last.push_str(name);
        Ok(())
    }

    /// A new node under the last one of the level above.
    fn node(&mut self, depth: usize, component: &str) -> Result<(), SealError> {
        let above = depth.checked_sub(1).map_or(1, |above| self.levels[above].series.len());
        let parent =
            u32::try_from(above - 1).map_err(|_large| SealError::TooLarge { what: "names" })?;
        let component = self.component(component)?;
        if self.levels.len() == depth {
            self.levels.push(Level::default());
        }
        let level = &mut self.levels[depth];
        level.parents.push(parent);
        level.components.push(component);
        level.series.push(NONE);
        level.hashes.push(0);
        Ok(())
    }

    fn component(&mut self, text: &str) -> Result<u32, SealError> {
        if let Some(&known) = self.components.get(text) {
            return Ok(known);
        }
        let too_large = |_| SealError::TooLarge { what: "components of names" };
        let number = u32::try_from(self.components.len()).map_err(too_large)?;
        self.components.insert(text.into(), number);
        Ok(number)
    }

    /// Gives nodes and components their numbers in the file.
    pub(super) fn number(self) -> Result<NumberedTree, SealError> {
        let Self { levels, components, .. } = self;
        let mut texts: Vec<(Box<str>, u32)> = components.into_iter().collect();
        texts.sort_unstable();
        let mut ranks = vec![0; texts.len()];
        let mut bytes = 0u64;
        for (rank, (text, number)) in (0u32..).zip(&texts) {
            ranks[*number as usize] = rank;
            bytes += text.len() as u64;
        }
        let nodes: u64 = levels.iter().map(|level| level.series.len() as u64).sum();
        // Places of tagged names follow those of nodes.
        if bytes > u64::from(u32::MAX) || nodes >= u64::from(u32::MAX / 2) {
            return Err(SealError::TooLarge { what: "names" });
        }
        Ok(NumberedTree { levels, texts, ranks, nodes: nodes as u32 + 1 })
    }
}

/// How many components two names have in common at their beginning.
fn shared_components(a: &str, b: &str) -> usize {
    if a.is_empty() {
        return 0;
    }
    a.split('.').zip(b.split('.')).take_while(|(a, b)| a == b).count()
}

/// The whole tree, as it goes into the file.
#[derive(Debug)]
pub(super) struct NumberedTree {
    levels: Vec<Level>,
    texts: Vec<(Box<str>, u32)>,
    /// By the number of the building: the number in the file.
    ranks: Vec<u32>,
    /// The one above all included.
    nodes: u32,
}

impl NumberedTree {
    pub(super) fn node_count(&self) -> u32 {
        self.nodes
    }

    pub(super) fn series(&self) -> usize {
        self.levels.iter().flat_map(|level| &level.series).filter(|&&id| id != NONE).count()
    }

    /// Tells id, hash and node of each series.
    pub(super) fn each_series(&self, each: &mut impl FnMut(u32, u64, u32)) {
        let levels = self.levels.iter().flat_map(|level| level.series.iter().zip(&level.hashes));
        for (node, (&id, &hash)) in (1u32..).zip(levels) {
            if id != NONE {
                each(id, hash, node);
            }
        }
    }

    pub(super) fn write(&self, out: &mut SectionWriter) -> io::Result<()> {
        out.bytes(self.texts.iter().map(|(text, _)| text.as_bytes()))?;
        out.words(ends(self.texts.iter().map(|(text, _)| text.len())))?;
        let mut nodes = Vec::with_capacity(self.nodes as usize * 4 + 4);
        // Number of the first node of the level below the one at hand.
        let mut below = 1;
        nodes.extend([NONE, NONE, below, NONE]);
        let mut above = 0;
        let mut from = 1;
        for (depth, level) in self.levels.iter().enumerate() {
            below += level.series.len() as u32;
            let children = self.levels.get(depth + 1).map_or(&[][..], |level| &level.parents);
            let mut child = 0;
            for (at, &parent) in level.parents.iter().enumerate() {
                while children.get(child).is_some_and(|&parent| (parent as usize) < at) {
                    child += 1;
                }
                let component = self.ranks[level.components[at] as usize];
                nodes.extend([above + parent, component, below + child as u32, level.series[at]]);
            }
            (above, from) = (from, below);
        }
        nodes.extend([NONE, NONE, below, NONE]);
        out.words(nodes)
    }
}

/// Tagged names in order.
#[derive(Debug, Default)]
pub(super) struct Tagged {
    texts: String,
    ends: Vec<u32>,
    ids: Vec<u32>,
    hashes: Vec<u64>,
}

impl Tagged {
    pub(super) fn push(&mut self, name: &str, id: u32, hash: u64) -> Result<(), SealError> {
        let start = self.ends.len().checked_sub(2).map_or(0, |at| self.ends[at]) as usize;
        if !self.ends.is_empty() && &self.texts[start..] >= name {
            return Err(SealError::OutOfOrder { name: name.to_owned() });
        }
        self.texts.push_str(name);
        let too_large = |_| SealError::TooLarge { what: "tagged names" };
        self.ends.push(u32::try_from(self.texts.len()).map_err(too_large)?);
        self.ids.push(id);
        self.hashes.push(hash);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Tells number, id and hash of each.
    pub(super) fn each(&self, mut each: impl FnMut(u32, u32, u64)) {
        for (at, (&id, &hash)) in (0u32..).zip(self.ids.iter().zip(&self.hashes)) {
            each(at, id, hash);
        }
    }

    pub(super) fn write(self, out: &mut SectionWriter) -> io::Result<()> {
        out.bytes(std::iter::once(self.texts.as_bytes()))?;
        out.words(self.ends)?;
        out.words(self.ids)
    }
}

/// Where texts of these lengths end, one behind the other.
fn ends(lengths: impl Iterator<Item = usize>) -> impl Iterator<Item = u32> {
    lengths.scan(0u32, |end, length| {
        *end += length as u32;
        Some(*end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_of_names_is_that_of_their_components(
            a in "[-ab.]{0,6}", b in "[-ab.]{0,6}",
        ) {
            let plain = a.split('.').cmp(b.split('.'));
            prop_assert_eq!(by_component(&a, &b), plain);
        }
    }
}
