//! Bits into bytes and back, the highest first.

/// The bits of one point: few enough for one number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bits {
    bits: u128,
    len: u32,
}

impl Bits {
    /// Adds the lowest `width` bits of `value`, which has no others.
    pub(super) fn push(&mut self, value: u64, width: u32) {
        self.bits = (self.bits << width) | u128::from(value);
        self.len += width;
    }

    pub(super) fn len(self) -> u32 {
        self.len
    }

    /// Writes the bits from bit `start` of `bytes` on; that bit and all after it are 0 until then.
    pub(super) fn write(self, bytes: &mut [u8], start: u32) {
        let (first, used) = (start as usize / 8, start % 8);
        let word = (self.bits << (u128::BITS - self.len)) >> used;
        let count = (used + self.len).div_ceil(8) as usize;
        let word = word.to_be_bytes();
        let places = &mut bytes[first..first + count];
        places[0] |= word[0];
        places[1..].copy_from_slice(&word[1..count]);
    }
}

/// Reads bits one after the other.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `width` bits, at most 64; none if fewer are left.
    pub(super) fn take(&mut self, width: u32) -> Option<u64> {
        let (first, used) = (self.at / 8, self.at % 8);
        let end = self.at + width as usize;
        let covered = self.bytes.get(first..end.div_ceil(8))?;
        let mut word = [0; 16];
        word[..covered.len()].copy_from_slice(covered);
        self.at = end;
        let word = (u128::from_be_bytes(word) << used).checked_shr(u128::BITS - width).unwrap_or(0);
        u64::try_from(word).ok()
    }
}
