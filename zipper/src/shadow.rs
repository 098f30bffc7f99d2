//! A share of the questions is asked of another Graphite endpoint, too, once they have been answered,
//! and what differs is counted: so a cluster proves itself beside the one that it is to replace.
//!
//! Both sides are asked at the same time, apart from the request that was answered: nothing of it
//! is kept, and neither its time nor its answer depends on the shadow. So many comparisons run at a
//! time, each with limits of its own; a question beyond that is left out.

mod compare;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use daemon::Context;
use metric::Within;
use parking_lot::Mutex;
use remote::{Client, ClientSettings, Deadline, FetchRequest, FindRequest};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::reply::Caps;

use crate::config::ShadowSettings;
use compare::{Difference, What};

/// Bytes of one reply of the other endpoint, and series in it.
const REPLY: Caps = Caps { bytes_max: 16 << 20, items_max: 50_000 };

/// Differences that are kept; the oldest goes.
const SAMPLES_MAX: usize = 100;

/// Differences that one comparison adds to them: one bad query must not push out all others.
const SAMPLES_OF_ONE_MAX: usize = 10;

/// How a comparison ended.
const OUTCOMES: [&str; 4] = ["same", "different", "failed", "skipped"];

/// The other endpoint, and what was found so far.
#[derive(Debug)]
pub(crate) struct Shadow {
    client: Client,
    settings: ShadowSettings,
    context: Context,
    running: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the share has come to since the last question that was taken; at 1 one is.
    due: f64,
    samples: VecDeque<Value>,
    last_error: Option<String>,
}

/// A question whose turn it is.
pub(crate) struct Turn {
    shadow: Arc<Shadow>,
    question: Question,
    within: Within,
    _permit: OwnedSemaphorePermit,
}

enum Question {
    Render(Vec<FetchRequest>),
    Find(FindRequest),
}

impl Shadow {
    pub(crate) fn new(settings: &ShadowSettings, context: &Context) -> Self {
        let client = ClientSettings { reply: REPLY, ..ClientSettings::default() };
        let clock = Arc::clone(&context.clock);
        let shadow = Self {
            client: Client::new(settings.endpoint.clone(), client, clock),
            settings: settings.clone(),
            context: context.clone(),
            running: Arc::new(Semaphore::new(settings.running_max)),
            state: Mutex::default(),
        };
        OUTCOMES.iter().for_each(|outcome| shadow.queries(outcome).add(0));
        shadow
    }

    /// Takes a render, if it is its turn.
    pub(crate) fn take_render(
        self: &Arc<Self>,
        requests: &[FetchRequest],
        deadline: &Deadline,
    ) -> Option<Turn> {
        self.take(deadline, || Question::Render(requests.to_vec()))
    }

    /// Takes a find, if it is its turn.
    pub(crate) fn take_find(
        self: &Arc<Self>,
        request: &FindRequest,
        deadline: &Deadline,
    ) -> Option<Turn> {
        self.take(deadline, || Question::Find(request.clone()))
    }

    fn take(
        self: &Arc<Self>,
        deadline: &Deadline,
        question: impl FnOnce() -> Question,
    ) -> Option<Turn> {
        {
            let mut state = self.state.lock();
            state.due += self.settings.share;
            if state.due < 1.0 {
                return None;
            }
            state.due -= 1.0;
        }
        let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() else {
            self.queries("skipped").inc();
            return None;
        };
        let (shadow, within) = (Arc::clone(self), deadline.waiting().within.clone());
        Some(Turn { shadow, question: question(), within, _permit: permit })
    }

    /// For `/admin/shadow`.
    pub(crate) fn report(&self) -> Value {
        let state = self.state.lock();
        let queries = OUTCOMES.map(|outcome| (outcome.to_owned(), self.queries(outcome).get()));
        let differences =
            What::ALL.map(|what| (what.label().to_owned(), self.differences(what).get()));
        json!({
            "endpoint": self.settings.endpoint.to_string(),
            "share": self.settings.share,
            "queries": queries.into_iter().collect::<BTreeMap<_, _>>(),
            "differences": differences.into_iter().collect::<BTreeMap<_, _>>(),
            "last_error": state.last_error,
            "samples": state.samples,
        })
    }

    fn queries(&self, outcome: &str) -> daemon::Counter {
        self.context.metrics.counter_with("plumbago_zipper_shadow_queries_total", &[outcome])
    }

    fn differences(&self, what: What) -> daemon::Counter {
        let metric = "plumbago_zipper_shadow_differences_total";
        self.context.metrics.counter_with(metric, &[what.label()])
    }

    fn note(&self, found: Result<Vec<Difference>, String>) {
        let differences = match found {
            Ok(differences) => differences,
            Err(error) => {
                self.queries("failed").inc();
                self.state.lock().last_error = Some(error);
                return;
            }
        };
        self.queries(if differences.is_empty() { "same" } else { "different" }).inc();
        for difference in &differences {
            self.differences(difference.what).add(difference.slots);
        }
        let seen = self.context.clock.now_unix_seconds();
        let mut state = self.state.lock();
        for difference in differences.iter().take(SAMPLES_OF_ONE_MAX) {
            if state.samples.len() == SAMPLES_MAX {
                state.samples.pop_front();
            }
            state.samples.push_back(difference.sample(seen));
        }
    }
}
