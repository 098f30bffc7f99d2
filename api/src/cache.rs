//! What is kept for those who ask again, bounded in bytes and in time.
//!
//! Three kinds are kept: parsed targets, series read, and whole replies; the last ones also by a
//! server that several apis share ([`server`]). A key holds everything that the value depends on.

mod server;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use daemon::{Clock, Counter, Gauge, Registry};
use parking_lot::Mutex;

pub(crate) use server::Server;
pub use server::{CacheProtocol, CacheServer};

/// What an entry takes besides key and value, about.
const ENTRY_BYTES: u64 = 200;

/// Values by key. The oldest make room for new ones.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    bytes_max: u64,
    clock: Arc<dyn Clock>,
    state: Mutex<State<V>>,
    hits: Counter,
    misses: Counter,
    bytes: Gauge,
}

#[derive(Debug)]
struct State<V> {
    entries: HashMap<Arc<str>, Entry<V>>,
    /// Keys as they came, with the number of the entry that they meant.
    order: VecDeque<(Arc<str>, u64)>,
    bytes: u64,
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: u64,
    number: u64,
    kept: Duration,
    good_for: Duration,
}

impl<V: Clone> Cache<V> {
    /// An empty cache; `name` is its label in the metrics. With room for nothing it keeps nothing.
    pub(crate) fn new(
        name: &str,
        bytes_max: u64,
        clock: &Arc<dyn Clock>,
        metrics: &Registry,
    ) -> Self {
        Self {
            bytes_max,
            clock: Arc::clone(clock),
            state: Mutex::new(State {
                entries: HashMap::new(),
                order: VecDeque::new(),
                bytes: 0,
                next: 0,
            }),
            hits: metrics.counter_with("plumbago_api_cache_hits_total", &[name]),
            misses: metrics.counter_with("plumbago_api_cache_misses_total", &[name]),
            bytes: metrics.gauge_with("plumbago_api_cache_bytes", &[name]),
        }
    }

    /// Whether anything can be kept.
    pub(crate) fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// The value, and how long it has been kept, if that is not too long.
    pub(crate) fn get(&self, key: &str) -> Option<(V, Duration)> {
        if !self.is_on() {
            return None;
        }
        let now = self.clock.monotonic();
        let state = self.state.lock();
        let fresh = state.entries.get(key).and_then(|entry| {
            let age = now.saturating_sub(entry.kept);
            (age < entry.good_for).then(|| (entry.value.clone(), age))
        });
        drop(state);
        if fresh.is_some() {
            self.hits.inc()
        } else {
            self.misses.inc()
        }
        fresh
    }

    /// Keeps a value that takes `bytes`; one that would fill a quarter of the cache is not kept.
    pub(crate) fn put(&self, key: &str, value: V, bytes: u64, good_for: Duration) {
        let bytes = bytes.saturating_add(key.len() as u64 * 2 + ENTRY_BYTES);
        if bytes > self.bytes_max / 4 || good_for.is_zero() {
            return;
        }
        let key: Arc<str> = key.into();
        let kept = self.clock.monotonic();
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        let entry = Entry { value, bytes, number, kept, good_for };
        if let Some(old) = state.entries.insert(Arc::clone(&key), entry) {
            state.bytes -= old.bytes;
        }
        state.bytes += bytes;
        state.order.push_back((key, number));
        state.make_room(self.bytes_max);
        self.bytes.set(state.bytes as f64);
    }
}

impl<V> State<V> {
    /// Also forgets keys whose entry has come anew since, lest they gather.
    fn make_room(&mut self, bytes_max: u64) {
        while let Some((key, number)) = self.order.front() {
            let is_current = self.entries.get(key).is_some_and(|entry| entry.number == *number);
            if is_current && self.bytes <= bytes_max {
                return;
            }
            if is_current && let Some(entry) = self.entries.remove(key) {
                self.bytes -= entry.bytes;
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::clock::Manual;

    const SECOND: Duration = Duration::from_secs(1);

    fn cache(bytes_max: u64) -> (Cache<u32>, Arc<Manual>) {
        let manual = Arc::new(Manual::at(1000));
        let clock: Arc<dyn Clock> = manual.clone();
        (Cache::new("replies", bytes_max, &clock, &Registry::new(crate::METRICS)), manual)
    }

    #[test]
    fn a_value_is_good_for_its_time() {
        let (cache, clock) = cache(10_000);
        cache.put("a", 1, 10, 2 * SECOND);
        clock.advance(SECOND);
        assert_eq!(cache.get("a"), Some((1, SECOND)));
        clock.advance(SECOND);
        assert_eq!(cache.get("a"), None);
        cache.put("a", 2, 10, SECOND);
        assert_eq!(cache.get("a"), Some((2, Duration::ZERO)));
    }

    #[test]
    fn the_oldest_make_room_and_the_bytes_are_bounded() {
        let (cache, _) = cache(10_000);
        for number in 0..1000 {
            cache.put(&(number % 100).to_string(), number, 1000, SECOND);
            let state = cache.state.lock();
            let held: u64 = state.entries.values().map(|entry| entry.bytes).sum();
            assert!(state.bytes <= 10_000 && state.order.len() <= 100, "{}", state.order.len());
            assert_eq!(state.bytes, held);
        }
        assert_eq!(cache.get("99"), Some((999, Duration::ZERO)));
        assert_eq!(cache.get("1"), None);
        cache.put("large", 1, 2500, SECOND);
        assert_eq!(cache.get("large"), None, "one value may not drive out all others");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let (cache, _) = cache(0);
        cache.put("a", 1, 0, SECOND);
        assert!(!cache.is_on() && cache.get("a").is_none());
    }
}
