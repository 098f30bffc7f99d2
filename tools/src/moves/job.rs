//! A plan on its way: what it is about, what has been done, and the three things that are done to it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use remote::RemoteError;
use ring::cluster::Cluster;
use wire::moves::{
    CompareReply, CompareRequest, Comparison, FetchOutcome, FetchReply, FetchRequest,
    FetchedSeries, TrashReply, TrashRequest, View,
};

use super::batches::{self, Batch};
use super::births;
use super::fleet::{Away, Fleet, Rings, check_relays, wait_for_relays};
use super::journal::{Journal, Record};
use super::lease::Leases;
use super::pace::Pace;
use super::plan::{self, Action, Header, Kind, Step};
use crate::invocation::Failure;

/// How long a node may take for one batch.
const BATCH_WAIT: Duration = Duration::from_secs(300);

/// How often a batch of which something was left is asked for again.
const TRIES: usize = 20;

/// Rest before that.
const TRY_REST: Duration = Duration::from_millis(500);

/// A plan, its nodes, and what has been done of it.
pub(crate) struct Job {
    pub(crate) header: Header,
    pub(crate) steps: Vec<Step>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) journal: Journal,
    path: PathBuf,
}

/// What came of one round.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Series, by what became of them.
    pub(crate) series: BTreeMap<&'static str, u64>,
    /// Bytes that went over the wire.
    pub(crate) bytes: u64,
    /// What could not be done, one line each.
    pub(crate) faults: Vec<String>,
}

impl Tally {
    /// Counts what came of a batch; returns the names of the series that are done.
    pub(crate) fn count(
        &mut self,
        fleet: &Fleet,
        batch: &Batch,
        outcome: &Result<FetchReply, RemoteError>,
    ) -> Vec<String> {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) => {
                self.add("failed", batch.names.len() as u64);
                self.faults.push(error.to_string());
                return Vec::new();
            }
        };
        self.bytes += reply.bytes;
        let mut finished = Vec::with_capacity(reply.series.len());
        for FetchedSeries { name, outcome, error } in &reply.series {
            let (what, is_done) = match outcome {
                FetchOutcome::Created => ("created", true),
                FetchOutcome::Filled => ("filled", true),
                FetchOutcome::Equal => ("equal", true),
                // Deleted since the plan was made, or given up already: verify tells.
                FetchOutcome::Missing => ("gone", true),
                FetchOutcome::Refused => ("refused", false),
                FetchOutcome::Left => ("left", false),
            };
            self.add(what, 1);
            if is_done {
                finished.push(name.clone());
            } else {
                let target = fleet.name(batch.target);
                let why = error.as_deref().unwrap_or("it was too much at once");
                self.faults.push(format!("{name} on {target}: {why}"));
            }
        }
        finished
    }

    /// Takes note of the tasks (step, target, source) that nodes which are away have a part in; returns the others.
    fn leave(
        &mut self,
        fleet: &Fleet,
        away: &Away,
        mut tasks: Vec<(u32, u16, u16)>,
    ) -> Vec<(u32, u16, u16)> {
        for (node, error) in away {
            let count = tasks.len();
            tasks.retain(|(_, target, source)| target != node && source != node);
            let left = (count - tasks.len()) as u64;
            if left > 0 {
                self.add("left", left);
                self.faults.push(format!("{left} series of {}: {error}", fleet.name(*node)));
            }
        }
        tasks
    }

    fn add(&mut self, what: &'static str, count: u64) {
        *self.series.entry(what).or_default() += count;
    }
}

/// How a job is to go about its work.
pub(crate) struct Manner {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: Pace,
    /// Points younger than so many seconds may still be on their way.
    pub(crate) settle_s: i64,
}

impl Manner {
    /// What is compared: all that has arrived by now.
    pub(crate) fn view(&self, since: Option<i64>) -> View {
        let now = self.clock.now_unix_seconds();
        View { now, until: now.saturating_sub(self.settle_s), from: since }
    }
}

impl Job {
    /// Reads a plan and what has been done of it.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (header, fleet, steps) = plan::read(path)?;
        let journal = Journal::open(path, &header.id)?;
        Ok(Self { header, steps, fleet: Arc::new(fleet), journal, path: path.to_owned() })
    }

    /// The cluster file of the plan, which must still have the plan's ring.
    pub(crate) fn cluster(&self) -> Result<Cluster, Failure> {
        let path = &self.header.cluster;
        let cluster = cluster::read(path).map_err(|fault| Failure::new(fault.to_string()))?;
        let found = cluster.ring().fingerprint().to_string();
        if found != self.header.ring {
            let (path, plan) = (path.display(), self.path.display());
            let planned = &self.header.ring;
            let problem =
                format!("{path} has ring {found}, {plan} is for {planned}; make a new plan");
            return Err(Failure::new(problem));
        }
        Ok(cluster)
    }

    /// Refuses to go on unless cluster file, nodes and relays follow the plan's rings. While series are `moving` points
    /// may go to the old ring, too: until the transition is over, and what is copied after it harms nobody. Returns the
    /// nodes that are away.
    pub(crate) async fn check(&self, moving: bool) -> Result<Away, Failure> {
        let cluster = self.cluster()?;
        let rings = self.header.rings();
        let away = self.fleet.check_nodes(&rings).await?;
        let leaving = cluster.transition().map(|old| old.ring().fingerprint().to_string());
        if leaving.is_some() && !(moving && leaving == rings.leaving) {
            let shown = self.header.cluster.display();
            let problem = format!("{shown} has a transition that the plan does not know");
            return Err(Failure::new(problem));
        }
        check_relays(&self.header.relays, &Rings { leaving, ..rings }).await?;
        Ok(away)
    }

    /// What is still to be copied: step, target, source, which is one that is not away if there is any.
    pub(crate) fn to_copy(&self, away: &Away) -> Vec<(u32, u16, u16)> {
        let mut tasks: Vec<(u32, u16, u16)> = self.journal.differing().collect();
        let known: HashSet<(u32, u16)> = tasks.iter().map(|task| (task.0, task.1)).collect();
        for (number, step) in (0..).zip(&self.steps) {
            let targets = step.targets.iter().copied();
            let open = targets.filter(|&target| {
                !self.journal.is_copied(number, target) && !known.contains(&(number, target))
            });
            let mut sources = step.sources.iter();
            let source = sources.find(|source| !away.contains_key(source));
            let Some(&source) = source.or(step.sources.first()) else { continue };
            tasks.extend(open.map(|target| (number, target, source)));
        }
        tasks.sort_unstable();
        tasks
    }

    /// Copies what is to be copied, as far as nodes are not away.
    pub(crate) async fn apply(
        &mut self,
        manner: Manner,
        away: &Away,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Tally, Failure> {
        let (mut tally, mut finished) = (Tally::default(), 0);
        let tasks = tally.leave(&self.fleet, away, self.to_copy(away));
        let nodes: BTreeSet<u16> = tasks.iter().map(|task| task.1).collect();
        let leases =
            Leases::take(&self.fleet, &self.header.id, nodes.into_iter().collect()).await?;
        let view = self.header.since.map(|since| manner.view(Some(since)));
        let batches = batches::gather(tasks.iter().copied(), &self.steps);
        let holder = leases.holder.clone();
        let mut done = fetch_all(&self.fleet, batches, manner, holder, view);
        while let Some((batch, outcome)) = done.recv().await {
            finished += batch.steps.len() as u64;
            self.note_copied(&batch, outcome, &mut tally)?;
            progress(finished, tasks.len() as u64);
        }
        leases.end().await;
        if away.is_empty() && tally.faults.is_empty() {
            let whole = self.filled_nodes()?;
            births::tell_complete(&self.fleet, &whole, self.header.since).await?;
        }
        Ok(tally)
    }

    /// The nodes that have been given all that they own: one that is filled, or is new in the ring.
    fn filled_nodes(&self) -> Result<Vec<u16>, Failure> {
        let cluster = self.cluster()?;
        let is_new = |&node: &u16| {
            cluster
                .transition()
                .is_some_and(|old| old.nodes().iter().all(|one| one.name != self.fleet.name(node)))
        };
        let targets: BTreeSet<u16> =
            self.steps.iter().flat_map(|step| step.targets.iter().copied()).collect();
        Ok(match self.header.kind {
            Kind::Replace | Kind::Fill => targets.into_iter().collect(),
            Kind::Rebalance => targets.into_iter().filter(is_new).collect(),
            Kind::Drain | Kind::Decommission => Vec::new(),
        })
    }

    fn note_copied(
        &mut self,
        batch: &Batch,
        outcome: Result<FetchReply, RemoteError>,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let done: HashSet<String> = tally.count(&self.fleet, batch, &outcome).into_iter().collect();
        let steps = batch.names.iter().zip(&batch.steps).filter(|(name, _)| done.contains(*name));
        let records = steps.map(|(_, &step)| Record::Copied { step, node: batch.target });
        self.journal.add(&records.collect::<Vec<_>>())
    }

    /// The steps that are not verified, and what has to be compared for that: step, owner, holder.
    fn to_verify(&self) -> Vec<(u32, u16, u16)> {
        let mut tasks = Vec::new();
        for (number, step) in (0..).zip(&self.steps) {
            if self.journal.is_verified(number) {
                continue;
            }
            let checked = if step.action == Action::Fill { &step.targets } else { &step.owners };
            for &owner in checked {
                let holders = step.sources.iter().copied().filter(|&holder| holder != owner);
                tasks.extend(holders.map(|holder| (number, owner, holder)));
            }
        }
        tasks
    }

    /// Compares every owner with every holder; what is proved goes into the journal, and what is lacking.
    pub(crate) async fn verify(
        &mut self,
        manner: &Manner,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Tally, Failure> {
        let tasks = self.to_verify();
        let view = manner.view(self.header.since);
        let batches = batches::gather(tasks.iter().copied(), &self.steps);
        let mut done = compare_all(&self.fleet, batches, view);
        let (mut tally, mut finished) = (Tally::default(), 0);
        let mut unproved: HashSet<u32> = HashSet::new();
        while let Some((batch, outcome)) = done.recv().await {
            finished += batch.steps.len() as u64;
            let verdicts = Verdicts::of(&self.fleet, &batch, outcome);
            unproved.extend(verdicts.unproved.iter());
            tally.faults.extend(verdicts.faults);
            let (node, source) = (batch.target, batch.source);
            let differs = |&step: &u32| Record::Differs { step, node, source };
            self.journal.add(&verdicts.lacking.iter().map(differs).collect::<Vec<_>>())?;
            progress(finished, tasks.len() as u64);
        }
        let looked_at: BTreeSet<u32> = tasks.iter().map(|task| task.0).collect();
        let proved = looked_at.iter().filter(|step| !unproved.contains(step));
        let records: Vec<Record> = proved.map(|&step| Record::Verified { step }).collect();
        tally.add("verified", records.len() as u64);
        tally.add("unproved", unproved.len() as u64);
        self.journal.add(&records)?;
        Ok(tally)
    }

    /// What may go: step and node, of verified steps that are not in the trash yet.
    pub(crate) fn to_reap(&self) -> Vec<(u32, u16)> {
        let steps = (0..).zip(&self.steps).filter(|(number, _)| self.journal.is_verified(*number));
        let drops =
            steps.flat_map(|(number, step)| step.drop.iter().map(move |&node| (number, node)));
        drops.filter(|&(step, node)| !self.journal.is_trashed(step, node)).collect()
    }

    /// Steps with something to give up that are not verified.
    pub(crate) fn unverified(&self) -> usize {
        let steps = (0..).zip(&self.steps);
        steps
            .filter(|(number, step)| !step.drop.is_empty() && !self.journal.is_verified(*number))
            .count()
    }

    /// Has every owner compared once more with who gives the series up, then puts the files into the trash.
    pub(crate) async fn reap(
        &mut self,
        manner: &Manner,
        date: &str,
        away: &Away,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Tally, Failure> {
        let (mut tally, mut finished) = (Tally::default(), 0);
        // For each node that gives up; the batches' source is beside the point.
        let tasks = self.to_reap().into_iter().map(|(step, node)| (step, node, node)).collect();
        let tasks = tally.leave(&self.fleet, away, tasks);
        let nodes: BTreeSet<u16> = tasks.iter().map(|task| task.1).collect();
        let names: Vec<&str> = nodes.iter().map(|&node| self.fleet.name(node)).collect();
        wait_for_relays(&self.header.relays, &names).await?;
        let leases =
            Leases::take(&self.fleet, &self.header.id, nodes.into_iter().collect()).await?;
        for batch in batches::gather(tasks.iter().copied(), &self.steps) {
            let proved = self.prove(&batch, manner, &mut tally).await?;
            let names: Vec<String> =
                proved.iter().map(|&step| self.steps[step as usize].name.to_string()).collect();
            let holder = leases.holder.clone();
            let request = TrashRequest { holder, date: date.to_owned(), names };
            let node = batch.target;
            let client = self.fleet.client(node);
            let reply = client.post_json("/admin/moves/trash", &request, BATCH_WAIT).await;
            match reply {
                Ok(TrashReply { trashed }) => {
                    tally.add("trashed", trashed);
                    tally.add("gone", proved.len() as u64 - trashed.min(proved.len() as u64));
                    let record = |step| Record::Trashed { step, node };
                    self.journal.add(&proved.into_iter().map(record).collect::<Vec<_>>())?;
                }
                Err(error) => tally.faults.push(error.to_string()),
            }
            finished += batch.steps.len() as u64;
            progress(finished, tasks.len() as u64);
        }
        leases.end().await;
        Ok(tally)
    }

    /// The steps of a batch whose owners all have what its node has, at this moment.
    async fn prove(
        &mut self,
        batch: &Batch,
        manner: &Manner,
        tally: &mut Tally,
    ) -> Result<Vec<u32>, Failure> {
        let giver = batch.target;
        let of_step = |&step: &u32| {
            let owners = self.steps[step as usize].owners.iter();
            owners.map(move |&owner| (step, owner, giver)).collect::<Vec<_>>()
        };
        let batches = batches::gather(batch.steps.iter().flat_map(of_step), &self.steps);
        let mut done = compare_all(&self.fleet, batches, manner.view(None));
        let mut proved: BTreeSet<u32> = batch.steps.iter().copied().collect();
        while let Some((batch, outcome)) = done.recv().await {
            let verdicts = Verdicts::of(&self.fleet, &batch, outcome);
            proved.retain(|step| !verdicts.unproved.contains(step));
            tally.add("unproved", verdicts.unproved.len() as u64);
            tally.faults.extend(verdicts.faults);
            let (node, source) = (batch.target, batch.source);
            let differs = |&step: &u32| Record::Differs { step, node, source };
            self.journal.add(&verdicts.refuted.iter().map(differs).collect::<Vec<_>>())?;
        }
        Ok(proved.into_iter().collect())
    }
}

type FetchedBatches = tokio::sync::mpsc::Receiver<(Batch, Result<FetchReply, RemoteError>)>;

/// Has each batch's target take over what its source has; with a view, only what differs there.
pub(crate) fn fetch_all(
    fleet: &Arc<Fleet>,
    batches: Vec<Batch>,
    manner: Manner,
    holder: String,
    view: Option<View>,
) -> FetchedBatches {
    let (fleet, manner) = (Arc::clone(fleet), Arc::new(manner));
    batches::run(batches, move |batch| {
        let (fleet, manner) = (Arc::clone(&fleet), Arc::clone(&manner));
        let fetch = Fetch { fleet, manner, holder: holder.clone(), view };
        async move { fetch.run(batch).await }
    })
}

/// One batch on its way from node to node.
struct Fetch {
    fleet: Arc<Fleet>,
    manner: Arc<Manner>,
    holder: String,
    view: Option<View>,
}

impl Fetch {
    /// Asks until nothing is left, or for long enough.
    async fn run(self, batch: Batch) -> Result<FetchReply, RemoteError> {
        let mut names = batch.names;
        let mut whole = FetchReply { series: Vec::new(), bytes: 0 };
        for attempt in 1..=TRIES {
            self.manner.pace.wait(batch.bytes, names.len() as u64).await;
            let source = self.fleet.admin(batch.source).to_owned();
            let request =
                FetchRequest { holder: self.holder.clone(), source, names, view: self.view };
            let client = self.fleet.client(batch.target);
            let reply: FetchReply =
                client.post_json("/admin/moves/fetch", &request, BATCH_WAIT).await?;
            whole.bytes += reply.bytes;
            let is_last = attempt == TRIES;
            let (left, done): (Vec<_>, Vec<_>) = reply
                .series
                .into_iter()
                .partition(|one| one.outcome == FetchOutcome::Left && !is_last);
            whole.series.extend(done);
            if left.is_empty() {
                break;
            }
            names = left.into_iter().map(|one| one.name).collect();
            tokio::time::sleep(TRY_REST).await;
        }
        Ok(whole)
    }
}

type Compared = tokio::sync::mpsc::Receiver<(Batch, Result<CompareReply, RemoteError>)>;

/// Has each batch's target compare itself with its source.
pub(crate) fn compare_all(fleet: &Arc<Fleet>, batches: Vec<Batch>, view: View) -> Compared {
    let fleet = Arc::clone(fleet);
    batches::run(batches, move |batch| {
        let fleet = Arc::clone(&fleet);
        async move {
            let source = fleet.admin(batch.source).to_owned();
            let request = CompareRequest { source, names: batch.names, view };
            fleet.client(batch.target).post_json("/admin/moves/compare", &request, BATCH_WAIT).await
        }
    })
}

/// What a comparison says about the steps of a batch.
#[derive(Default)]
struct Verdicts {
    /// The target lacks something that can be fetched.
    lacking: Vec<u32>,
    /// Compared, and found not to be proof.
    refuted: Vec<u32>,
    /// Not proved, for whatever reason.
    unproved: Vec<u32>,
    faults: Vec<String>,
}

impl Verdicts {
    fn of(fleet: &Fleet, batch: &Batch, outcome: Result<CompareReply, RemoteError>) -> Self {
        let mut verdicts = Self::default();
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) => {
                verdicts.unproved.extend(&batch.steps);
                verdicts.faults.push(error.to_string());
                return verdicts;
            }
        };
        let mut states: BTreeMap<String, _> =
            reply.series.into_iter().map(|one| (one.name.clone(), one)).collect();
        for (&step, name) in batch.steps.iter().zip(&batch.names) {
            let found = states.remove(name);
            if found.as_ref().is_some_and(|one| one.state.proves()) {
                continue;
            }
            verdicts.unproved.push(step);
            verdicts.refuted.push(step);
            let (target, source) = (fleet.name(batch.target), fleet.name(batch.source));
            let problem = match found {
                Some(one) if one.state == Comparison::Missing => {
                    verdicts.lacking.push(step);
                    format!("is not on {target}")
                }
                Some(one) if one.state == Comparison::Differs => {
                    if one.lacking > 0 {
                        verdicts.lacking.push(step);
                    }
                    let (lacking, other) = (one.lacking, one.conflicting);
                    format!("{target} lacks {lacking} points of {source} and has {other} others")
                }
                _ => format!("cannot be read on {target} or {source}"),
            };
            verdicts.faults.push(format!("{name}: {problem}"));
        }
        verdicts
    }
}
