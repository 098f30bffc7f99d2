//! Bits into bytes and back, the highest first.

const WORD_BYTES: usize = 16;

/// Bits that a window of eight bytes shows wherever it begins.
const WINDOW_BITS_MIN: u32 = 57;

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
        let word_of = |bytes: &[u8; WORD_BYTES]| u128::from_be_bytes(*bytes);
        match bytes[first..].first_chunk_mut::<WORD_BYTES>() {
            Some(place) => *place = (word_of(place) | word).to_be_bytes(),
            None => {
                let count = (used + self.len).div_ceil(8) as usize;
                let places = &mut bytes[first..first + count];
                let mut whole = [0; WORD_BYTES];
                whole[..count].copy_from_slice(places);
                let whole = (word_of(&whole) | word).to_be_bytes();
                places.copy_from_slice(&whole[..count]);
            }
        }
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
    #[inline]
    pub(super) fn take(&mut self, width: u32) -> Option<u64> {
        if width > WINDOW_BITS_MIN {
            let high = self.take(32)?;
            return Some(high << (width - 32) | self.take(width - 32)?);
        }
        let bits = self.window().checked_shr(u64::BITS - width).unwrap_or(0);
        self.advance(width)?;
        Some(bits)
    }

    /// How many ones come next, at most `max`; the zero that ends fewer is taken too.
    #[inline]
    pub(super) fn ones(&mut self, max: u32) -> Option<u32> {
        let ones = self.window().leading_ones().min(max);
        self.advance(ones + u32::from(ones < max))?;
        Some(ones)
    }

    #[inline]
    fn advance(&mut self, bits: u32) -> Option<()> {
        self.at += bits as usize;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// The next bits, [`WINDOW_BITS_MIN`] at least, from the highest on; zeros follow the last.
    #[inline]
    fn window(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            word
        });
        u64::from_be_bytes(word) << (self.at % 8)
    }
}
