//! The one view: questions to the nodes, their answers merged, and what is missing from them.

mod births;
mod divergence;
mod fetch;
mod fold;
mod merging;
mod tally;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use daemon::Context;
use metric::Window;
use parking_lot::RwLock;
use remote::{ClientSettings, Deadline, FindRequest, RemoteError};
use serde_json::Value;
use wire::pb_v3::Hole;
use wire::reply::{Caps, FindReply, InfoReply};

use crate::budget::RetryBudget;
use crate::config::{Config, Destination, Limits};
use crate::failure::Failure;
use crate::fan_out::{Breadth, Gathered, Manner, gather};
use crate::gate::{Gate, Pass, Refused};
use crate::merge::{merge_finds, merge_infos, merge_names};
use crate::node::{Kind, Node};
use crate::shadow::Shadow;
use crate::topology::Topology;

use divergence::Divergences;
pub(crate) use merging::Merging;
pub(crate) use tally::Tally;

/// What is kept back of a deadline for merging and sending.
const MARGIN_MAX: Duration = Duration::from_millis(100);

/// The view in force. What a reload changes is a new view: requests that run go on with theirs.
#[derive(Debug)]
pub(crate) struct Views {
    current: RwLock<Arc<View>>,
}

impl Views {
    pub(crate) fn new(view: View) -> Self {
        Self { current: RwLock::new(Arc::new(view)) }
    }

    pub(crate) fn current(&self) -> Arc<View> {
        Arc::clone(&self.current.read())
    }

    /// From now on these nodes are asked.
    pub(crate) fn replace(&self, destinations: &[Destination], topology: Topology) {
        let mut current = self.current.write();
        *current = Arc::new(current.with(destinations, topology));
    }
}

/// Everything that a request needs.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) limits: Limits,
    pub(crate) partial_allowed: bool,
    pub(crate) context: Context,
    pub(crate) divergences: Arc<Divergences>,
    pub(crate) shadow: Option<Arc<Shadow>>,
    client: ClientSettings,
    timeout: Duration,
    find_timeout: Duration,
    hedge_delay_min: Duration,
    gate: Arc<Gate>,
    retries: Arc<RetryBudget>,
}

impl View {
    pub(crate) fn new(config: Config, context: &Context) -> Self {
        let gate = Gate::new(config.limits.weight_max, config.limits.waiting_max);
        let watched = Arc::clone(&gate);
        let waiting = move || watched.waiting() as f64;
        context.metrics.callback("plumbago_zipper_waiting_requests", &[], waiting);
        let items_max = config.limits.matches_max.max(config.limits.series_max);
        let client = ClientSettings {
            connect_timeout: config.connect_timeout,
            reply: Caps { bytes_max: config.limits.reply_bytes_max, items_max },
            credentials: config.credentials.clone(),
            ..ClientSettings::default()
        };
        let nobody = Self {
            nodes: Vec::new(),
            topology: Arc::new(Topology::of(0, None)),
            limits: config.limits,
            partial_allowed: config.partial_allowed,
            context: context.clone(),
            divergences: Arc::new(Divergences::new(context)),
            shadow: config.shadow.as_ref().map(|shadow| Arc::new(Shadow::new(shadow, context))),
            client,
            timeout: config.timeout,
            find_timeout: config.find_timeout,
            hedge_delay_min: config.hedge_delay_min,
            gate,
            retries: Arc::new(RetryBudget::new()),
        };
        nobody.with(&config.nodes, config.topology)
    }

    /// The same over other nodes. One that stays keeps its connections, its health and its history.
    fn with(&self, destinations: &[Destination], topology: Topology) -> Self {
        let metric = "plumbago_zipper_node_suspect_state";
        let metrics = &self.context.metrics;
        for node in &self.nodes {
            metrics.remove(metric, &[&node.name]);
        }
        let node = |destination: &Destination| {
            let is_same = |node: &&Arc<Node>| {
                let endpoint = node.client.endpoint();
                node.name == destination.name && *endpoint == destination.endpoint
            };
            let known = self.nodes.iter().find(is_same).map(Arc::clone);
            known.unwrap_or_else(|| {
                Arc::new(Node::new(destination, self.client.clone(), &self.context))
            })
        };
        let nodes: Vec<Arc<Node>> = destinations.iter().map(node).collect();
        for node in &nodes {
            let watched = Arc::clone(node);
            let is_suspect = move || f64::from(u8::from(watched.health.is_suspect()));
            metrics.callback(metric, &[&node.name], is_suspect);
        }
        let ring = match topology.fingerprint() {
            0 => "unknown".to_owned(),
            fingerprint => format!("{fingerprint:016x}"),
        };
        self.context.facts.set("ring_fingerprint", ring);
        self.context.facts.set("ring_leaving", topology.leaving());
        Self { nodes, topology: Arc::new(topology), ..self.clone() }
    }

    /// Waits until it is this request's turn; it goes on while the pass is kept.
    pub(crate) async fn enter(
        &self,
        tenant: &str,
        weight: u64,
        deadline: &Deadline,
    ) -> Result<Pass, Failure> {
        self.gate.enter(tenant, weight, deadline).await.map_err(|refused| {
            let (setting, allowed) = match refused {
                Refused::TooMany => ("waiting_max", self.limits.waiting_max as u64),
                Refused::Late => ("weight_max", self.limits.weight_max),
            };
            self.context.metrics.counter_with("plumbago_zipper_limits_hit_total", &[setting]).inc();
            Failure::Unavailable(format!("too much is asked at once: {setting} allows {allowed}"))
        })
    }

    /// When a request of this kind must be answered: by our own timeout, or sooner if the asker
    /// says so; a little of it is kept for the answer's own way.
    pub(crate) fn deadline(&self, kind: Kind, asker_ms: Option<u64>) -> Deadline {
        let own = match kind {
            Kind::Find | Kind::Info => self.find_timeout,
            Kind::Render | Kind::List | Kind::Tags => self.timeout,
        };
        let wait = asker_ms.map_or(own, |ms| own.min(Duration::from_millis(ms)));
        Deadline::after(&self.context.clock, wait).earlier(MARGIN_MAX.min(wait / 10))
    }

    /// Asks all nodes who they are, so that it is known since when they have what they have.
    pub(crate) fn greet(&self) {
        for node in &self.nodes {
            let node = Arc::clone(node);
            tokio::spawn(async move { node.probe().await });
        }
    }

    fn manner(&self, kind: Kind, breadth: Breadth, deadline: &Deadline) -> Manner {
        let (hedge_delay_min, retries) = (self.hedge_delay_min, Arc::clone(&self.retries));
        let (deadline, left_out) = (deadline.clone(), Vec::new());
        Manner { kind, breadth, hedge_delay_min, deadline, retries, left_out }
    }

    /// Asks all nodes.
    async fn everyone<T, F>(
        &self,
        kind: Kind,
        deadline: &Deadline,
        ask: impl Fn(Arc<Node>, Deadline) -> F,
    ) -> Gathered<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RemoteError>> + Send + 'static,
    {
        let manner = self.manner(kind, Breadth::Everyone, deadline);
        gather(&self.nodes, self.topology.everything(), manner, |_, _| false, ask).await
    }

    /// What an answer of all nodes about names rests on; without a window, about all that there ever were.
    ///
    /// # Errors
    /// As [`Tally::add`].
    fn tally<T>(&self, gathered: &Gathered<T>, window: Option<Window>) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        tally.add(self, gathered)?;
        let now = self.context.clock.now_unix_seconds();
        let births = self.births(window.unwrap_or(Window::new(0, now)), now);
        let answered: Vec<(usize, &[Hole])> =
            gathered.answers.iter().map(|(node, _)| (*node, &[][..])).collect();
        tally.add_unproven(self.topology.everything(), &answered, births.as_ref(), now);
        Ok(tally)
    }

    /// Finds names. An exact path too goes to all: it may be a branch, which no node owns.
    pub(crate) async fn find(
        &self,
        mut request: FindRequest,
        deadline: &Deadline,
    ) -> Result<(Vec<FindReply>, Tally), Failure> {
        request.plan.ring_fingerprint = self.topology.fingerprint();
        let request = Arc::new(request);
        let gathered = self
            .everyone(Kind::Find, deadline, |node, deadline| {
                let request = Arc::clone(&request);
                async move { node.client.find(&request, &deadline).await }
            })
            .await;
        let mut tally = self.tally(&gathered, request.window)?;
        let mut replies = Vec::with_capacity(gathered.answers.len());
        for (node, (found, meta)) in gathered.answers {
            tally.add_meta(self, node, meta.as_ref());
            replies.push(found);
        }
        let merged = merge_finds(&request.patterns, replies);
        let matches = merged.iter().map(|reply| reply.matches.len()).sum();
        self.within("matches_max", matches, self.limits.matches_max)?;
        Ok((merged, tally))
    }

    /// The headers of some files, the first owner's where owners differ.
    pub(crate) async fn info(
        &self,
        names: Vec<String>,
        deadline: &Deadline,
    ) -> Result<(Vec<InfoReply>, Tally), Failure> {
        let names = Arc::new(names);
        let gathered = self
            .everyone(Kind::Info, deadline, |node, deadline| {
                let names = Arc::clone(&names);
                async move { node.client.info(&names, &deadline).await }
            })
            .await;
        let tally = self.tally(&gathered, None)?;
        let mut infos: Vec<(usize, InfoReply)> = Vec::new();
        for (node, found) in gathered.answers {
            infos.extend(found.into_iter().map(|info| (self.rank(&info.name, node), info)));
        }
        infos.sort_by_key(|(rank, _)| *rank);
        let infos = infos.into_iter().map(|(_, info)| info).collect();
        Ok((merge_infos(&names, infos), tally))
    }

    /// The names of all series.
    pub(crate) async fn list(&self, deadline: &Deadline) -> Result<(Vec<String>, Tally), Failure> {
        let ask = |node: Arc<Node>, deadline| async move { node.client.list(&deadline).await };
        let gathered = self.everyone(Kind::List, deadline, ask).await;
        let tally = self.tally(&gathered, None)?;
        let names = merge_names(gathered.answers.into_iter().flat_map(|(_, names)| names));
        self.within("matches_max", names.len(), self.limits.matches_max)?;
        Ok((names, tally))
    }

    /// What each node answers to a question about tags, in config order.
    pub(crate) async fn tags(
        &self,
        path_and_query: String,
        deadline: &Deadline,
    ) -> Result<(Vec<Value>, Tally), Failure> {
        let (answers, tally) = self.json(Kind::Tags, path_and_query, deadline).await?;
        Ok((answers.into_iter().map(|(_, value)| value).collect(), tally))
    }

    /// What each node answers in JSON, in config order.
    pub(crate) async fn json(
        &self,
        kind: Kind,
        path_and_query: String,
        deadline: &Deadline,
    ) -> Result<(Vec<(usize, Value)>, Tally), Failure> {
        let path: Arc<str> = path_and_query.into();
        let gathered = self
            .everyone(kind, deadline, |node, deadline| {
                let path = Arc::clone(&path);
                async move { node.client.json(&path, &deadline).await }
            })
            .await;
        let tally = self.tally(&gathered, None)?;
        Ok((gathered.answers, tally))
    }

    /// Has all nodes delete series. Returns how many the node with the most of them had.
    ///
    /// Unlike a question this cannot be answered for a node by its replica: each has its own copy.
    pub(crate) async fn delete_series(
        &self,
        form: String,
        deadline: &Deadline,
    ) -> Result<(u64, Tally), Failure> {
        let form: Arc<str> = form.into();
        let gathered = self
            .everyone(Kind::Tags, deadline, |node, deadline| {
                let form = form.to_string();
                async move { node.client.post_json("/tags/delSeries", form, &deadline).await }
            })
            .await;
        let mut tally = Tally::default();
        tally.add(self, &gathered)?;
        let failed = gathered.failures.iter().map(|(node, error)| (*node, error.kind.to_string()));
        let unable = gathered.answers.iter().filter(|(_, answer)| answer.is_null());
        let unable = unable.map(|(node, _)| (*node, "cannot delete series".to_owned()));
        let failed = failed.chain(unable);
        let failed: Vec<String> =
            failed.map(|(node, why)| format!("{}: {why}", self.nodes[node].name)).collect();
        if !failed.is_empty() {
            let nodes = failed.join("; ");
            return Err(Failure::Unavailable(format!(
                "not deleted everywhere, try again: {nodes}"
            )));
        }
        let deleted = gathered.answers.iter().filter_map(|(_, answer)| answer["deleted"].as_u64());
        Ok((deleted.max().unwrap_or(0), tally))
    }

    /// How much a node's word counts for a name: 0 is the primary.
    pub(crate) fn rank(&self, name: &str, node: usize) -> usize {
        let order = self.topology.order(name);
        order.iter().position(|&other| other == node).unwrap_or(order.len())
    }

    /// Refuses what passes a limit, counted.
    pub(crate) fn within(
        &self,
        limit: &'static str,
        asked: usize,
        allowed: usize,
    ) -> Result<(), Failure> {
        if asked <= allowed {
            return Ok(());
        }
        self.context.metrics.counter_with("plumbago_zipper_limits_hit_total", &[limit]).inc();
        Err(Failure::Limit { limit, asked, allowed })
    }
}
