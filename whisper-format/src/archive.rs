//! One archive of a file: where its points lie, and how time maps to slots.

/// Bytes of one stored point: interval and value.
pub const POINT_BYTES: usize = 12;

/// Archives a file may have. Nobody uses ten; the bound keeps a corrupt count harmless.
pub const ARCHIVES_MAX: usize = 64;

/// The last multiple of `step` that is not after `timestamp`, before the epoch too.
pub fn floor_to(timestamp: i64, step: u32) -> i64 {
    timestamp.saturating_sub(timestamp.rem_euclid(i64::from(step)))
}

/// One stored point. A slot holds data for an interval only if its stored interval is that very
/// one; whatever else lies there is a leftover of an earlier round and reads as null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Start of the interval, seconds since the epoch; 0 in a slot that was never written.
    pub interval: u32,
    /// The value.
    pub value: f64,
}

impl Point {
    /// The bytes on disk.
    pub fn to_bytes(self) -> [u8; POINT_BYTES] {
        let mut bytes = [0; POINT_BYTES];
        bytes[..4].copy_from_slice(&self.interval.to_be_bytes());
        bytes[4..].copy_from_slice(&self.value.to_be_bytes());
        bytes
    }

    /// From the bytes on disk.
    pub fn from_bytes(bytes: &[u8; POINT_BYTES]) -> Self {
        let [a, b, c, d, value @ ..] = *bytes;
        Self { interval: u32::from_be_bytes([a, b, c, d]), value: f64::from_be_bytes(value) }
    }
}

/// One archive: `points` slots of `seconds_per_point`, starting at byte `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// First byte in the file.
    pub offset: u32,
    /// Seconds a slot covers; not 0 in a header that was opened.
    pub seconds_per_point: u32,
    /// Slots; not 0 in a header that was opened.
    pub points: u32,
}

impl Archive {
    /// Seconds the archive covers.
    pub fn retention(&self) -> i64 {
        i64::from(self.seconds_per_point).saturating_mul(i64::from(self.points))
    }

    /// Bytes of all slots.
    pub fn size(&self) -> u64 {
        u64::from(self.points) * POINT_BYTES as u64
    }

    /// The byte behind the last slot.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + self.size()
    }

    /// Start of the interval that holds `timestamp`.
    pub fn align(&self, timestamp: i64) -> i64 {
        floor_to(timestamp, self.seconds_per_point)
    }

    /// The slot of `interval` when slot 0 holds `base`. A base of 0 is taken at its word here; that
    /// it marks an archive without data is for the caller to heed.
    pub fn slot(&self, interval: i64, base: u32) -> u32 {
        let distance = interval.saturating_sub(i64::from(base));
        let steps = distance.div_euclid(i64::from(self.seconds_per_point));
        u32::try_from(steps.rem_euclid(i64::from(self.points))).expect("less than points, a u32")
    }

    /// The slot that follows `slot` by `distance`, wrapping.
    pub fn slot_after(&self, slot: u32, distance: u64) -> u32 {
        let sum = u64::from(slot) + distance % u64::from(self.points);
        u32::try_from(sum % u64::from(self.points)).expect("less than points, a u32")
    }

    /// First byte of `slot`.
    pub fn position(&self, slot: u32) -> u64 {
        u64::from(self.offset) + u64::from(slot) * POINT_BYTES as u64
    }

    /// The window that fetch reads for `from` and `until`: see [`Window::new`].
    pub fn window(&self, from: i64, until: i64) -> Window {
        Window::new(from, until, self.seconds_per_point)
    }
}

/// Aligned intervals `start, start + step, … end - step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first interval.
    pub start: i64,
    /// The interval after the last one.
    pub end: i64,
    /// Seconds between two intervals.
    pub step: u32,
}

impl Window {
    /// Whisper's window: after `from`, up to and including the interval of `until`, and never
    /// empty: where both ends fall into one interval, the next one is taken.
    pub fn new(from: i64, until: i64, step: u32) -> Self {
        let after = |time| floor_to(time, step).saturating_add(i64::from(step));
        let (start, mut end) = (after(from), after(until));
        if start == end {
            end = end.saturating_add(i64::from(step));
        }
        Self { start, end, step }
    }

    /// Number of intervals.
    pub fn count(&self) -> u64 {
        u64::try_from(self.end.saturating_sub(self.start)).unwrap_or(0) / u64::from(self.step)
    }

    /// The interval at `index`.
    pub fn interval(&self, index: u64) -> i64 {
        let distance = i64::try_from(index).unwrap_or(i64::MAX);
        self.start.saturating_add(distance.saturating_mul(i64::from(self.step)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: Archive = Archive { offset: 28, seconds_per_point: 60, points: 5 };

    #[test]
    fn slots_wrap_in_both_directions() {
        assert_eq!(MINUTES.slot(600, 600), 0);
        assert_eq!(MINUTES.slot(660, 600), 1);
        assert_eq!(MINUTES.slot(900, 600), 0);
        assert_eq!(MINUTES.slot(540, 600), 4);
        assert_eq!(MINUTES.slot(540, 601), 3, "an unaligned base floors");
        assert_eq!(MINUTES.slot_after(4, 6), 0);
    }

    #[test]
    fn window_excludes_from_and_includes_until() {
        let window = Window::new(600, 720, 60);
        assert_eq!((window.start, window.end, window.count()), (660, 780, 2));
        assert_eq!(window.interval(1), 720);
    }

    #[test]
    fn window_is_never_empty() {
        assert_eq!(Window::new(610, 630, 60).count(), 1);
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        for time in [i64::MIN, -1, 0, i64::MAX] {
            assert!(MINUTES.slot(MINUTES.align(time), u32::MAX) < 5);
            assert!(Window::new(i64::MIN, time, 60).count() >= 1);
        }
    }

    #[test]
    fn points_round_trip() {
        let point = Point { interval: 1_700_000_040, value: -0.0 };
        let back = Point::from_bytes(&point.to_bytes());
        assert_eq!(back.interval, point.interval);
        assert_eq!(back.value.to_bits(), point.value.to_bits());
    }
}
