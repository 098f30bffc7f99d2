//! Fetching series: exact names from their owners, patterns from everyone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metric::{Glob, SeriesData};
use remote::{Deadline, FetchReply, FetchRequest, Target};
use tokio::task::JoinSet;

use super::{Tally, View};
use crate::failure::Failure;
use crate::fan_out::{Breadth, Gathered, gather, patience};
use crate::merge::merge_series;
use crate::node::Kind;
use crate::topology::Group;

/// So many slots before now may still be empty because their points are on the way. A window that
/// ended earlier has none: there every empty slot may be a gap.
const OPEN_SLOTS: i64 = 2;

/// What some targets got: from the owners of all of them, or from everyone.
struct Part {
    gathered: Gathered<FetchReply>,
    /// Copies read to fill gaps.
    further: Vec<(usize, FetchReply)>,
}

impl View {
    /// Fetches series over one window, in the order of the targets and by name.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        mut request: FetchRequest,
        deadline: &Deadline,
    ) -> Result<(Vec<SeriesData>, Tally), Failure> {
        request.plan.ring_fingerprint = self.topology.fingerprint();
        // Of targets with the same expression the first one's place counts.
        let places = request.targets.iter().enumerate().rev();
        let ranks: BTreeMap<String, usize> =
            places.map(|(place, target)| (target.path_expression.clone(), place)).collect();
        let mut parts = JoinSet::new();
        for (groups, targets) in self.batches(request.targets) {
            let (window, plan) = (request.window, request.plan.clone());
            let request = Arc::new(FetchRequest { targets, window, plan });
            let (view, deadline) = (Arc::clone(self), deadline.clone());
            parts.spawn(async move { view.fetch_part(request, groups, &deadline).await });
        }
        let mut tally = Tally::default();
        let (mut refusal, mut answered) = (None, false);
        let mut copies: BTreeMap<(usize, String, String), Vec<(usize, SeriesData)>> =
            BTreeMap::new();
        while let Some(part) = parts.join_next().await {
            // A panic goes on in the request's own task, which answers 500.
            let part = part.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            match tally.add(self, &part.gathered) {
                Ok(()) => answered = true,
                Err(failure) => refusal = Failure::worse(refusal, failure),
            }
            for (node, reply) in part.gathered.answers.into_iter().chain(part.further) {
                tally.add_meta(self, node, reply.meta.as_ref());
                for series in reply.series {
                    let rank = ranks.get(&series.path_expression).copied().unwrap_or(usize::MAX);
                    let key = (rank, series.path_expression.clone(), series.name.clone());
                    copies.entry(key).or_default().push((node, series));
                }
            }
        }
        if let Some(refusal) = refusal.filter(|_| !answered) {
            return Err(refusal);
        }
        self.within("series_max", copies.len(), self.limits.series_max)?;
        let series = self.merge_all(copies, &mut tally)?;
        Ok((series, tally))
    }

    /// Targets with the groups that must answer them; `None` for what all nodes are asked.
    fn batches(&self, targets: Vec<Target>) -> BTreeMap<Option<Vec<Group>>, Vec<Target>> {
        let mut batches: BTreeMap<_, Vec<Target>> = BTreeMap::new();
        for target in targets {
            // `seriesByTag(…)` has no character of a pattern, yet means many names.
            let call = target.pattern.contains('(') && !metric::tags::is_tagged(&target.pattern);
            let glob = Glob::compile(&target.pattern).ok().filter(|_| !call);
            let exact = glob.as_ref().and_then(Glob::exact);
            let groups = exact.map(|name| self.topology.owner_groups(name));
            batches.entry(groups).or_default().push(target);
        }
        batches
    }

    async fn fetch_part(
        &self,
        request: Arc<FetchRequest>,
        groups: Option<Vec<Group>>,
        deadline: &Deadline,
    ) -> Part {
        let Some(groups) = groups else {
            let gathered = self.ask(&request, None, deadline).await;
            return Part { gathered, further: Vec::new() };
        };
        let began = self.context.clock.monotonic();
        let gathered = self.ask(&request, Some(&groups), deadline).await;
        let further = self.fill_gaps(&request, &groups, &gathered, began, deadline).await;
        Part { gathered, further }
    }

    async fn ask(
        &self,
        request: &Arc<FetchRequest>,
        groups: Option<&[Group]>,
        deadline: &Deadline,
    ) -> Gathered<FetchReply> {
        let breadth = if groups.is_some() { Breadth::Owners } else { Breadth::Everyone };
        let groups = groups.unwrap_or_else(|| self.topology.everything());
        let manner = self.manner(Kind::Render, breadth, deadline);
        gather(&self.nodes, groups, manner, |node, deadline| {
            let request = Arc::clone(request);
            async move { node.client.fetch(&request, &deadline).await }
        })
        .await
    }

    /// Reads what has gaps, or was not there at all, from the owners that did not answer: one of
    /// them may have been up when the first was not. It may have been asked before, as a hedge that
    /// was overtaken. Who does not answer soon is left out.
    async fn fill_gaps(
        &self,
        request: &FetchRequest,
        groups: &[Group],
        gathered: &Gathered<FetchReply>,
        began: Duration,
        deadline: &Deadline,
    ) -> Vec<(usize, FetchReply)> {
        let now = self.context.clock.monotonic();
        let usable = |node: &usize| {
            let answered = gathered.answers.iter().any(|(answered, _)| answered == node);
            !answered && !self.nodes[*node].health.is_suspect(now)
        };
        let others = groups.iter().map(|group| group.iter().copied().filter(usable).collect());
        let others: Vec<Group> = others.filter(|group: &Group| !group.is_empty()).collect();
        let targets = with_gaps(request, gathered);
        if others.is_empty() || targets.is_empty() || gathered.answers.is_empty() {
            return Vec::new();
        }
        let count = u64::try_from(targets.len()).unwrap_or(u64::MAX);
        self.context.metrics.counter("plumbago_zipper_gap_reads_total").add(count);
        let (window, plan) = (request.window, request.plan.clone());
        let request = Arc::new(FetchRequest { targets, window, plan });
        let usual = others.iter().flatten().map(|&node| self.nodes[node].p95(Kind::Render)).max();
        let delay: Duration = usual.unwrap_or_default().max(self.hedge_delay_min);
        let deadline = deadline.clone().within(patience(delay, now.saturating_sub(began)));
        self.ask(&request, Some(&others), &deadline).await.answers
    }

    fn merge_all(
        &self,
        copies: BTreeMap<(usize, String, String), Vec<(usize, SeriesData)>>,
        tally: &mut Tally,
    ) -> Result<Vec<SeriesData>, Failure> {
        let (mut merged, mut points, mut divergent) = (Vec::with_capacity(copies.len()), 0, 0);
        for ((_, _, name), mut copies) in copies {
            if copies.len() > 1 {
                let order = self.topology.order(&name);
                copies.sort_by_key(|(node, _)| order.iter().position(|other| other == node));
            }
            let copies = copies.into_iter().map(|(_, series)| series).collect();
            let Some(one) = merge_series(copies) else { continue };
            if !one.steps.is_empty() {
                let steps: Vec<String> = one.steps.iter().map(i64::to_string).collect();
                let (steps, taken) = (steps.join(" and "), one.series.step);
                tally.note(format!("{name}: copies with steps {steps}, {taken} was taken"));
            }
            divergent += one.divergent;
            points += one.series.values.len();
            self.within("points_max", points, self.limits.points_max)?;
            merged.push(one.series);
        }
        self.context.metrics.counter("plumbago_zipper_divergent_points_total").add(divergent);
        tally.divergent_points = tally.divergent_points.saturating_add(divergent);
        Ok(merged)
    }
}

/// The targets of which no answer has a series without gaps.
fn with_gaps(request: &FetchRequest, gathered: &Gathered<FetchReply>) -> Vec<Target> {
    let now = request.plan.now;
    let series = || gathered.answers.iter().flat_map(|(_, reply)| &reply.series);
    let whole = |target: &Target| {
        series().any(|one| one.path_expression == target.path_expression && !has_gaps(one, now))
    };
    request.targets.iter().filter(|target| !whole(target)).cloned().collect()
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
