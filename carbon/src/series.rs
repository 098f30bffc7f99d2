//! The series of this node: one persistent number for each name.
//!
//! A name is looked up for every line that comes in, so the table is cut into shards by a 64-bit hash of the name, and a
//! batch takes each shard's lock once. Names lie packed in the shards; nothing holds a `String` per series.
//!
//! Most series are in a sealed part that is mapped from a file; the shards hold what came since. Locks are taken in the
//! order base, shard, places.

mod base;
mod column;
mod names_log;
mod seal;
mod text;

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use parking_lot::RwLock;

use self::base::Base;
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
    base: RwLock<Base>,
    shards: Box<[RwLock<Shard>]>,
    places: RwLock<Places>,
    next_id: AtomicU32,
    /// All names of ids below it survive the loss of power.
    safe_end: AtomicU32,
    living: AtomicUsize,
    hasher: FixedState,
    /// What seeds `hasher`; a seal keeps it.
    seed: u64,
    names_log: PathBuf,
    log: NamesLog,
}

/// Where the series that are not sealed lie in the shards.
#[derive(Debug, Default)]
struct Places {
    /// The first id that is not sealed.
    first: u32,
    /// From there by id: the shard in the high bits, the number within it in the low ones.
    places: Column<u32, 16384>,
}

impl Places {
    fn get(&self, id: SeriesId) -> Option<u32> {
        let at = id.0.checked_sub(self.first)?;
        self.places.get(at as usize).copied().filter(|&place| place != NOWHERE)
    }

    fn set(&mut self, id: SeriesId, place: u32) {
        let Some(at) = id.0.checked_sub(self.first) else { return };
        self.places.reach(at as usize, || NOWHERE);
        self.places[at as usize] = place;
    }
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
    /// Maps the seal beside the names log and reads what the log has after it, or starts a new log.
    pub fn open(names_log: &Path) -> Result<(Self, LoadReport), SeriesError> {
        let base = Base::open(&seal::path_beside(names_log), names_log);
        let id_end = base.id_end();
        let sealed = base.sealed().cloned();
        let seed = sealed.as_ref().map_or_else(fresh_seed, |sealed| sealed.seed());
        let tables = Tables {
            base: RwLock::new(base),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            places: RwLock::new(Places { first: id_end, ..Places::default() }),
            hasher: FixedState::with_seed(seed),
        };
        let next_id = AtomicU32::new(id_end);
        let living = AtomicUsize::new(sealed.as_ref().map_or(0, |sealed| sealed.len()));
        let from = sealed.as_ref().map_or(0, |sealed| sealed.log_end());
        let (log, report) = NamesLog::open(names_log, from, |entry| {
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
                    let was_there = tables.forget(id, |found| found == name).is_some();
                    living.fetch_sub(usize::from(was_there), Ordering::Relaxed);
                    // A seal leaves out what was removed while it was made.
                    was_there || id.0 < id_end
                }
            }
        })?;
        let safe_end = AtomicU32::new(next_id.load(Ordering::Relaxed));
        let Tables { base, shards, places, hasher } = tables;
        let names_log = names_log.to_owned();
        Ok((
            Self { base, shards, places, next_id, safe_end, living, hasher, seed, names_log, log },
            report,
        ))
    }

    /// The id of a name that is known.
    pub fn get(&self, name: &str) -> Option<SeriesId> {
        let hash = self.hasher.hash_one(name);
        let base = self.base.read();
        base.find(hash, name).or_else(|| {
            let shard = self.shards[shard_of(hash)].read();
            shard.find(hash, name).map(|local| shard.id(local))
        })
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
        let base = self.base.read();
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
                ids[at] = base
                    .find(hashes[at], names[at])
                    .or_else(|| shard.find(hashes[at], names[at]).map(|local| shard.id(local)));
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
        self.places.write().set(id, place(shard_index, local));
        gathered.push(Entry::Named(id, name));
        drop(gathered);
        fresh.push(id);
        Some(id)
    }

    /// Calls `with` with the name of a living series.
    pub fn with_name<R>(&self, id: SeriesId, with: impl FnOnce(&str) -> R) -> Option<R> {
        let base = self.base.read();
        if id.0 < base.id_end() {
            let name = base.name(id);
            drop(base);
            return name.map(|name| with(&name));
        }
        let place = self.places.read().get(id)?;
        let shard = self.shards[(place >> LOCAL_BITS) as usize].read();
        Some(with(shard.names.get(place & ((1 << LOCAL_BITS) - 1))))
    }

    /// The name of a living series.
    pub fn name(&self, id: SeriesId) -> Option<String> {
        self.with_name(id, str::to_owned)
    }

    /// Whether the id stands for a series.
    pub fn is_living(&self, id: SeriesId) -> bool {
        let base = self.base.read();
        if id.0 < base.id_end() { base.is_living(id) } else { self.places.read().get(id).is_some() }
    }

    /// Forgets a series; its id is never given again. False if it was not there.
    pub fn remove(&self, id: SeriesId) -> bool {
        let note = |name: &str| {
            self.log.push(Entry::Removed(id, name));
            true
        };
        let Self { base, shards, places, hasher, .. } = self;
        let gone = forget(&mut base.write(), (shards, places, hasher), id, note).is_some();
        if gone {
            self.living.fetch_sub(1, Ordering::Relaxed);
        }
        gone
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
        let (id_end, _) = self.log.commit(sync, &self.next_id)?;
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
        self.shards.iter().map(in_shard).sum::<usize>()
            + self.places.read().places.memory_bytes()
            + self.base.read().memory_bytes()
    }
}

/// What is needed to restore and forget names before the table is whole.
struct Tables {
    base: RwLock<Base>,
    shards: Box<[RwLock<Shard>]>,
    places: RwLock<Places>,
    hasher: FixedState,
}

impl Tables {
    /// Takes a name from the log; false if id or name is taken.
    fn restore(&self, id: SeriesId, name: &str) -> bool {
        let hash = self.hasher.hash_one(name);
        let base = self.base.read();
        let taken = id.0 < base.id_end() || self.places.read().get(id).is_some();
        let shard_index = shard_of(hash);
        let mut shard = self.shards[shard_index].write();
        if taken || base.find(hash, name).is_some() || shard.find(hash, name).is_some() {
            return false;
        }
        let Some(local) = shard.add(&self.hasher, hash, name, id) else { return false };
        self.places.write().set(id, place(shard_index, local));
        true
    }

    /// Takes a series out if `agree` says yes to its name.
    fn forget(&self, id: SeriesId, agree: impl FnOnce(&str) -> bool) -> Option<()> {
        let Self { base, shards, places, hasher } = self;
        forget(&mut base.write(), (shards, places, hasher), id, agree)
    }
}

/// Takes a series out if `agree` says yes to its name.
fn forget(
    base: &mut Base,
    (shards, places, hasher): (&[RwLock<Shard>], &RwLock<Places>, &FixedState),
    id: SeriesId,
    agree: impl FnOnce(&str) -> bool,
) -> Option<()> {
    if id.0 < base.id_end() {
        let name = base.name(id)?;
        return (agree(&name) && base.remove(id)).then_some(());
    }
    let place = places.read().get(id)?;
    let local = place & ((1 << LOCAL_BITS) - 1);
    let mut shard = shards[(place >> LOCAL_BITS) as usize].write();
    let Shard { locals, names, .. } = &mut *shard;
    let name = names.get(local);
    let entry = locals.find_entry(hasher.hash_one(name), |&other| other == local).ok()?;
    if !agree(name) {
        return None;
    }
    entry.remove();
    places.write().set(id, NOWHERE);
    base.note_removal(id);
    Some(())
}

/// A seed that nobody can know before.
fn fresh_seed() -> u64 {
    foldhash::fast::RandomState::default().hash_one("seed")
}

/// Ids in a log grow by one; a jump above this is damage that happened to check.
const ID_GAP_MAX: u32 = 64 << 20;

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
