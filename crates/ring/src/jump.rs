//! jump_fnv1a_ch: Lamping and Veach's jump hash over an ordered list of nodes.

use std::cmp::Ordering;
use std::num::IntErrorKind;

use crate::dialect::{Dialect, JumpOrder};
use crate::hashes::fnv1a_64;
use crate::node::Node;

/// The nodes in the order that the jump hash counts them.
#[derive(Debug)]
pub(crate) struct Jump {
    order: Vec<u16>,
    sign_extends: bool,
}

impl Jump {
    /// Orders the nodes; there is at least one.
    pub(crate) fn new(dialect: &Dialect, nodes: &[Node]) -> Self {
        let order = match dialect.jump_order {
            JumpOrder::Numeric => numeric_order((0..nodes.len() as u16).collect(), nodes),
            JumpOrder::Inserted => inserted_order(nodes),
        };
        Self { order, sign_extends: dialect.fnv1a_sign_extends }
    }

    /// The node of a name.
    pub(crate) fn primary(&self, key: &[u8]) -> u16 {
        self.order[jump(fnv1a_64(key, self.sign_extends), self.order.len())]
    }

    /// All nodes, in the order in which they get the copies of a name.
    pub(crate) fn walk(&self, key: &[u8]) -> impl Iterator<Item = u16> + use<> {
        let mut hash = fnv1a_64(key, self.sign_extends);
        let mut left = self.order.clone();
        std::iter::from_fn(move || {
            if left.is_empty() {
                return None;
            }
            let slot = jump(hash, left.len());
            hash ^= hash >> 12;
            hash ^= hash << 25;
            hash ^= hash >> 27;
            hash = hash.wrapping_mul(2_685_821_657_736_338_717);
            Some(left.swap_remove(slot))
        })
    }
}

/// The slot of a 64-bit key among `slots` (at least one), as the paper has it.
fn jump(key: u64, slots: usize) -> usize {
    let (mut key, mut slot, mut next) = (key, 0, 0);
    while next < slots {
        slot = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let stride = (1u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((slot + 1) as f64 * stride) as usize;
    }
    slot
}

/// Merge sort by halves. Mixed instances (`9`, `10`, `1a`) have no total order, which the standard
/// sort may refuse; carbon-c-relay runs on the C library's merge sort, so its answer is this one.
fn numeric_order(nodes: Vec<u16>, all: &[Node]) -> Vec<u16> {
    if nodes.len() < 2 {
        return nodes;
    }
    let mut right = nodes;
    let left = right.drain(..right.len() / 2).collect();
    let mut left = numeric_order(left, all).into_iter().peekable();
    let mut right = numeric_order(right, all).into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(&a), Some(&b)) = (left.peek(), right.peek()) {
        let a_first = by_number(&all[usize::from(a)], &all[usize::from(b)]).is_le();
        merged.extend(if a_first { left.next() } else { right.next() });
    }
    merged.extend(left.chain(right));
    merged
}

/// Compares instances as numbers where both are, else as bytes; a node without one comes last.
fn by_number(a: &Node, b: &Node) -> Ordering {
    match (&a.instance, &b.instance) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.cmp(b),
        },
    }
}

/// A decimal number; the largest or smallest one where it does not fit.
fn number(instance: &str) -> Option<i64> {
    match instance.parse() {
        Ok(number) => Some(number),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(i64::MAX),
            IntErrorKind::NegOverflow => Some(i64::MIN),
            _ => None,
        },
    }
}

/// Nodes in config order, each inserted before the first with a greater instance.
fn inserted_order(nodes: &[Node]) -> Vec<u16> {
    let mut order: Vec<u16> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let greater = |&other: &u16| {
            node.instance.is_some() && nodes[usize::from(other)].instance > node.instance
        };
        let place = order.iter().position(greater).unwrap_or(order.len());
        order.insert(place, index as u16);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Collision, Hash};

    fn order(collision: Collision, instances: &[&str]) -> Vec<u16> {
        let node = |(index, instance): (usize, &&str)| Node {
            host: format!("h{index}"),
            port: 2003,
            instance: (!instance.is_empty()).then(|| (*instance).to_owned()),
        };
        let nodes: Vec<Node> = instances.iter().enumerate().map(node).collect();
        Jump::new(Dialect::of(Hash::JumpFnv1aCh, collision), &nodes).order
    }

    #[test]
    fn instances_order_the_nodes_as_each_program_does() {
        assert_eq!(order(Collision::First, &["10", "", "9", "a"]), [2, 0, 3, 1]);
        assert_eq!(order(Collision::Keep, &["10", "", "9", "a"]), [0, 1, 2, 3]);
        assert_eq!(order(Collision::Keep, &["b", "", "c", "a"]), [3, 0, 1, 2]);
        assert_eq!(order(Collision::Bump, &["10", "9"]), order(Collision::First, &["10", "9"]));
    }

    #[test]
    fn instances_without_a_total_order_are_still_ordered() {
        let mixed: Vec<String> = (0..60)
            .map(|n| if n % 3 == 0 { format!("{n}a") } else { format!("{}", 97 * n % 61) })
            .collect();
        let mixed: Vec<&str> = mixed.iter().map(String::as_str).collect();
        let mut order = order(Collision::First, &mixed);
        order.sort_unstable();
        assert_eq!(order, (0..60).collect::<Vec<u16>>());
    }

    #[test]
    fn growing_by_one_slot_moves_names_only_to_it() {
        for key in 0..1000u64 {
            let key = fnv1a_64(&key.to_le_bytes(), false);
            for slots in 1..20 {
                let (before, after) = (jump(key, slots), jump(key, slots + 1));
                assert!(after == before || after == slots, "{key} {slots}");
            }
        }
    }
}
