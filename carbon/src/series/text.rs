//! Strings packed one behind the other, found by a small number.

use super::column::Column;

/// Longest string a pack takes.
pub(crate) const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Bytes a pack asks for at once. A string never lies in two pieces.
const PIECE_BYTES: usize = 64 * 1024;

/// Strings by dense local number: two bytes of length and the text, in pieces that never move.
#[derive(Debug, Default)]
pub(crate) struct TextPack {
    pieces: Vec<Vec<u8>>,
    starts: Column<u32, 1024>,
}

impl TextPack {
    /// Number of strings.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Adds `text`, which is at most [`TEXT_BYTES_MAX`] long; `None` when the pack is full (4 GiB).
    pub(crate) fn push(&mut self, text: &str) -> Option<u32> {
        debug_assert!(text.len() <= TEXT_BYTES_MAX);
        let need = text.len() + 2;
        if self.pieces.last().is_none_or(|piece| piece.len() + need > PIECE_BYTES) {
            u32::try_from((self.pieces.len() + 1) * PIECE_BYTES).ok()?;
            self.pieces.push(Vec::with_capacity(PIECE_BYTES));
        }
        let piece_index = self.pieces.len() - 1;
        let piece = &mut self.pieces[piece_index];
        let start = u32::try_from(piece_index * PIECE_BYTES + piece.len()).ok()?;
        let length = u16::try_from(text.len()).ok()?;
        piece.extend_from_slice(&length.to_le_bytes());
        piece.extend_from_slice(text.as_bytes());
        u32::try_from(self.starts.push(start)).ok()
    }

    /// The string with this number; the caller got the number from [`TextPack::push`].
    pub(crate) fn get(&self, local: u32) -> &str {
        std::str::from_utf8(self.bytes(local)).expect("only whole strings go in")
    }

    /// Its bytes: to compare, they do.
    pub(crate) fn bytes(&self, local: u32) -> &[u8] {
        let start = self.starts[local as usize] as usize;
        let (piece, at) = (&self.pieces[start / PIECE_BYTES], start % PIECE_BYTES);
        let length = usize::from(u16::from_le_bytes([piece[at], piece[at + 1]]));
        &piece[at + 2..at + 2 + length]
    }

    /// Bytes held. The room at the end of the last piece is not touched memory and does not count.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum::<usize>() + self.starts.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_over_piece_borders() {
        let mut pack = TextPack::default();
        let long = "x".repeat(TEXT_BYTES_MAX);
        let texts: Vec<String> = (0..50).map(|i| format!("{i}.{}", &long[..i * 300])).collect();
        for (local, text) in texts.iter().enumerate() {
            assert_eq!(pack.push(text), Some(local as u32));
        }
        assert_eq!(pack.push(&long), Some(50));
        for (local, text) in texts.iter().enumerate() {
            assert_eq!(pack.get(local as u32), text);
        }
        assert_eq!(pack.get(50), long);
    }
}
