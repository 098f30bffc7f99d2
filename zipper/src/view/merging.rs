//! Series of several nodes, merged while they arrive: of each node one series is held at a time.

use std::collections::{BTreeMap, VecDeque, btree_map};
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use metric::SeriesData;
use remote::{Deadline, FetchStream, RemoteError, RemoteErrorKind};
use wire::pb_v3::Hole;

use super::births::Births;
use super::{Tally, View};
use crate::fan_out::patience;
use crate::merge::Replica;
use crate::node::Kind;

/// Where a series stands in an answer: place of its target, its expression, its name.
pub(super) type Key = (usize, String, String);

/// The same of a series that is not taken yet.
type KeyRef<'a> = (usize, &'a str, &'a str);

/// Copies of series, each in its place.
pub(super) type Copies = BTreeMap<Key, Vec<Replica>>;

/// Places of targets by their expression.
pub(super) type Ranks = BTreeMap<String, usize>;

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Merging {
    view: Arc<View>,
    ranks: Ranks,
    /// Copies of exact names, which were read whole.
    whole: Peekable<btree_map::IntoIter<Key, Vec<Replica>>>,
    sources: Vec<Source>,
    /// Which nodes may lack what others have had since before they were born.
    births: Option<Births>,
    deadline: Deadline,
    /// Series that were merged before they were asked for.
    held: VecDeque<SeriesData>,
}

/// What one node sends.
#[derive(Debug)]
struct Source {
    node: usize,
    holes: Arc<[Hole]>,
    stream: FetchStream,
    /// Series that had to be put in order first; then none come from the stream.
    sorted: VecDeque<SeriesData>,
    /// The next series.
    head: Option<SeriesData>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    /// It broke off: other owners have to stand in for it.
    Lost,
}

impl Merging {
    /// Of copies that are there and streams that have begun. `is_ordered` unless several targets
    /// share an expression: then the order of a stream is not that of the answer.
    pub(super) async fn new(
        view: Arc<View>,
        (ranks, is_ordered): (Ranks, bool),
        (whole, streams): (Copies, Vec<(usize, FetchStream)>),
        births: Option<Births>,
        deadline: Deadline,
        tally: &mut Tally,
    ) -> Self {
        let source = |(node, stream): (usize, FetchStream)| Source {
            node,
            holes: stream.holes().into(),
            stream,
            sorted: VecDeque::new(),
            head: None,
            state: State::Open,
        };
        let sources = streams.into_iter().map(source).collect();
        let whole = whole.into_iter().peekable();
        let held = VecDeque::new();
        let mut merging = Self { view, ranks, whole, sources, births, deadline, held };
        for at in 0..merging.sources.len() {
            if !(is_ordered && merging.sources[at].stream.is_ordered()) {
                merging.sort(at, tally).await;
            }
        }
        merging
    }

    /// Whether a node may have missed points of what is asked for.
    pub(crate) fn has_holes(&self) -> bool {
        let mut holes = self.sources.iter().map(|source| &source.holes);
        self.births.is_some() || holes.any(|holes| !holes.is_empty())
    }

    /// Merges all that is left. Returns how many series there are.
    pub(crate) async fn hold_all(&mut self, tally: &mut Tally) -> usize {
        while let Some(series) = self.merge_next(tally).await {
            self.held.push_back(series);
        }
        self.held.len()
    }

    /// The next series, by target and name; none at the end.
    pub(crate) async fn next(&mut self, tally: &mut Tally) -> Option<SeriesData> {
        match self.held.pop_front() {
            Some(series) => Some(series),
            None => self.merge_next(tally).await,
        }
    }

    async fn merge_next(&mut self, tally: &mut Tally) -> Option<SeriesData> {
        loop {
            for at in 0..self.sources.len() {
                self.refill(at, tally).await;
            }
            let key = self.next_key()?;
            let mut copies = Vec::new();
            for source in &mut self.sources {
                let ranks = &self.ranks;
                let is_next = |series: &mut SeriesData| key_of(ranks, series) == as_ref(&key);
                if let Some(series) = source.head.take_if(is_next) {
                    let (node, holes) = (source.node, Arc::clone(&source.holes));
                    copies.push(Replica { node, series, holes });
                }
            }
            if let Some(births) = &self.births {
                let groups = self.view.topology.owner_groups(&key.2);
                let sound = self.sources.iter().filter(|one| one.state != State::Lost);
                let answered: Vec<usize> = sound.map(|one| one.node).collect();
                births.add_holes(&groups, |node| answered.contains(&node), &mut copies);
            }
            if let Some((_, whole)) = self.whole.next_if(|(other, _)| *other == key) {
                copies.extend(whole);
            }
            if let Some(series) = self.view.merge_one(&key.2, copies, tally) {
                return Some(series);
            }
        }
    }

    fn next_key(&mut self) -> Option<Key> {
        let whole = self.whole.peek().map(|(key, _)| as_ref(key));
        let heads = self.sources.iter().filter_map(|source| source.head.as_ref());
        let next = heads.map(|series| key_of(&self.ranks, series)).chain(whole).min()?;
        Some((next.0, next.1.to_owned(), next.2.to_owned()))
    }

    /// Has the next series of a source at hand, if there is one.
    async fn refill(&mut self, at: usize, tally: &mut Tally) {
        let source = &mut self.sources[at];
        if source.head.is_some() || source.state != State::Open {
            return;
        }
        source.head = source.sorted.pop_front();
        if source.head.is_some() {
            return;
        }
        match self.receive(at).await {
            Ok(Some(series)) => self.sources[at].head = Some(series),
            Ok(None) => self.end(at, tally),
            Err(error) => self.lose(at, &error, tally),
        }
    }

    async fn receive(&mut self, at: usize) -> Result<Option<SeriesData>, RemoteError> {
        // Series come by the hundred: to wait is for the first of them.
        if let Some(series) = self.sources[at].stream.come() {
            return Ok(Some(series));
        }
        let patience = self.patience(at);
        let endpoint = self.view.nodes[self.sources[at].node].client.endpoint();
        let late = RemoteError { endpoint: endpoint.clone(), kind: RemoteErrorKind::Timeout };
        let next = self.sources[at].stream.next();
        tokio::time::timeout(patience, next).await.unwrap_or(Err(late))
    }

    /// Takes in all that a source sends and puts it in order.
    async fn sort(&mut self, at: usize, tally: &mut Tally) {
        let mut all = Vec::new();
        loop {
            match self.receive(at).await {
                Ok(Some(series)) => all.push(series),
                Ok(None) => break,
                Err(error) => return self.lose(at, &error, tally),
            }
        }
        all.sort_by(|a, b| key_of(&self.ranks, a).cmp(&key_of(&self.ranks, b)));
        all.dedup_by(|a, b| key_of(&self.ranks, a) == key_of(&self.ranks, b));
        self.sources[at].sorted = all.into();
    }

    fn end(&mut self, at: usize, tally: &mut Tally) {
        let source = &mut self.sources[at];
        source.state = State::Ended;
        tally.add_meta(&self.view, source.node, source.stream.meta());
    }

    fn lose(&mut self, at: usize, error: &RemoteError, tally: &mut Tally) {
        let node = self.sources[at].node;
        self.sources[at].state = State::Lost;
        let now = self.view.context.clock.monotonic();
        self.view.nodes[node].failed(&error.kind, self.patience(at), now);
        tracing::debug!(%error, "an answer broke off");
        let groups = self.view.topology.everything().iter();
        let lost = groups.filter(|group| group.contains(&node) && !self.has_owner(group, node));
        tally.lose(&self.view, node, lost, error);
    }

    /// Whether a node that sends, or has sent, all that the `lost` one had is among these.
    fn has_owner(&self, group: &[usize], lost: usize) -> bool {
        let births = self.births.as_ref();
        let is_younger =
            |node| births.is_some_and(|births| births.doubts(node, std::iter::once(lost)));
        let mut sound = self.sources.iter().filter(|source| source.state != State::Lost);
        sound.any(|source| group.contains(&source.node) && !is_younger(source.node))
    }

    /// How long to wait for a node: not for ever if others have what it has.
    fn patience(&self, at: usize) -> Duration {
        let node = self.sources[at].node;
        let left = self.deadline.remaining();
        let others = |group: &[usize]| {
            let mut others = self.sources.iter().filter(|other| other.state != State::Lost);
            others.any(|other| other.node != node && group.contains(&other.node))
        };
        let mut groups = self.view.topology.everything().iter();
        if groups.any(|group| group.contains(&node) && !others(group)) {
            return left;
        }
        let usual = self.view.nodes[node].p95(Kind::Render);
        patience(usual.max(self.view.hedge_delay_min), Duration::ZERO).min(left)
    }
}

fn key_of<'a>(ranks: &Ranks, series: &'a SeriesData) -> KeyRef<'a> {
    let expression = series.path_expression.as_str();
    (ranks.get(expression).copied().unwrap_or(usize::MAX), expression, &series.name)
}

fn as_ref((rank, expression, name): &Key) -> KeyRef<'_> {
    (*rank, expression, name)
}
