//! The series of this node: one persistent number for each name.
//!
//! A name is looked up for every line that comes in, so the table is cut into shards by a 64-bit hash of the name, and a
//! batch takes each shard's lock once. Names lie packed in the shards; nothing holds a `String` per series.

mod column;
mod names_log;
mod text;

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hashbrown::HashTable;
use parking_lot::RwLock;

pub(crate) use self::column::Column;
pub use self::names_log::LoadReport;
use self::names_log::{Entry, NamesLog};
pub(crate) use self::text::TextPack;

/// The number that stands for a series, on disk and in memory, for as long as the node keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

/// Longest name that the table takes.
pub const NAME_BYTES_MAX: usize = text::TEXT_BYTES_MAX;

/// What can go wrong with the table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeriesError {
    /// The names log could not be read or written.
    #[error("names log {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
const LOCAL_BITS: u32 = 32 - SHARD_BITS;
/// The place of an id that stands for nothing.
const NOWHERE: u32 = u32::MAX;

/// Names and ids of all series of a node.
#[derive(Debug)]
pub struct SeriesTable {
    shards: Box<[RwLock<Shard>]>,
    /// By id: the shard in the high bits, the number within it in the low ones.
    places: RwLock<Column<u32, 16384>>,
    next_id: AtomicU32,
    /// All names of ids below it survive the loss of power.
    safe_end: AtomicU32,
    living: AtomicUsize,
    hasher: foldhash::fast::RandomState,
    log: NamesLog,
}

#[derive(Debug, Default)]
struct Shard {
    locals: HashTable<u32>,
    names: TextPack,
    ids: Column<u32, 1024>,
}

impl Shard {
    fn find(&self, hash: u64, name: &str) -> Option<u32> {
        self.locals.find(hash, |&local| self.names.bytes(local) == name.as_bytes()).copied()
    }

    fn id(&self, local: u32) -> SeriesId {
        SeriesId(self.ids[local as usize])
    }

    fn add(
        &mut self,
        hasher: &impl BuildHasher,
        hash: u64,
        name: &str,
        id: SeriesId,
    ) -> Option<u32> {
        if self.names.len() >= (1 << LOCAL_BITS) - 1 {
            return None;
        }
        let local = self.names.push(name)?;
        self.ids.push(id.0);
        let Self { locals, names, .. } = self;
        locals.insert_unique(hash, local, |&other| hasher.hash_one(names.get(other)));
        Some(local)
    }
}

impl SeriesTable {
    /// Reads the names log, or starts a new one.
    pub fn open(names_log: &Path) -> Result<(Self, LoadReport), SeriesError> {
        let shards: Box<[RwLock<Shard>]> = (0..SHARDS).map(|_| RwLock::default()).collect();
        let places = RwLock::default();
        let (next_id, living) = (AtomicU32::new(0), AtomicUsize::new(0));
        let hasher = foldhash::fast::RandomState::default();
        let tables = Tables { shards: &shards, places: &places, hasher: &hasher };
        let (log, report) = NamesLog::open(names_log, |entry| {
            let (Entry::Named(id, _) | Entry::Removed(id, _)) = entry;
            // An id far above all others would cost memory for every id below it.
            if id.0 > next_id.load(Ordering::Relaxed).saturating_add(ID_GAP_MAX) {
                return false;
            }
            next_id.fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
            match entry {
                Entry::Named(id, name) => {
                    let holds = tables.restore(id, name);
                    living.fetch_add(usize::from(holds), Ordering::Relaxed);
                    holds
                }
                Entry::Removed(id, name) => {
                    let holds = tables.forget(id, |found| found == name).is_some();
                    living.fetch_sub(usize::from(holds), Ordering::Relaxed);
                    holds
                }
            }
        })?;
        let safe_end = AtomicU32::new(next_id.load(Ordering::Relaxed));
        Ok((Self { shards, places, next_id, safe_end, living, hasher, log }, report))
    }

    /// The id of a name that is known.
    pub fn get(&self, name: &str) -> Option<SeriesId> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shards[shard_of(hash)].read();
        shard.find(hash, name).map(|local| shard.id(local))
    }

    /// Ids of all `names`, in their order, into `ids`; those seen for the first time are also put into `fresh`.
    ///
    /// `None` stands for a name that is empty, too long, or new while the node already has `series_limit` series.
    pub fn resolve(
        &self,
        names: &[&str],
        series_limit: usize,
        ids: &mut Vec<Option<SeriesId>>,
        fresh: &mut Vec<SeriesId>,
    ) {
        ids.clear();
        ids.resize(names.len(), None);
        let hashes: Vec<u64> = names.iter().map(|name| self.hasher.hash_one(*name)).collect();
        let order = by_shard(&hashes);
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            let shard_index = shard_of(hashes[first as usize]);
            let same = |at: &u32| shard_of(hashes[*at as usize]) == shard_index;
            let (group, later) = rest.split_at(rest.iter().take_while(|at| same(at)).count());
            rest = later;
            let mut unknown = false;
            let shard = self.shards[shard_index].read();
            for &at in group {
                let at = at as usize;
                ids[at] = shard.find(hashes[at], names[at]).map(|local| shard.id(local));
                unknown |= ids[at].is_none();
            }
            drop(shard);
            for &at in group.iter().filter(|_| unknown) {
                let at = at as usize;
                if ids[at].is_none() {
                    ids[at] = self.admit(hashes[at], names[at], series_limit, fresh);
                }
            }
        }
    }

    /// The id of a name that was not there a moment ago.
    fn admit(
        &self,
        hash: u64,
        name: &str,
        series_limit: usize,
        fresh: &mut Vec<SeriesId>,
    ) -> Option<SeriesId> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let shard_index = shard_of(hash);
        let mut shard = self.shards[shard_index].write();
        if let Some(local) = shard.find(hash, name) {
            return Some(shard.id(local));
        }
        if self.living.fetch_add(1, Ordering::Relaxed) >= series_limit {
            self.living.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut gathered = self.log.gather();
        let next = |id: u32| id.checked_add(1);
        let id = self.next_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        let id = SeriesId(id);
        let local = shard.add(&self.hasher, hash, name, id)?;
        set_place(&self.places, id, place(shard_index, local));
        gathered.push(Entry::Named(id, name));
        drop(gathered);
        fresh.push(id);
        Some(id)
    }

    /// Calls `with` with the name of a living series.
    pub fn with_name<R>(&self, id: SeriesId, with: impl FnOnce(&str) -> R) -> Option<R> {
        let place = self.places.read().get(id.0 as usize).copied()?;
        if place == NOWHERE {
            return None;
        }
        let shard = self.shards[(place >> LOCAL_BITS) as usize].read();
        Some(with(shard.names.get(place & ((1 << LOCAL_BITS) - 1))))
    }

    /// The name of a living series.
    pub fn name(&self, id: SeriesId) -> Option<String> {
        self.with_name(id, str::to_owned)
    }

    /// Whether the id stands for a series.
    pub fn is_living(&self, id: SeriesId) -> bool {
        self.places.read().get(id.0 as usize).is_some_and(|&place| place != NOWHERE)
    }

    /// Forgets a series; its id is never given again. False if it was not there.
    pub fn remove(&self, id: SeriesId) -> bool {
        let tables = Tables { shards: &self.shards, places: &self.places, hasher: &self.hasher };
        let gone = tables.forget(id, |name| {
            self.log.push(Entry::Removed(id, name));
            true
        });
        if gone.is_some() {
            self.living.fetch_sub(1, Ordering::Relaxed);
        }
        gone.is_some()
    }

    /// Number of living series.
    pub fn len(&self) -> usize {
        self.living.load(Ordering::Relaxed)
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One above the highest id given so far.
    pub fn id_end(&self) -> u32 {
        self.next_id.load(Ordering::Relaxed)
    }

    /// Calls `each` with every living series in the order of ids.
    pub fn for_each(&self, mut each: impl FnMut(SeriesId, &str)) {
        for id in (0..self.id_end()).map(SeriesId) {
            self.with_name(id, |name| each(id, name));
        }
    }

    /// Writes new names to the log; with `sync`, waits until the disk has them.
    pub fn commit(&self, sync: bool) -> std::io::Result<()> {
        let id_end = self.log.commit(sync, &self.next_id)?;
        if sync {
            self.safe_end.fetch_max(id_end, Ordering::Release);
        }
        Ok(())
    }

    /// The names of all ids below this one survive the loss of power.
    pub fn safe_end(&self) -> SeriesId {
        SeriesId(self.safe_end.load(Ordering::Acquire))
    }

    /// Bytes that the table holds in memory.
    pub fn memory_bytes(&self) -> usize {
        let in_shard = |shard: &RwLock<Shard>| {
            let shard = shard.read();
            shard.locals.allocation_size() + shard.names.memory_bytes() + shard.ids.memory_bytes()
        };
        self.shards.iter().map(in_shard).sum::<usize>() + self.places.read().memory_bytes()
    }
}

/// What is needed to restore and forget names before the table is whole.
struct Tables<'a> {
    shards: &'a [RwLock<Shard>],
    places: &'a RwLock<Column<u32, 16384>>,
    hasher: &'a foldhash::fast::RandomState,
}

impl Tables<'_> {
    /// Takes a name from the log; false if id or name is taken.
    fn restore(&self, id: SeriesId, name: &str) -> bool {
        let taken = self.places.read().get(id.0 as usize).is_some_and(|&place| place != NOWHERE);
        let hash = self.hasher.hash_one(name);
        let shard_index = shard_of(hash);
        let mut shard = self.shards[shard_index].write();
        if taken || shard.find(hash, name).is_some() {
            return false;
        }
        let Some(local) = shard.add(self.hasher, hash, name, id) else { return false };
        set_place(self.places, id, place(shard_index, local));
        true
    }

    /// Takes a series out if `agree` says yes to its name.
    fn forget(&self, id: SeriesId, agree: impl FnOnce(&str) -> bool) -> Option<()> {
        let place = self.places.read().get(id.0 as usize).copied()?;
        if place == NOWHERE {
            return None;
        }
        let local = place & ((1 << LOCAL_BITS) - 1);
        let mut shard = self.shards[(place >> LOCAL_BITS) as usize].write();
        let Shard { locals, names, .. } = &mut *shard;
        let name = names.get(local);
        let entry = locals.find_entry(self.hasher.hash_one(name), |&other| other == local).ok()?;
        if !agree(name) {
            return None;
        }
        entry.remove();
        set_place(self.places, id, NOWHERE);
        Some(())
    }
}

/// Ids in a log grow by one; a jump above this is damage that happened to check.
const ID_GAP_MAX: u32 = 64 << 20;

fn set_place(places: &RwLock<Column<u32, 16384>>, id: SeriesId, place: u32) {
    let mut places = places.write();
    places.reach(id.0 as usize, || NOWHERE);
    places[id.0 as usize] = place;
}

fn place(shard: usize, local: u32) -> u32 {
    (u32::try_from(shard).expect("a shard number has six bits") << LOCAL_BITS) | local
}

/// Bits that the hash tables use for neither bucket nor tag.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

/// Positions of `hashes` grouped by shard, each group in its first order.
fn by_shard(hashes: &[u64]) -> Vec<u32> {
    let mut starts = [0u32; SHARDS + 1];
    for &hash in hashes {
        starts[shard_of(hash) + 1] += 1;
    }
    for shard in 0..SHARDS {
        starts[shard + 1] += starts[shard];
    }
    let mut order = vec![0; hashes.len()];
    for (at, &hash) in (0u32..).zip(hashes) {
        let start = &mut starts[shard_of(hash)];
        order[*start as usize] = at;
        *start += 1;
    }
    order
}

#[cfg(test)]
mod tests;
