//! A file in memory, as sections of numbers and texts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::{Advice, Mmap};

use super::format::{HEADER_BYTES, Header, SECTIONS, Section, word};

/// A mapped file whose header and sections have been checked.
#[derive(Debug)]
pub(super) struct Mapped {
    map: Mmap,
    sections: [Range<usize>; SECTIONS],
}

impl Mapped {
    /// Maps a file; `None` where it does not check.
    pub(super) fn open(path: &Path) -> io::Result<Option<(Self, Header)>> {
        let map = map(&File::open(path)?)?;
        let Some(header) = Header::decode(map.get(..HEADER_BYTES).unwrap_or_default()) else {
            return Ok(None);
        };
        let mut sections: [Range<usize>; SECTIONS] = std::array::from_fn(|_| 0..0);
        for (section, extent) in sections.iter_mut().zip(&header.extents) {
            let Some(range) = extent.range(map.len()) else { return Ok(None) };
            if crc32fast::hash(&map[range.clone()]) != extent.crc {
                return Ok(None);
            }
            *section = range;
        }
        // The check read it from one end to the other; searches jump, and most of it is never looked at.
        map.advise(Advice::Random)?;
        Ok(Some((Self { map, sections }, header)))
    }

    /// The bytes of a section.
    pub(super) fn bytes(&self, section: Section) -> &[u8] {
        &self.map[self.sections[section as usize].clone()]
    }

    /// One number of a section of numbers of four bytes.
    pub(super) fn word(&self, section: Section, index: usize) -> u32 {
        word(self.bytes(section), index)
    }

    /// A piece of a section of texts.
    pub(super) fn text(&self, section: Section, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes(section)[range]).expect("only whole texts went in")
    }

    /// A text of a section that lies behind a section of ends.
    pub(super) fn text_by_end(&self, texts: Section, ends: Section, index: u32) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.word(ends, before as usize));
        let end = self.word(ends, index as usize);
        self.text(texts, start as usize..end as usize)
    }

    /// How long the file is.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}

#[expect(unsafe_code, reason = "a map is unsafe where others change the file; see below")]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the file is ours under the lock of the data folder, and it is never changed or cut once
    // it has its name: a new one is renamed over it, and the old one lives on under the map.
    unsafe { Mmap::map(file) }
}
