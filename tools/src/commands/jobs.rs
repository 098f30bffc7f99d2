//! `plumbago apply`, `verify`, `reap` and `purge`: what is done to a plan. Nothing is changed without `--yes`.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::clock::System;
use ring::cluster::Cluster;
use serde_json::json;
use wire::moves::{PurgeReply, PurgeRequest, is_day};

use crate::invocation::{Context, EXIT_PARTIAL, Failure, Run};
use crate::moves::fleet::{Away, Fleet};
use crate::moves::job::{Job, Manner, Tally};
use crate::moves::lease::Leases;
use crate::moves::pace::Pace;
use crate::moves::placing::Placing;
use crate::progress::Progress;

/// Bytes of a megabyte as people count them.
const MEGABYTE: f64 = 1e6;

/// How long a node may take to delete a day of trash.
const PURGE_WAIT: std::time::Duration = std::time::Duration::from_secs(600);

/// Runs what waits for nodes; their batches run beside each other.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("runtime: {error}")))?;
    runtime.block_on(work)
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / MEGABYTE)
}

/// Puts a cluster file in the place of the old one, which stays beside it as `.before`.
pub(super) fn write_cluster(path: &Path, cluster: &Cluster) -> Result<(), Failure> {
    let write = || {
        std::fs::copy(path, path.with_added_extension("before"))?;
        let temporary = path.with_added_extension("new");
        std::fs::write(&temporary, cluster.to_toml())?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error: std::io::Error| Failure::of(path, &error))
}

/// How long a point may be on its way.
#[derive(clap::Args)]
pub(super) struct Settle {
    /// Points younger than this are not compared: they may still be on their way.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    settle: u32,
}

impl Settle {
    pub(super) fn manner(&self) -> Manner {
        let clock = Arc::new(System::new());
        let pace = Pace::new(Arc::<System>::clone(&clock), None, None);
        Manner { clock, pace, settle_s: self.settle.into() }
    }
}

/// Arguments of `plumbago apply`.
#[derive(clap::Args)]
pub(crate) struct Apply {
    /// The plan.
    plan: PathBuf,
    /// Do it; without, only say what would be done.
    #[arg(long)]
    yes: bool,
    /// Most bytes of files in a second, all nodes together.
    #[arg(long, value_name = "BYTES")]
    bytes_per_second: Option<u64>,
    /// Most series in a second, all nodes together.
    #[arg(long, value_name = "SERIES")]
    series_per_second: Option<u64>,
    #[command(flatten)]
    settle: Settle,
}

impl Run for Apply {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut job = Job::open(&self.plan)?;
        if !self.yes {
            let tasks = job.to_copy(&Away::new());
            let bytes: u64 = tasks.iter().map(|task| job.steps[task.0 as usize].bytes).sum();
            return would(context, "copy", tasks.len(), &megabytes(bytes));
        }
        let clock = Arc::new(System::new());
        let pace = Pace::new(clock, self.bytes_per_second, self.series_per_second);
        let manner = Manner { pace, ..self.settle.manner() };
        let mut progress = Progress::new("copied", context.json);
        let tally = block_on(async {
            let away = job.check(true).await?;
            job.apply(manner, &away, &mut |done, of| progress.show(done, of)).await
        })?;
        progress.end();
        report(context, &tally)
    }
}

/// Arguments of `plumbago verify`.
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The plan.
    plan: PathBuf,
    #[command(flatten)]
    settle: Settle,
}

impl Run for Verify {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut job = Job::open(&self.plan)?;
        let manner = self.settle.manner();
        let mut progress = Progress::new("compared", context.json);
        let tally = block_on(job.verify(&manner, &mut |done, of| progress.show(done, of)))?;
        progress.end();
        report(context, &tally)
    }
}

/// Arguments of `plumbago reap`.
#[derive(clap::Args)]
pub(crate) struct Reap {
    /// The plan.
    plan: PathBuf,
    /// Do it; without, only say what would be done.
    #[arg(long)]
    yes: bool,
    /// There is no relay of ours whose ring could be asked for.
    #[arg(long)]
    without_relays: bool,
    #[command(flatten)]
    settle: Settle,
}

impl Run for Reap {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut job = Job::open(&self.plan)?;
        if job.header.relays.is_empty() && !self.without_relays {
            let problem = "the plan names no --relay to ask for its ring; give --without-relays if there is none";
            return Err(Failure::new(problem));
        }
        let unverified = job.unverified();
        if unverified > 0 {
            context.skip(&format!("{unverified} series"), &"not verified, they stay");
        }
        if !self.yes {
            return would(
                context,
                "put into the trash",
                job.to_reap().len(),
                "files are kept there",
            );
        }
        let date = day(context)?;
        let manner = self.settle.manner();
        let mut progress = Progress::new("put away", context.json);
        let ended = block_on(end_transition(&job, unverified))?;
        if ended {
            let next = "The transition is over in the cluster file: reload relays and zippers, then reap again.";
            context.say(next);
            return Err(Failure::silent(EXIT_PARTIAL));
        }
        let tally = block_on(async {
            let away = job.check(false).await?;
            job.reap(&manner, &date, &away, &mut |done, of| progress.show(done, of)).await
        })?;
        progress.end();
        report(context, &tally)
    }
}

/// Takes the transition out of the cluster file once everything is verified and nothing has come since the plan; true
/// if it was there.
async fn end_transition(job: &Job, unverified: usize) -> Result<bool, Failure> {
    let cluster = job.cluster()?;
    if cluster.transition().is_none() || job.header.leaving.is_none() {
        return Ok(false);
    }
    job.check(true).await?;
    if unverified > 0 {
        return Err(Failure::new(
            "the transition goes on until all is verified; apply and verify again",
        ));
    }
    let stays = cluster.nodes().len();
    let (holdings, _away) = job.fleet.holdings(|number| usize::from(number) >= stays).await?;
    let placing = Placing { kind: job.header.kind, ring: cluster.ring(), node: None };
    let planned: std::collections::HashSet<&str> =
        job.steps.iter().map(|step| &*step.name).collect();
    let is_new = |name: &str| !planned.contains(name);
    let steps = holdings.series().filter(|series| is_new(series.name));
    let late = steps.filter_map(|series| placing.step(&series)).count();
    if late > 0 {
        let problem = format!(
            "{late} series came since the plan was made; plan again, to another file, and apply that first"
        );
        return Err(Failure::new(problem));
    }
    let fault = |fault: ring::cluster::Fault| Failure::new(fault.to_string());
    let after = Cluster::new(cluster.ring().spec(), cluster.nodes().to_vec()).map_err(fault)?;
    write_cluster(&job.header.cluster, &after)?;
    Ok(true)
}

/// Arguments of `plumbago purge`.
#[derive(clap::Args)]
pub(crate) struct Purge {
    /// The cluster file.
    #[arg(long, value_name = "FILE")]
    cluster: PathBuf,
    /// The first day that is kept, such as 2026-11-22.
    #[arg(long, value_name = "DAY")]
    before: String,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

impl Run for Purge {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        if !is_day(&self.before) {
            return Err(Failure::new(format!("`{}` is no day such as 2026-11-22", self.before)));
        }
        let cluster =
            cluster::read(&self.cluster).map_err(|fault| Failure::new(fault.to_string()))?;
        let fleet = Arc::new(Fleet::of(&cluster)?);
        if !self.yes {
            return would(context, "purge the trash of", fleet.nodes().len(), "nodes");
        }
        block_on(async {
            let nodes = (0..).take(fleet.nodes().len()).collect();
            let leases = Leases::take(&fleet, "purge", nodes).await?;
            for node in fleet.nodes() {
                let (holder, before) = (leases.holder.clone(), self.before.clone());
                let request = PurgeRequest { holder, before };
                let reply = node.client.post_json("/admin/moves/purge", &request, PURGE_WAIT).await;
                let name = &node.name;
                match reply {
                    Ok(PurgeReply { days }) => writeln!(context.out, "{name}  {}", days.join(" "))?,
                    Err(error) => context.skip(name, &error),
                }
            }
            leases.end().await;
            Ok(())
        })
    }
}

/// Today, as folders of the trash are called.
fn day(context: &Context<'_>) -> Result<String, Failure> {
    let now = jiff::Timestamp::from_second(context.now.truncate());
    let now = now.map_err(|error| Failure::new(error.to_string()))?;
    Ok(now.strftime("%Y-%m-%d").to_string())
}

/// Says what `--yes` would do.
fn would(context: &mut Context<'_>, what: &str, count: usize, more: &str) -> Result<(), Failure> {
    if context.json {
        writeln!(context.out, "{}", json!({"would": what, "count": count}))?;
    } else {
        writeln!(context.out, "would {what} {count} ({more}); --yes does it")?;
    }
    Ok(())
}

/// Most faults that are named one by one.
const FAULTS_SHOWN: usize = 20;

/// Prints what was done; names what was not.
pub(super) fn report(context: &mut Context<'_>, tally: &Tally) -> Result<(), Failure> {
    if context.json {
        let faults = tally.faults.len();
        let text = json!({"series": tally.series, "bytes": tally.bytes, "faults": faults});
        writeln!(context.out, "{text}")?;
    } else {
        let counts = tally.series.iter().filter(|(_, count)| **count > 0);
        let counts: Vec<String> = counts.map(|(what, count)| format!("{count} {what}")).collect();
        let counts = if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") };
        writeln!(context.out, "{counts}; {} over the wire", megabytes(tally.bytes))?;
    }
    let (shown, rest) = tally.faults.split_at(tally.faults.len().min(FAULTS_SHOWN));
    for fault in shown {
        context.say_plainly(fault);
    }
    if !rest.is_empty() {
        let (count, more) = (tally.faults.len(), rest.len());
        context.say_plainly(&format!("{count} faults, {more} of them are not shown"));
    }
    if tally.faults.is_empty() { Ok(()) } else { Err(Failure::silent(EXIT_PARTIAL)) }
}
