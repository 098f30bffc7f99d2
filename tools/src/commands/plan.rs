//! `plumbago plan`: what should move, compared from what the nodes hold and what the ring says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ring::cluster::{Cluster, ClusterNode};
use serde_json::json;

use super::jobs;
use super::schemas::CheckSchemas;
use crate::invocation::{Context, Failure, Run};
use crate::moves::fleet::{Fleet, Rings};
use crate::moves::placing::Placing;
use crate::moves::plan::{Header, Kind, Step, Writer};

/// Arguments of `plumbago plan`.
#[derive(clap::Args)]
pub(crate) struct Plan {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Every series to its owners, and nowhere else; with --to after a change of the ring.
    Rebalance {
        /// The cluster file as it is to be: the transition leads from the one of --cluster to it.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        common: PlanArgs,
    },
    /// What a node lost with its disk, from the other owners.
    Replace(OfNode),
    /// What a node may have missed, from the other owners.
    Fill {
        /// Only points since this time, seconds since 1970.
        #[arg(long, value_name = "EPOCH")]
        since: Option<i64>,
        #[command(flatten)]
        of: OfNode,
    },
    /// Everything off a node that leaves the ring; its own files stay as they are.
    Drain(OfNode),
    /// Everything off a node that leaves the ring; its own files go to its trash.
    Decommission(OfNode),
    /// Files to the rules of their nodes: what `schemas apply` would change, and the bytes of it.
    Schemas(CheckSchemas),
}

#[derive(clap::Args)]
struct OfNode {
    /// The node, by its name in the cluster file.
    node: String,
    #[command(flatten)]
    common: PlanArgs,
}

#[derive(clap::Args)]
struct PlanArgs {
    /// The cluster file.
    #[arg(long, value_name = "FILE")]
    cluster: PathBuf,
    /// Where the plan is written.
    #[arg(long, value_name = "PLAN")]
    out: PathBuf,
    /// Admin address of a relay, which must follow the plan's rings; repeats.
    #[arg(long = "relay", value_name = "HOST:PORT")]
    relays: Vec<String>,
    /// Begin: write the new ring and the transition into the cluster file.
    #[arg(long)]
    yes: bool,
}

/// What a plan is made from.
struct Draft {
    kind: Kind,
    /// The cluster as it is to be, with the transition.
    cluster: Cluster,
    /// Whether the cluster file has to be written for it.
    is_changed: bool,
    node: Option<String>,
    since: Option<i64>,
}

impl Run for Plan {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (common, draft) = match self.what {
            What::Rebalance { to, common } => {
                let draft = rebalance(read(&common.cluster)?, to.as_deref())?;
                (common, draft)
            }
            What::Replace(of) => of.draft(Kind::Replace)?,
            What::Fill { since, of } => {
                let (common, draft) = of.draft(Kind::Fill)?;
                (common, Draft { since, ..draft })
            }
            What::Drain(of) => of.draft(Kind::Drain)?,
            What::Decommission(of) => of.draft(Kind::Decommission)?,
            What::Schemas(check) => return check.print(context).map(drop),
        };
        jobs::block_on(make(common, draft, context))
    }
}

impl OfNode {
    fn draft(self, kind: Kind) -> Result<(PlanArgs, Draft), Failure> {
        let before = read(&self.common.cluster)?;
        if before.node(&self.node).is_none() {
            let names: Vec<&str> = before.nodes().iter().map(|node| &*node.name).collect();
            let (node, names) = (&self.node, names.join(", "));
            return Err(Failure::new(format!("no node is called `{node}`, there are {names}")));
        }
        let leaves = matches!(kind, Kind::Drain | Kind::Decommission);
        let draft = if leaves {
            let stays = |node: &&ClusterNode| node.name != self.node;
            let nodes = before.nodes().iter().filter(stays).cloned().collect();
            let after = Cluster::new(before.ring().spec(), nodes);
            let after = after.map_err(|fault| Failure::new(fault.to_string()))?;
            changed(kind, before, after)?
        } else {
            Draft { kind, cluster: before, is_changed: false, node: None, since: None }
        };
        Ok((self.common, Draft { node: Some(self.node), ..draft }))
    }
}

fn read(path: &Path) -> Result<Cluster, Failure> {
    cluster::read(path).map_err(|fault| Failure::new(fault.to_string()))
}

fn rebalance(before: Cluster, to: Option<&Path>) -> Result<Draft, Failure> {
    let kind = Kind::Rebalance;
    match to {
        Some(to) => changed(kind, before, read(to)?),
        None => Ok(Draft { kind, cluster: before, is_changed: false, node: None, since: None }),
    }
}

/// A draft whose transition leads from one cluster to another.
fn changed(kind: Kind, before: Cluster, after: Cluster) -> Result<Draft, Failure> {
    if before.transition().is_some() || after.transition().is_some() {
        return Err(Failure::new("a transition is running already; finish it with reap first"));
    }
    let spec = before.ring().spec();
    let cluster = after.with_transition(spec, before.nodes().to_vec());
    let cluster = cluster.map_err(|fault| Failure::new(fault.to_string()))?;
    Ok(Draft { kind, cluster, is_changed: true, node: None, since: None })
}

async fn make(args: PlanArgs, draft: Draft, context: &mut Context<'_>) -> Result<(), Failure> {
    let Draft { kind, cluster, is_changed, node, since } = draft;
    let fleet = Fleet::of(&cluster)?;
    let rings = rings(&cluster);
    let stays = cluster.nodes().len();
    let (holdings, away) = fleet.holdings(|number| usize::from(number) >= stays).await?;
    for error in away {
        context.skip("a node that leaves is planned without", &error);
    }
    let path = args.cluster.canonicalize().map_err(|error| Failure::of(&args.cluster, &error))?;
    let id = plan_id(context);
    let mut header = Header::new(kind, id, path, rings, &fleet);
    (header.relays, header.since) = (args.relays, since);
    let mut writer = Writer::create(&args.out, &header, &fleet)?;
    let node = node.and_then(|name| fleet.number(&name));
    let placing = Placing { kind, ring: cluster.ring(), node };
    let mut totals = Totals::default();
    for step in holdings.series().filter_map(|series| placing.step(&series)) {
        totals.add(&step);
        writer.add(&step)?;
    }
    writer.finish()?;
    let begun = is_changed && args.yes;
    if begun {
        jobs::write_cluster(&header.cluster, &cluster)?;
    }
    totals.print(&fleet, context)?;
    if !context.json {
        let next = match (is_changed, begun) {
            (true, true) => {
                "The cluster file has the transition: reload relays and zippers, then apply."
            }
            (true, false) => "The cluster file is unchanged: plan with --yes to begin.",
            (false, _) => "Nothing has been moved: apply carries it out.",
        };
        writeln!(context.out, "{next}")?;
    }
    Ok(())
}

pub(super) fn rings(cluster: &Cluster) -> Rings {
    let ring = cluster.ring().fingerprint().to_string();
    let leaving = cluster.transition().map(|old| old.ring().fingerprint().to_string());
    Rings { ring, leaving }
}

/// Names a plan: no two of one operator have the same.
fn plan_id(context: &Context<'_>) -> String {
    format!("{:x}-{:x}", context.now.truncate(), std::process::id())
}

/// What a plan moves, by node.
#[derive(Default)]
struct Totals {
    series: u64,
    /// Series and bytes that nodes get.
    gets: BTreeMap<u16, (u64, u64)>,
    /// Series and bytes that nodes give up.
    gives: BTreeMap<u16, (u64, u64)>,
}

impl Totals {
    fn add(&mut self, step: &Step) {
        self.series += 1;
        for (nodes, sums) in [(&step.targets, &mut self.gets), (&step.drop, &mut self.gives)] {
            for &node in nodes {
                let (series, bytes) = sums.entry(node).or_default();
                *series += 1;
                *bytes += step.bytes;
            }
        }
    }

    fn print(&self, fleet: &Fleet, context: &mut Context<'_>) -> Result<(), Failure> {
        let rows = (0..).zip(fleet.nodes()).map(|(number, node)| {
            let of =
                |sums: &BTreeMap<u16, (u64, u64)>| sums.get(&number).copied().unwrap_or_default();
            (node.name.as_str(), of(&self.gets), of(&self.gives))
        });
        if context.json {
            let row = |(node, gets, gives): (&str, (u64, u64), (u64, u64))| {
                json!({
                    "node": node, "gets": {"series": gets.0, "bytes": gets.1},
                    "gives_up": {"series": gives.0, "bytes": gives.1},
                })
            };
            let text = json!({"series": self.series, "nodes": rows.map(row).collect::<Vec<_>>()});
            writeln!(context.out, "{text}")?;
            return Ok(());
        }
        writeln!(context.out, "{} series", self.series)?;
        for (node, gets, gives) in rows.filter(|row| row.1.0 + row.2.0 > 0) {
            let [got, given] = [gets, gives]
                .map(|(series, bytes)| format!("{series} series, {}", jobs::megabytes(bytes)));
            writeln!(context.out, "  {node}  gets {got}  gives up {given}")?;
        }
        Ok(())
    }
}
