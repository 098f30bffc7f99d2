//! Points of one series in few bytes: what waits in memory until it is written.
//!
//! Gorilla's scheme: times as changes of their distance, values as the bits in which they differ from the one before; or,
//! where that is shorter, as the difference of the decimal numbers that the senders printed. A point is added without
//! decoding those before it; times may go back, repeat or jump, they only cost more bits then.

mod bits;
mod decimal;

use self::bits::{BitReader, Bits};
use self::decimal::{Change, DECIMAL_BITS_MIN};

/// Leading zeros of a difference are stored in five bits.
const LEADING_MAX: u32 = 31;
/// What it costs to say anew which bits differ: five bits of leading zeros, six of length.
const WINDOW_BITS: u32 = 11;
/// Bits of a small, a middle and a large change of the distance in time. What does not fit takes all 32.
const TIME_BITS: [u32; 3] = [7, 12, 20];

/// A compressed sequence of points.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    bytes: Box<[u8]>,
    last: Last,
    bits: u32,
    count: u32,
    unordered: bool,
}

/// What the next point is told apart from; encoder and decoder keep the same.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    value: u64,
    timestamp: u32,
    delta: u32,
    /// Bits that differed last: zeros before them, and how many.
    leading: u8,
    length: u8,
}

impl Tail {
    /// Adds a point; returns by how many bytes the memory held has grown.
    pub fn push(&mut self, timestamp: u32, value: f64) -> usize {
        let mut bits = Bits::default();
        if self.count == 0 {
            self.last = Last { timestamp, ..Last::default() };
            bits.push(timestamp.into(), 32);
        } else {
            self.unordered |= timestamp <= self.last.timestamp;
            self.last.put_time(timestamp, &mut bits);
        }
        self.last.put_value(value.to_bits(), &mut bits);
        self.count += 1;
        self.append(bits)
    }

    fn append(&mut self, bits: Bits) -> usize {
        let end = self.bits + bits.len();
        let needed = end.div_ceil(8) as usize;
        let before = self.bytes.len();
        if needed > before {
            let mut larger = vec![0; capacity_for(needed)].into_boxed_slice();
            larger[..before].copy_from_slice(&self.bytes);
            self.bytes = larger;
        }
        bits.write(&mut self.bytes, self.bits);
        self.bits = end;
        self.bytes.len() - before
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every point is later than the one before it.
    pub fn is_ordered(&self) -> bool {
        !self.unordered
    }

    /// Time of the point that came last, if any ever came: [`Tail::clear`] keeps it.
    pub fn last_timestamp(&self) -> u32 {
        self.last.timestamp
    }

    /// Bytes held beside the struct itself.
    pub fn bytes_held(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that count.
    pub fn encoded(&self) -> &[u8] {
        &self.bytes[..self.bits.div_ceil(8) as usize]
    }

    /// Takes all points out and gives the memory back.
    pub fn clear(&mut self) {
        let last = Last { timestamp: self.last.timestamp, ..Last::default() };
        *self = Self { last, ..Self::default() };
    }

    /// The points in the order in which they were added.
    pub fn iter(&self) -> Points<'_> {
        Points::new(self.encoded(), self.count)
    }
}

/// Room for a little more than `needed`, in the sizes that the allocator has.
fn capacity_for(needed: usize) -> usize {
    let wanted = needed + needed / 8;
    wanted.next_multiple_of((wanted.next_power_of_two() / 8).max(16))
}

impl Last {
    fn put_time(&mut self, timestamp: u32, bits: &mut Bits) {
        let delta = timestamp.wrapping_sub(self.timestamp);
        let change = delta.wrapping_sub(self.delta);
        (self.timestamp, self.delta) = (timestamp, delta);
        if change == 0 {
            return bits.push(0, 1);
        }
        let fits = |width: &u32| change.wrapping_add(1 << (width - 1)) >> width == 0;
        match TIME_BITS.iter().position(fits) {
            Some(class) => {
                let width = TIME_BITS[class];
                let ones = class as u32 + 1;
                bits.push((1 << (ones + 1)) - 2, ones + 1);
                bits.push(u64::from(change) & ((1 << width) - 1), width);
            }
            None => {
                bits.push(0b1111, 4);
                bits.push(change.into(), 32);
            }
        }
    }

    fn take_time(&mut self, bits: &mut BitReader<'_>) -> Option<u32> {
        let change = match bits.ones(4)? {
            0 => 0,
            4 => u32::try_from(bits.take(32)?).ok()?,
            class => {
                let width = TIME_BITS[class as usize - 1];
                let low = u32::try_from(bits.take(width)?).ok()?;
                // Widens the sign: what is at or above half of the range stands for a negative change.
                (low ^ (1 << (width - 1))).wrapping_sub(1 << (width - 1))
            }
        };
        self.delta = self.delta.wrapping_add(change);
        self.timestamp = self.timestamp.wrapping_add(self.delta);
        Some(self.timestamp)
    }

    fn put_value(&mut self, value: u64, bits: &mut Bits) {
        let before = std::mem::replace(&mut self.value, value);
        let differing = value ^ before;
        if differing == 0 {
            return bits.push(0, 1);
        }
        let leading = differing.leading_zeros().min(LEADING_MAX);
        let trailing = differing.trailing_zeros();
        let length = 64 - leading - trailing;
        let (old_leading, old_length) = (u32::from(self.leading), u32::from(self.length));
        let old_trailing = 64 - old_leading - old_length;
        let fits = old_length > 0 && leading >= old_leading && trailing >= old_trailing;
        let reuse = fits && old_length <= length + WINDOW_BITS;
        let xor_bits = if reuse { 2 + old_length } else { 3 + WINDOW_BITS + length };
        if xor_bits > DECIMAL_BITS_MIN
            && let Some(change) = Change::find(before, value)
            && change.bits() < xor_bits
        {
            bits.push(0b111, 3);
            return change.put(bits);
        }
        if reuse {
            bits.push(0b10, 2);
            return bits.push(differing >> old_trailing, old_length);
        }
        bits.push(0b110, 3);
        bits.push(leading.into(), 5);
        bits.push(u64::from(length) - 1, 6);
        bits.push(differing >> trailing, length);
        self.set_window(leading, length);
    }

    fn set_window(&mut self, leading: u32, length: u32) {
        self.leading = u8::try_from(leading).expect("at most 31");
        self.length = u8::try_from(length).expect("at most 64");
    }

    fn take_value(&mut self, bits: &mut BitReader<'_>) -> Option<u64> {
        match bits.ones(3)? {
            0 => return Some(self.value),
            1 => {}
            2 => {
                let leading = u32::try_from(bits.take(5)?).ok()?;
                let length = u32::try_from(bits.take(6)?).ok()? + 1;
                self.set_window(leading, length);
            }
            _ => {
                self.value = Change::take(bits)?.apply(self.value);
                return Some(self.value);
            }
        }
        let (leading, length) = (u32::from(self.leading), u32::from(self.length));
        let trailing = 64_u32.checked_sub(leading + length)?;
        self.value ^= bits.take(length)?.checked_shl(trailing)?;
        Some(self.value)
    }
}

/// Points out of compressed bytes. Bytes that end early end the points early.
#[derive(Debug)]
pub struct Points<'a> {
    bits: BitReader<'a>,
    last: Last,
    first: bool,
    left: u32,
}

impl<'a> Points<'a> {
    /// `count` points from the bytes of [`Tail::encoded`].
    pub fn new(bytes: &'a [u8], count: u32) -> Self {
        Self { bits: BitReader::new(bytes), last: Last::default(), first: true, left: count }
    }
}

impl Iterator for Points<'_> {
    type Item = (u32, f64);

    fn next(&mut self) -> Option<(u32, f64)> {
        self.left = self.left.checked_sub(1)?;
        let timestamp = if std::mem::take(&mut self.first) {
            self.last.timestamp = u32::try_from(self.bits.take(32)?).ok()?;
            self.last.timestamp
        } else {
            self.last.take_time(&mut self.bits)?
        };
        Some((timestamp, f64::from_bits(self.last.take_value(&mut self.bits)?)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tail_of(points: &[(u32, f64)]) -> Tail {
        let mut tail = Tail::default();
        for &(timestamp, value) in points {
            tail.push(timestamp, value);
        }
        tail
    }

    fn bits_of(points: impl Iterator<Item = (u32, f64)>) -> Vec<(u32, u64)> {
        points.map(|(timestamp, value)| (timestamp, value.to_bits())).collect()
    }

    /// Steady, jittering, late, repeated and wild times; steady and wild values, every NaN among them.
    fn points() -> impl Strategy<Value = Vec<(u32, f64)>> {
        let step = prop_oneof![
            6 => Just(60_u32),
            2 => 55..65_u32,
            1 => Just(0_u32),
            1 => 0..5000_u32,
            1 => any::<u32>(),
        ];
        let value = prop_oneof![
            4 => (0..100_i32).prop_map(f64::from),
            2 => (-1000..1000_i32).prop_map(|value| f64::from(value) / 10.0),
            2 => (any::<i32>(), 0..6).prop_map(|(value, digits)| f64::from(value) / 10f64.powi(digits)),
            2 => any::<u64>().prop_map(f64::from_bits),
            1 => (0..64_u32).prop_map(|bit| f64::from_bits(1 << bit)),
        ];
        prop::collection::vec((step, value), 0..200).prop_map(|steps| {
            let mut now = 1_700_000_000_u32;
            let mut at = |(step, value): (u32, f64)| {
                now = now.wrapping_add(step);
                (now, value)
            };
            steps.into_iter().map(&mut at).collect()
        })
    }

    proptest! {
        #[test]
        fn every_point_comes_back_bit_for_bit(points in points()) {
            let tail = tail_of(&points);
            prop_assert_eq!(bits_of(tail.iter()), bits_of(points.iter().copied()));
            prop_assert_eq!(tail.len(), points.len());
            prop_assert_eq!(tail.is_ordered(), points.is_sorted_by(|a, b| a.0 < b.0));
            let again = Points::new(tail.encoded(), points.len() as u32);
            prop_assert_eq!(bits_of(again), bits_of(points.iter().copied()));
        }

        #[test]
        fn any_bytes_decode_to_at_most_as_many_points(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            count in 0..3000_u32,
        ) {
            prop_assert!(Points::new(&bytes, count).count() <= count as usize);
        }
    }

    #[test]
    fn the_memory_held_is_told_and_given_back() {
        let mut tail = Tail::default();
        let grown: usize = (0..1000).map(|i| tail.push(60 * i, f64::from(i).sqrt())).sum();
        assert_eq!(grown, tail.bytes_held());
        assert!(tail.bytes_held() <= tail.encoded().len() * 5 / 4);
        tail.clear();
        assert_eq!((tail.bytes_held(), tail.len(), tail.last_timestamp()), (0, 0, 59_940));
    }

    #[test]
    fn usual_points_take_few_bytes() {
        let bytes = |value: fn(u32) -> f64| {
            let points: Vec<_> = (0..100).map(|i| (1_700_000_000 + 60 * i, value(i))).collect();
            tail_of(&points).encoded().len()
        };
        assert!(bytes(|_| 0.1) <= 40, "a constant");
        assert!(bytes(f64::from) <= 200, "a counter");
        assert!(bytes(|i| f64::from(i * 37 % 100)) <= 220, "a gauge of whole numbers");
        assert!(bytes(|i| f64::from(i * 137 % 10_000) / 10.0) <= 300, "a gauge with a decimal");
    }
}
