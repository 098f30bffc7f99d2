//! The one view: questions to the nodes, their answers merged, and what is missing from them.

mod births;
mod divergence;
mod fetch;
mod fold;
mod merging;
mod names;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use daemon::Context;
use parking_lot::RwLock;
use remote::{ClientSettings, Deadline};
use wire::reply::Caps;

use crate::budget::RetryBudget;
use crate::config::{Config, Destination, Limits};
use crate::failure::Failure;
use crate::fan_out::{Breadth, Manner};
use crate::gate::{Gate, Pass, Refused};
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
