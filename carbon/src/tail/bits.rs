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
        let word = match self.bytes.get(first..first + 16) {
            Some(whole) => u128::from_be_bytes(whole.try_into().ok()?),
            None => near_end(self.bytes.get(first..end.div_ceil(8))?),
        };
        self.at = end;
        let word = (word << used).checked_shr(u128::BITS - width).unwrap_or(0);
        u64::try_from(word).ok()
    }

    /// How many ones come next, at most `max`; the zero that ends fewer is taken too.
    pub(super) fn ones(&mut self, max: u32) -> Option<u32> {
        let (first, used) = (self.at / 8, self.at % 8);
        let window = [self.bytes.get(first), self.bytes.get(first + 1)];
        let [high, low] = window.map(|byte| byte.copied().unwrap_or(0));
        let word = u16::from_be_bytes([high, low]) << used;
        let ones = word.leading_ones().min(max);
        let end = self.at + (ones + u32::from(ones < max)) as usize;
        self.at = end;
        (end <= self.bytes.len() * 8).then_some(ones)
    }
}

/// Fewer than 16 bytes, as if zeros followed.
fn near_end(bytes: &[u8]) -> u128 {
    let mut word = [0; 16];
    word[..bytes.len()].copy_from_slice(bytes);
    u128::from_be_bytes(word)
}
