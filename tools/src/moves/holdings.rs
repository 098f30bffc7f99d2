//! Who holds which series.

use wire::moves::Held;

/// One series on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holding {
    name: Box<str>,
    node: u16,
    bytes: u64,
}

/// All series on all nodes.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    held: Vec<Holding>,
}

/// A series and the nodes that hold it, in the order of their numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) holders: Vec<u16>,
    /// Of its largest file.
    pub(crate) bytes: u64,
}

impl Holdings {
    pub(crate) fn add(&mut self, node: u16, series: Vec<Held>) {
        let holding = |one: Held| Holding { name: one.name.into(), node, bytes: one.bytes };
        self.held.extend(series.into_iter().map(holding));
    }

    /// To be called once all are there.
    pub(crate) fn sort(&mut self) {
        self.held.sort_unstable_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
        self.held.dedup_by(|a, b| a.name == b.name && a.node == b.node);
    }

    /// The series in the order of their names.
    pub(crate) fn series(&self) -> impl Iterator<Item = Series<'_>> {
        let groups = self.held.chunk_by(|a, b| a.name == b.name);
        groups.map(|group| Series {
            name: &group[0].name,
            holders: group.iter().map(|one| one.node).collect(),
            bytes: group.iter().map(|one| one.bytes).max().unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_comes_once_with_all_its_holders() {
        let held = |name: &str, bytes| Held { name: name.to_owned(), bytes, last: None };
        let mut holdings = Holdings::default();
        holdings.add(1, vec![held("b", 10), held("a", 10), held("a", 10)]);
        holdings.add(0, vec![held("b", 30)]);
        holdings.sort();
        let series: Vec<Series<'_>> = holdings.series().collect();
        assert_eq!(series[0], Series { name: "a", holders: vec![1], bytes: 10 });
        assert_eq!(series[1], Series { name: "b", holders: vec![0, 1], bytes: 30 });
        assert_eq!(series.len(), 2);
    }
}
