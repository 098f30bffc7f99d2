//! How much may be asked of the nodes at once, shared fairly among tenants.
//!
//! A request weighs as much as it has names, a pattern more. While the weight under way leaves no
//! room, requests wait, each tenant in a queue of its own; the queues take turns. So a tenant who
//! asks for much waits for himself, and the others for one request of his at most.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use remote::Deadline;
use tokio::sync::oneshot;

/// What a pattern weighs, in exact names.
const PATTERN_WEIGHT: u64 = 10;

/// The door to the nodes.
#[derive(Debug)]
pub(crate) struct Gate {
    weight_max: u64,
    waiting_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Weight under way.
    weight: u64,
    /// Who waits, by tenant; none is empty.
    queues: BTreeMap<String, VecDeque<Waiting>>,
    /// The tenants who have a queue, the next one first.
    turns: VecDeque<String>,
}

#[derive(Debug)]
struct Waiting {
    weight: u64,
    admit: oneshot::Sender<Pass>,
}

/// The right to ask the nodes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    weight: u64,
}

/// Why a request does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its tenant has as many waiting as there may be.
    TooMany,
    /// Its time was up before its turn came.
    Late,
}

impl Gate {
    /// Room for this weight at once, and for so many waiting requests of each tenant.
    pub(crate) fn new(weight_max: u64, waiting_max: usize) -> Arc<Self> {
        Arc::new(Self { weight_max, waiting_max, state: Mutex::default() })
    }

    /// Waits for its turn. What weighs more than there ever is room for goes alone.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        tenant: &str,
        weight: u64,
        deadline: &Deadline,
    ) -> Result<Pass, Refused> {
        let weight = weight.clamp(1, self.weight_max.max(1));
        let turn = {
            let mut state = self.state.lock();
            if state.turns.is_empty() && state.weight + weight <= self.weight_max.max(1) {
                state.weight += weight;
                return Ok(Pass { gate: Arc::clone(self), weight });
            }
            state.join(tenant, weight, self.waiting_max)?
        };
        match tokio::time::timeout(deadline.remaining(), turn).await {
            Ok(Ok(pass)) => Ok(pass),
            // Nobody drops a waiting request but its own end.
            Ok(Err(_)) | Err(_) => Err(Refused::Late),
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.state.lock();
        let all = state.queues.values().flatten();
        all.filter(|waiting| !waiting.admit.is_closed()).count()
    }

    /// Gives back room, and lets in whose turn it is.
    fn leave(self: &Arc<Self>, weight: u64) {
        let mut admitted = Vec::new();
        {
            let mut state = self.state.lock();
            state.weight -= weight;
            while let Some(next) = state.next(self.weight_max.max(1)) {
                state.weight += next.weight;
                admitted.push(next);
            }
        }
        for Waiting { weight, admit } in admitted {
            // One whose asker is gone drops its pass, and so gives the room to the next.
            drop(admit.send(Pass { gate: Arc::clone(self), weight }));
        }
    }
}

impl State {
    fn join(
        &mut self,
        tenant: &str,
        weight: u64,
        waiting_max: usize,
    ) -> Result<oneshot::Receiver<Pass>, Refused> {
        let queue = self.queues.entry(tenant.to_owned()).or_default();
        queue.retain(|waiting| !waiting.admit.is_closed());
        if queue.len() >= waiting_max {
            return Err(Refused::TooMany);
        }
        let (admit, turn) = oneshot::channel();
        queue.push_back(Waiting { weight, admit });
        if !self.turns.iter().any(|other| other == tenant) {
            self.turns.push_back(tenant.to_owned());
        }
        Ok(turn)
    }

    /// Takes out the request whose turn it is, if there is room for it.
    fn next(&mut self, weight_max: u64) -> Option<Waiting> {
        let tenant = self.turns.front()?;
        let queue = self.queues.get_mut(tenant)?;
        let waiting = queue.pop_front_if(|waiting| self.weight + waiting.weight <= weight_max)?;
        let is_empty = queue.is_empty();
        let tenant = self.turns.pop_front()?;
        if is_empty {
            self.queues.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(waiting)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.leave(self.weight);
    }
}

/// What names and patterns weigh.
pub(crate) fn weight_of<'p>(patterns: impl Iterator<Item = &'p str>) -> u64 {
    let is_pattern = |text: &str| text.contains(['*', '?', '[', '{', '(']);
    patterns.map(|text| if is_pattern(text) { PATTERN_WEIGHT } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::Clock;
    use daemon::clock::Manual;
    use std::time::Duration;
    use tokio::task::JoinHandle;

    fn deadline() -> Deadline {
        let clock: Arc<dyn Clock> = Arc::new(Manual::at(0));
        Deadline::after(&clock, Duration::from_secs(3600))
    }

    /// A request that waits, told of in `order` when it is let in.
    async fn waiting(
        gate: &Arc<Gate>,
        tenant: &'static str,
        weight: u64,
        order: &Arc<Mutex<Vec<&'static str>>>,
    ) -> JoinHandle<()> {
        let (own, order, before) = (Arc::clone(gate), Arc::clone(order), gate.waiting());
        let task = tokio::spawn(async move {
            let pass = own.enter(tenant, weight, &deadline()).await.unwrap();
            order.lock().push(tenant);
            drop(pass);
        });
        while gate.waiting() == before {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test]
    async fn tenants_take_turns_however_much_one_of_them_asks() {
        let gate = Gate::new(10, 100);
        let order = Arc::default();
        let first = gate.enter("busy", 10, &deadline()).await.unwrap();
        let mut tasks = Vec::new();
        for tenant in ["busy", "busy", "busy", "modest", "other"] {
            tasks.push(waiting(&gate, tenant, 10, &order).await);
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), ["busy", "modest", "other", "busy", "busy"]);
        assert_eq!((gate.waiting(), gate.state.lock().weight), (0, 0));
    }

    #[tokio::test]
    async fn what_fits_goes_at_once_and_what_never_fits_goes_alone() {
        let gate = Gate::new(10, 100);
        let light = gate.enter("a", 4, &deadline()).await.unwrap();
        let second = gate.enter("b", 6, &deadline()).await.unwrap();
        let order = Arc::default();
        let heavy = waiting(&gate, "c", 1_000, &order).await;
        drop((light, second));
        heavy.await.unwrap();
        assert_eq!(gate.state.lock().weight, 0);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_one_that_gave_up_takes_no_place() {
        let gate = Gate::new(1, 1);
        let order = Arc::default();
        let held = gate.enter("a", 1, &deadline()).await.unwrap();
        let gone = waiting(&gate, "a", 1, &order).await;
        assert_eq!(gate.enter("a", 1, &deadline()).await.unwrap_err(), Refused::TooMany);
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let next = waiting(&gate, "a", 1, &order).await;
        drop(held);
        next.await.unwrap();
        assert!(gate.enter("a", 1, &deadline()).await.is_ok());
    }
}
