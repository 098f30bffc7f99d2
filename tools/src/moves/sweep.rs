//! Whether the owners of each series hold the same, and making it so.
//!
//! Series with the same owners are asked for together: where one digest of all of them is equal, that was all. A cluster
//! as a whole is compared by `summaries`, which come here for the series that differ.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use remote::RemoteError;
use ring::Ring;
use wire::moves::{DigestReply, DigestRequest, View};

use super::batches::{self, Batch};
use super::fleet::Fleet;
use super::holdings::{Holdings, Series};
use super::plan::{Action, Step};

/// Most series of which one digest is asked for.
const SERIES_MAX: usize = 500;

/// How long a node may take for it.
const WAIT: Duration = Duration::from_secs(300);

/// Which series are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// Only those that this node owns.
    pub(crate) node: Option<u16>,
    /// Only every so-manieth.
    pub(crate) one_in: usize,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Series that were looked at.
    pub(crate) looked_at: u64,
    /// Of these, how many were compared one by one.
    pub(crate) compared: u64,
    /// Series that are not everywhere where they belong, and where they are.
    pub(crate) lacking: Vec<Step>,
    /// Series on nodes that do not own them.
    pub(crate) strays: Vec<(String, u16)>,
    /// Series of which the owners hold different points.
    pub(crate) differing: Vec<Step>,
    /// Nodes that did not answer.
    pub(crate) faults: Vec<RemoteError>,
}

impl Findings {
    /// What to fetch so that all owners hold the same: step, target, source.
    pub(crate) fn tasks(&self) -> (Vec<Step>, Vec<(u32, u16, u16)>) {
        let steps: Vec<Step> = self.lacking.iter().chain(&self.differing).cloned().collect();
        let pairs = |(number, step): (u32, &Step)| {
            let of = |&target: &u16| {
                let sources = step.sources.iter().filter(move |source| **source != target);
                sources.map(move |&source| (number, target, source)).collect::<Vec<_>>()
            };
            step.targets.iter().flat_map(of).collect::<Vec<_>>()
        };
        let tasks = (0..).zip(&steps).flat_map(pairs).collect();
        (steps, tasks)
    }
}

/// Series that all their owners hold, by these.
pub(super) type Groups = BTreeMap<Vec<u16>, Vec<Step>>;

/// Compares all owners of all series, one by one.
pub(crate) async fn sweep(
    fleet: &Arc<Fleet>,
    ring: &Ring,
    holdings: &Holdings,
    scope: Scope,
    view: View,
) -> Findings {
    let mut findings = Findings::default();
    let mut groups = Groups::new();
    for series in holdings.series().step_by(scope.one_in.max(1)) {
        let owners = ring.owners(series.name.as_bytes()).to_vec();
        if scope.node.is_none_or(|node| owners.contains(&node)) {
            findings.place(series, owners, &mut groups);
        }
    }
    findings.compare(fleet, groups, view).await;
    findings
}

impl Findings {
    /// Notes where a series is that is not where it belongs; the others go to a group.
    pub(super) fn place(&mut self, series: Series<'_>, owners: Vec<u16>, groups: &mut Groups) {
        self.looked_at += 1;
        let stray = series.holders.iter().copied().filter(|holder| !owners.contains(holder));
        self.strays.extend(stray.map(|node| (series.name.to_owned(), node)));
        let lacking: Vec<u16> =
            owners.iter().copied().filter(|owner| !series.holders.contains(owner)).collect();
        let is_whole = lacking.is_empty();
        let step = Step {
            name: series.name.into(),
            action: if is_whole { Action::Fill } else { Action::Copy },
            sources: if is_whole { owners.clone() } else { series.holders },
            targets: if is_whole { owners.clone() } else { lacking },
            owners: owners.clone(),
            drop: Vec::new(),
            bytes: series.bytes,
        };
        if is_whole {
            groups.entry(owners).or_default().push(step);
        } else {
            self.lacking.push(step);
        }
    }

    /// Compares what the owners of each group hold.
    pub(super) async fn compare(&mut self, fleet: &Arc<Fleet>, groups: Groups, view: View) {
        for (owners, steps) in groups.into_iter().filter(|(owners, _)| owners.len() > 1) {
            for part in steps.chunks(SERIES_MAX) {
                self.compared += part.len() as u64;
                match differing(fleet, &owners, part, view).await {
                    Ok(steps) => self.differing.extend(steps),
                    Err(error) => self.faults.push(error),
                }
            }
        }
    }
}

/// The series of which not all owners hold the same.
async fn differing(
    fleet: &Arc<Fleet>,
    owners: &[u16],
    steps: &[Step],
    view: View,
) -> Result<Vec<Step>, RemoteError> {
    let together = digests(fleet, owners, steps, view, false).await?;
    if together.windows(2).all(|pair| pair[0].all == pair[1].all) {
        return Ok(Vec::new());
    }
    let each = digests(fleet, owners, steps, view, true).await?;
    let differs =
        |at: usize| each.windows(2).any(|pair| pair[0].series.get(at) != pair[1].series.get(at));
    let steps = steps.iter().enumerate().filter(|(at, _)| differs(*at));
    Ok(steps.map(|(_, step)| step.clone()).collect())
}

/// What each owner says, in their order; they are asked side by side.
async fn digests(
    fleet: &Arc<Fleet>,
    owners: &[u16],
    steps: &[Step],
    view: View,
    each: bool,
) -> Result<Vec<DigestReply>, RemoteError> {
    let of_owner = |&target: &u16| Batch {
        target,
        source: target,
        steps: Vec::new(),
        names: steps.iter().map(|step| step.name.to_string()).collect(),
        bytes: 0,
    };
    let fleet = Arc::clone(fleet);
    let mut answers = batches::run(owners.iter().map(of_owner).collect(), move |batch| {
        let fleet = Arc::clone(&fleet);
        async move {
            let request = DigestRequest { names: batch.names, view, each };
            fleet.client(batch.target).post_json("/admin/moves/digests", &request, WAIT).await
        }
    });
    let mut replies = BTreeMap::new();
    while let Some((batch, reply)) = answers.recv().await {
        replies.insert(batch.target, reply?);
    }
    Ok(owners.iter().filter_map(|owner| replies.remove(owner)).collect())
}
