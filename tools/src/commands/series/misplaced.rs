//! `plumbago series misplaced`: what lies elsewhere than the ring says.

use serde_json::json;

use super::select::Selection;
use super::told;
use crate::invocation::{Context, EXIT_FAILED, Failure, Run};
use crate::nodes::NodesArgs;

#[derive(clap::Args)]
pub(crate) struct Misplaced {
    #[command(flatten)]
    nodes: NodesArgs,
    #[command(flatten)]
    series: Selection,
}

impl Run for Misplaced {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (nodes, wanted) = (self.nodes.load()?, self.series.load()?);
        if !nodes.has_ring() {
            return Err(Failure::new("which series belong where says only a --cluster"));
        }
        // A node that does not answer seems to lack everything, so all of them must.
        let all = told::by_all(&nodes)?;
        let (mut strays, mut lacking) = (0_u64, 0_u64);
        for (name, told) in all.iter().filter(|(name, _)| wanted.has(name)) {
            let owners = nodes.owners(name);
            let strange = told.holders.iter().copied().filter(|holder| !owners.contains(holder));
            let missing = owners.iter().copied().filter(|owner| !told.holders.contains(owner));
            let (strange, missing): (Vec<_>, Vec<_>) = (strange.collect(), missing.collect());
            (strays, lacking) = (strays + strange.len() as u64, lacking + missing.len() as u64);
            for (what, places) in [("stray", strange), ("lacking", missing)] {
                for place in places {
                    print(context, name, &nodes.all[place].name, what)?;
                }
            }
        }
        let sum = format!("{strays} copies on nodes that do not own them, {lacking} lacking");
        context.say(&sum);
        if strays + lacking == 0 { Ok(()) } else { Err(Failure::silent(EXIT_FAILED)) }
    }
}

fn print(context: &mut Context<'_>, name: &str, node: &str, what: &str) -> Result<(), Failure> {
    if context.json {
        writeln!(context.out, "{}", json!({"metric": name, "node": node, "is": what}))?;
    } else {
        writeln!(context.out, "{what}\t{node}\t{name}")?;
    }
    Ok(())
}
