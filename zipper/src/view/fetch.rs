//! Fetching series: exact names from their owners, patterns from everyone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metric::{Glob, SeriesData};
use remote::{Deadline, FetchReply, FetchRequest, FetchStream, Target};
use tokio::task::JoinSet;
use wire::pb_v3::Hole;

use super::births::Births;
use super::merging::{Copies, Merging, Ranks};
use super::tally::is_refilled;
use super::{Tally, View};
use crate::failure::Failure;
use crate::fan_out::{Breadth, Gathered, gather, patience};
use crate::merge::{Replica, merge_series};
use crate::node::Kind;
use crate::topology::Group;

/// So many slots before now may still be empty because their points are on the way. A window that
/// ended earlier has none: there every empty slot may be a gap.
const OPEN_SLOTS: i64 = 2;

/// What exact names with the same owners got.
struct Part {
    groups: Vec<Group>,
    births: Option<Births>,
    gathered: Gathered<FetchReply>,
    /// Copies read because the first ones may lack points.
    further: Vec<(usize, FetchReply)>,
}

/// What has come of all parts of a request.
#[derive(Default)]
struct Found {
    copies: Copies,
    tally: Tally,
    /// Why a part got no answer.
    refusal: Option<Failure>,
    is_answered: bool,
}

impl Found {
    fn add<T>(&mut self, view: &View, gathered: &Gathered<T>) {
        match self.tally.add(view, gathered) {
            Ok(()) => self.is_answered = true,
            Err(failure) => self.refusal = Failure::worse(self.refusal.take(), failure),
        }
    }

    fn add_part(&mut self, view: &View, part: Part, ranks: &Ranks, now: i64) {
        let Part { groups, births, gathered, further } = part;
        let replies: Vec<_> = gathered.answers.into_iter().chain(further).collect();
        let holes_of: Vec<(usize, &[Hole])> =
            replies.iter().map(|(node, reply)| (*node, holes(reply))).collect();
        self.tally.add_unproven(&groups, &holes_of, births.as_ref(), now);
        let answered: Vec<usize> = replies.iter().map(|(node, _)| *node).collect();
        let mut copies = Copies::new();
        for (node, reply) in replies {
            self.tally.add_meta(view, node, reply.meta.as_ref());
            let holes: Arc<[Hole]> = holes(&reply).into();
            for series in reply.series {
                let rank = ranks.get(&series.path_expression).copied().unwrap_or(usize::MAX);
                let key = (rank, series.path_expression.clone(), series.name.clone());
                let holes = Arc::clone(&holes);
                copies.entry(key).or_default().push(Replica { node, series, holes });
            }
        }
        if let Some(births) = births {
            let is_heard = |node| answered.contains(&node);
            copies.values_mut().for_each(|copies| births.add_holes(&groups, is_heard, copies));
        }
        self.copies.extend(copies);
    }
}

impl View {
    /// Fetches series over one window, in the order of the targets and by name.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        mut request: FetchRequest,
        deadline: &Deadline,
    ) -> Result<(Merging, Tally), Failure> {
        request.plan.ring_fingerprint = self.topology.fingerprint();
        let now = request.plan.now;
        // Of targets with the same expression the first one's place counts.
        let places = request.targets.iter().enumerate().rev();
        let ranks: Ranks =
            places.map(|(place, target)| (target.path_expression.clone(), place)).collect();
        let is_ordered = ranks.len() == request.targets.len();
        let (exact, patterns) = self.batches(request.targets);
        let (window, plan) = (request.window, request.plan);
        let of = |targets| Arc::new(FetchRequest { targets, window, plan: plan.clone() });
        let mut parts = JoinSet::new();
        for (groups, targets) in exact {
            let (view, request, deadline) = (Arc::clone(self), of(targets), deadline.clone());
            parts.spawn(async move { view.fetch_part(request, groups, &deadline).await });
        }
        let mut found = Found::default();
        let mut streams = Vec::new();
        if !patterns.is_empty() {
            let gathered = self.ask_everyone(&of(patterns), deadline).await;
            found.add(self, &gathered);
            let holes: Vec<(usize, &[Hole])> =
                gathered.answers.iter().map(|(node, stream)| (*node, stream.holes())).collect();
            let births = self.births(window, now);
            let everything = self.topology.everything();
            found.tally.add_unproven(everything, &holes, births.as_ref(), now);
            streams = gathered.answers;
        }
        while let Some(part) = parts.join_next().await {
            // A panic goes on in the request's own task, which answers 500.
            let part = part.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            found.add(self, &part.gathered);
            found.add_part(self, part, &ranks, now);
        }
        if let Some(refusal) = found.refusal.filter(|_| !found.is_answered) {
            return Err(refusal);
        }
        let (mut tally, order) = (found.tally, (ranks, is_ordered));
        let (view, deadline) = (Arc::clone(self), deadline.clone());
        let births = self.births(window, now);
        let parts = (found.copies, streams);
        let merging = Merging::new(view, order, parts, births, deadline, &mut tally).await;
        Ok((merging, tally))
    }

    /// Exact names with the groups that must answer them, and what all nodes are asked.
    fn batches(&self, targets: Vec<Target>) -> (BTreeMap<Vec<Group>, Vec<Target>>, Vec<Target>) {
        let (mut batches, mut patterns) = (BTreeMap::<_, Vec<Target>>::new(), Vec::new());
        for target in targets {
            // `seriesByTag(…)` has no character of a pattern, yet means many names.
            let call = target.pattern.contains('(') && !metric::tags::is_tagged(&target.pattern);
            let glob = Glob::compile(&target.pattern).ok().filter(|_| !call);
            let exact = glob.as_ref().and_then(Glob::exact);
            match exact.map(|name| self.topology.owner_groups(name)) {
                Some(groups) => batches.entry(groups).or_default().push(target),
                None => patterns.push(target),
            }
        }
        (batches, patterns)
    }

    async fn fetch_part(
        &self,
        request: Arc<FetchRequest>,
        groups: Vec<Group>,
        deadline: &Deadline,
    ) -> Part {
        let began = self.context.clock.monotonic();
        let (window, now) = (request.window, request.plan.now);
        let mut first = groups.clone();
        if let Some(births) = self.births(window, now) {
            births.sort(&mut first);
        }
        let gathered = self.ask_owners(&request, &first, deadline).await;
        // Some may have been heard for the first time.
        let births = self.births(window, now);
        let whole = Whole { groups: &groups, births: births.as_ref(), now };
        let further = self.read_further(&request, &whole, &gathered, began, deadline).await;
        Part { groups, births, gathered, further }
    }

    async fn ask_owners(
        &self,
        request: &Arc<FetchRequest>,
        groups: &[Group],
        deadline: &Deadline,
    ) -> Gathered<FetchReply> {
        let manner = self.manner(Kind::Render, Breadth::Owners, deadline);
        gather(
            &self.nodes,
            groups,
            manner,
            |_, _| true,
            |node, deadline| {
                let request = Arc::clone(request);
                async move { node.client.fetch(&request, &deadline).await }
            },
        )
        .await
    }

    async fn ask_everyone(
        &self,
        request: &Arc<FetchRequest>,
        deadline: &Deadline,
    ) -> Gathered<FetchStream> {
        // A node of ours that missed nothing leaves nothing for others to add.
        let (window, now, count) = (request.window, request.plan.now, self.nodes.len());
        let is_sure = |node: usize, stream: &FetchStream| {
            let births = self.births(window, now);
            let is_younger = births.is_some_and(|births| births.doubts(node, 0..count));
            stream.is_ordered() && stream.holes().is_empty() && !is_younger
        };
        let manner = self.manner(Kind::Render, Breadth::Everyone, deadline);
        gather(&self.nodes, self.topology.everything(), manner, is_sure, |node, deadline| {
            let request = Arc::clone(request);
            async move { node.client.fetch_stream(&request, &deadline).await }
        })
        .await
    }

    /// Reads what may lack points, or was not there at all, from the owners that did not answer: one
    /// of them may have been up when the first was not. It may have been asked before, as a hedge
    /// that was overtaken. Who does not answer soon is left out.
    async fn read_further(
        &self,
        request: &FetchRequest,
        whole: &Whole<'_>,
        gathered: &Gathered<FetchReply>,
        began: Duration,
        deadline: &Deadline,
    ) -> Vec<(usize, FetchReply)> {
        let usable = |node: &usize| {
            let answered = gathered.answers.iter().any(|(answered, _)| answered == node);
            !answered && !self.nodes[*node].health.is_suspect()
        };
        let groups = whole.groups.iter();
        let others = groups.map(|group| group.iter().copied().filter(usable).collect());
        let others: Vec<Group> = others.filter(|group: &Group| !group.is_empty()).collect();
        let targets = whole.lacking(request, gathered);
        if others.is_empty() || targets.is_empty() || gathered.answers.is_empty() {
            return Vec::new();
        }
        let count = u64::try_from(targets.len()).unwrap_or(u64::MAX);
        self.context.metrics.counter("plumbago_zipper_gap_reads_total").add(count);
        let (window, plan) = (request.window, request.plan.clone());
        let request = Arc::new(FetchRequest { targets, window, plan });
        let usual = others.iter().flatten().map(|&node| self.nodes[node].p95(Kind::Render)).max();
        let delay: Duration = usual.unwrap_or_default().max(self.hedge_delay_min);
        let deadline = deadline
            .clone()
            .within(patience(delay, self.context.clock.monotonic().saturating_sub(began)));
        self.ask_owners(&request, &others, &deadline).await.answers
    }

    /// The copies of one series as one, with what there is to say of them.
    pub(super) fn merge_one(
        &self,
        name: &str,
        copies: Vec<Replica>,
        tally: &mut Tally,
    ) -> Option<SeriesData> {
        let order = if copies.len() > 1 { self.topology.order(name) } else { Vec::new() };
        let holders: Vec<usize> =
            copies.iter().filter(|copy| !copy.holes.is_empty()).map(|copy| copy.node).collect();
        let merged = merge_series(copies, &order)?;
        let series = merged.series;
        if !merged.steps.is_empty() {
            let steps: Vec<String> = merged.steps.iter().map(i64::to_string).collect();
            let (steps, taken) = (steps.join(" and "), series.step);
            tally.note(format!("{name}: copies with steps {steps}, {taken} was taken"));
        }
        if merged.unfilled > 0 {
            tally.add_unfilled(self, &holders, name);
        }
        for divergence in &merged.divergences {
            tally.divergent_points = tally.divergent_points.saturating_add(divergence.slots);
            let (one, two) = divergence.nodes;
            let nodes = (self.nodes[one].name.as_str(), self.nodes[two].name.as_str());
            self.divergences.add(&series, nodes, divergence);
        }
        Some(series)
    }
}

/// When the node may have missed points of what was asked for.
fn holes(reply: &FetchReply) -> &[Hole] {
    reply.meta.as_ref().map_or(&[], |meta| &meta.holes)
}

/// What a series of an exact name must be like to need no other copy.
struct Whole<'a> {
    groups: &'a [Group],
    births: Option<&'a Births>,
    now: i64,
}

impl Whole<'_> {
    /// The targets of which no answer has a series that is known to be whole.
    fn lacking(&self, request: &FetchRequest, gathered: &Gathered<FetchReply>) -> Vec<Target> {
        let is_found = |target: &Target| {
            gathered.answers.iter().any(|(node, reply)| {
                let mut series = reply.series.iter();
                series.any(|one| {
                    one.path_expression == target.path_expression && self.holds(*node, one, reply)
                })
            })
        };
        request.targets.iter().filter(|target| !is_found(target)).cloned().collect()
    }

    /// A node that sends meta knows when it may have missed points. Of others an empty slot may be one.
    fn holds(&self, node: usize, series: &SeriesData, reply: &FetchReply) -> bool {
        if reply.meta.is_none() {
            return !has_gaps(series, self.now);
        }
        let mut groups = self.groups.iter().filter(|group| group.contains(&node));
        let is_younger =
            |births: &Births| groups.any(|group| births.doubts(node, group.iter().copied()));
        let touches = |hole: &Hole| hole.from_s < series.stop && hole.until_s > series.start;
        let is_missed = holes(reply).iter().any(touches);
        // What it is still given may be of any time.
        let is_refilled = is_refilled(holes(reply), self.now);
        let is_doubted = is_missed || is_refilled || self.births.is_some_and(is_younger);
        !series.values.is_empty() && !is_doubted
    }
}

fn has_gaps(series: &SeriesData, now: i64) -> bool {
    let step = series.step.max(1);
    let open_since = now.saturating_sub(step.saturating_mul(OPEN_SLOTS));
    let settled = open_since.saturating_sub(series.start).div_euclid(step).saturating_add(1);
    let settled = usize::try_from(settled).unwrap_or(0).min(series.values.len());
    series.values.is_empty() || series.values[..settled].iter().any(|value| value.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(values: &[f64], now: i64) -> bool {
        has_gaps(&SeriesData::new("a", 0, 60, values.to_vec()), now)
    }

    #[test]
    fn only_the_slots_before_now_may_be_empty_without_being_a_gap() {
        assert!(!gaps(&[1.0, 2.0, f64::NAN, f64::NAN], 239));
        assert!(!gaps(&[1.0, 2.0, f64::NAN, f64::NAN], 120), "slots to come are none either");
        assert!(gaps(&[1.0, f64::NAN, 2.0, 3.0], 239));
        assert!(gaps(&[f64::NAN, 1.0, 2.0, 3.0], 239));
        assert!(gaps(&[], 239));
    }

    #[test]
    fn the_last_slots_of_a_window_that_ended_long_ago_are_gaps_when_empty() {
        assert!(gaps(&[1.0, 2.0, 3.0, f64::NAN], 300));
        assert!(gaps(&[1.0, 2.0, f64::NAN, f64::NAN], 10_000));
        assert!(!gaps(&[1.0, 2.0, 3.0, 4.0], 10_000));
    }
}
