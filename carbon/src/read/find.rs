//! Patterns, tag expressions and exact names to series and branches.

use std::sync::Arc;

use metric::{Glob, TagQuery, TaggedName, Window, Within};
use wire::reply::{FindMatch, FindReply};

use super::{Asker, ReadFault, Reader};
use crate::index::{FindLimits, Found, Index, IndexError, Scope};

/// A search that looks at no more nodes is over sooner than it would be handed to another thread.
const SMALL_VISITS: usize = 500;

/// One thing asked for.
#[derive(Debug, Clone)]
pub(crate) enum Query {
    /// A pattern over the tree of names, or an exact name.
    Glob(Glob),
    /// The terms of `seriesByTag`.
    Tags(TagQuery),
}

impl Query {
    /// Reads a name, a pattern or a call of `seriesByTag`.
    pub(crate) fn parse(text: &str) -> Result<Self, ReadFault> {
        let bad = |error: &dyn std::fmt::Display| ReadFault::bad(format!("{error} in `{text}`"));
        if text.trim_start().starts_with("seriesByTag(") {
            return TagQuery::parse_call(text).map(Self::Tags).map_err(|error| bad(&error));
        }
        // Tags in any order mean the same series; the index knows the canonical order only.
        let canonical = metric::tags::is_tagged(text).then(|| TaggedName::parse(text));
        let canonical = canonical.transpose().map_err(|error| bad(&error))?;
        let glob = match canonical {
            Some(name) => Glob::compile(&name.to_string()),
            None => Glob::compile(text),
        };
        glob.map(Self::Glob).map_err(|error| bad(&error))
    }

    /// How many series it can be at most, as far as it tells.
    pub(crate) fn series_max(&self) -> usize {
        match self {
            Self::Glob(glob) if glob.is_exact() => 1,
            _ => usize::MAX,
        }
    }

    /// What the index has of it.
    pub(crate) fn find(
        &self,
        index: &dyn Index,
        window: Option<Window>,
        within: &Within,
        limits: &FindLimits,
    ) -> Result<Found, IndexError> {
        match self {
            Self::Glob(glob) => index.find(glob, window, Scope::from(within), limits),
            Self::Tags(query) => index.tags(query, window, Scope::from(within), limits),
        }
    }
}

/// How many series all of them can be at most.
pub(crate) fn series_max<'q>(queries: impl Iterator<Item = &'q Query>) -> usize {
    queries.map(Query::series_max).fold(0, usize::saturating_add)
}

/// Reads all queries of a request.
pub(crate) fn parse_all<'t>(
    reader: &Reader,
    texts: impl ExactSizeIterator<Item = &'t str>,
    what: &'static str,
) -> Result<Vec<(String, Query)>, ReadFault> {
    let count = texts.len();
    if count == 0 {
        return Err(ReadFault::bad(format!("no {what} is given")));
    }
    let allowed = reader.limits.targets_max;
    if count > allowed {
        return Err(ReadFault::limit(format!("{count} of {what}"), allowed, "targets_max"));
    }
    texts.map(|text| Ok((text.to_owned(), Query::parse(text)?))).collect()
}

/// Answers each query; also tells what finding took.
pub(crate) async fn find(
    reader: &Arc<Reader>,
    queries: Vec<(String, Query)>,
    window: Option<Window>,
    asker: &Asker,
) -> Result<(Vec<FindReply>, Cost), ReadFault> {
    if let [(_, Query::Glob(_))] = queries.as_slice()
        && let Ok(found) = find_all(reader, &queries, window, Budget::small(reader, asker))
    {
        return Ok(found);
    }
    let series_max = series_max(queries.iter().map(|(_, query)| query));
    let job = {
        let (reader, asker) = (Arc::clone(reader), asker.clone());
        move || find_all(&reader, &queries, window, Budget::new(&reader, &asker))
    };
    reader.run_sized(asker, series_max, job).await?
}

fn find_all(
    reader: &Reader,
    queries: &[(String, Query)],
    window: Option<Window>,
    mut budget: Budget<'_>,
) -> Result<(Vec<FindReply>, Cost), ReadFault> {
    let mut replies = Vec::with_capacity(queries.len());
    for (text, query) in queries {
        let found = budget.find(reader, query, window)?;
        replies.push(FindReply { query: text.clone(), matches: matches(found) });
    }
    Ok((replies, budget.cost))
}

/// What the searches of one request have taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Nodes of the index whose names were looked at.
    pub(crate) visited: u64,
    /// Series and branches passed over for their silence.
    pub(crate) pruned: u64,
}

/// What the searches of one request may still find, all together.
pub(super) struct Budget<'a> {
    limits: FindLimits,
    results_max: usize,
    asker: &'a Asker,
    pub(super) cost: Cost,
}

impl<'a> Budget<'a> {
    pub(super) fn new(reader: &Reader, asker: &'a Asker) -> Self {
        let limits = reader.limits.find;
        Self { limits, results_max: limits.results_max, asker, cost: Cost::default() }
    }

    /// Fails for all but small searches.
    fn small(reader: &Reader, asker: &'a Asker) -> Self {
        let mut budget = Self::new(reader, asker);
        budget.limits.visited_max = budget.limits.visited_max.min(SMALL_VISITS);
        budget
    }

    pub(super) fn find(
        &mut self,
        reader: &Reader,
        query: &Query,
        window: Option<Window>,
    ) -> Result<Found, ReadFault> {
        // One search is bounded; thousands in one request would go on long after the asker.
        self.asker.check(reader)?;
        let found = query.find(&**reader.engine.index(), window, &self.asker.within, &self.limits);
        let found = found.map_err(|error| match error {
            // What earlier searches found has lowered the limit that the index names.
            IndexError::TooManyFound { .. } => {
                IndexError::TooManyFound { limit: self.results_max }.into()
            }
            error => ReadFault::from(error),
        })?;
        self.limits.results_max -= found.paths.len();
        self.cost.visited += found.visited;
        self.cost.pruned += found.pruned;
        reader.counters.visited.add(found.visited);
        reader.counters.pruned.add(found.pruned);
        Ok(found)
    }
}

/// A name that is a series and the beginning of longer ones is there twice, as in the peers' answers.
fn matches(found: Found) -> Vec<FindMatch> {
    let mut matches = Vec::with_capacity(found.paths.len());
    for found in found.paths {
        let one = |path, is_leaf| FindMatch { path, is_leaf, intervals: Vec::new() };
        match (found.series, found.is_branch) {
            (Some(_), true) => {
                matches.push(one(found.path.clone(), true));
                matches.push(one(found.path, false));
            }
            (series, _) => matches.push(one(found.path, series.is_some())),
        }
    }
    matches
}
