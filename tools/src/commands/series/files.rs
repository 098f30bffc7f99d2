//! The files of series as nodes have them.

use std::fmt::Display;

use carbon::stream::{self, State};

use crate::invocation::{Context, Failure};
use crate::node::Node;
use crate::nodes::Nodes;

/// Series asked for at once; what the node leaves out for its size is asked for again.
const BATCH: usize = 500;

/// Calls `each` with the name and the bytes of every file that a node has of these series, waiting points included. What
/// it cannot read or does not give is named.
pub(in crate::commands) fn each_file(
    context: &mut Context<'_>,
    nodes: &Nodes,
    node: &Node,
    mut names: Vec<String>,
    mut each: impl FnMut(&mut Context<'_>, &str, Vec<u8>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    names.reverse();
    while !names.is_empty() {
        let mut batch = names.split_off(names.len().saturating_sub(BATCH));
        batch.reverse();
        let (first, asked) = (batch[0].clone(), batch.len() + names.len());
        // Another node may have copies of what this one does not give.
        let lost = |context: &mut Context<'_>, why: &dyn Display| {
            context.skip(&format!("{}, {asked} series from {first} on", node.name), why);
            Ok(())
        };
        let packed = match nodes.snapshot(node, batch) {
            Ok(packed) => packed,
            Err(error) => return lost(context, &error),
        };
        for entry in stream::read(&packed) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return lost(context, &error),
            };
            match entry.state {
                State::File => each(context, &entry.name, entry.file)?,
                // Deleted since the list was made.
                State::Missing => {}
                State::Unreadable => {
                    let what = format!("{} on {}", entry.name, node.name);
                    context.skip(&what, &"the node cannot read its file");
                }
                State::LeftOut => names.push(entry.name),
            }
        }
    }
    Ok(())
}
