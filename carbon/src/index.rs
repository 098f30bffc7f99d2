//! Which series there are, for patterns of names and for tag expressions.
//!
//! Untagged names form a tree of components; tagged ones are found by their tags, and, like all, by their exact name.
//! Beside it stands when each series was active, so that a query for some hours skips what was silent then.

mod scan;
mod tags;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use metric::{Glob, NodeMatcher, TagQuery, Window};
use parking_lot::RwLock;

pub use self::scan::{ScanReport, scan};
use self::tags::TagPostings;
use self::tree::{NONE, ROOT, Tree};
use crate::series::{Column, SeriesId, SeriesTable};

/// Seconds of one step of activity.
pub const HOUR_SECONDS: i64 = 3600;

/// What a search may cost, and how generous it is with silent series.
#[derive(Debug, Clone, Copy)]
pub struct FindLimits {
    /// Most nodes of the tree, or tagged series, that one search looks at.
    pub visited_max: usize,
    /// Most results.
    pub results_max: usize,
    /// How long before the window a series may have fallen silent and still be found.
    pub grace_seconds: i64,
}

impl Default for FindLimits {
    fn default() -> Self {
        Self { visited_max: 20_000_000, results_max: 1_000_000, grace_seconds: 86_400 }
    }
}

/// Which of the matching series are wanted.
#[derive(Clone, Copy, Default)]
pub enum Scope<'a> {
    /// All of them.
    #[default]
    All,
    /// Those whose name fits, such as those of a range of the ring. Branches always fit.
    Names(&'a dyn Fn(&str) -> bool),
}

impl Scope<'_> {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Names(fits) => fits(name),
        }
    }
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::All) { "All" } else { "Names" })
    }
}

/// One place in the tree of names: a series, a branch, or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundPath {
    /// The full name.
    pub path: String,
    /// The series of this name, if there is one.
    pub series: Option<SeriesId>,
    /// Whether longer names begin with this one.
    pub is_branch: bool,
}

/// What a search found, sorted by path.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// The results.
    pub paths: Vec<FoundPath>,
    /// Series and whole branches left out because they had fallen silent before the window.
    pub pruned: u64,
}

/// Why a search gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The pattern leads to too many places.
    #[error("search visits more than {limit} nodes of the index")]
    TooManyVisited {
        /// The most that are allowed.
        limit: usize,
    },
    /// Too much was found.
    #[error("search finds more than {limit} series")]
    TooManyFound {
        /// The most that are allowed.
        limit: usize,
    },
}

/// The names of a node, searchable.
pub trait Index: Send + Sync + std::fmt::Debug {
    /// Names and branches that match a pattern, less those that had fallen silent before the window. An exact name is never left out.
    fn find(
        &self,
        pattern: &Glob,
        window: Option<Window>,
        scope: Scope<'_>,
        limits: &FindLimits,
    ) -> Result<Found, IndexError>;

    /// Tagged series that satisfy a query, less those that had fallen silent before the window.
    fn tags(
        &self,
        query: &TagQuery,
        window: Option<Window>,
        scope: Scope<'_>,
        limits: &FindLimits,
    ) -> Result<Found, IndexError>;

    /// Up to `limit` tag keys that begin with `prefix`, in order; `name` is one. With a query, only keys of the series that it finds.
    fn tag_keys(
        &self,
        query: Option<&TagQuery>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, IndexError>;

    /// Up to `limit` values of a tag that begin with `prefix`, in order, each with its number of series.
    fn tag_values(
        &self,
        key: &str,
        query: Option<&TagQuery>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, usize)>, IndexError>;

    /// Makes a series of the table findable. `hour` is when it is active; without one it is never taken for silent.
    fn insert(&self, id: SeriesId, name: &str, hour: Option<u32>);

    /// Notes that a series was active in this hour since 1970.
    fn touch(&self, id: SeriesId, hour: u32);

    /// First and last hour in which a series was active, if known.
    fn activity(&self, id: SeriesId) -> Option<(u32, u32)>;

    /// Lets branches fall silent whose series had been of unknown activity and no longer are.
    fn settle(&self);

    /// Takes a series out. Must come before its removal from the table, which knows the name.
    fn remove(&self, id: SeriesId);

    /// Bytes held in memory.
    fn memory_bytes(&self) -> usize;
}

/// The hour since 1970 of a time, within what the index can hold.
#[must_use]
pub fn hour_of(unix_seconds: i64) -> u32 {
    // 0 and the maximum mean "unknown".
    let hour = unix_seconds.div_euclid(HOUR_SECONDS).clamp(1, i64::from(u32::MAX) - 1);
    u32::try_from(hour).expect("clamped")
}

/// What is kept for each series by id.
#[derive(Debug)]
struct Row {
    first_hour: AtomicU32,
    last_hour: AtomicU32,
    node: u32,
}

impl Row {
    fn empty() -> Self {
        Self { first_hour: AtomicU32::new(NONE), last_hour: AtomicU32::new(0), node: NONE }
    }

    fn hours(&self) -> Option<(u32, u32)> {
        let last = self.last_hour.load(Ordering::Relaxed);
        (last != 0).then(|| (self.first_hour.load(Ordering::Relaxed), last))
    }
}

type Rows = Column<Row, 4096>;

/// An index that lives in memory and is filled anew at every start.
#[derive(Debug)]
pub struct MemoryIndex {
    table: Arc<SeriesTable>,
    // Locks are taken in the order of these fields.
    tree: RwLock<Tree>,
    postings: RwLock<TagPostings>,
    rows: RwLock<Rows>,
}

impl MemoryIndex {
    /// An index of all series of the table.
    #[must_use]
    pub fn new(table: Arc<SeriesTable>) -> Self {
        let index = Self {
            table: Arc::clone(&table),
            tree: RwLock::new(Tree::new()),
            postings: RwLock::default(),
            rows: RwLock::default(),
        };
        table.for_each(|id, name| index.insert(id, name, None));
        index
    }
}

/// The hour since which a series must have been active to be found. One that began after the window is found too: its
/// file covers the time, as graphite-web sees it, and a graph of the past shows that it was not there yet.
#[derive(Clone, Copy)]
struct ActiveSince(u32);

impl ActiveSince {
    fn of(window: Option<Window>, limits: &FindLimits) -> Self {
        let from = |window: Window| hour_of(window.from.saturating_sub(limits.grace_seconds));
        Self(window.map_or(0, from))
    }

    fn holds(self, rows: &Rows, id: SeriesId) -> bool {
        let hours = rows.get(id.0 as usize).and_then(Row::hours);
        hours.is_none_or(|(_, last)| last >= self.0)
    }
}

/// One walk down the tree along one path of matchers.
struct Walk<'a> {
    tree: &'a Tree,
    rows: &'a Rows,
    since: ActiveSince,
    limits: &'a FindLimits,
    visited: usize,
    pruned: u64,
    /// Nodes that match, and whether their series is active.
    hits: Vec<u32>,
}

impl Walk<'_> {
    fn run(&mut self, matchers: &[NodeMatcher]) -> Result<(), IndexError> {
        let start = with_skipped_globstars(matchers, vec![0]);
        let mut waiting = vec![(ROOT, start)];
        while let Some((node, positions)) = waiting.pop() {
            let tree = self.tree;
            if let [position] = positions[..]
                && let Some(texts) = matchers[position].literals()
            {
                for child in texts.iter().filter_map(|text| tree.child(node, text)) {
                    self.step(matchers, child, vec![position + 1], &mut waiting)?;
                }
                continue;
            }
            for child in tree.children(node) {
                let component = tree.component(child);
                let next = positions.iter().filter_map(|&at| match &matchers[at] {
                    NodeMatcher::Globstar => Some(at),
                    matcher => matcher.matches(component).then_some(at + 1),
                });
                let next: Vec<usize> = next.collect();
                self.step(matchers, child, next, &mut waiting)?;
            }
        }
        Ok(())
    }

    /// Takes note of a child reached with `positions` and, if something may follow, of the way on.
    fn step(
        &mut self,
        matchers: &[NodeMatcher],
        child: u32,
        positions: Vec<usize>,
        waiting: &mut Vec<(u32, Vec<usize>)>,
    ) -> Result<(), IndexError> {
        self.visited += 1;
        if self.visited > self.limits.visited_max {
            return Err(IndexError::TooManyVisited { limit: self.limits.visited_max });
        }
        if positions.is_empty() {
            return Ok(());
        }
        if self.tree.last_hour(child) < self.since.0 {
            self.pruned += 1;
            return Ok(());
        }
        let mut positions = with_skipped_globstars(matchers, positions);
        if positions.last() == Some(&matchers.len()) {
            positions.pop();
            self.hits.push(child);
        }
        if !positions.is_empty() && self.tree.has_children(child) {
            waiting.push((child, positions));
        }
        Ok(())
    }
}

/// Positions, sorted, with those that a `**` standing for nothing leads to.
fn with_skipped_globstars(matchers: &[NodeMatcher], mut positions: Vec<usize>) -> Vec<usize> {
    let mut at = 0;
    while let Some(&position) = positions.get(at) {
        if matchers.get(position).is_some_and(NodeMatcher::is_globstar) {
            positions.push(position + 1);
        }
        at += 1;
    }
    positions.sort_unstable();
    positions.dedup();
    positions
}

impl MemoryIndex {
    fn find_tagged(&self, name: &str, scope: Scope<'_>) -> Found {
        let series = self.table.get(name).filter(|_| scope.holds(name));
        let path = |_| FoundPath { path: name.to_owned(), series, is_branch: false };
        Found { paths: series.map(path).into_iter().collect(), pruned: 0 }
    }

    /// Turns nodes into paths; a series that is silent or out of scope is left out, its branch is not.
    fn found_paths(walk: Walk<'_>, scope: Scope<'_>) -> Result<Found, IndexError> {
        let Walk { tree, rows, since, limits, mut hits, mut pruned, .. } = walk;
        hits.sort_unstable();
        hits.dedup();
        let mut paths = Vec::with_capacity(hits.len().min(limits.results_max));
        for node in hits {
            let path = tree.path(node);
            let mut series = tree.series(node);
            if series.is_some_and(|id| !since.holds(rows, id)) {
                pruned += 1;
                series = None;
            }
            series = series.filter(|_| scope.holds(&path));
            let is_branch = tree.has_children(node);
            if series.is_none() && !is_branch {
                continue;
            }
            if paths.len() == limits.results_max {
                return Err(IndexError::TooManyFound { limit: limits.results_max });
            }
            paths.push(FoundPath { path, series, is_branch });
        }
        paths.sort_unstable();
        Ok(Found { paths, pruned })
    }
}

impl Index for MemoryIndex {
    fn find(
        &self,
        pattern: &Glob,
        window: Option<Window>,
        scope: Scope<'_>,
        limits: &FindLimits,
    ) -> Result<Found, IndexError> {
        if let Some(name) = pattern.exact()
            && metric::tags::is_tagged(name)
        {
            return Ok(self.find_tagged(name, scope));
        }
        let window = window.filter(|_| !pattern.is_exact());
        let (tree, rows) = (self.tree.read(), self.rows.read());
        let mut walk = Walk {
            tree: &tree,
            rows: &rows,
            since: ActiveSince::of(window, limits),
            limits,
            visited: 0,
            pruned: 0,
            hits: Vec::new(),
        };
        for matchers in pattern.alternatives() {
            walk.run(matchers)?;
        }
        Self::found_paths(walk, scope)
    }

    fn tags(
        &self,
        query: &TagQuery,
        window: Option<Window>,
        scope: Scope<'_>,
        limits: &FindLimits,
    ) -> Result<Found, IndexError> {
        let (postings, rows) = (self.postings.read(), self.rows.read());
        let since = ActiveSince::of(window, limits);
        let candidates = postings.candidates(query);
        if candidates.len() > limits.visited_max {
            return Err(IndexError::TooManyVisited { limit: limits.visited_max });
        }
        let mut found = Found::default();
        for id in candidates.into_iter().map(SeriesId) {
            let matching = |name: &str| tags::matches(query, name).then(|| name.to_owned());
            let Some(path) = self.table.with_name(id, matching).flatten() else { continue };
            if !since.holds(&rows, id) {
                found.pruned += 1;
            } else if scope.holds(&path) {
                if found.paths.len() == limits.results_max {
                    return Err(IndexError::TooManyFound { limit: limits.results_max });
                }
                found.paths.push(FoundPath { path, series: Some(id), is_branch: false });
            }
        }
        found.paths.sort_unstable();
        Ok(found)
    }

    fn tag_keys(
        &self,
        query: Option<&TagQuery>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, IndexError> {
        let Some(query) = query else { return Ok(self.postings.read().keys(prefix, limit)) };
        let found = self.tags(query, None, Scope::All, &FindLimits::default())?;
        Ok(tags::keys_of(&found.paths, prefix, limit))
    }

    fn tag_values(
        &self,
        key: &str,
        query: Option<&TagQuery>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, usize)>, IndexError> {
        let Some(query) = query else {
            return Ok(self.postings.read().values(key, prefix, limit));
        };
        let found = self.tags(query, None, Scope::All, &FindLimits::default())?;
        Ok(tags::values_of(&found.paths, key, prefix, limit))
    }

    fn insert(&self, id: SeriesId, name: &str, hour: Option<u32>) {
        let node = if metric::tags::is_tagged(name) {
            self.postings.write().insert(id, name);
            NONE
        } else {
            let mut tree = self.tree.write();
            let node = tree.insert(name, id).unwrap_or(NONE);
            tree.raise(node, hour.unwrap_or(NONE));
            node
        };
        let mut rows = self.rows.write();
        rows.reach(id.0 as usize, Row::empty);
        let row = &mut rows[id.0 as usize];
        row.node = node;
        if let Some(hour) = hour {
            (row.first_hour, row.last_hour) = (AtomicU32::new(hour), AtomicU32::new(hour));
        }
    }

    fn touch(&self, id: SeriesId, hour: u32) {
        let node = {
            let rows = self.rows.read();
            let Some(row) = rows.get(id.0 as usize) else { return };
            if row.first_hour.load(Ordering::Relaxed) > hour {
                row.first_hour.fetch_min(hour, Ordering::Relaxed);
            }
            if row.last_hour.load(Ordering::Relaxed) >= hour {
                return;
            }
            row.last_hour.fetch_max(hour, Ordering::Relaxed);
            row.node
        };
        self.tree.read().raise(node, hour);
    }

    fn activity(&self, id: SeriesId) -> Option<(u32, u32)> {
        self.rows.read().get(id.0 as usize).and_then(Row::hours)
    }

    fn settle(&self) {
        // The write lock keeps other hours from rising in between.
        let tree = self.tree.write();
        tree.forget_hours();
        let rows = self.rows.read();
        for row in rows.iter().filter(|row| row.node != NONE) {
            tree.raise(row.node, row.hours().map_or(NONE, |hours| hours.1));
        }
    }

    fn remove(&self, id: SeriesId) {
        let Some(name) = self.table.name(id) else { return };
        if metric::tags::is_tagged(&name) {
            self.postings.write().remove(id, &name);
        }
        let mut tree = self.tree.write();
        let mut rows = self.rows.write();
        let Some(row) = rows.get_mut(id.0 as usize) else { return };
        let node = std::mem::replace(row, Row::empty()).node;
        if node != NONE {
            tree.remove(node);
        }
    }

    fn memory_bytes(&self) -> usize {
        self.tree.read().memory_bytes()
            + self.rows.read().memory_bytes()
            + self.postings.read().memory_bytes()
    }
}

#[cfg(test)]
mod tests;
