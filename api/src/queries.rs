//! The requests that run just now: listed, counted by client and by memory, and ended from outside.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use daemon::{Clock, Gauge, Registry, Shutdown};
use parking_lot::Mutex;
use query::Brake;
use remote::Allowance;
use serde_json::{Value, json};

use crate::config::RequestLimits;
use crate::errors::Refusal;

/// Characters of its parameters that a listing shows of each request.
const SHOWN_CHARS_MAX: usize = 500;

/// Who asks, and what.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Grafana's ids, and the user where a proxy says so; each with the name of its log field.
    pub(crate) origin: Vec<(&'static str, String)>,
}

/// One request while it runs.
#[derive(Debug)]
pub(crate) struct Query {
    id: u64,
    about: About,
    began: Duration,
    asked: Mutex<String>,
    phase: Mutex<&'static str>,
    is_cancelled: AtomicBool,
    /// Fired by an operator.
    pub(crate) cancelled: Shutdown,
    /// Pulled when nobody waits any more.
    pub(crate) brake: Arc<Brake>,
    pub(crate) memory: Allowance,
    pub(crate) series: AtomicU64,
    pub(crate) points: AtomicU64,
    evaluated_us: AtomicU64,
}

impl Query {
    /// Says what it does now.
    pub(crate) fn enter(&self, phase: &'static str) {
        *self.phase.lock() = phase;
    }

    /// Says what it asks for: its parameters, wherever they stood.
    pub(crate) fn asks(&self, text: String) {
        *self.asked.lock() = text;
    }

    /// What it asks for.
    pub(crate) fn asked(&self) -> String {
        self.asked.lock().clone()
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// Adds time that a processor spent on it.
    pub(crate) fn add_evaluated(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.evaluated_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Time that processors spent on it.
    pub(crate) fn evaluated(&self) -> Duration {
        Duration::from_micros(self.evaluated_us.load(Ordering::Relaxed))
    }

    fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.brake.pull();
        self.cancelled.fire();
    }

    /// Whether an operator ended it.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    fn shown(&self, now: Duration) -> Value {
        let mut shown = json!({
            "id": self.id,
            "method": self.about.method,
            "path": self.about.path,
            "asked": self.asked.lock().chars().take(SHOWN_CHARS_MAX).collect::<String>(),
            "client": self.about.client.map(|ip| ip.to_string()),
            "phase": *self.phase.lock(),
            "running_ms": u64::try_from(now.saturating_sub(self.began).as_millis()).unwrap_or(u64::MAX),
            "evaluated_ms": self.evaluated_us.load(Ordering::Relaxed) / 1000,
            "series": self.series.load(Ordering::Relaxed),
            "points": self.points.load(Ordering::Relaxed),
            "memory_bytes": self.memory.used(),
        });
        for (name, value) in &self.about.origin {
            shown[*name] = value.as_str().into();
        }
        shown
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Queries {
    clock: Arc<dyn Clock>,
    limits: RequestLimits,
    next: AtomicU64,
    state: Mutex<State>,
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<u64, Arc<Query>>,
    clients: HashMap<IpAddr, u64>,
}

impl Queries {
    pub(crate) fn new(limits: RequestLimits, clock: &Arc<dyn Clock>, metrics: &Registry) -> Self {
        Self {
            clock: Arc::clone(clock),
            limits,
            next: AtomicU64::new(1),
            state: Mutex::default(),
            gauge: metrics.gauge("plumbago_api_requests_running"),
        }
    }

    /// Takes a request in; it is in the list until the ticket is dropped.
    pub(crate) fn begin(self: &Arc<Self>, about: About) -> Result<Ticket, Refusal> {
        let query = Arc::new(Query {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            began: self.clock.monotonic(),
            asked: Mutex::default(),
            phase: Mutex::new("reading"),
            is_cancelled: AtomicBool::new(false),
            cancelled: Shutdown::new(),
            brake: Arc::default(),
            memory: Allowance::new(self.limits.memory_bytes_max),
            series: AtomicU64::new(0),
            points: AtomicU64::new(0),
            evaluated_us: AtomicU64::new(0),
            about,
        });
        let mut state = self.state.lock();
        if let Some(client) = query.about.client {
            let running = state.clients.entry(client).or_default();
            let (asked, allowed) = (*running + 1, self.limits.client_requests_max);
            if asked > allowed {
                return Err(Refusal::Overload { limit: "client_requests_max", asked, allowed });
            }
            *running = asked;
        }
        state.running.insert(query.id, Arc::clone(&query));
        self.gauge.set(state.running.len() as f64);
        drop(state);
        Ok(Ticket { queries: Arc::clone(self), query })
    }

    /// Refuses to read more while the requests of this daemon hold too much together.
    pub(crate) fn check_memory(&self) -> Result<(), Refusal> {
        let asked = self.state.lock().running.values().map(|query| query.memory.used()).sum();
        let allowed = self.limits.memory_total_bytes_max;
        if asked > allowed {
            return Err(Refusal::Overload { limit: "memory_total_bytes_max", asked, allowed });
        }
        Ok(())
    }

    /// What runs, the oldest first.
    pub(crate) fn list(&self) -> Value {
        let now = self.clock.monotonic();
        let running: Vec<_> = self.state.lock().running.values().cloned().collect();
        running.iter().map(|query| query.shown(now)).collect()
    }

    /// Ends a request; false if there is none of this number.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let query = self.state.lock().running.get(&id).cloned();
        query.inspect(|query| query.cancel()).is_some()
    }
}

/// A request's place in the list. Whoever drops it has lost interest, so evaluation ends, too.
#[derive(Debug)]
pub(crate) struct Ticket {
    queries: Arc<Queries>,
    pub(crate) query: Arc<Query>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.query.brake.pull();
        let mut state = self.queries.state.lock();
        state.running.remove(&self.query.id);
        self.queries.gauge.set(state.running.len() as f64);
        let Some(client) = self.query.about.client else { return };
        if let Some(running) = state.clients.get_mut(&client) {
            *running -= 1;
            if *running == 0 {
                state.clients.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::clock::Manual;
    use std::net::Ipv4Addr;

    fn queries(limits: RequestLimits) -> Arc<Queries> {
        let clock: Arc<dyn Clock> = Arc::new(Manual::at(1000));
        Arc::new(Queries::new(limits, &clock, &Registry::new(crate::METRICS)))
    }

    const LIMITS: RequestLimits = RequestLimits {
        client_requests_max: 2,
        memory_bytes_max: 100,
        memory_total_bytes_max: 150,
    };

    fn from(last: u8) -> About {
        About { client: Some(Ipv4Addr::new(10, 0, 0, last).into()), ..About::default() }
    }

    #[test]
    fn one_client_may_run_so_many_and_others_too() {
        let queries = queries(LIMITS);
        let first = queries.begin(from(1)).unwrap();
        let _second = queries.begin(from(1)).unwrap();
        let refusal = queries.begin(from(1)).unwrap_err().to_string();
        assert_eq!(refusal, "limit client_requests_max exceeded: asked 3, allowed 2; try again");
        let _other = queries.begin(from(2)).unwrap();
        assert_eq!(queries.list().as_array().unwrap().len(), 3);
        drop(first);
        queries.begin(from(1)).unwrap();
    }

    #[test]
    fn all_together_may_hold_so_much() {
        let queries = queries(LIMITS);
        let tickets = [queries.begin(from(1)).unwrap(), queries.begin(from(2)).unwrap()];
        tickets[0].query.memory.take(90).unwrap();
        queries.check_memory().unwrap();
        tickets[1].query.memory.take(90).unwrap();
        assert!(queries.check_memory().is_err());
        drop(tickets);
        queries.check_memory().unwrap();
    }

    #[test]
    fn a_dropped_ticket_and_an_operator_both_pull_the_brake() {
        let queries = queries(LIMITS);
        let ticket = queries.begin(from(1)).unwrap();
        let query = Arc::clone(&ticket.query);
        drop(ticket);
        assert!(query.brake.is_pulled() && !query.is_cancelled());
        let ticket = queries.begin(from(1)).unwrap();
        assert!(queries.cancel(ticket.query.id) && !queries.cancel(99));
        assert!(ticket.query.is_cancelled() && ticket.query.cancelled.is_fired());
    }
}
