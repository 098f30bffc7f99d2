//! What names say: their parts, and how a combined series is called.

use crate::parse::first_path;
use crate::series::Series;

/// A part of a name by its place, or a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Place among the dots; negative ones count from the end.
    Index(i64),
    /// A tag's name.
    Tag(String),
}

/// The path expressions of a list, each once, in order, joined by commas: what stands between the
/// parentheses of a combined series' name.
pub fn path_expressions<'s>(list: impl IntoIterator<Item = &'s Series>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for series in list {
        let path = series.path_expression.as_str();
        // Series of one pattern follow each other; only at a change is a look back needed.
        if seen.last() != Some(&path) && !seen.contains(&path) {
            seen.push(path);
        }
    }
    seen.join(",")
}

/// One part of a series' name, or one of its tags; empty if it has neither.
///
/// `path` stands in for the name, where the name is a call and the parts are those of a path in it.
pub fn node_or_tag(series: &Series, node: &Node, path: Option<&str>) -> String {
    let name = path.unwrap_or(&series.name);
    part_or_tag(name, node, &|tag| series.tags.get(tag).cloned())
}

fn part_or_tag(name: &str, node: &Node, tag: &impl Fn(&str) -> Option<String>) -> String {
    match node {
        Node::Tag(name) => tag(name).unwrap_or_default(),
        Node::Index(index) => {
            let metric = name.split(';').next().unwrap_or_default();
            let parts: Vec<&str> = metric.split('.').collect();
            let at = python_index(*index, parts.len());
            let otherwise = || tag(&index.to_string()).unwrap_or_default();
            at.map_or_else(otherwise, |at| parts[at].to_owned())
        }
    }
}

/// The parts and tags that `nodes` names, joined by dots: an alias, or the key of a group.
pub fn node_key(series: &Series, nodes: &[Node]) -> String {
    key_of(&series.name, nodes, |tag| series.tags.get(tag).cloned())
}

/// As [`node_key`], of a name whose tags are looked up only if they are needed.
pub fn key_of(name: &str, nodes: &[Node], tag: impl Fn(&str) -> Option<String>) -> String {
    let path = if name.ends_with(')') { first_path(name) } else { None };
    let name = path.as_deref().unwrap_or(name);
    let parts: Vec<String> = nodes.iter().map(|node| part_or_tag(name, node, &tag)).collect();
    parts.join(".")
}

/// A Python index: negative ones count from the end; `None` outside.
pub fn python_index(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if index < 0 { index + length } else { index };
    usize::try_from(at).ok().filter(|_| at < length)
}

/// A Python slice `[start:stop]` of a list.
pub fn python_slice<T>(list: &[T], start: i64, stop: Option<i64>) -> &[T] {
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let clamp = |i: i64| (if i < 0 { i.saturating_add(length) } else { i }).clamp(0, length);
    let (start, stop) = (clamp(start), stop.map_or(length, clamp));
    let at = |i: i64| usize::try_from(i).unwrap_or(0);
    &list[at(start)..at(stop.max(start))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_look_into_the_first_path_of_a_call() {
        let series = Series::new("scale(a.b.c,2)", 0, 60, 60, vec![1.0]);
        let nodes = [Node::Index(1), Node::Index(-1), Node::Index(9), Node::Tag("name".into())];
        assert_eq!(node_key(&series, &nodes), "b.c..scale(a.b.c,2)");
    }

    #[test]
    fn slices_are_python_s() {
        let list = [0, 1, 2, 3];
        assert_eq!(python_slice(&list, -2, None), [2, 3]);
        assert_eq!(python_slice(&list, 1, Some(-1)), [1, 2]);
        assert!(python_slice(&list, 3, Some(1)).is_empty());
        assert_eq!(python_slice(&list, -9, Some(9)), [0, 1, 2, 3]);
    }
}
