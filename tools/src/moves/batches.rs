//! Many series in few requests: gathered by the pair of nodes that they go between, and asked for side by side.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::plan::Step;

/// Most series in a batch.
const SERIES_MAX: usize = 500;

/// Bytes of files in a batch, after which the next one begins.
const BYTES_MAX: u64 = 16 << 20;

/// Batches that one node works on at a time: while it waits for one source it can merge what came from another.
const PER_TARGET: usize = 2;

/// Series that go between the same two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Who takes or compares.
    pub(crate) target: u16,
    /// Who has it.
    pub(crate) source: u16,
    /// Places in the plan.
    pub(crate) steps: Vec<u32>,
    pub(crate) names: Vec<String>,
    pub(crate) bytes: u64,
}

/// Gathers tasks (step, target, source) into batches.
pub(crate) fn gather(tasks: impl Iterator<Item = (u32, u16, u16)>, steps: &[Step]) -> Vec<Batch> {
    let mut open: BTreeMap<(u16, u16), Batch> = BTreeMap::new();
    let mut done = Vec::new();
    for (number, target, source) in tasks {
        let Some(step) = steps.get(number as usize) else { continue };
        let empty = || Batch { target, source, steps: Vec::new(), names: Vec::new(), bytes: 0 };
        let batch = open.entry((target, source)).or_insert_with(empty);
        batch.steps.push(number);
        batch.names.push(step.name.to_string());
        batch.bytes += step.bytes;
        if batch.steps.len() >= SERIES_MAX || batch.bytes >= BYTES_MAX {
            done.extend(open.remove(&(target, source)));
        }
    }
    done.extend(open.into_values());
    done
}

/// Does the work of all batches, [`PER_TARGET`] at a time for each target, and hands over each outcome as it comes.
pub(crate) fn run<F, Fut, T>(batches: Vec<Batch>, work: F) -> mpsc::Receiver<(Batch, T)>
where
    F: Fn(Batch) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut queues: BTreeMap<u16, VecDeque<Batch>> = BTreeMap::new();
    for batch in batches {
        queues.entry(batch.target).or_default().push_back(batch);
    }
    let (sender, receiver) = mpsc::channel(1);
    let work = Arc::new(work);
    let mut workers = JoinSet::new();
    for queue in queues.into_values().map(|queue| Arc::new(Mutex::new(queue))) {
        for _ in 0..PER_TARGET {
            workers.spawn(work_off(Arc::clone(&queue), Arc::clone(&work), sender.clone()));
        }
    }
    workers.detach_all();
    receiver
}

/// Does the work of one queue until it is empty, or nobody waits for the outcomes.
async fn work_off<F, Fut, T>(
    queue: Arc<Mutex<VecDeque<Batch>>>,
    work: Arc<F>,
    outcomes: mpsc::Sender<(Batch, T)>,
) where
    F: Fn(Batch) -> Fut,
    Fut: Future<Output = T>,
{
    loop {
        let next = queue.lock().pop_front();
        let Some(batch) = next else { return };
        let outcome = work(batch.clone()).await;
        if outcomes.send((batch, outcome)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Action;
    use super::*;

    fn step(name: &str, bytes: u64) -> Step {
        let none = Vec::new;
        Step {
            name: name.into(),
            action: Action::Copy,
            sources: none(),
            targets: none(),
            owners: none(),
            drop: none(),
            bytes,
        }
    }

    #[test]
    fn a_batch_is_full_by_number_or_by_bytes() {
        let steps: Vec<Step> = (0..SERIES_MAX + 1).map(|n| step(&n.to_string(), 1)).collect();
        let tasks = (0..steps.len()).map(|n| (n as u32, 1, 0));
        let lengths: Vec<usize> =
            gather(tasks, &steps).iter().map(|batch| batch.names.len()).collect();
        assert_eq!(lengths, [SERIES_MAX, 1]);
        let steps = [step("a", BYTES_MAX), step("b", 1), step("c", 1)];
        let batches = gather([(0, 1, 0), (1, 1, 0), (2, 2, 0)].into_iter(), &steps);
        let names: Vec<&[String]> = batches.iter().map(|batch| &batch.names[..]).collect();
        assert_eq!(names, [["a"], ["b"], ["c"]]);
    }

    #[tokio::test]
    async fn every_batch_is_worked_on_once() {
        let steps: Vec<Step> = (0..9).map(|n| step(&n.to_string(), BYTES_MAX)).collect();
        let batches = gather((0..9).map(|n| (n, (n % 3) as u16, 7)), &steps);
        let mut done = run(batches, |batch| async move { batch.steps[0] });
        let mut seen = Vec::new();
        while let Some((_, step)) = done.recv().await {
            seen.push(step);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..9).collect::<Vec<_>>());
    }
}
