//! On what two nodes disagree: counted for each two of them, with samples for who repairs.

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::{Context, Counter};
use metric::SeriesData;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::merge::Divergence;

/// Series kept of each two nodes; beyond it the one that was seen longest ago goes.
const SAMPLES_MAX: usize = 100;

/// So long what was found once is taken for known: it may have been repaired, and reading tells.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// All divergences since the start.
#[derive(Debug)]
pub(crate) struct Divergences {
    context: Context,
    pairs: Mutex<BTreeMap<(String, String), Pair>>,
}

#[derive(Debug)]
struct Pair {
    slots: Counter,
    /// By series.
    samples: BTreeMap<String, Sample>,
    /// Samples taken so far.
    taken: u64,
}

/// The latest divergence of one series.
#[derive(Debug)]
struct Sample {
    taken: u64,
    taken_at: Duration,
    slot_s: i64,
    step_s: i64,
    /// In the order of the pair.
    values: (f64, f64),
}

impl Divergences {
    /// None yet.
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone(), pairs: Mutex::default() }
    }

    /// Counts the divergence of two copies of a series, which these nodes hold.
    pub(crate) fn add(
        &self,
        series: &SeriesData,
        (one, two): (&str, &str),
        divergence: &Divergence,
    ) {
        let Divergence { slots, first_s, values, .. } = *divergence;
        // Which of the two is trusted more differs from series to series: a pair has the order of names.
        let (nodes, values) =
            if one <= two { ((one, two), values) } else { ((two, one), (values.1, values.0)) };
        let mut pairs = self.pairs.lock();
        let key = (nodes.0.to_owned(), nodes.1.to_owned());
        let pair = pairs.entry(key).or_insert_with(|| self.pair(nodes));
        pair.slots.add(slots);
        pair.taken += 1;
        let (taken, taken_at) = (pair.taken, self.context.clock.monotonic());
        let (slot_s, step_s) = (first_s, series.step);
        let sample = Sample { taken, taken_at, slot_s, step_s, values };
        pair.samples.insert(series.name.clone(), sample);
        if pair.samples.len() > SAMPLES_MAX {
            let oldest = pair.samples.iter().min_by_key(|(_, sample)| sample.taken);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| pair.samples.remove(&name));
        }
    }

    /// Whether a series that is asked for may be one that was found to differ lately.
    pub(crate) fn has_any(&self, is_asked_for: impl Fn(&str) -> bool) -> bool {
        let since = self.context.clock.monotonic().saturating_sub(KNOWN_FOR);
        self.pairs.lock().values().any(|pair| {
            let recent = pair.samples.iter().filter(|(_, sample)| sample.taken_at >= since);
            let names: Vec<&String> = recent.map(|(name, _)| name).collect();
            // Of more than are kept nobody knows the names.
            names.len() == SAMPLES_MAX || names.into_iter().any(|name| is_asked_for(name))
        })
    }

    fn pair(&self, (one, two): (&str, &str)) -> Pair {
        let metric = "plumbago_zipper_divergent_points_total";
        let slots = self.context.metrics.counter_with(metric, &[one, two]);
        Pair { slots, samples: BTreeMap::new(), taken: 0 }
    }

    /// For `/admin/divergence`.
    pub(crate) fn report(&self) -> Value {
        let pairs = self.pairs.lock();
        let pair = |((one, two), pair): (&(String, String), &Pair)| {
            let sample = |(name, sample): (&String, &Sample)| {
                json!({
                    "series": name,
                    "slot_s": sample.slot_s,
                    "step_s": sample.step_s,
                    "values": [sample.values.0, sample.values.1],
                })
            };
            json!({
                "nodes": [one, two],
                "slots": pair.slots.get(),
                "samples": pair.samples.iter().map(sample).collect::<Vec<_>>(),
            })
        };
        json!({"pairs": pairs.iter().map(pair).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_one_whoever_is_trusted_and_its_samples_are_bounded() {
        let context = Context::new("zipper", crate::METRICS);
        let divergences = Divergences::new(&context);
        let add = |name: &str, nodes, values| {
            let divergence = Divergence { nodes: (0, 1), slots: 2, first_s: 60, values };
            divergences.add(&SeriesData::new(name, 0, 60, vec![]), nodes, &divergence);
        };
        add("first", ("a", "b"), (1.0, 2.0));
        add("second", ("b", "a"), (1.0, 2.0));
        let report = divergences.report();
        assert_eq!(report["pairs"].as_array().unwrap().len(), 1);
        let pair = &report["pairs"][0];
        assert_eq!((&pair["nodes"], &pair["slots"]), (&json!(["a", "b"]), &json!(4)));
        assert_eq!(pair["samples"][1]["values"], json!([2.0, 1.0]));
        add("first", ("a", "b"), (1.0, 2.0));
        (0..SAMPLES_MAX - 1).for_each(|n| add(&format!("s{n}"), ("a", "b"), (1.0, 2.0)));
        let report = divergences.report();
        let samples = report["pairs"][0]["samples"].as_array().unwrap();
        let kept = |name: &str| samples.iter().any(|sample| sample["series"] == name);
        assert_eq!(samples.len(), SAMPLES_MAX);
        assert!(kept("first") && !kept("second"), "the one seen longest ago has gone");
        assert!(divergences.has_any(|_| false), "there may be more than are kept");
    }
}
