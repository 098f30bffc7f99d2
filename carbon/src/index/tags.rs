//! Tagged series by tag and value.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use metric::tags::NAME_KEY;
use metric::{TagQuery, TaggedName};

use super::FoundPath;
use crate::series::SeriesId;

type Values = BTreeMap<Box<str>, Vec<u32>>;

/// For every tag, for every value, the ids of the series that have it, ascending.
#[derive(Debug, Default)]
pub(super) struct TagPostings {
    keys: BTreeMap<Box<str>, Values>,
}

impl TagPostings {
    pub(super) fn insert(&mut self, id: SeriesId, name: &str) {
        let Ok(name) = TaggedName::parse(name) else { return };
        for (key, value) in pairs(&name) {
            let ids = self.keys.entry(key.into()).or_default().entry(value.into()).or_default();
            if let Err(at) = ids.binary_search(&id.0) {
                ids.insert(at, id.0);
            }
        }
    }

    pub(super) fn remove(&mut self, id: SeriesId, name: &str) {
        let Ok(name) = TaggedName::parse(name) else { return };
        for (key, value) in pairs(&name) {
            let Some(values) = self.keys.get_mut(key) else { continue };
            let Some(ids) = values.get_mut(value) else { continue };
            if let Ok(at) = ids.binary_search(&id.0) {
                ids.remove(at);
            }
            if ids.is_empty() {
                values.remove(value);
            }
            if values.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// A superset of what the query finds: the series that satisfy its rarest term that needs a value.
    pub(super) fn candidates(&self, query: &TagQuery) -> Vec<u32> {
        let needy = query.terms().iter().filter(|term| !term.matches_empty());
        let lists = needy.map(|term| {
            let values = self.keys.get(term.key()).into_iter().flatten();
            let fitting = values.filter(|(value, _)| term.matches_value(value));
            fitting.map(|(_, ids)| &ids[..]).collect::<Vec<_>>()
        });
        let rarest = lists.min_by_key(|lists| lists.iter().map(|ids| ids.len()).sum::<usize>());
        rarest.unwrap_or_default().concat()
    }

    pub(super) fn keys(&self, prefix: &str, limit: usize) -> Vec<String> {
        from_prefix(&self.keys, prefix).take(limit).map(|(key, _)| key.to_owned()).collect()
    }

    pub(super) fn values(&self, key: &str, prefix: &str, limit: usize) -> Vec<(String, usize)> {
        let Some(values) = self.keys.get(key) else { return Vec::new() };
        let counted = from_prefix(values, prefix).map(|(value, ids)| (value.to_owned(), ids.len()));
        counted.take(limit).collect()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let of_value = |value: &str, ids: &Vec<u32>| {
            size_of::<(Box<str>, Vec<u32>)>() + value.len() + ids.capacity() * size_of::<u32>()
        };
        self.keys.values().flatten().map(|(value, ids)| of_value(value, ids)).sum()
    }
}

fn from_prefix<'a, V>(
    map: &'a BTreeMap<Box<str>, V>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a V)> {
    map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .map(|(text, value)| (&**text, value))
        .take_while(move |(text, _)| text.starts_with(prefix))
}

/// The tags of a series, its own name included.
pub(crate) fn pairs<'a>(
    name: &TaggedName<'a>,
) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    name.tags().to_vec().into_iter().chain([(NAME_KEY, name.name())])
}

pub(super) fn matches(query: &TagQuery, name: &str) -> bool {
    TaggedName::parse(name).is_ok_and(|name| query.matches(&name))
}

pub(super) fn keys_of(found: &[FoundPath], prefix: &str, limit: usize) -> Vec<String> {
    let names = found.iter().filter_map(|found| TaggedName::parse(&found.path).ok());
    let keys: BTreeSet<&str> = names.flat_map(|name| pairs(&name).map(|tag| tag.0)).collect();
    let fitting = keys.into_iter().filter(|key| key.starts_with(prefix));
    fitting.take(limit).map(str::to_owned).collect()
}

pub(super) fn values_of(
    found: &[FoundPath],
    key: &str,
    prefix: &str,
    limit: usize,
) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let names = found.iter().filter_map(|found| TaggedName::parse(&found.path).ok());
    for value in names.filter_map(|name| name.get(key)) {
        *counts.entry(value).or_default() += 1;
    }
    let fitting = counts.into_iter().filter(|(value, _)| value.starts_with(prefix));
    fitting.take(limit).map(|(value, count)| (value.to_owned(), count)).collect()
}
