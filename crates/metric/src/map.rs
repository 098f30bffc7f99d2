//! The maps of the hot paths: hashbrown with a fast hasher. Never for anything on disk or wire.

/// A hash map keyed by foldhash, seeded per process so that chosen names cannot collide on purpose.
pub type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// A hash set keyed by foldhash, seeded per process.
pub type Set<T> = hashbrown::HashSet<T, foldhash::fast::RandomState>;
