//! Untagged names as a tree of components, small enough for millions of series.
//!
//! Nodes lie in one array and point at each other by number: first child, next and previous sibling. One hash table,
//! keyed by parent and component, finds a child. A component's text is stored once, however many nodes carry it.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashTable;

use super::walk::{Branches, Child, ROOT};
use crate::series::{Column, SeriesId, TextPack};

/// No node, no series, no component.
pub(super) const NONE: u32 = u32::MAX;

/// Hash tables that share the children, so that none takes long to grow.
const TABLES: usize = 64;

#[derive(Debug)]
pub(super) struct Node {
    parent: u32,
    component: u32,
    series: u32,
    first_child: u32,
    next: u32,
    previous: u32,
    /// Latest hour of activity of any series below, `NONE` once one of unknown activity has been seen.
    last_hour: AtomicU32,
}

/// The tree. Numbers of nodes stay valid until the node is removed.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Column<Node, 4096>,
    /// Nodes that were removed, to be used again.
    free: Vec<u32>,
    children: Box<[HashTable<u32>]>,
    texts: TextPack,
    texts_by_hash: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut nodes = Column::default();
        nodes.push(Node::new(NONE, NONE));
        Self {
            nodes,
            free: Vec::new(),
            children: (0..TABLES).map(|_| HashTable::new()).collect(),
            texts: TextPack::default(),
            texts_by_hash: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// Adds the series under `name` and returns its node. A series that had the name gives way.
    pub(super) fn insert(&mut self, name: &str, id: SeriesId) -> Option<u32> {
        let mut node = ROOT;
        for component in name.split('.') {
            node = match self.child(node, component) {
                Some(child) => child,
                None => self.add_child(node, component)?,
            };
        }
        self.nodes[node as usize].series = id.0;
        Some(node)
    }

    /// Takes the series off its node, and the branches above that are then empty.
    pub(super) fn remove(&mut self, node: u32) {
        self.nodes[node as usize].series = NONE;
        let mut node = node;
        while node != ROOT {
            let Node { parent, component, series, first_child, next, previous, .. } =
                self.nodes[node as usize];
            if series != NONE || first_child != NONE {
                return;
            }
            match previous {
                NONE => self.nodes[parent as usize].first_child = next,
                previous => self.nodes[previous as usize].next = next,
            }
            if next != NONE {
                self.nodes[next as usize].previous = previous;
            }
            let hash = self.hasher.hash_one((parent, component));
            let table = &mut self.children[table_of(hash)];
            table.find_entry(hash, |&child| child == node).expect("every child is listed").remove();
            self.free.push(node);
            node = parent;
        }
    }

    /// Lets the node and all above know of activity in `hour`.
    pub(super) fn raise(&self, node: u32, hour: u32) {
        let mut node = node;
        while node != NONE {
            let at = &self.nodes[node as usize];
            if at.last_hour.fetch_max(hour, Ordering::Relaxed) >= hour {
                return;
            }
            node = at.parent;
        }
    }

    /// Forgets all activity, to be raised anew.
    pub(super) fn forget_hours(&self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].last_hour.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.nodes.memory_bytes()
            + self.children.iter().map(HashTable::allocation_size).sum::<usize>()
            + self.texts.memory_bytes()
            + self.texts_by_hash.allocation_size()
    }

    fn add_child(&mut self, parent: u32, component: &str) -> Option<u32> {
        let component = self.intern(component)?;
        let mut node = Node::new(parent, component);
        node.next = self.nodes[parent as usize].first_child;
        let next = node.next;
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => u32::try_from(self.nodes.push(node)).ok().filter(|&at| at != NONE)?,
        };
        if next != NONE {
            self.nodes[next as usize].previous = at;
        }
        self.nodes[parent as usize].first_child = at;
        let Self { nodes, children, hasher, .. } = self;
        let hash = hasher.hash_one((parent, component));
        children[table_of(hash)].insert_unique(hash, at, |&child| {
            let child = &nodes[child as usize];
            hasher.hash_one((child.parent, child.component))
        });
        Some(at)
    }

    fn intern(&mut self, component: &str) -> Option<u32> {
        let Self { texts, texts_by_hash, hasher, .. } = self;
        let hash = hasher.hash_one(component);
        if let Some(&text) =
            texts_by_hash.find(hash, |&text| texts.bytes(text) == component.as_bytes())
        {
            return Some(text);
        }
        let text = texts.push(component)?;
        texts_by_hash.insert_unique(hash, text, |&other| hasher.hash_one(texts.get(other)));
        Some(text)
    }
}

impl Branches for Tree {
    fn child(&self, node: u32, component: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(component);
        let component = *self
            .texts_by_hash
            .find(hash, |&text| self.texts.bytes(text) == component.as_bytes())?;
        let hash = self.hasher.hash_one((node, component));
        let is_it = |&child: &u32| {
            let child = &self.nodes[child as usize];
            child.parent == node && child.component == component
        };
        self.children[table_of(hash)].find(hash, is_it).copied()
    }

    fn children(&self, node: u32, since: u32) -> impl Iterator<Item = Child> {
        let existing = |node: u32| (node != NONE).then_some(node);
        let first = existing(self.nodes[node as usize].first_child);
        let all =
            std::iter::successors(first, move |&child| existing(self.nodes[child as usize].next));
        all.map(move |child| match self.last_hour(child) < since {
            true => Child::Silent(1),
            false => Child::Active(child),
        })
    }

    fn may_have_children(&self, node: u32) -> bool {
        self.nodes[node as usize].first_child != NONE
    }

    fn series(&self, node: u32) -> Option<SeriesId> {
        let series = self.nodes[node as usize].series;
        (series != NONE).then_some(SeriesId(series))
    }

    fn component(&self, node: u32) -> &str {
        self.texts.get(self.nodes[node as usize].component)
    }

    fn path(&self, node: u32) -> String {
        let parent = |&node: &u32| Some(self.nodes[node as usize].parent);
        let ancestry = std::iter::successors(Some(node), parent).take_while(|&node| node != ROOT);
        let mut components: Vec<&str> = ancestry.map(|node| self.component(node)).collect();
        components.reverse();
        components.join(".")
    }

    fn last_hour(&self, node: u32) -> u32 {
        self.nodes[node as usize].last_hour.load(Ordering::Relaxed)
    }

    fn is_branch(&self, node: u32) -> bool {
        self.may_have_children(node)
    }
}

impl Node {
    fn new(parent: u32, component: u32) -> Self {
        Self {
            parent,
            component,
            series: NONE,
            first_child: NONE,
            next: NONE,
            previous: NONE,
            last_hour: AtomicU32::new(0),
        }
    }
}

/// Bits that the hash tables use for neither bucket nor tag.
fn table_of(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_below(tree: &Tree, node: u32, path: &str, names: &mut Vec<String>) {
        for child in tree.children(node, 0) {
            let Child::Active(child) = child else { panic!("nothing is silent since ever") };
            let path = format!("{path}.{}", tree.component(child));
            if tree.series(child).is_some() {
                names.push(path[1..].to_owned());
            }
            names_below(tree, child, &path, names);
        }
    }

    fn names(tree: &Tree) -> Vec<String> {
        let mut names = Vec::new();
        names_below(tree, ROOT, "", &mut names);
        names.sort();
        names
    }

    #[test]
    fn branches_vanish_with_their_last_series() {
        let mut tree = Tree::new();
        let nodes: Vec<u32> = ["a.b.c", "a.b", "a.d", "e"]
            .iter()
            .zip(0..)
            .map(|(name, id)| tree.insert(name, SeriesId(id)).unwrap())
            .collect();
        tree.remove(nodes[1]);
        assert_eq!(names(&tree), ["a.b.c", "a.d", "e"]);
        tree.remove(nodes[0]);
        assert_eq!(names(&tree), ["a.d", "e"]);
        let a = tree.child(ROOT, "a").unwrap();
        assert_eq!(tree.child(a, "b"), None);
        tree.remove(nodes[2]);
        assert_eq!((names(&tree), tree.child(ROOT, "a")), (vec!["e".to_owned()], None));
        assert!(tree.insert("x.y.z", SeriesId(9)).is_some());
        assert_eq!(names(&tree), ["e", "x.y.z"]);
    }

    #[test]
    fn activity_rises_to_the_top_and_stops_where_it_is_known() {
        let mut tree = Tree::new();
        let (old, new) = (
            tree.insert("a.old", SeriesId(0)).unwrap(),
            tree.insert("a.new", SeriesId(1)).unwrap(),
        );
        tree.raise(old, 5);
        tree.raise(new, 9);
        tree.raise(old, 6);
        assert_eq!([old, new, ROOT].map(|node| tree.last_hour(node)), [6, 9, 9]);
    }
}
