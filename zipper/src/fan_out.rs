//! Asking nodes, one deadline for all, until every group was answered by one of its nodes.
//!
//! With [`Breadth::Owners`] each group is asked one node at a time, the next one when the first is
//! silent for the hedge delay or fails. With [`Breadth::Everyone`] all nodes are asked at once,
//! except suspects that others can stand in for; once every group is answered the stragglers get
//! some [`patience`] to add what the others may lack, or little if those are sure that they lack
//! nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use remote::{Deadline, RemoteError};
use tokio::task::JoinSet;

use crate::budget::RetryBudget;
use crate::node::{Kind, Node, TIMEOUT_TELLING};
use crate::topology::Group;

/// A second copy is read for its points, not for an answer: it is waited for so many hedge delays.
const PATIENCE_DELAYS: u32 = 10;

/// For so many where those that answered are sure of what they have: then it only says which of two
/// values that differ is taken.
const PATIENCE_DELAYS_SURE: u32 = 2;

/// How long a second copy is waited for after the first has come, which took `elapsed`. What is
/// usual says little of a request that is larger than usual or of a busy moment: a node is given up
/// only when its silence tells, and is then suspect, so that the next request does not wait.
pub(crate) fn patience(hedge_delay: Duration, elapsed: Duration) -> Duration {
    hedge_delay.saturating_mul(PATIENCE_DELAYS).max(elapsed).max(TIMEOUT_TELLING)
}

/// Whom to ask first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// One node of each group, others as hedge.
    Owners,
    /// All nodes.
    Everyone,
}

/// What came back, by node in config order.
#[derive(Debug)]
pub(crate) struct Gathered<T> {
    pub(crate) answers: Vec<(usize, T)>,
    pub(crate) failures: Vec<(usize, RemoteError)>,
    /// Nodes asked.
    pub(crate) asked: Vec<usize>,
    /// The nodes of the groups without an answer.
    pub(crate) missing: Vec<usize>,
}

/// How to ask.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) kind: Kind,
    pub(crate) breadth: Breadth,
    pub(crate) hedge_delay_min: Duration,
    pub(crate) deadline: Deadline,
    pub(crate) retries: Arc<RetryBudget>,
    /// Nodes that are not asked, whoever else is silent.
    pub(crate) left_out: Vec<usize>,
}

#[derive(Debug)]
enum State<T> {
    Idle,
    Pending { since: Duration, suspect: bool },
    Answered(T),
    Failed(RemoteError),
}

type Joined<T> = (usize, Result<T, RemoteError>);

/// One question to some nodes, under way.
struct Round<'a, T, S, A> {
    nodes: &'a [Arc<Node>],
    groups: &'a [Group],
    manner: Manner,
    clock: Arc<dyn Clock>,
    is_sure: S,
    ask: A,
    states: Vec<State<T>>,
    running: JoinSet<Joined<T>>,
    began: Duration,
    /// When the next owners are asked.
    hedge_at: Duration,
    /// Since when nothing is awaited that is needed and likely to come.
    idle_since: Option<Duration>,
}

/// Asks nodes until every group has an answer, nobody is left to ask, or the time is up.
///
/// `is_sure` tells whether a node's answer lacks nothing that the node ever should have had.
pub(crate) async fn gather<T, S, A, F>(
    nodes: &[Arc<Node>],
    groups: &[Group],
    manner: Manner,
    is_sure: S,
    ask: A,
) -> Gathered<T>
where
    T: Send + 'static,
    S: Fn(usize, &T) -> bool,
    A: Fn(Arc<Node>, Deadline) -> F,
    F: Future<Output = Result<T, RemoteError>> + Send + 'static,
{
    let Some(node) = nodes.first() else {
        let (asked, missing) = (Vec::new(), Vec::new());
        return Gathered { answers: Vec::new(), failures: Vec::new(), asked, missing };
    };
    let clock = Arc::clone(node.client.clock());
    let began = clock.monotonic();
    let mut round = Round {
        nodes,
        groups,
        manner,
        clock,
        is_sure,
        ask,
        states: nodes.iter().map(|_| State::Idle).collect(),
        running: JoinSet::new(),
        began,
        hedge_at: Duration::ZERO,
        idle_since: None,
    };
    round.begin();
    while !round.is_over() {
        let wake = tokio::time::sleep(round.wait());
        tokio::select! {
            Some(joined) = round.running.join_next() => {
                // A panic in a request was logged; its node stays pending and counts as late.
                if let Ok(joined) = joined {
                    round.note(joined);
                }
                round.ask_unheard();
            }
            () = wake => round.hedge(),
        }
    }
    round.end()
}

impl<T, S, A, F> Round<'_, T, S, A>
where
    T: Send + 'static,
    S: Fn(usize, &T) -> bool,
    A: Fn(Arc<Node>, Deadline) -> F,
    F: Future<Output = Result<T, RemoteError>> + Send + 'static,
{
    fn begin(&mut self) {
        let now = self.clock.monotonic();
        for node in self.nodes.iter().filter(|node| node.health.is_probe_due(now)) {
            let node = Arc::clone(node);
            tokio::spawn(async move { node.probe().await });
        }
        if self.manner.breadth == Breadth::Everyone {
            for node in 0..self.nodes.len() {
                if !self.nodes[node].health.is_suspect() && self.is_idle(node) {
                    self.manner.retries.earn();
                    self.ask(node, now);
                }
            }
        }
        self.ask_unheard();
        self.set_hedge();
    }

    /// Asks one more node of each group that has nobody left who may answer.
    fn ask_unheard(&mut self) {
        let unheard = |group: &Group| {
            !group
                .iter()
                .any(|&n| matches!(self.states[n], State::Pending { .. } | State::Answered(_)))
        };
        let groups: Vec<usize> =
            (0..self.groups.len()).filter(|&group| unheard(&self.groups[group])).collect();
        self.ask_next(&groups);
    }

    /// The hedge delay has passed: one more node of each group without an answer.
    fn hedge(&mut self) {
        if self.clock.monotonic() < self.hedge_at {
            return;
        }
        let groups: Vec<usize> = (0..self.groups.len())
            .filter(|&group| !self.is_answered(&self.groups[group]))
            .collect();
        self.ask_next(&groups);
        self.set_hedge();
    }

    /// Asks one idle node of each of these groups, unless it would be a second try too many.
    fn ask_next(&mut self, groups: &[usize]) {
        let now = self.clock.monotonic();
        for &group in groups {
            let group = &self.groups[group];
            let is_first = group.iter().all(|&n| matches!(self.states[n], State::Idle));
            let refused = group.iter().any(
                |&n| matches!(&self.states[n], State::Failed(error) if error.kind.is_refusal()),
            );
            let Some(node) = self.next_of(group, now).filter(|_| !refused) else { continue };
            if is_first {
                self.manner.retries.earn();
            } else if self.manner.retries.spend() {
                self.nodes[node].hedges.inc();
            } else {
                self.nodes[node].hedges_refused.inc();
                continue;
            }
            self.ask(node, now);
        }
    }

    /// The first idle node of a group that takes its share of requests, suspects last.
    fn next_of(&self, group: &Group, now: Duration) -> Option<usize> {
        let idle = || group.iter().copied().filter(|&n| self.is_idle(n));
        let trusted: Vec<usize> = idle().filter(|&n| !self.nodes[n].health.is_suspect()).collect();
        let willing = |&n: &usize| self.nodes[n].health.takes_its_share(now);
        let others = if trusted.len() > 1 { trusted.iter().copied().find(willing) } else { None };
        others.or_else(|| trusted.first().copied()).or_else(|| idle().next())
    }

    /// Whether it has not been asked, and may be.
    fn is_idle(&self, node: usize) -> bool {
        matches!(self.states[node], State::Idle) && !self.manner.left_out.contains(&node)
    }

    fn ask(&mut self, index: usize, now: Duration) {
        let node = &self.nodes[index];
        let suspect = node.health.is_suspect();
        self.states[index] = State::Pending { since: now, suspect };
        let answer = (self.ask)(Arc::clone(node), self.manner.deadline.clone());
        self.running.spawn(async move { (index, answer.await) });
    }

    fn note(&mut self, (index, result): Joined<T>) {
        let now = self.clock.monotonic();
        let State::Pending { since, .. } = self.states[index] else { return };
        let node = &self.nodes[index];
        let took = now.saturating_sub(since);
        self.states[index] = match result {
            Ok(answer) => {
                node.answered(self.manner.kind, took, now);
                State::Answered(answer)
            }
            Err(error) => {
                node.failed(&error.kind, took, now);
                tracing::debug!(node = node.name, %error, "no answer");
                State::Failed(error)
            }
        };
    }

    fn is_answered(&self, group: &Group) -> bool {
        group.iter().any(|&node| matches!(self.states[node], State::Answered(_)))
    }

    /// Whether nobody can add anything to what has come.
    fn is_sure(&self) -> bool {
        let sure = |node: &usize| match &self.states[*node] {
            State::Answered(answer) => (self.is_sure)(*node, answer),
            _ => false,
        };
        self.groups.iter().all(|group| group.iter().any(sure))
    }

    fn is_complete(&self) -> bool {
        self.groups.iter().all(|group| self.is_answered(group))
    }

    /// Whether to stop waiting.
    fn is_over(&mut self) -> bool {
        let complete = self.is_complete();
        if self.running.is_empty() || self.time_left().is_zero() {
            return true;
        }
        let trusted_pending =
            self.states.iter().any(|state| matches!(state, State::Pending { suspect: false, .. }));
        if complete && (self.manner.breadth == Breadth::Owners || !trusted_pending) {
            return true;
        }
        let some_answered = self.states.iter().any(|state| matches!(state, State::Answered(_)));
        if !complete && (trusted_pending || !some_answered) {
            return false;
        }
        let now = self.clock.monotonic();
        let since = *self.idle_since.get_or_insert(now);
        now.saturating_sub(since) >= self.grace(since)
    }

    /// Until when nothing needs to be done unless an answer comes.
    fn wait(&self) -> Duration {
        let now = self.clock.monotonic();
        let grace = self.idle_since.map(|since| since.saturating_add(self.grace(since)));
        let has_idle = |group: &Group| group.iter().any(|&node| self.is_idle(node));
        let askable = |group: &Group| !self.is_answered(group) && has_idle(group);
        let hedge = self.groups.iter().any(askable).then_some(self.hedge_at);
        let next = [grace, hedge].into_iter().flatten().min();
        let wait = next.map_or(Duration::MAX, |next| next.saturating_sub(now));
        // Timers have whole milliseconds: one that is due must not spin.
        wait.max(Duration::from_millis(1)).min(self.time_left())
    }

    fn time_left(&self) -> Duration {
        self.manner.deadline.remaining()
    }

    /// How long to wait, from `since` on, for answers that are not needed or not likely to come.
    fn grace(&self, since: Duration) -> Duration {
        if !self.is_complete() {
            return self.hedge_delay();
        }
        let elapsed = since.saturating_sub(self.began);
        if self.is_sure() {
            return self.hedge_delay().saturating_mul(PATIENCE_DELAYS_SURE).max(elapsed);
        }
        patience(self.hedge_delay(), elapsed)
    }

    /// As long as the slowest of those asked mostly takes.
    fn hedge_delay(&self) -> Duration {
        let asked = self
            .nodes
            .iter()
            .zip(&self.states)
            .filter(|(_, state)| matches!(state, State::Pending { suspect: false, .. }));
        let p95 = asked.map(|(node, _)| node.p95(self.manner.kind)).max().unwrap_or_default();
        p95.max(self.manner.hedge_delay_min)
    }

    fn set_hedge(&mut self) {
        self.hedge_at = self.clock.monotonic().saturating_add(self.hedge_delay());
    }

    fn end(self) -> Gathered<T> {
        let now = self.clock.monotonic();
        let in_time = !self.time_left().is_zero();
        let mut missing: Vec<usize> = self
            .groups
            .iter()
            .filter(|group| !self.is_answered(group))
            .flatten()
            .copied()
            .collect();
        missing.sort_unstable();
        missing.dedup();
        let (mut answers, mut failures, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for (index, state) in self.states.into_iter().enumerate() {
            let node = &self.nodes[index];
            if !matches!(state, State::Idle) {
                asked.push(index);
            }
            match state {
                State::Idle => {}
                State::Answered(answer) => answers.push((index, answer)),
                State::Failed(error) => failures.push((index, error)),
                State::Pending { since, .. } => {
                    let took = now.saturating_sub(since);
                    let kind = remote::RemoteErrorKind::Timeout;
                    let usual = node.p95(self.manner.kind).max(self.manner.hedge_delay_min);
                    // One that was asked a moment ago is not late because another was quicker.
                    if in_time && took >= usual {
                        node.late(self.manner.kind, took, now);
                    } else if !in_time {
                        node.failed(&kind, took, now);
                    }
                    let endpoint = node.client.endpoint().clone();
                    failures.push((index, RemoteError { endpoint, kind }));
                }
            }
        }
        Gathered { answers, failures, asked, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_waited_for_at_least_as_long_as_the_first_answer_took() {
        let ms = Duration::from_millis;
        assert_eq!(patience(ms(20), ms(3)), ms(1000), "a busy moment leaves no gaps");
        assert_eq!(patience(ms(300), ms(3)), ms(3000), "nor does a slow disk");
        assert_eq!(patience(ms(20), ms(2500)), ms(2500), "nor a large request");
    }
}
