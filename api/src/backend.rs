//! What is asked of the backend: all reads of a round at once, each once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon::{Clock, Counter, Registry, together};
use metric::{Glob, SeriesData, TaggedName, Window};
use query::{Answer, Fetch, Folded};
use remote::access::Caller;
use remote::{
    Allowance, Budget, Client, ClientSettings, Deadline, FetchPlan, FetchReply, FetchRequest,
    FindRequest, OnBehalf, RemoteError, RemoteErrorKind, Target,
};
use wire::pb_v3::Meta;
use wire::reply::{Caps, FindReply, InfoReply};

use crate::cache::Cache;
use crate::config::Config;
use crate::errors::Refusal;
use crate::patterns::after_globstars;
use crate::queries::Query;

/// How long before the end of a request the backend has to answer, so that the answer gets out.
const MARGIN: Duration = Duration::from_millis(100);

/// What the requests of one call have in common.
#[derive(Debug)]
pub(crate) struct Asking {
    deadline: Deadline,
    plan: FetchPlan,
    /// How old what was read before may be.
    good_for: Duration,
    /// For whom, to count what is read.
    query: Option<Arc<Query>>,
}

impl Asking {
    /// For somebody who may not see everything.
    pub(crate) fn of(self, caller: &Caller) -> Self {
        let (within, headers) = (caller.within.clone(), caller.passed.clone());
        Self { deadline: self.deadline.of(OnBehalf { within, headers }), ..self }
    }

    /// Content with what was read so long ago.
    pub(crate) fn cached(self, good_for: Duration) -> Self {
        Self { good_for, ..self }
    }

    /// Counted against what this request may take.
    pub(crate) fn counted(self, query: &Arc<Query>) -> Self {
        Self { query: Some(Arc::clone(query)), ..self }
    }
}

/// How complete the answers were.
#[derive(Debug, Clone, Default)]
pub(crate) struct Completeness {
    pub(crate) partial: bool,
    pub(crate) notes: Vec<String>,
    pub(crate) nodes_asked: u32,
    pub(crate) nodes_answered: u32,
    pub(crate) series_pruned: u64,
    pub(crate) divergent_points: u64,
}

impl Completeness {
    fn add(&mut self, meta: Option<Meta>) {
        let Some(meta) = meta else { return };
        self.partial |= meta.partial;
        self.notes.extend(meta.notes);
        self.nodes_asked = self.nodes_asked.max(meta.nodes_asked);
        self.nodes_answered = self.nodes_answered.max(meta.nodes_answered);
        self.series_pruned += meta.series_pruned;
        self.divergent_points += meta.divergent_points;
    }

    /// Adds what further answers of the same call say.
    pub(crate) fn join(&mut self, other: Self) {
        self.partial |= other.partial;
        self.notes.extend(other.notes);
        self.notes.dedup();
        self.nodes_asked = self.nodes_asked.max(other.nodes_asked);
        self.nodes_answered = self.nodes_answered.max(other.nodes_answered);
        self.series_pruned += other.series_pruned;
        self.divergent_points += other.divergent_points;
    }

    /// What is missing, in one line.
    pub(crate) fn text(&self) -> String {
        if self.notes.is_empty() { "a part is missing".to_owned() } else { self.notes.join("; ") }
    }
}

/// The zipper or node behind us.
#[derive(Debug)]
pub(crate) struct Backend {
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    budget: Budget,
    plans: AtomicU64,
    fetches: Counter,
    series: Counter,
    points: Counter,
    kept: Cache<Answer>,
    folds: Folds,
}

/// What came of reads that were to be folded.
#[derive(Debug)]
struct Folds {
    folded: Counter,
    /// To be asked again as series.
    refused: Counter,
    /// Answered with the series.
    unfolded: Counter,
}

impl Folds {
    fn new(metrics: &Registry) -> Self {
        let of = |outcome| metrics.counter_with("plumbago_api_folds_total", &[outcome]);
        Self { folded: of("folded"), refused: of("refused"), unfolded: of("unfolded") }
    }
}

impl Backend {
    pub(crate) fn new(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: &Registry,
    ) -> Result<Self, remote::BadEndpoint> {
        let settings = ClientSettings {
            connect_timeout: config.connect_timeout,
            reply: Caps { bytes_max: config.backend_bytes_max, items_max: config.matches_max },
            credentials: config.credentials.clone(),
            ..ClientSettings::default()
        };
        let client = Client::new(config.backend.parse()?, settings, Arc::clone(clock));
        let bytes_max = config.backend_bytes_max as u64;
        Ok(Self {
            client: Arc::new(client),
            clock: Arc::clone(clock),
            timeout: config.request_timeout.saturating_sub(MARGIN).max(MARGIN),
            budget: Budget { points_max: config.query.points_max, bytes_max },
            // Plans of two runs of this daemon should differ as well.
            plans: AtomicU64::new(clock.now_unix_ms().unsigned_abs() << 16),
            fetches: metrics.counter("plumbago_api_fetches_total"),
            series: metrics.counter("plumbago_api_series_read_total"),
            points: metrics.counter("plumbago_api_points_read_total"),
            kept: Cache::new("fetches", config.caching.fetch_bytes_max, clock, metrics),
            folds: Folds::new(metrics),
        })
    }

    /// Begins a call whose relative times count from `now`.
    pub(crate) fn begin(&self, now: i64) -> Asking {
        let plan_id = self.plans.fetch_add(1, Ordering::Relaxed);
        let plan = FetchPlan { plan_id, now, budget: self.budget, ..FetchPlan::default() };
        let deadline = Deadline::after(&self.clock, self.timeout);
        Asking { deadline, plan, good_for: Duration::ZERO, query: None }
    }

    /// One round of reads: those of one window in one request, and all requests at once.
    pub(crate) async fn fetch(
        &self,
        fetches: Vec<Fetch>,
        asking: &Asking,
    ) -> Result<(Vec<(Fetch, Answer)>, Completeness), Refusal> {
        let mut answers = Vec::with_capacity(fetches.len());
        let mut groups: Vec<Vec<Fetch>> = Vec::new();
        for fetch in fetches {
            if is_impossible(&fetch) {
                answers.push((fetch, Answer::new(Vec::new())));
                continue;
            }
            if let Some(kept) = self.kept_or_unfolded(&fetch, asking) {
                answers.push(kept);
                continue;
            }
            // What is to be folded is asked for alone.
            let is_asked_with = |first: &Fetch| {
                (fetch.fold.is_none(), first.fold.is_none(), first.window)
                    == (true, true, fetch.window)
            };
            match groups.iter_mut().find(|group| group.first().is_some_and(is_asked_with)) {
                Some(group) => group.push(fetch),
                None => groups.push(vec![fetch]),
            }
        }
        let unlimited = Allowance::new(u64::MAX);
        let allowance = asking.query.as_ref().map_or(&unlimited, |query| &query.memory);
        let replies = together(groups.into_iter().map(async |group| {
            self.fetches.add(group.len() as u64);
            let request = request_of(&group, asking);
            (group, self.client.fetch_within(&request, &asking.deadline, allowance).await)
        }));
        let mut completeness = Completeness::default();
        for (group, reply) in replies.await {
            let (found, meta) = match group.as_slice() {
                [fetch] if fetch.fold.is_some() => match self.folded(fetch, reply) {
                    Some((answer, meta)) => (vec![answer], meta),
                    // What is not here is asked for as it is, and then told if it fails.
                    None => continue,
                },
                _ => {
                    let FetchReply { series, meta, .. } = reply.map_err(refusal)?;
                    let shared = share_out(group, series).into_iter();
                    (shared.map(|(fetch, series)| (fetch, Answer::new(series))).collect(), meta)
                }
            };
            let is_whole = meta.as_ref().is_none_or(|meta| !meta.partial);
            completeness.add(meta);
            for (fetch, answer) in found {
                self.count(&answer, asking);
                if is_whole {
                    self.keep(&fetch, &answer, asking);
                }
                answers.push((fetch, answer));
            }
        }
        Ok((answers, completeness))
    }

    /// What came of a fold: what the series come to, or the series of a backend that cannot fold; none
    /// if it must not be folded, or could not.
    fn folded(
        &self,
        fetch: &Fetch,
        reply: Result<FetchReply, RemoteError>,
    ) -> Option<((Fetch, Answer), Option<Meta>)> {
        let Ok(FetchReply { series, meta, folded }) = reply else {
            self.folds.refused.inc();
            return None;
        };
        let Some(message) = folded else {
            self.folds.unfolded.inc();
            return Some(((fetch.unfolded(), Answer::new(series)), meta));
        };
        let mut whole = Folded::default();
        let fold = fetch.fold.as_ref()?.fold;
        let mut ranges = message.ranges.into_iter();
        let is_folded = message.refused.is_empty()
            && ranges.all(|range| whole.merge_messages(fold, range.groups).is_ok());
        if is_folded {
            self.folds.folded.inc()
        } else {
            self.folds.refused.inc()
        }
        is_folded.then(|| ((fetch.clone(), Answer::folded(whole)), meta))
    }

    fn count(&self, answer: &Answer, asking: &Asking) {
        let (series, points) = (answer.series(), answer.points());
        self.series.add(series);
        self.points.add(points);
        if let Some(query) = &asking.query {
            query.series.fetch_add(series, Ordering::Relaxed);
            query.points.fetch_add(points, Ordering::Relaxed);
        }
    }

    /// What a fetch answered a moment ago, or what was to be folded did as series.
    fn kept_or_unfolded(&self, fetch: &Fetch, asking: &Asking) -> Option<(Fetch, Answer)> {
        let kept = |fetch: Fetch| self.kept(&fetch, asking).map(|answer| (fetch, answer));
        let unfolded = || fetch.fold.is_some().then(|| kept(fetch.unfolded())).flatten();
        kept(fetch.clone()).or_else(unfolded)
    }

    /// What a fetch answered a moment ago.
    fn kept(&self, fetch: &Fetch, asking: &Asking) -> Option<Answer> {
        if asking.good_for.is_zero() {
            return None;
        }
        let (answer, age) = self.kept.get(&cache_key(fetch, asking))?;
        (age < asking.good_for).then_some(answer)
    }

    /// Nothing found is not kept: it may be there the next moment.
    fn keep(&self, fetch: &Fetch, answer: &Answer, asking: &Asking) {
        if self.kept.is_on() && !asking.good_for.is_zero() && answer.series() > 0 {
            let (key, bytes) = (cache_key(fetch, asking), answer.bytes());
            self.kept.put(&key, answer.clone(), bytes, asking.good_for);
        }
    }

    /// What the patterns match, one reply each.
    pub(crate) async fn find(
        &self,
        patterns: Vec<String>,
        window: Option<Window>,
        asking: &Asking,
    ) -> Result<(Vec<FindReply>, Completeness), Refusal> {
        let request = FindRequest { patterns, window, plan: asking.plan.clone() };
        let answer = self.client.find(&request, &asking.deadline).await.map_err(refusal)?;
        let mut completeness = Completeness::default();
        completeness.add(answer.1);
        Ok((answer.0, completeness))
    }

    /// The headers of the files of some series.
    pub(crate) async fn info(
        &self,
        names: &[String],
        asking: &Asking,
    ) -> Result<Vec<InfoReply>, Refusal> {
        self.client.info(names, &asking.deadline).await.map_err(refusal)
    }

    /// All names.
    pub(crate) async fn list(&self, asking: &Asking) -> Result<Vec<String>, Refusal> {
        self.client.list(&asking.deadline).await.map_err(refusal)
    }

    /// What a tag endpoint answers; null if the backend has none.
    pub(crate) async fn tags(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        asking: &Asking,
    ) -> Result<serde_json::Value, Refusal> {
        let query = remote::encode_pairs(pairs.iter().copied());
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        self.client.json(&path, &asking.deadline).await.map_err(refusal)
    }

    /// Deletes series by name, and says how many there were.
    pub(crate) async fn delete_series(
        &self,
        names: &[String],
        asking: &Asking,
    ) -> Result<u64, Refusal> {
        let form = remote::encode_pairs(names.iter().map(|name| ("path", name.as_str())));
        let answer = self.client.post_json("/tags/delSeries", form, &asking.deadline).await;
        let answer = answer.map_err(refusal)?;
        answer["deleted"].as_u64().ok_or_else(|| {
            let message = "the backend cannot delete series".to_owned();
            Refusal::BackendRefused { status: 501, message }
        })
    }

    /// Whether it answers at all.
    pub(crate) async fn check(&self, asking: &Asking) -> Result<(), Refusal> {
        self.client.capabilities(&asking.deadline).await.map(drop).map_err(refusal)
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        self.client.endpoint().to_string()
    }
}

/// What the answer to a fetch depends on.
fn cache_key(fetch: &Fetch, asking: &Asking) -> String {
    let (Window { from, until }, waiting) = (fetch.window, asking.deadline.waiting());
    let fold = fetch.fold.as_ref().map(|fold| format!("{fold:?}")).unwrap_or_default();
    format!("{from} {until} {fold}{}{}", store_pattern(fetch), waiting.key())
}

/// One request for reads of one window, or for one that is to be folded.
fn request_of(group: &[Fetch], asking: &Asking) -> FetchRequest {
    let asked: BTreeSet<&str> = group.iter().map(store_pattern).collect();
    let targets = asked.into_iter().map(Target::new).collect();
    let first = group.first();
    let fold = first.and_then(|fetch| fetch.fold.as_ref()).map(query::FoldSpec::to_message);
    let window = first.map_or(Window::new(0, 0), |fetch| fetch.window);
    FetchRequest { targets, window, plan: FetchPlan { fold, ..asking.plan.clone() } }
}

/// Whether no series can have this name, because its tags are none; stores refuse such a request.
fn is_impossible(fetch: &Fetch) -> bool {
    let name = fetch.pattern.as_str();
    !fetch.is_tag_query() && metric::tags::is_tagged(name) && TaggedName::parse(name).is_err()
}

/// What the store is asked for.
fn store_pattern(fetch: &Fetch) -> &str {
    after_globstars(&fetch.pattern)
}

/// Gives each fetch the series that answer it: by the expression they carry, or else by name. Fetches
/// that ask the store for the same thing have the same series.
fn share_out(group: Vec<Fetch>, series: Vec<SeriesData>) -> Vec<(Fetch, Vec<SeriesData>)> {
    let mut lists: Vec<Vec<SeriesData>> = group.iter().map(|_| Vec::new()).collect();
    if let [only] = lists.as_mut_slice() {
        *only = series;
        return group.into_iter().zip(lists).collect();
    }
    let mut firsts: HashMap<&str, usize> = HashMap::new();
    let first_asking: Vec<usize> = group
        .iter()
        .enumerate()
        .map(|(at, fetch)| *firsts.entry(store_pattern(fetch)).or_insert(at))
        .collect();
    let mut globs = None;
    for one in series {
        if let Some(&at) = firsts.get(one.path_expression.as_str()) {
            lists[at].push(one);
            continue;
        }
        let globs = globs.get_or_insert_with(|| {
            group.iter().map(|fetch| Glob::compile(store_pattern(fetch)).ok()).collect::<Vec<_>>()
        });
        let found = globs.iter().position(|g| g.as_ref().is_some_and(|g| g.matches(&one.name)));
        match found {
            Some(at) => lists[at].push(one),
            None => tracing::debug!(name = one.name, "the backend sent what nobody asked for"),
        }
    }
    for (at, first) in first_asking.into_iter().enumerate().filter(|(at, first)| at != first) {
        lists[at] = lists[first].clone();
    }
    group.into_iter().zip(lists).collect()
}

fn refusal(error: RemoteError) -> Refusal {
    match &error.kind {
        RemoteErrorKind::Status { code, line } if error.kind.is_refusal() => {
            Refusal::BackendRefused { status: *code, message: line.clone() }
        }
        RemoteErrorKind::Allowance { asked, allowed } => {
            Refusal::Limit { limit: "memory_bytes_max", asked: *asked, allowed: *allowed }
        }
        RemoteErrorKind::TooLarge(message) => Refusal::BackendRefused {
            status: 422,
            message: format!("limit backend_bytes_max or matches_max exceeded: {message}"),
        },
        _ => Refusal::BackendDown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(pattern: &str) -> Fetch {
        Fetch::new(pattern, Window::new(0, 60))
    }

    fn series(name: &str, expression: &str) -> SeriesData {
        let data = SeriesData::new(name, 0, 60, vec![1.0]);
        SeriesData { path_expression: expression.to_owned(), ..data }
    }

    #[test]
    fn series_go_to_the_fetch_they_name_or_that_matches_them() {
        let sent = vec![series("a.b", "a.*"), series("a.b", "a.b"), series("c.d", "odd")];
        let shared = share_out(vec![fetch("a.*"), fetch("a.b"), fetch("c.*")], sent);
        let counts: Vec<_> = shared.iter().map(|(_, list)| list.len()).collect();
        assert_eq!(counts, [1, 1, 1]);
        let asked = ["**.x", "a", "x"].map(fetch).to_vec();
        let shared = share_out(asked, vec![series("x", "x"), series("a", "a")]);
        let names: Vec<_> = shared.iter().map(|(_, list)| list[0].name.as_str()).collect();
        assert_eq!(names, ["x", "a", "x"], "`**` at the start stands for nothing");
        let shared = share_out(vec![fetch("x")], vec![series("a", "b")]);
        assert_eq!(shared[0].1.len(), 1, "with one fetch there is no doubt");
    }

    #[test]
    fn only_names_with_broken_tags_are_not_asked_for() {
        assert!(is_impossible(&fetch("a.b;x")));
        for possible in ["a.b", "a.b;x=y", "seriesByTag('x=y;z')"] {
            assert!(!is_impossible(&fetch(possible)), "{possible}");
        }
    }
}
