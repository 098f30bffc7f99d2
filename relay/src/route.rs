//! From a batch of points to one batch of lines for each set of destinations.

use std::path::PathBuf;
use std::sync::Arc;

use daemon::{Clock, Context, Counter, StartError};
use ingest::{Point, Sink};
use parking_lot::RwLock;

use crate::aggregates::{Aggregates, Contribution, METRICS_OF_RULES, Outcome};
use crate::clusters::Place;
use crate::files::FileSink;
use crate::forward::{Forwarder, LineBatch, NodeId, SetId};
use crate::routes::Routes;
use crate::rules::{self, End, Follower, Scratch};

/// Takes each point through the rules and queues it for whom they name.
#[derive(Debug)]
pub(crate) struct Router {
    active: RwLock<Active>,
    forwarder: Arc<Forwarder>,
    context: Context,
    dropped: Dropped,
}

/// Lines that end here, by reason.
#[derive(Debug)]
struct Dropped {
    by_rule: Counter,
    unrouted: Counter,
    bad_name: Counter,
}

/// The routes in force, and whom they are about.
#[derive(Debug)]
struct Active {
    routes: Routes,
    /// The forwarder's numbers of the routes' destinations.
    nodes: Vec<NodeId>,
    /// The forwarder's numbers of the sets that lines were put in so far.
    sets: RwLock<Vec<SetId>>,
    files: Vec<Arc<FileSink>>,
    aggregates: Aggregates,
    hits: Vec<Counter>,
    to_cluster: Vec<Counter>,
}

impl Router {
    /// A router over `routes`, whose destinations are added to `forwarder`.
    ///
    /// # Errors
    /// A file that cannot be opened, or lines of the last run that cannot be read.
    pub(crate) fn new(
        routes: Routes,
        forwarder: Arc<Forwarder>,
        context: &Context,
    ) -> Result<Self, StartError> {
        let reason =
            |reason| context.metrics.counter_with("plumbago_relay_lines_dropped_total", &[reason]);
        Ok(Self {
            active: RwLock::new(Active::new(routes, &forwarder, context, None)?),
            forwarder,
            context: context.clone(),
            dropped: Dropped {
                by_rule: reason("rule"),
                unrouted: reason("unrouted"),
                bad_name: reason("bad_rewrite"),
            },
        })
    }

    /// Puts new routes in force. Nodes and files of both keep their connections and what waits for
    /// them; a node that is left still gets what waits.
    ///
    /// # Errors
    /// As [`Router::new`]; then the old routes stay.
    pub(crate) fn replace(&self, routes: Routes) -> Result<(), StartError> {
        let fresh = {
            let active = self.active.read();
            Active::new(routes, &self.forwarder, &self.context, Some(&active))?
        };
        // Every batch that is being routed is done by the time the write lock is held, so nobody
        // queues for a node after it was removed.
        let old = std::mem::replace(&mut *self.active.write(), fresh);
        let active = self.active.read();
        let ended = old.aggregates.flush_those_not_in(&active.aggregates);
        self.send_outcomes(&old, ended);
        for node in old.nodes.iter().filter(|node| !active.nodes.contains(node)) {
            self.forwarder.remove(*node);
        }
        for file in old.files.iter().filter(|file| !active.has_file(file.path())) {
            file.close();
        }
        for file in &active.files {
            file.reopen();
        }
        old.forget_metrics(&active, &self.context);
        Ok(())
    }

    /// Sends what the aggregates have due.
    pub(crate) fn send_aggregates(&self) {
        let active = self.active.read();
        let now = self.context.clock.now_unix_seconds();
        self.send_due(&active, now);
        active.aggregates.release(now);
    }

    /// Sends what is due, in slices: all of it at once may be larger than the windows.
    fn send_due(&self, active: &Active, now: i64) {
        loop {
            self.send_outcomes(active, active.aggregates.advance(now));
            if !active.aggregates.is_due(now) {
                return;
            }
        }
    }

    /// Leaves open windows to the log, if there is one, or sends them as they are.
    pub(crate) fn end_aggregates(&self) {
        let active = self.active.read();
        if let Some(log) = active.aggregates.log() {
            return log.close();
        }
        self.send_outcomes(&active, active.aggregates.flush());
    }

    /// Results go to the clusters that their rule names, or through the rules like any line.
    fn send_outcomes(&self, active: &Active, outcomes: Vec<Outcome>) {
        let mut routed = self.routed(active);
        for Outcome { aggregate, name, point } in outcomes {
            let name = metric::canonicalise(name.as_bytes(), &metric::Limits::default());
            let (Ok(name), Ok(timestamp)) = (name, u32::try_from(point.timestamp)) else {
                routed.bad_name += 1;
                continue;
            };
            let point = Point { name, value: point.value, timestamp, line: None };
            let aggregate = &active.routes.rules.aggregates()[aggregate];
            if aggregate.send.is_empty() {
                routed.point(&point, Some(aggregate.rule));
            }
            for &cluster in &aggregate.send {
                let key = active.routes.rules.key().of(&point.name);
                routed.batches.send(cluster, key, &point, None);
            }
        }
        // What is due by these results waits for the next look.
        let _is_due = self.finish(routed);
    }

    fn routed<'a>(&self, active: &'a Active) -> Routed<'a> {
        let batches = Batches::new(active);
        Routed { batches, scratch: Scratch::default(), by_rule: 0, unrouted: 0, bad_name: 0 }
    }

    /// Queues and counts. The answer is whether an aggregate has something due.
    fn finish(&self, routed: Routed<'_>) -> bool {
        let is_due = routed.batches.finish(&self.forwarder, self.context.clock.as_ref());
        self.dropped.by_rule.add(routed.by_rule);
        self.dropped.unrouted.add(routed.unrouted);
        self.dropped.bad_name.add(routed.bad_name);
        is_due
    }

    /// Writes out what waits for files.
    pub(crate) fn close_files(&self) {
        for file in &self.active.read().files {
            file.close();
        }
    }
}

impl Active {
    fn new(
        routes: Routes,
        forwarder: &Forwarder,
        context: &Context,
        before: Option<&Self>,
    ) -> Result<Self, StartError> {
        let open = |path: &PathBuf| before?.files.iter().find(|file| file.path() == path);
        let file = |path: &PathBuf| match open(path) {
            Some(file) => Ok(Arc::clone(file)),
            None => FileSink::open(path, context),
        };
        let kept = before.map(|before| &before.aggregates);
        let aggregates = Aggregates::new(&routes, kept, context)?;
        let files = routes.clusters.files().iter().map(file).collect::<Result<_, _>>()?;
        let destinations = routes.clusters.destinations().iter();
        let nodes = destinations.map(|node| forwarder.add(node)).collect::<Result<_, _>>()?;
        let counter = |metric, name: &String| context.metrics.counter_with(metric, &[name]);
        let rules = routes.rules.rules().iter();
        let hits =
            rules.map(|rule| counter("plumbago_relay_rule_hits_total", &rule.name)).collect();
        let clusters = routes.clusters.clusters().iter();
        let to_cluster = clusters
            .map(|cluster| counter("plumbago_relay_cluster_lines_total", &cluster.name))
            .collect();
        let sets = RwLock::default();
        Ok(Self { routes, nodes, sets, files, aggregates, hits, to_cluster })
    }

    fn has_file(&self, path: &std::path::Path) -> bool {
        self.files.iter().any(|file| file.path() == path)
    }

    /// Forgets the numbers of rules and clusters that are no more.
    fn forget_metrics(&self, now: &Self, context: &Context) {
        let rules = |active: &Self| -> Vec<String> {
            active.routes.rules.rules().iter().map(|rule| rule.name.clone()).collect()
        };
        let clusters = |active: &Self| -> Vec<String> {
            active.routes.clusters.clusters().iter().map(|cluster| cluster.name.clone()).collect()
        };
        let of_aggregates = METRICS_OF_RULES
            .map(|metric| (metric, self.aggregates.rules(), now.aggregates.rules()));
        let of_others = [
            ("plumbago_relay_rule_hits_total", rules(self), rules(now)),
            ("plumbago_relay_cluster_lines_total", clusters(self), clusters(now)),
        ];
        for (metric, old, now) in of_aggregates.into_iter().chain(of_others) {
            for name in old.iter().filter(|name| !now.contains(name)) {
                context.metrics.remove(metric, &[name]);
            }
        }
    }

    /// The forwarder's number of a set.
    fn set(&self, set: usize, forwarder: &Forwarder) -> SetId {
        if let Some(id) = self.sets.read().get(set) {
            return *id;
        }
        let mut sets = self.sets.write();
        for next in sets.len()..=set {
            let members = self.routes.clusters.members(next);
            let nodes: Vec<NodeId> = members.into_iter().map(|node| self.nodes[node]).collect();
            sets.push(forwarder.set(&nodes));
        }
        sets[set]
    }
}

/// The lines of one batch of points, by who gets them.
struct Batches<'a> {
    active: &'a Active,
    by_set: Vec<LineBatch>,
    by_file: Vec<LineBatch>,
    contributions: Vec<Contribution>,
    hits: Vec<u64>,
    to_cluster: Vec<u64>,
}

impl<'a> Batches<'a> {
    fn new(active: &'a Active) -> Self {
        let (hits, to_cluster) = (vec![0; active.hits.len()], vec![0; active.to_cluster.len()]);
        let (by_set, by_file, contributions) = (Vec::new(), Vec::new(), Vec::new());
        Self { active, by_set, by_file, contributions, hits, to_cluster }
    }

    fn send(&mut self, cluster: usize, key: &str, point: &Point<'_>, name: Option<&str>) {
        self.to_cluster[cluster] += 1;
        self.active.routes.clusters.place(cluster, key, |place| {
            let batch = match place {
                Place::Set(set) => batch(&mut self.by_set, set),
                Place::File(file) => batch(&mut self.by_file, file),
            };
            match name {
                Some(name) => batch.push_renamed(point, name),
                None => batch.push(point),
            }
        });
    }

    /// All points to one cluster.
    fn send_all(&mut self, cluster: usize, points: &[Point<'_>]) {
        let Routes { rules, clusters, .. } = &self.active.routes;
        let key = rules.key();
        let Some(sets) = clusters.sets(cluster, points.iter().map(|point| key.of(&point.name)))
        else {
            return points
                .iter()
                .for_each(|point| self.send(cluster, key.of(&point.name), point, None));
        };
        self.to_cluster[cluster] += points.len() as u64;
        self.make_room(points, &sets);
        for (point, set) in points.iter().zip(sets) {
            batch(&mut self.by_set, set as usize).push(point);
        }
    }

    /// Room for all lines of each set at once: batches that grow copy what they hold, and keep up to twice as much as that.
    fn make_room(&mut self, points: &[Point<'_>], sets: &[u32]) {
        let count = sets.iter().max().map_or(0, |set| *set as usize + 1);
        let mut bytes = vec![0; count];
        for (point, set) in points.iter().zip(sets) {
            bytes[*set as usize] += point.line.map_or(0, |line| line.len() + 1);
        }
        for (set, bytes) in bytes.into_iter().enumerate().filter(|(_, bytes)| *bytes > 0) {
            batch(&mut self.by_set, set).make_room(bytes);
        }
    }

    /// Queues everything and counts it. The answer is whether an aggregate has something due.
    fn finish(self, forwarder: &Forwarder, clock: &dyn Clock) -> bool {
        let is_due = !self.contributions.is_empty()
            && self.active.aggregates.add(&self.contributions, clock.now_unix_seconds());
        let filled = self.by_set.into_iter().enumerate().filter(|(_, batch)| !batch.is_empty());
        forwarder
            .queue(filled.map(|(set, batch)| (self.active.set(set, forwarder), batch)).collect());
        for (file, batch) in self.active.files.iter().zip(&self.by_file) {
            if !batch.is_empty() {
                file.push(batch);
            }
        }
        let counters = self.active.hits.iter().zip(&self.hits);
        for (counter, count) in counters.chain(self.active.to_cluster.iter().zip(&self.to_cluster))
        {
            if *count > 0 {
                counter.add(*count);
            }
        }
        is_due
    }
}

/// The batch of this number.
fn batch(batches: &mut Vec<LineBatch>, number: usize) -> &mut LineBatch {
    if number >= batches.len() {
        batches.resize_with(number + 1, LineBatch::default);
    }
    &mut batches[number]
}

/// Points on their way through the rules, and how many ended there.
struct Routed<'a> {
    batches: Batches<'a>,
    scratch: Scratch,
    by_rule: u64,
    unrouted: u64,
    bad_name: u64,
}

impl Routed<'_> {
    /// Takes a point through; `result_of` is the rule of the aggregate that made it, if one did.
    fn point(&mut self, point: &Point<'_>, result_of: Option<usize>) {
        let name = rules::Point { name: &point.name, timestamp: point.timestamp, result_of };
        let rules = &self.batches.active.routes.rules;
        let mut routing = Routing { batches: &mut self.batches, point, renamed: false };
        match rules.walk(name, &mut self.scratch, &mut routing) {
            End::Sent => {}
            End::Dropped(_) => self.by_rule += 1,
            End::Unrouted => self.unrouted += 1,
            End::BadName(..) => self.bad_name += 1,
        }
    }
}

/// One point and what becomes of it.
struct Routing<'b, 'a, 'p> {
    batches: &'b mut Batches<'a>,
    point: &'p Point<'p>,
    renamed: bool,
}

impl Follower for Routing<'_, '_, '_> {
    fn hit(&mut self, rule: usize) {
        self.batches.hits[rule] += 1;
    }

    fn renamed(&mut self, _name: &str) {
        self.renamed = true;
    }

    fn send(&mut self, cluster: usize, name: &str, key: &str) {
        self.batches.send(cluster, key, self.point, self.renamed.then_some(name));
    }

    fn aggregate(&mut self, aggregate: usize, output: &str) {
        let point = metric::Point::new(i64::from(self.point.timestamp), self.point.value);
        let output = output.to_owned();
        self.batches.contributions.push(Contribution { aggregate, output, point });
    }
}

impl Sink for Router {
    fn accept(&self, points: &[Point<'_>]) {
        let active = self.active.read();
        let rules = &active.routes.rules;
        let mut routed = self.routed(&active);
        match rules.default_cluster().filter(|_| rules.is_empty()) {
            Some(cluster) => routed.batches.send_all(cluster, points),
            None => points.iter().for_each(|point| routed.point(point, None)),
        }
        // Old data that pours in passes windows faster than the clock does.
        if self.finish(routed) {
            self.send_due(&active, self.context.clock.now_unix_seconds());
        }
    }

    async fn committed(&self) {
        self.forwarder.committed().await;
        let log = self.active.read().aggregates.log();
        if let Some(log) = log {
            log.committed().await;
        }
    }

    async fn room(&self) {
        self.forwarder.room().await;
        let files = self.active.read().files.clone();
        for file in files {
            file.room().await;
        }
    }
}
