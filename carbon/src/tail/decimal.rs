//! Values as senders print them: a whole number of tenths, hundredths or thousandths.
//!
//! 123.4 has no short form in binary, so that two such values differ in most bits; as numbers of tenths they differ by
//! little.

use super::bits::{BitReader, Bits};

/// What it costs at least to store a value this way. Below it is not worth trying.
pub(super) const DECIMAL_BITS_MIN: u32 = 3 + 2 + 1 + CHANGE_BITS[0];

const SCALES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
/// Bits of a small to a large change.
const CHANGE_BITS: [u32; 4] = [7, 11, 17, 32];
/// Whole numbers up to here are exact.
const EXACT: f64 = 4_503_599_627_370_496.0;

/// From one decimal number to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    scale: usize,
    by: i32,
}

impl Change {
    /// The change that gives the bits `value` back, if `value` has few decimals and is not far away.
    pub(super) fn find(before: u64, value: u64) -> Option<Self> {
        let number = f64::from_bits(value);
        let (scale, count) = SCALES.iter().enumerate().find_map(|(scale, &unit)| {
            let count = nearest(number, unit)?;
            (from_count(count, unit) == value).then_some((scale, count))
        })?;
        let by = count - start(before, scale);
        Some(Self { scale, by: i32::try_from(by).ok()? })
    }

    /// The bits of the value after the one with the bits `before`.
    pub(super) fn apply(self, before: u64) -> u64 {
        from_count(start(before, self.scale) + i64::from(self.by), SCALES[self.scale])
    }

    fn class(self) -> usize {
        let magnitude = 33 - (self.by ^ (self.by >> 31)).leading_zeros();
        CHANGE_BITS.iter().position(|&bits| magnitude <= bits).unwrap_or(CHANGE_BITS.len() - 1)
    }

    /// How many bits [`Change::put`] writes, and those that announce it.
    pub(super) fn bits(self) -> u32 {
        let class = self.class();
        3 + 2 + PREFIXES[class].1 + CHANGE_BITS[class]
    }

    pub(super) fn put(self, bits: &mut Bits) {
        let class = self.class();
        bits.push(self.scale as u64, 2);
        let (prefix, width) = PREFIXES[class];
        bits.push(prefix, width);
        let by = u64::from(self.by.cast_unsigned());
        bits.push(by & ((1 << CHANGE_BITS[class]) - 1), CHANGE_BITS[class]);
    }

    pub(super) fn take(bits: &mut BitReader<'_>) -> Option<Self> {
        let scale = usize::try_from(bits.take(2)?).ok()?;
        let class = bits.ones(3)? as usize;
        let low = u32::try_from(bits.take(CHANGE_BITS[class])?).ok()?.cast_signed();
        let unused = 32 - CHANGE_BITS[class];
        Some(Self { scale, by: (low << unused) >> unused })
    }
}

/// How each class of changes is announced: ones, ended by a zero unless it is the last.
const PREFIXES: [(u64, u32); 4] = [(0, 1), (0b10, 2), (0b110, 3), (0b111, 3)];

/// How many units `number` is, rounded.
fn nearest(number: f64, unit: f64) -> Option<i64> {
    let count = number * unit;
    #[expect(clippy::cast_possible_truncation, reason = "compared just before")]
    (count.abs() < EXACT).then(|| (count + 0.5_f64.copysign(count)) as i64)
}

/// Where the change counts from: 0 after a value that is no such number.
fn start(before: u64, scale: usize) -> i64 {
    nearest(f64::from_bits(before), SCALES[scale]).unwrap_or(0)
}

fn from_count(count: i64, unit: f64) -> u64 {
    (count as f64 / unit).to_bits()
}
