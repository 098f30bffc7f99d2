//! The circle of 65,536 positions on which carbon_ch and fnv1a_ch set their points.

use std::cmp::Ordering;

use crate::dialect::{Dialect, Hash, Settle};
use crate::hashes::{fnv1a_position, md5_position};
use crate::node::Node;

/// Points a node has on the circle, in every program.
const POINTS_PER_NODE: usize = 100;

/// Positions that a name can have.
const POSITIONS: usize = 1 << 16;

/// A node's claim to the arc that ends at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    /// Bumping may push a point past the last position a name can have.
    position: u32,
    node: u16,
}

/// The settled points, and the owner of every position.
#[derive(Debug)]
pub(crate) struct Circle {
    points: Vec<Point>,
    primaries: Box<[u16; POSITIONS]>,
}

impl Circle {
    /// Sets and settles the points of the nodes; there is at least one node.
    pub(crate) fn new(hash: Hash, dialect: &Dialect, nodes: &[Node]) -> Self {
        let claims = claims(hash, dialect, nodes);
        let points = match dialect.settle {
            Settle::Bump => bump(claims),
            Settle::First => {
                let mut points = sorted(claims, |a, b| tie(hash, dialect, a, b), nodes);
                points.dedup_by_key(|point| point.position);
                points
            }
            Settle::Keep => sorted(claims, |a, b| tie(hash, dialect, a, b), nodes),
        };
        let primaries = primaries(&points);
        Self { points, primaries }
    }

    /// The owner of a position.
    pub(crate) fn primary(&self, position: u16) -> u16 {
        self.primaries[usize::from(position)]
    }

    /// The nodes met when walking once around the circle from a position, repeats included.
    pub(crate) fn walk(&self, position: u16) -> impl Iterator<Item = u16> + '_ {
        let start = first_at_or_after(&self.points, u32::from(position));
        self.points[start..].iter().chain(&self.points[..start]).map(|point| point.node)
    }

    /// How many positions each node is the primary of.
    pub(crate) fn positions_per_node(&self, nodes: usize) -> Vec<u32> {
        let mut counts = vec![0; nodes];
        for &node in self.primaries.iter() {
            counts[usize::from(node)] += 1;
        }
        counts
    }
}

/// All points where their hash puts them, node by node.
fn claims(hash: Hash, dialect: &Dialect, nodes: &[Node]) -> Vec<Point> {
    let mut points = Vec::with_capacity(nodes.len() * POINTS_PER_NODE);
    for (index, node) in nodes.iter().enumerate() {
        let name = point_name(hash, dialect, node);
        for number in 0..POINTS_PER_NODE {
            let position = match hash {
                Hash::CarbonCh => md5_position(format!("{name}:{number}").as_bytes()),
                _ => fnv1a_position(
                    format!("{number}-{name}").as_bytes(),
                    dialect.fnv1a_sign_extends,
                ),
            };
            points.push(Point { position: position.into(), node: index as u16 });
        }
    }
    points
}

/// The part of a point's text that stands for its node.
fn point_name(hash: Hash, dialect: &Dialect, node: &Node) -> String {
    match (hash, &node.instance) {
        (Hash::CarbonCh, Some(instance)) => format!("('{}', '{instance}')", node.host),
        (Hash::CarbonCh, None) => format!("('{}', None)", node.host),
        _ if dialect.hashes_port_of(node) => format!("{}:{}", node.host, node.port),
        (_, Some(instance)) => instance.clone(),
        (_, None) => "None".to_owned(),
    }
}

/// Inserts the points one by one; one whose position is taken goes to the next free one above.
fn bump(claims: Vec<Point>) -> Vec<Point> {
    // next_free[p] is p while p is free, then some later position on the way to the free one.
    let mut next_free: Vec<u32> = (0..(POSITIONS + claims.len()) as u32).collect();
    let mut points = claims;
    for point in &mut points {
        let mut position = point.position;
        while next_free[position as usize] != position {
            let next = next_free[position as usize];
            next_free[position as usize] = next_free[next as usize];
            position = next;
        }
        next_free[position as usize] = position + 1;
        point.position = position;
    }
    points.sort_by_key(|point| point.position);
    points
}

/// Sorts by position, ties as the dialect orders nodes, then config order.
fn sorted(
    claims: Vec<Point>,
    tie: impl Fn(&Node, &Node) -> Ordering,
    nodes: &[Node],
) -> Vec<Point> {
    let mut points = claims;
    points.sort_by(|a, b| {
        let by_node = || tie(&nodes[usize::from(a.node)], &nodes[usize::from(b.node)]);
        a.position.cmp(&b.position).then_with(by_node)
    });
    points
}

/// Which of two nodes comes first at one position.
fn tie(hash: Hash, dialect: &Dialect, a: &Node, b: &Node) -> Ordering {
    let rest = if hash == Hash::Fnv1aCh && dialect.fnv1a_ties_by_port {
        a.port.cmp(&b.port)
    } else if dialect.no_instance_last {
        a.instance.is_none().cmp(&b.instance.is_none()).then_with(|| a.instance.cmp(&b.instance))
    } else {
        a.instance.cmp(&b.instance)
    };
    a.host.cmp(&b.host).then(rest)
}

/// Index of the first point at or after a position, the first point of all past the last.
fn first_at_or_after(points: &[Point], position: u32) -> usize {
    let index = points.partition_point(|point| point.position < position);
    if index == points.len() { 0 } else { index }
}

/// The owner of every position, so that a lookup is a hash and one load.
fn primaries(points: &[Point]) -> Box<[u16; POSITIONS]> {
    let mut owners = Vec::with_capacity(POSITIONS);
    for point in points {
        let end = POSITIONS.min(point.position as usize + 1);
        owners.resize(end.max(owners.len()), point.node);
    }
    owners.resize(POSITIONS, points[0].node);
    owners.into_boxed_slice().try_into().expect("the vector has one entry a position")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Collision;

    fn nodes(texts: &[&str]) -> Vec<Node> {
        texts.iter().map(|text| Node::parse(text).unwrap()).collect()
    }

    fn circle(hash: Hash, collision: Collision, texts: &[&str]) -> Circle {
        Circle::new(hash, Dialect::of(hash, collision), &nodes(texts))
    }

    /// The carbon program's own rule, word for word: try positions upwards until one is free.
    fn bump_by_probing(claims: &[Point]) -> Vec<Point> {
        let mut taken = std::collections::BTreeMap::new();
        for point in claims {
            let free = (point.position..).find(|position| !taken.contains_key(position)).unwrap();
            taken.insert(free, point.node);
        }
        taken.into_iter().map(|(position, node)| Point { position, node }).collect()
    }

    fn assert_table_equals_search(circle: &Circle, what: &str) {
        for position in 0..=u16::MAX {
            let plain = circle.points.iter().find(|point| point.position >= u32::from(position));
            let plain = plain.unwrap_or(&circle.points[0]).node;
            assert_eq!(circle.primary(position), plain, "{what} {position}");
            assert_eq!(circle.walk(position).next(), Some(plain), "{what} {position}");
        }
    }

    #[test]
    fn the_table_equals_a_plain_search_at_every_position() {
        let clusters: [&[&str]; 3] = [
            &["10.0.0.1:2003"],
            &["10.30.3.20:2003", "10.30.23.50:2003", "10.99.0.3:2003"],
            &["a:2003=1", "a:2004=2", "b:2003", "c:2003", "d:2003=1", "e:1", "f:1", "g:1", "h:1"],
        ];
        for texts in clusters {
            for &collision in Collision::ALL {
                for hash in [Hash::CarbonCh, Hash::Fnv1aCh] {
                    let what = format!("{texts:?} {hash} {collision}");
                    assert_table_equals_search(&circle(hash, collision, texts), &what);
                }
            }
        }
    }

    #[test]
    fn bumping_equals_probing_one_by_one() {
        let many: Vec<Node> = (0..400)
            .map(|n| Node::parse(&format!("10.1.{}.{}:2003", n / 200, n % 200)).unwrap())
            .collect();
        for hash in [Hash::CarbonCh, Hash::Fnv1aCh] {
            let claims = claims(
                hash,
                Dialect::of(hash, Collision::Bump),
                &many[..if hash == Hash::CarbonCh { 400 } else { 40 }],
            );
            assert_eq!(bump(claims.clone()), bump_by_probing(&claims), "{hash}");
        }
    }

    #[test]
    fn a_point_bumped_off_the_end_stays_on_the_circle_for_copies() {
        let circle = circle(
            Hash::CarbonCh,
            Collision::Bump,
            &["10.30.3.20:2003", "10.30.23.50:2003", "10.99.0.3:2003"],
        );
        assert_eq!(circle.points.last(), Some(&Point { position: 65_536, node: 1 }));
        assert_eq!(circle.primary(65_535), 0);
        assert_eq!(circle.walk(65_535).nth(1), Some(1));
    }

    #[test]
    fn more_points_than_positions_still_settle() {
        let many: Vec<Node> = (0..700)
            .map(|n| Node::parse(&format!("10.{}.0.{}:2003", n / 200, n % 200)).unwrap())
            .collect();
        let dialect = Dialect::of(Hash::CarbonCh, Collision::Bump);
        let circle = Circle::new(Hash::CarbonCh, dialect, &many);
        assert_eq!(circle.points.len(), 70_000);
        assert_eq!(circle.positions_per_node(many.len()).iter().sum::<u32>(), 65_536);
    }
}
