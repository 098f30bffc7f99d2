//! A file with changes that exist in memory only: what it will be once the waiting points are written.

use std::collections::BTreeMap;
use std::io;

use whisper::Storage;

/// Bytes copied at once when a place is first changed.
const PAGE_BYTES: usize = 4096;

/// A storage whose writes never reach what lies under it.
#[derive(Debug)]
pub(super) struct Patched<S> {
    under: S,
    size: u64,
    /// Changed pages by number. The last one may reach beyond the end.
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl<S: Storage> Patched<S> {
    pub(super) fn over(under: S) -> io::Result<Self> {
        let size = under.size()?;
        Ok(Self { under, size, pages: BTreeMap::new() })
    }

    /// The bytes of the whole file.
    pub(super) fn image(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size).map_err(io::Error::other)?];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn page(&mut self, number: u64) -> io::Result<&mut [u8; PAGE_BYTES]> {
        use std::collections::btree_map::Entry;
        match self.pages.entry(number) {
            Entry::Occupied(page) => Ok(page.into_mut()),
            Entry::Vacant(place) => {
                let mut page = Box::new([0; PAGE_BYTES]);
                let start = number * PAGE_BYTES as u64;
                let len = self.size.saturating_sub(start).min(PAGE_BYTES as u64);
                let len = usize::try_from(len).map_err(io::Error::other)?;
                self.under.read_at(&mut page[..len], start)?;
                Ok(place.insert(page))
            }
        }
    }
}

/// The part of page `number` that `start..start + len` covers: offset within the page, offset within the range, length.
fn overlap(number: u64, start: u64, len: usize) -> (usize, usize, usize) {
    let page_start = number * PAGE_BYTES as u64;
    let within = |distance: u64| usize::try_from(distance).unwrap_or(usize::MAX);
    let in_page = within(start.saturating_sub(page_start));
    let in_range = within(page_start.saturating_sub(start));
    (in_page, in_range, (PAGE_BYTES - in_page).min(len - in_range))
}

fn pages_of(start: u64, len: usize) -> std::ops::Range<u64> {
    let end = start + len as u64;
    start / PAGE_BYTES as u64..end.div_ceil(PAGE_BYTES as u64)
}

impl<S: Storage> Storage for Patched<S> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.under.read_at(buffer, offset)?;
        for (&number, page) in self.pages.range(pages_of(offset, buffer.len())) {
            let (in_page, in_range, len) = overlap(number, offset, buffer.len());
            buffer[in_range..in_range + len].copy_from_slice(&page[in_page..in_page + len]);
        }
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.size {
            return Err(io::Error::other("a whisper file does not grow"));
        }
        for number in pages_of(offset, bytes.len()) {
            let (in_page, in_range, len) = overlap(number, offset, bytes.len());
            let page = self.page(number)?;
            page[in_page..in_page + len].copy_from_slice(&bytes[in_range..in_range + len]);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        if size == self.size {
            Ok(())
        } else {
            Err(io::Error::other("a patched file keeps its size"))
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of zeros that takes no room: what a new file is before its header is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zeros {
    pub(super) size: u64,
}

impl Storage for Zeros {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.fill(0);
        Ok(())
    }

    fn write_at(&mut self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn set_size(&mut self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_what_was_written_over_what_lies_below(
            size in 1..20_000u64,
            writes in prop::collection::vec((0..20_000u64, 1..6000usize, 1..255u8), 0..12),
        ) {
            let mut plain = vec![0; size as usize];
            let mut patched = Patched::over(Zeros { size }).unwrap();
            for (offset, len, value) in writes {
                let bytes = vec![value; len];
                let fits = offset + len as u64 <= size;
                prop_assert_eq!(patched.write_at(&bytes, offset).is_ok(), fits);
                if fits {
                    plain[offset as usize..offset as usize + len].copy_from_slice(&bytes);
                }
                let mut middle = vec![9; (size / 2) as usize];
                patched.read_at(&mut middle, size / 4).unwrap();
                let start = (size / 4) as usize;
                prop_assert_eq!(&middle[..], &plain[start..start + middle.len()]);
            }
            prop_assert_eq!(patched.image().unwrap(), plain);
        }
    }
}
