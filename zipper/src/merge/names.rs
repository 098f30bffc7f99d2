//! Unions of names: finds, infos, lists, tags.

use std::collections::{BTreeMap, BTreeSet};

use metric::TaggedName;
use serde_json::{Value, json};
use wire::reply::{FindMatch, FindReply, InfoReply};

/// One reply per pattern: everything that any node found, sorted by bytes. A path that is a leaf
/// for one node and a branch for another is both. Replies hold one entry per pattern, in order.
pub(crate) fn merge_finds(patterns: &[String], replies: Vec<Vec<FindReply>>) -> Vec<FindReply> {
    let mut found: Vec<Vec<FindMatch>> = vec![Vec::new(); patterns.len()];
    for reply in replies {
        for (found, mut reply) in found.iter_mut().zip(reply) {
            found.append(&mut reply.matches);
        }
    }
    for matches in &mut found {
        // Of what several nodes found the first is kept.
        matches.sort_by(|a, b| a.path.cmp(&b.path).then(a.is_leaf.cmp(&b.is_leaf)));
        matches.dedup_by(|a, b| a.path == b.path && a.is_leaf == b.is_leaf);
    }
    let reply = |(query, matches): (&String, _)| FindReply { query: query.clone(), matches };
    patterns.iter().zip(found).map(reply).collect()
}

/// One header per series, in the order asked; the first of several is taken, so the most trusted
/// comes first.
pub(crate) fn merge_infos(names: &[String], infos: Vec<InfoReply>) -> Vec<InfoReply> {
    let mut known: BTreeMap<String, InfoReply> = BTreeMap::new();
    for info in infos {
        known.entry(info.name.clone()).or_insert(info);
    }
    names.iter().filter_map(|name| known.remove(name)).collect()
}

/// All texts once, sorted by bytes.
pub(crate) fn merge_names(lists: impl IntoIterator<Item = String>) -> Vec<String> {
    lists.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// `[{"id":…,"tag":…}]`: ids are places in the sorted list, as nodes count each for themselves.
pub(crate) fn merge_tags(replies: &[Value], limit: usize) -> Value {
    let tags = replies.iter().filter_map(Value::as_array).flatten();
    let tags = tags.filter_map(|entry| Some(entry.get("tag")?.as_str()?.to_owned()));
    let tags = merge_names(tags).into_iter().take(limit).zip(1_u64..);
    tags.map(|(tag, id)| json!({"id": id, "tag": tag})).collect()
}

/// `{"id":…,"tag":…,"values":[{"id":…,"value":…,"count":…}]}`, null when no node knows the tag.
/// Each series is counted by every node that holds a copy, so counts are divided by the copies.
pub(crate) fn merge_tag_values(replies: &[Value], copies: usize, limit: usize) -> Value {
    let Some(tag) = replies.iter().find_map(|reply| reply.get("tag")) else { return Value::Null };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let values = replies.iter().filter_map(|reply| reply.get("values")?.as_array()).flatten();
    for entry in values {
        let Some(value) = entry.get("value").and_then(Value::as_str) else { continue };
        let count = entry.get("count").and_then(Value::as_u64).unwrap_or(0);
        let sum = counts.entry(value.to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }
    let copies = u64::try_from(copies).unwrap_or(1).max(1);
    let values = counts.into_iter().take(limit).zip(1_u64..);
    let value = |((value, count), id): ((String, u64), u64)| json!({"id": id, "value": value, "count": count.div_ceil(copies)});
    json!({"id": 1, "tag": tag, "values": values.map(value).collect::<Vec<_>>()})
}

/// Puts what the series themselves say in place of the counts of [`merge_tag_values`].
pub(crate) fn recount(values: &mut Value, tag: &str, series: &[String]) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let tagged = series.iter().filter_map(|name| TaggedName::parse(name).ok()?.get(tag));
    tagged.for_each(|value| *counts.entry(value).or_default() += 1);
    for entry in values["values"].as_array_mut().into_iter().flatten() {
        let counted = entry["value"].as_str().and_then(|value| counts.get(value).copied());
        if let Some(count) = counted {
            entry["count"] = count.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(query: &str, matches: &[(&str, bool)]) -> FindReply {
        let one = |(path, is_leaf): &(&str, bool)| FindMatch {
            path: (*path).to_owned(),
            is_leaf: *is_leaf,
            intervals: Vec::new(),
        };
        FindReply { query: query.to_owned(), matches: matches.iter().map(one).collect() }
    }

    #[test]
    fn finds_are_united_per_pattern_and_sorted() {
        let patterns = ["x.*".to_owned(), "y.*".to_owned()];
        let a = vec![reply("x.*", &[("x.b", true), ("x.a", true)]), reply("y.*", &[])];
        let b =
            vec![reply("x.*", &[("x.a", true), ("x.a", false)]), reply("y.*", &[("y.z", true)])];
        let expected = vec![
            reply("x.*", &[("x.a", false), ("x.a", true), ("x.b", true)]),
            reply("y.*", &[("y.z", true)]),
        ];
        assert_eq!(merge_finds(&patterns, vec![a.clone(), b.clone()]), expected);
        assert_eq!(merge_finds(&patterns, vec![b, a]), expected);
    }

    #[test]
    fn tags_get_new_ids_and_counts_are_shared_among_copies() {
        let tags = [json!([{"id": 9, "tag": "b"}]), Value::Null, json!([{"id": 1, "tag": "a"}])];
        let expected = json!([{"id": 1, "tag": "a"}, {"id": 2, "tag": "b"}]);
        assert_eq!(merge_tags(&tags, 10), expected);
        assert_eq!(merge_tags(&tags, 1), json!([{"id": 1, "tag": "a"}]));
        let node =
            |count: u64| json!({"tag": "a", "values": [{"id": 4, "value": "v", "count": count}]});
        let values = json!([{"id": 1, "value": "v", "count": 3}]);
        let expected = json!({"id": 1, "tag": "a", "values": values});
        assert_eq!(merge_tag_values(&[node(3), Value::Null, node(2)], 2, 10), expected);
        assert_eq!(merge_tag_values(&[Value::Null], 2, 10), Value::Null);
    }
}
