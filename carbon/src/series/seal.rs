//! Sealing: what is in the shards joins what was sealed before, in a new file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Column, Places, SeriesId, SeriesTable, Shard, place};
use crate::sealed::{Builder, Covers, SealError, Sealed, by_component, log_sample};

/// Where the seal of a names log lies.
pub(super) fn path_beside(names_log: &Path) -> PathBuf {
    names_log.with_file_name("names.seal")
}

/// Names of the shards, in one text.
#[derive(Default)]
struct Gathered {
    text: String,
    /// Where each name starts and ends, and its id.
    names: Vec<(u32, u32, u32)>,
}

impl Gathered {
    fn push(&mut self, name: &str, id: SeriesId) -> Result<(), SealError> {
        let too_large = |_| SealError::TooLarge { what: "new names" };
        let start = u32::try_from(self.text.len()).map_err(too_large)?;
        self.text.push_str(name);
        let end = u32::try_from(self.text.len()).map_err(too_large)?;
        self.names.push((start, end, id.0));
        Ok(())
    }

    fn sort(&mut self, order: impl Fn(&str, &str) -> std::cmp::Ordering) {
        let Self { text, names } = self;
        let name = |&(start, end, _): &(u32, u32, u32)| &text[start as usize..end as usize];
        names.sort_unstable_by(|a, b| order(name(a), name(b)));
    }

    fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.names.iter().map(|&(start, end, id)| (&self.text[start as usize..end as usize], id))
    }
}

impl SeriesTable {
    /// Number of ids that are not sealed.
    pub fn unsealed(&self) -> u32 {
        self.id_end() - self.base.read().id_end()
    }

    /// Number of ids that are sealed, of removed series too.
    pub fn sealed_end(&self) -> u32 {
        self.base.read().id_end()
    }

    /// The seal in force.
    pub(crate) fn sealed(&self) -> Option<Arc<Sealed>> {
        self.base.read().sealed().cloned()
    }

    /// Number of sealed series that were removed since.
    pub fn removed_sealed(&self) -> u32 {
        u32::try_from(self.base.read().removed()).unwrap_or(u32::MAX)
    }

    /// Writes a new seal of all series and takes it over; `before` is called with it first. The names log keeps everything.
    ///
    /// # Errors
    /// A seal that could not be written. The former one stays in force.
    pub(crate) fn seal(&self, before: impl FnOnce(&Arc<Sealed>)) -> Result<(), SealError> {
        let path = path_beside(&self.names_log);
        self.base.write().begin_sealing();
        let made = self.make_seal(&path);
        match made {
            Ok(sealed) => {
                before(&sealed);
                self.take_over(sealed);
                Ok(())
            }
            Err(error) => {
                self.base.write().give_up_sealing();
                Err(error)
            }
        }
    }

    fn make_seal(&self, path: &Path) -> Result<Arc<Sealed>, SealError> {
        let failed = |source| SealError::Io { path: path.to_owned(), source };
        let (id_end, log_end) = self.log.commit(true, &self.next_id).map_err(failed)?;
        self.safe_end.fetch_max(id_end, Ordering::Release);
        let sample = log_sample(&self.names_log, log_end).map_err(failed)?;
        let log_sample_crc = sample.unwrap_or_default();
        let covers = Covers { id_end, log_end, log_sample_crc, seed: self.seed };
        let unfinished = path.with_extension("seal.tmp");
        self.fill(Builder::new(covers), id_end)?.write(&unfinished)?;
        std::fs::rename(&unfinished, path).map_err(failed)?;
        if let Some(folder) = path.parent() {
            std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        let sealed = Sealed::open(path, &self.names_log).map_err(failed)?;
        let unreadable = || failed(std::io::Error::other("what was written does not check"));
        sealed.map(Arc::new).ok_or_else(unreadable)
    }

    /// Hands all series below `id_end` to the builder, in its order.
    fn fill(&self, mut builder: Builder, id_end: u32) -> Result<Builder, SealError> {
        let sealed = self.sealed();
        let (mut plain, mut tagged) = (Gathered::default(), Gathered::default());
        let first = sealed.as_ref().map_or(0, |sealed| sealed.id_end());
        for id in (first..id_end).map(SeriesId) {
            let sort = |name: &str| {
                let to = if metric::tags::is_tagged(name) { &mut tagged } else { &mut plain };
                to.push(name, id)
            };
            self.with_name(id, sort).transpose()?;
        }
        plain.sort(by_component);
        tagged.sort(str::cmp);
        let living = |id: u32| self.is_living(SeriesId(id));
        let mut fresh = plain.iter().peekable();
        if let Some(sealed) = &sealed {
            sealed.each_untagged(|name, id| {
                while let Some((name, id)) =
                    fresh.next_if(|(other, _)| by_component(other, name).is_lt())
                {
                    builder.untagged(name, id)?;
                }
                if living(id) { builder.untagged(name, id) } else { Ok(()) }
            })?;
        }
        fresh.try_for_each(|(name, id)| builder.untagged(name, id))?;
        let mut fresh = tagged.iter().peekable();
        if let Some(sealed) = &sealed {
            sealed.each_tagged(|name, id| {
                while let Some((name, id)) = fresh.next_if(|(other, _)| *other < name) {
                    builder.tagged(name, id)?;
                }
                if living(id) { builder.tagged(name, id) } else { Ok(()) }
            })?;
        }
        fresh.try_for_each(|(name, id)| builder.tagged(name, id))?;
        Ok(builder)
    }

    /// Nothing is looked up while the shards give up what is sealed now.
    fn take_over(&self, sealed: Arc<Sealed>) {
        let first = sealed.id_end();
        let mut base = self.base.write();
        let mut places = self.places.write();
        let rest = Places { first, places: Column::default() };
        let before = std::mem::replace(&mut *places, rest);
        let mut old_shards = Vec::with_capacity(self.shards.len());
        for (index, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.write();
            let old = std::mem::take(&mut *shard);
            for local in 0..u32::try_from(old.names.len()).unwrap_or(u32::MAX) {
                let id = old.id(local);
                let is_here = before.get(id) == Some(place(index, local));
                if id.0 >= first && is_here {
                    self.keep(&mut shard, index, old.names.get(local), id, &mut places);
                }
            }
            old_shards.push(old);
        }
        base.replace(sealed);
        drop((places, base));
        // Giving back so much memory takes a while, and nobody need wait for it.
        drop(old_shards);
    }

    fn keep(&self, shard: &mut Shard, index: usize, name: &str, id: SeriesId, places: &mut Places) {
        use std::hash::BuildHasher;
        let hash = self.hasher.hash_one(name);
        let local = shard.add(&self.hasher, hash, name, id).expect("it held more before");
        places.set(id, place(index, local));
    }
}
