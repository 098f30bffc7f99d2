//! The header of a sealed index. The bytes: docs/formats/index.md.

use std::ops::Range;

/// First bytes of the file.
const MAGIC: &[u8; 8] = b"PLUMSEAL";

/// Of the layout.
const VERSION: u32 = 1;

/// Length of the header.
pub(super) const HEADER_BYTES: usize = 512;

/// Where the header's own checksum stands.
const CRC_AT: usize = HEADER_BYTES - 4;

/// Where the sections are listed.
const SECTIONS_AT: usize = 64;

/// Bytes of one entry of that list.
const SECTION_BYTES: usize = 24;

/// Sections begin at multiples of it.
pub(super) const ALIGNMENT: u64 = 8;

/// So much of the names log before the offset is compared.
pub(super) const LOG_SAMPLE_BYTES: u64 = 64;

/// What is hashed to see that the hash is still the same.
pub(super) const HASH_SAMPLE: &str = "plumbago";

/// No node, no series, no place.
pub(super) const NONE: u32 = u32::MAX;

/// The parts of the file, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    ComponentTexts,
    ComponentEnds,
    Nodes,
    TaggedTexts,
    TaggedEnds,
    TaggedIds,
    Places,
    Slots,
    TagTexts,
    TagKeys,
    TagValues,
    Postings,
}

/// How many sections there are.
pub(super) const SECTIONS: usize = Section::Postings as usize + 1;

/// Where a section lies and what it must sum up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
}

impl Extent {
    /// The bytes, if a file of `file_bytes` can have them.
    pub(super) fn range(&self, file_bytes: usize) -> Option<Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        let end = start.checked_add(usize::try_from(self.length).ok()?)?;
        (end <= file_bytes).then_some(start..end)
    }
}

/// Everything that the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id_end: u32,
    pub(super) series: u32,
    pub(super) log_end: u64,
    pub(super) log_sample_crc: u32,
    pub(super) seed: u64,
    pub(super) hash_sample: u64,
    pub(super) extents: [Extent; SECTIONS],
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &self.id_end.to_le_bytes());
        put(16, &self.series.to_le_bytes());
        put(24, &self.log_end.to_le_bytes());
        put(32, &self.log_sample_crc.to_le_bytes());
        put(40, &self.seed.to_le_bytes());
        put(48, &self.hash_sample.to_le_bytes());
        for (section, extent) in self.extents.iter().enumerate() {
            let at = SECTIONS_AT + section * SECTION_BYTES;
            put(at, &extent.offset.to_le_bytes());
            put(at + 8, &extent.length.to_le_bytes());
            put(at + 16, &extent.crc.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header that checks.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let crc = word(bytes, CRC_AT / 4);
        let is_ours = bytes.starts_with(MAGIC) && word(bytes, 2) == VERSION;
        if !is_ours || crc32fast::hash(&bytes[..CRC_AT]) != crc {
            return None;
        }
        let extent = |section: usize| {
            let at = SECTIONS_AT + section * SECTION_BYTES;
            let (offset, length) = (long(bytes, at), long(bytes, at + 8));
            Extent { offset, length, crc: word(bytes, (at + 16) / 4) }
        };
        Some(Self {
            id_end: word(bytes, 3),
            series: word(bytes, 4),
            log_end: long(bytes, 24),
            log_sample_crc: word(bytes, 8),
            seed: long(bytes, 40),
            hash_sample: long(bytes, 48),
            extents: std::array::from_fn(extent),
        })
    }
}

/// The `index`-th number of four bytes.
pub(super) fn word(bytes: &[u8], index: usize) -> u32 {
    let at = index * 4;
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Appends a number as a LEB128 varint.
pub(super) fn put_varint(into: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Reads a varint and says what follows it.
pub(super) fn varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (at, &byte) in bytes.iter().take(5).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_says_what_was_put_in_and_a_flipped_bit_is_seen() {
        let extent = |n: u64| Extent { offset: n << 33, length: n, crc: 7 };
        let header = Header {
            id_end: 1,
            series: 2,
            log_end: 3 << 40,
            log_sample_crc: 4,
            seed: 5 << 50,
            hash_sample: 6,
            extents: std::array::from_fn(|n| extent(n as u64)),
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&bytes[..100]), None);
    }

    proptest! {
        #[test]
        fn varints_come_back(values in prop::collection::vec(any::<u32>(), 0..20)) {
            let mut bytes = Vec::new();
            values.iter().for_each(|&value| put_varint(&mut bytes, value));
            let mut rest = &bytes[..];
            for value in values {
                let (read, after) = varint(rest).unwrap();
                prop_assert_eq!(read, value);
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }
    }
}
