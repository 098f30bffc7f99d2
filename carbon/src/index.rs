//! Which series there are, for patterns of names and for tag expressions.
//!
//! Untagged names form a tree of components; tagged ones are found by their tags, and, like all, by their exact name.
//! Beside it stands when each series was active, so that a query for some hours skips what was silent then.

mod base;
mod hours;
mod scan;
pub(crate) mod tags;
mod tree;
mod walk;

use std::sync::Arc;

use metric::{Glob, TagQuery, Window, Within};
use parking_lot::RwLock;

use self::base::{Base, LivingBase};
use self::hours::Hours;
pub use self::scan::{ScanReport, scan};
use self::tags::TagPostings;
use self::tree::{NONE, Tree};
use self::walk::{Branches, Walk};
pub use crate::sealed::SealError;
use crate::sealed::Sealed;
use crate::series::{Column, SeriesId, SeriesTable};

/// Seconds of one step of activity.
pub const HOUR_SECONDS: i64 = 3600;

/// What a search may cost, and how generous it is with silent series.
#[derive(Debug, Clone, Copy)]
pub struct FindLimits {
    /// Most nodes of the tree, or tagged series, that one search looks at or passes over.
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
    /// Those that the asker may see, and the branches that lead to them.
    Within(&'a Within),
}

impl<'a> From<&'a Within> for Scope<'a> {
    fn from(within: &'a Within) -> Self {
        if within.is_all() { Self::All } else { Self::Within(within) }
    }
}

impl Scope<'_> {
    const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    fn holds(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Names(fits) => fits(name),
            Self::Within(within) => within.holds(name),
        }
    }

    fn shows_branch(&self, path: &str) -> bool {
        match self {
            Self::All | Self::Names(_) => true,
            Self::Within(within) => within.leads_through(path),
        }
    }
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Names(_) => "Names",
            Self::Within(_) => "Within",
        })
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
    /// Series and whole branches passed over because they had fallen silent before the window, by their hour alone:
    /// their names were not looked at, so they stand beside what the pattern matches.
    pub pruned: u64,
    /// Nodes of the tree, or tagged series, whose names were looked at.
    pub visited: u64,
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

    /// Up to `limit` tag keys of the series in the scope that begin with `prefix`, in order; `name` is one. With a query, only
    /// keys of the series that it finds.
    fn tag_keys(
        &self,
        query: Option<&TagQuery>,
        scope: Scope<'_>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, IndexError>;

    /// Up to `limit` values of a tag that begin with `prefix`, in order, each with its number of series in the scope.
    fn tag_values(
        &self,
        key: &str,
        query: Option<&TagQuery>,
        scope: Scope<'_>,
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

    /// Moves what has gathered in memory into the sealed file, which takes a while; searches go on meanwhile.
    fn seal(&self) -> Result<(), SealError>;

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

/// The nodes of the series that are not sealed.
#[derive(Debug, Default)]
struct FreshNodes {
    /// The first id that is not sealed.
    first: u32,
    nodes: Column<u32, 4096>,
}

impl FreshNodes {
    fn get(&self, id: SeriesId) -> Option<u32> {
        let at = id.0.checked_sub(self.first)?;
        self.nodes.get(at as usize).copied().filter(|&node| node != NONE)
    }

    /// Says that a series that is not sealed has this node now, or none.
    fn set(&mut self, id: SeriesId, node: u32) {
        let Some(at) = id.0.checked_sub(self.first) else { return };
        self.nodes.reach(at as usize, || NONE);
        self.nodes[at as usize] = node;
    }
}

/// The series that came since the seal.
#[derive(Debug)]
struct Fresh {
    tree: Tree,
    nodes: FreshNodes,
    postings: TagPostings,
}

impl Fresh {
    fn from(first: u32) -> Self {
        let nodes = FreshNodes { first, ..FreshNodes::default() };
        Self { tree: Tree::new(), nodes, postings: TagPostings::default() }
    }

    fn insert(&mut self, id: SeriesId, name: &str, last_hour: u32) {
        if metric::tags::is_tagged(name) {
            return self.postings.insert(id, name);
        }
        if let Some(node) = self.tree.insert(name, id) {
            self.tree.raise(node, last_hour);
            self.nodes.set(id, node);
        }
    }

    fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes() + self.nodes.nodes.memory_bytes() + self.postings.memory_bytes()
    }
}

/// The index of a node: most names in a sealed file, those that came since in memory.
#[derive(Debug)]
pub struct NameIndex {
    table: Arc<SeriesTable>,
    // Locks are taken in the order of these fields.
    base: RwLock<Option<Base>>,
    fresh: RwLock<Fresh>,
    hours: RwLock<Hours>,
}

impl NameIndex {
    /// An index of all series of the table.
    #[must_use]
    pub fn new(table: Arc<SeriesTable>) -> Self {
        let mut hours = Hours::default();
        hours.reach(table.id_end());
        let base = table.sealed().map(|sealed| Base::new(sealed, &hours));
        let first = table.sealed_end();
        let fresh = RwLock::new(Fresh::from(first));
        let index = Self { table, base: RwLock::new(base), fresh, hours: RwLock::new(hours) };
        index.take_in_fresh(&mut index.fresh.write(), first);
        index
    }

    /// Takes in what the table has from an id on.
    fn take_in_fresh(&self, fresh: &mut Fresh, first: u32) {
        let hours = self.hours.read();
        for id in (first..self.table.id_end()).map(SeriesId) {
            let last_hour = hours.of(id).map_or(NONE, |(_, last)| last);
            if let Some(name) = self.table.name(id) {
                fresh.insert(id, &name, last_hour);
            }
        }
    }

    /// A new seal takes the place of the old one and of what it covers of the tree in memory.
    fn take_over(&self, sealed: &Arc<Sealed>) {
        let first = sealed.id_end();
        let new = Base::new(Arc::clone(sealed), &self.hours.read());
        let mut base = self.base.write();
        let mut fresh = self.fresh.write();
        // What was active while the first pass went on.
        new.settle(&self.hours.read());
        let old = std::mem::replace(&mut *fresh, Fresh::from(first));
        self.take_in_fresh(&mut fresh, first);
        *base = Some(new);
        drop((base, fresh));
        drop(old);
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

    fn holds(self, hours: &Hours, id: SeriesId) -> bool {
        hours.of(id).is_none_or(|(_, last)| last >= self.0)
    }
}

/// What a search wants.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    since: ActiveSince,
    scope: Scope<'a>,
    limits: &'a FindLimits,
}

impl NameIndex {
    /// All tagged series of a scope.
    fn tagged(&self, scope: Scope<'_>) -> Vec<FoundPath> {
        let mut found = Vec::new();
        self.table.for_each(|id, name| {
            if metric::tags::is_tagged(name) && scope.holds(name) {
                let path = name.to_owned();
                found.push(FoundPath { path, series: Some(id), is_branch: false });
            }
        });
        found
    }

    fn find_tagged(&self, name: &str, scope: Scope<'_>) -> Found {
        let series = self.table.get(name).filter(|_| scope.holds(name));
        let path = |_| FoundPath { path: name.to_owned(), series, is_branch: false };
        Found { paths: series.map(path).into_iter().collect(), ..Found::default() }
    }

    /// Adds what one tree has.
    fn find_in<T: Branches>(
        &self,
        tree: &T,
        pattern: &Glob,
        wanted: Wanted<'_>,
        found: &mut Found,
    ) -> Result<(), IndexError> {
        let Wanted { since, limits, .. } = wanted;
        let Found { visited, pruned, .. } = *found;
        let mut walk = Walk { tree, since: since.0, limits, visited, pruned, hits: Vec::new() };
        for matchers in pattern.alternatives() {
            walk.run(matchers)?;
        }
        let Walk { mut hits, visited, pruned, .. } = walk;
        hits.sort_unstable();
        hits.dedup();
        (found.visited, found.pruned) = (visited, pruned);
        self.add_paths(tree, hits, wanted, found)
    }

    /// Turns nodes into paths; a series that is silent or out of scope is left out, its branch is not.
    fn add_paths<T: Branches>(
        &self,
        tree: &T,
        hits: Vec<u32>,
        wanted: Wanted<'_>,
        found: &mut Found,
    ) -> Result<(), IndexError> {
        let hours = self.hours.read();
        let results_max = wanted.limits.results_max;
        found.paths.reserve(hits.len().min(results_max));
        for node in hits {
            let path = tree.path(node);
            let mut series = tree.series(node);
            if series.is_some_and(|id| !wanted.since.holds(&hours, id)) {
                found.pruned += 1;
                series = None;
            }
            series = series.filter(|_| wanted.scope.holds(&path));
            let is_branch = tree.is_branch(node) && wanted.scope.shows_branch(&path);
            if series.is_none() && !is_branch {
                continue;
            }
            if found.paths.len() == results_max {
                return Err(IndexError::TooManyFound { limit: results_max });
            }
            found.paths.push(FoundPath { path, series, is_branch });
        }
        Ok(())
    }
}

/// What both trees have becomes one.
fn join(paths: &mut Vec<FoundPath>) {
    paths.sort_unstable();
    paths.dedup_by(|later, first| {
        let same = later.path == first.path;
        if same {
            first.series = first.series.or(later.series);
            first.is_branch |= later.is_branch;
        }
        same
    });
}

impl Index for NameIndex {
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
        let wanted = Wanted { since: ActiveSince::of(window, limits), scope, limits };
        let mut found = Found::default();
        let (base, fresh) = (self.base.read(), self.fresh.read());
        if let Some(base) = &*base {
            self.find_in(&LivingBase::new(base, &self.table), pattern, wanted, &mut found)?;
        }
        self.find_in(&fresh.tree, pattern, wanted, &mut found)?;
        join(&mut found.paths);
        Ok(found)
    }

    fn tags(
        &self,
        query: &TagQuery,
        window: Option<Window>,
        scope: Scope<'_>,
        limits: &FindLimits,
    ) -> Result<Found, IndexError> {
        let candidates = {
            let (base, fresh) = (self.base.read(), self.fresh.read());
            let mut candidates = fresh.postings.candidates(query);
            candidates.extend(base.iter().flat_map(|base| base.candidates(query)));
            candidates
        };
        if candidates.len() > limits.visited_max {
            return Err(IndexError::TooManyVisited { limit: limits.visited_max });
        }
        let since = ActiveSince::of(window, limits);
        let hours = self.hours.read();
        let mut found = Found { visited: candidates.len() as u64, ..Found::default() };
        for id in candidates.into_iter().map(SeriesId) {
            let matching = |name: &str| tags::matches(query, name).then(|| name.to_owned());
            let Some(path) = self.table.with_name(id, matching).flatten() else { continue };
            if !since.holds(&hours, id) {
                found.pruned += 1;
            } else if scope.holds(&path) {
                if found.paths.len() == limits.results_max {
                    return Err(IndexError::TooManyFound { limit: limits.results_max });
                }
                found.paths.push(FoundPath { path, series: Some(id), is_branch: false });
            }
        }
        join(&mut found.paths);
        Ok(found)
    }

    fn tag_keys(
        &self,
        query: Option<&TagQuery>,
        scope: Scope<'_>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, IndexError> {
        if let Some(query) = query {
            let found = self.tags(query, None, scope, &FindLimits::default())?;
            return Ok(tags::keys_of(&found.paths, prefix, limit));
        }
        if !scope.is_all() {
            return Ok(tags::keys_of(&self.tagged(scope), prefix, limit));
        }
        let mut keys = self.fresh.read().postings.keys(prefix, limit);
        if let Some(base) = &*self.base.read() {
            keys.extend(base.tag_keys(prefix, &self.table).take(limit));
        }
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(limit);
        Ok(keys)
    }

    fn tag_values(
        &self,
        key: &str,
        query: Option<&TagQuery>,
        scope: Scope<'_>,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, usize)>, IndexError> {
        if let Some(query) = query {
            let found = self.tags(query, None, scope, &FindLimits::default())?;
            return Ok(tags::values_of(&found.paths, key, prefix, limit));
        }
        if !scope.is_all() {
            return Ok(tags::values_of(&self.tagged(scope), key, prefix, limit));
        }
        let mut values = self.fresh.read().postings.values(key, prefix, limit);
        if let Some(base) = &*self.base.read() {
            values.extend(base.tag_values(key, prefix, &self.table).take(limit));
        }
        values.sort_unstable();
        values.dedup_by(|later, first| {
            let same = later.0 == first.0;
            first.1 += if same { later.1 } else { 0 };
            same
        });
        values.truncate(limit);
        Ok(values)
    }

    fn insert(&self, id: SeriesId, name: &str, hour: Option<u32>) {
        let (base, mut fresh) = (self.base.read(), self.fresh.write());
        self.hours.write().begin(id, hour);
        let last_hour = hour.unwrap_or(NONE);
        // A seal may have been made of it before it came here.
        if !base.as_ref().is_some_and(|base| base.raise(id, last_hour)) {
            fresh.insert(id, name, last_hour);
        }
    }

    fn touch(&self, id: SeriesId, hour: u32) {
        if !self.hours.read().touch(id, hour) {
            return;
        }
        let base = self.base.read();
        if base.as_ref().is_some_and(|base| base.raise(id, hour)) {
            return;
        }
        let fresh = self.fresh.read();
        if let Some(node) = fresh.nodes.get(id) {
            fresh.tree.raise(node, hour);
        }
    }

    fn activity(&self, id: SeriesId) -> Option<(u32, u32)> {
        self.hours.read().of(id)
    }

    fn settle(&self) {
        // The write locks keep other hours from rising in between.
        let (base, fresh) = (self.base.write(), self.fresh.write());
        let hours = self.hours.read();
        if let Some(base) = &*base {
            base.settle(&hours);
        }
        fresh.tree.forget_hours();
        for (id, &node) in (fresh.nodes.first..).zip(fresh.nodes.nodes.iter()) {
            if node != NONE {
                let last = hours.of(SeriesId(id)).map_or(NONE, |(_, last)| last);
                fresh.tree.raise(node, last);
            }
        }
    }

    fn remove(&self, id: SeriesId) {
        let Some(name) = self.table.name(id) else { return };
        let mut fresh = self.fresh.write();
        self.hours.write().begin(id, None);
        if metric::tags::is_tagged(&name) {
            fresh.postings.remove(id, &name);
        } else if let Some(node) = fresh.nodes.get(id) {
            fresh.nodes.set(id, NONE);
            fresh.tree.remove(node);
        }
    }

    fn seal(&self) -> Result<(), SealError> {
        self.table.seal(|sealed| self.take_over(sealed))
    }

    fn memory_bytes(&self) -> usize {
        self.base.read().as_ref().map_or(0, Base::memory_bytes)
            + self.fresh.read().memory_bytes()
            + self.hours.read().memory_bytes()
    }
}

#[cfg(test)]
mod tests;
