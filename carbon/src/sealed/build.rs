//! Names in, in their order; the sections of a sealed index out.

use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::path::Path;

use foldhash::fast::FixedState;

use super::error::SealError;
use super::format::{HASH_SAMPLE, Header, NONE};
use super::names::{Names, Tagged};
use super::tags::Tags;
use super::write::SectionWriter;

/// Room between the entries of the table of slots: four slots for three series.
const SLOTS_PER_SERIES: (usize, usize) = (4, 3);

/// What the seal covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Covers {
    pub(crate) id_end: u32,
    pub(crate) log_end: u64,
    pub(crate) log_sample_crc: u32,
    pub(crate) seed: u64,
}

/// A seal in the making.
#[derive(Debug)]
pub(crate) struct Builder {
    covers: Covers,
    hasher: FixedState,
    names: Names,
    tagged: Tagged,
    tags: Tags,
}

impl Builder {
    pub(crate) fn new(covers: Covers) -> Self {
        let hasher = FixedState::with_seed(covers.seed);
        let (names, tagged, tags) = (Names::new(), Tagged::default(), Tags::default());
        Self { covers, hasher, names, tagged, tags }
    }

    /// Adds an untagged name; they come ordered [`super::by_component`].
    pub(crate) fn untagged(&mut self, name: &str, id: u32) -> Result<(), SealError> {
        self.names.push(name, id, self.hasher.hash_one(name))
    }

    /// Adds a tagged name; they come in bytewise order.
    pub(crate) fn tagged(&mut self, name: &str, id: u32) -> Result<(), SealError> {
        self.tags.push(name, id);
        self.tagged.push(name, id, self.hasher.hash_one(name))
    }

    /// Writes everything to `path`, whole before this returns.
    pub(crate) fn write(self, path: &Path) -> Result<(), SealError> {
        let failed = |source| SealError::Io { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        let mut out = SectionWriter::new(file).map_err(failed)?;
        let Self { covers, hasher, names, tagged, tags } = self;
        let tree = names.number()?;
        let node_count = tree.node_count();
        let series = tree.series() + tagged.len();
        let mut places = vec![NONE; covers.id_end as usize];
        let mut slots = Slots::new(series);
        let mut place = |id: u32, hash: u64, place: u32| {
            if let Some(known) = places.get_mut(id as usize) {
                *known = place;
            }
            slots.insert(hash, place);
        };
        tree.each_series(&mut place);
        tagged.each(|at, id, hash| place(id, hash, node_count + at));
        tree.write(&mut out).map_err(failed)?;
        tagged.write(&mut out).map_err(failed)?;
        out.words(places).map_err(failed)?;
        out.words(slots.words()).map_err(failed)?;
        tags.write(&mut out, failed)?;
        let (file, extents) = out.end().map_err(failed)?;
        let header = Header {
            id_end: covers.id_end,
            series: u32::try_from(series)
                .map_err(|_large| SealError::TooLarge { what: "series" })?,
            log_end: covers.log_end,
            log_sample_crc: covers.log_sample_crc,
            seed: covers.seed,
            hash_sample: hasher.hash_one(HASH_SAMPLE),
            extents,
        };
        finish(file, &header).map_err(failed)
    }
}

fn finish(mut file: File, header: &Header) -> io::Result<()> {
    use std::io::Seek;
    file.rewind()?;
    file.write_all(&header.encode())?;
    file.sync_all()
}

/// The table from hash to place.
struct Slots {
    slots: Vec<(u32, u32)>,
}

impl Slots {
    fn new(series: usize) -> Self {
        let (slots, per) = SLOTS_PER_SERIES;
        Self { slots: vec![(NONE, 0); series * slots / per + 1] }
    }

    fn insert(&mut self, hash: u64, place: u32) {
        let mut at = super::first_slot(hash, self.slots.len());
        while self.slots[at].0 != NONE {
            at = (at + 1) % self.slots.len();
        }
        self.slots[at] = (place, hash as u32);
    }

    fn words(self) -> impl Iterator<Item = u32> {
        self.slots.into_iter().flat_map(|(place, fragment)| [place, fragment])
    }
}
