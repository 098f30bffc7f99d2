//! Sections one behind the other into a file, each with its checksum.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::format::{ALIGNMENT, Extent, HEADER_BYTES, SECTIONS};

/// What gathers before it is handed to the system.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes sections in the order of the format. Nothing is held but one buffer.
#[derive(Debug)]
pub(super) struct SectionWriter {
    out: BufWriter<File>,
    offset: u64,
    extents: Vec<Extent>,
}

impl SectionWriter {
    /// Leaves room for the header, which is written last.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        out.write_all(&[0; HEADER_BYTES])?;
        Ok(Self { out, offset: HEADER_BYTES as u64, extents: Vec::with_capacity(SECTIONS) })
    }

    /// Writes the next section from pieces.
    pub(super) fn bytes<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let mut crc = crc32fast::Hasher::new();
        let mut length = 0;
        for piece in pieces {
            crc.update(piece);
            self.out.write_all(piece)?;
            length += piece.len() as u64;
        }
        self.close(length, crc)
    }

    /// Writes the next section from numbers.
    pub(super) fn words(&mut self, words: impl IntoIterator<Item = u32>) -> io::Result<()> {
        let mut crc = crc32fast::Hasher::new();
        let mut length = 0;
        for word in words {
            let bytes = word.to_le_bytes();
            crc.update(&bytes);
            self.out.write_all(&bytes)?;
            length += 4;
        }
        self.close(length, crc)
    }

    fn close(&mut self, length: u64, crc: crc32fast::Hasher) -> io::Result<()> {
        self.extents.push(Extent { offset: self.offset, length, crc: crc.finalize() });
        let padding = length.next_multiple_of(ALIGNMENT) - length;
        self.out.write_all(&[0; ALIGNMENT as usize][..padding as usize])?;
        self.offset += length + padding;
        Ok(())
    }

    /// The file and where its sections are.
    pub(super) fn end(self) -> io::Result<(File, [Extent; SECTIONS])> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let extents = self.extents.try_into().expect("every section is written once");
        Ok((file, extents))
    }
}
