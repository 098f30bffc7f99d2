//! `plumbago check replicas` and `plumbago repair`: do the owners of each series hold the same?

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use remote::{AdminClient, RemoteError, Traffic};
use ring::cluster::Cluster;
use serde::Deserialize;
use serde_json::json;

use super::jobs::{self, Settle};
use super::plan::rings;
use crate::invocation::{Context, EXIT_PARTIAL, Failure, Run};
use crate::moves::fleet::Fleet;
use crate::moves::job::{Manner, Tally, fetch_all};
use crate::moves::lease::Leases;
use crate::moves::summaries;
use crate::moves::sweep::{Findings, Scope, sweep};
use crate::moves::{batches, births};

/// How long a node may take to tell its holes.
const WAIT: Duration = Duration::from_secs(20);

/// How long a node may take to start: reading a long journal takes minutes.
const START_WAIT: Duration = Duration::from_secs(1_800);

/// A hole that ended longer ago does not belong to the start of now.
const HOLE_AGE_MAX_S: i64 = 3_600;

/// Rest between two looks at it.
const START_REST: Duration = Duration::from_secs(1);

/// Most series that are named one by one.
const NAMED_MAX: usize = 20;

/// Arguments of `plumbago check`.
#[derive(clap::Args)]
pub(crate) struct Check {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Compare what the owners of each series hold.
    Replicas {
        /// The cluster file.
        #[arg(long, value_name = "FILE")]
        cluster: PathBuf,
        /// Fill on each owner what another one has.
        #[arg(long)]
        repair: bool,
        /// Look at every so-manieth series only.
        #[arg(long, value_name = "SERIES", default_value_t = 1)]
        one_in: usize,
        /// Compare series by series, and all that their files hold: also what expires within three hours, and what others
        /// have written to them.
        #[arg(long)]
        each: bool,
        #[command(flatten)]
        settle: Settle,
    },
}

/// Arguments of `plumbago repair`.
#[derive(clap::Args)]
pub(crate) struct Repair {
    /// The node that was away, by its name in the cluster file.
    node: String,
    /// The cluster file.
    #[arg(long, value_name = "FILE")]
    cluster: PathBuf,
    /// Since when, seconds since 1970 (default: since the first hole that the node knows of).
    #[arg(long, value_name = "EPOCH")]
    since: Option<i64>,
    /// Wait until the node has started, then look at its last hole only: for a unit that runs with the node's.
    #[arg(long, conflicts_with = "since")]
    after_start: bool,
    /// Do it; without, only say what differs.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    settle: Settle,
}

/// What is to be looked at, and whether it is mended.
struct Sweep {
    cluster: Cluster,
    fleet: Arc<Fleet>,
    scope: Scope,
    since: Option<i64>,
    /// Series by series.
    each: bool,
    manner: Manner,
    mends: bool,
}

impl Run for Check {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let What::Replicas { cluster, repair, one_in, each, settle } = self.what;
        let (cluster, fleet) = open(&cluster)?;
        let scope = Scope { node: None, one_in };
        let manner = settle.manner();
        let each = each || one_in > 1;
        let sweep = Sweep { cluster, fleet, scope, since: None, each, manner, mends: repair };
        jobs::block_on(sweep.run(context))
    }
}

/// An interval of which a node may have missed points.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Hole {
    from: i64,
    /// None while it takes no points.
    until: Option<i64>,
}

impl Run for Repair {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (cluster, fleet) = open(&self.cluster)?;
        let node = fleet.number(&self.node);
        let node =
            node.ok_or_else(|| Failure::new(format!("no node is called `{}`", self.node)))?;
        let manner = self.settle.manner();
        jobs::block_on(async {
            let since = match self.since {
                Some(since) => Some(since),
                None => {
                    let client = fleet.client(node);
                    let hole = match self.after_start {
                        true => last_hole(client, &manner).await?,
                        false => holes(client).await?.first().copied(),
                    };
                    // What came in the hole was younger than it, or on its way for so long.
                    hole.map(|hole| hole.from.saturating_sub(manner.settle_s))
                }
            };
            if since.is_none() {
                context
                    .say("the node knows of no time in which it missed points; --since names one");
                return Ok(());
            }
            let scope = Scope { node: Some(node), one_in: 1 };
            let each = true;
            let mends = self.yes;
            Sweep { cluster, fleet, scope, since, each, manner, mends }.run(context).await
        })
    }
}

/// What a node says of its holes, oldest first.
async fn holes(client: &AdminClient) -> Result<Vec<Hole>, RemoteError> {
    client.get_json("/admin/holes", WAIT).await
}

/// The hole of a node that has just started, once it is ready and all that the others got meanwhile is old enough to be
/// compared.
async fn last_hole(client: &AdminClient, manner: &Manner) -> Result<Option<Hole>, Failure> {
    let begin = manner.clock.monotonic();
    while let Err(error) = client.get("/ready", WAIT).await {
        if manner.clock.monotonic().saturating_sub(begin) > START_WAIT {
            return Err(error.into());
        }
        tokio::time::sleep(START_REST).await;
    }
    loop {
        let Some(hole) = holes(client).await?.last().copied() else { return Ok(None) };
        let age_s = hole.until.map(|until| manner.clock.now_unix_seconds().saturating_sub(until));
        match age_s {
            // It is of a former start: the last one took too little time to make one.
            Some(age_s) if age_s > HOLE_AGE_MAX_S.max(2 * manner.settle_s) => return Ok(None),
            Some(age_s) if age_s > manner.settle_s => return Ok(Some(hole)),
            _ => tokio::time::sleep(START_REST).await,
        }
    }
}

fn open(path: &std::path::Path) -> Result<(Cluster, Arc<Fleet>), Failure> {
    let cluster = cluster::read(path).map_err(|fault| Failure::new(fault.to_string()))?;
    if cluster.transition().is_some() {
        let problem = "series are on their way between two rings; finish that with reap first";
        return Err(Failure::of(path, &problem));
    }
    let fleet = Arc::new(Fleet::of(&cluster)?);
    Ok((cluster, fleet))
}

impl Sweep {
    async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        self.fleet.check_nodes(&rings(&self.cluster)).await?;
        let view = self.manner.view(self.since);
        let findings = if self.each {
            let (holdings, _nobody) = self.fleet.holdings(|_| false).await?;
            sweep(&self.fleet, self.cluster.ring(), &holdings, self.scope, view).await
        } else {
            summaries::sweep(&self.fleet, &self.cluster, view).await
        };
        self.tell(&findings, context)?;
        for error in &findings.faults {
            context.skip("a part was not compared", error);
        }
        let found = findings.lacking.len() + findings.differing.len();
        let is_mended = self.mends || found == 0;
        let scope = self.scope;
        if self.mends && found > 0 {
            let tally = self.mend(&findings, view).await?;
            jobs::report(context, &tally)?;
        }
        // Of the repair of one node they are none of the business.
        if is_mended && (scope.node.is_some() || findings.strays.is_empty()) {
            return Ok(());
        }
        Err(Failure::silent(EXIT_PARTIAL))
    }

    /// Fetches in every direction what one owner has and another one lacks.
    async fn mend(self, findings: &Findings, view: wire::moves::View) -> Result<Tally, Failure> {
        let (steps, tasks) = findings.tasks();
        let mut nodes: Vec<u16> = tasks.iter().map(|task| task.1).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let leases = Leases::take(&self.fleet, "repair", nodes).await?;
        let batches = batches::gather(tasks.into_iter(), &steps);
        let holder = leases.holder.clone();
        let mut done = fetch_all(&self.fleet, batches, self.manner, holder, Some(view));
        let mut tally = Tally::default();
        while let Some((batch, outcome)) = done.recv().await {
            tally.count(&self.fleet, &batch, &outcome);
        }
        leases.end().await;
        if let Some(node) = self.scope.node.filter(|_| tally.faults.is_empty()) {
            births::tell_complete(&self.fleet, &[node], self.since).await?;
        }
        Ok(tally)
    }

    fn tell(&self, findings: &Findings, context: &mut Context<'_>) -> Result<(), Failure> {
        let Findings { looked_at, compared, lacking, strays, differing, .. } = findings;
        let counts = [lacking.len(), strays.len(), differing.len()];
        if context.json {
            let Traffic { exchanges, bytes } = self.fleet.traffic();
            let text = json!({
                "series": looked_at, "lacking": counts[0], "stray": counts[1], "differing": counts[2],
                "exchanges": exchanges, "compared": compared, "bytes": bytes,
            });
            writeln!(context.out, "{text}")?;
            return Ok(());
        }
        let [missing, stray, differing_count] = counts;
        writeln!(
            context.out,
            "{looked_at} series: {missing} not on all owners, {stray} where they do not belong, \
             {differing_count} with different points"
        )?;
        let lacking = lacking.iter().map(|step| {
            let nodes: Vec<&str> = step.targets.iter().map(|&node| self.fleet.name(node)).collect();
            format!("{}  not on {}", step.name, nodes.join(", "))
        });
        let strays = strays
            .iter()
            .map(|(name, node)| format!("{name}  stray on {}", self.fleet.name(*node)));
        let differing = differing.iter().map(|step| format!("{}  differs", step.name));
        for line in lacking.chain(strays).chain(differing).take(NAMED_MAX) {
            writeln!(context.out, "  {line}")?;
        }
        Ok(())
    }
}
