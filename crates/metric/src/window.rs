//! Half-open ranges of time and their alignment to steps.

/// The seconds `from <= t < until`. A window with `until <= from` is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First second inside.
    pub from: i64,
    /// First second outside.
    pub until: i64,
}

impl Window {
    /// The window `from <= t < until`.
    #[must_use]
    pub const fn new(from: i64, until: i64) -> Self {
        Self { from, until }
    }

    /// Seconds inside the window; 0 when it is empty.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        if self.is_empty() { 0 } else { self.until.saturating_sub(self.from) }
    }

    /// Whether no second lies inside.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.until <= self.from
    }

    /// Whether `timestamp` lies inside.
    #[must_use]
    pub const fn contains(self, timestamp: i64) -> bool {
        self.from <= timestamp && timestamp < self.until
    }

    /// What both windows cover; `None` when they share no second.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let shared = Self::new(self.from.max(other.from), self.until.min(other.until));
        (!shared.is_empty()).then_some(shared)
    }

    /// The smallest window that holds both. An empty window adds nothing.
    #[must_use]
    pub fn span(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self::new(self.from.min(other.from), self.until.max(other.until)),
        }
    }

    /// The slots whisper answers with for a query of `from` and `until`: both ends move to the next
    /// step boundary, strictly after where they were, and there is always at least one slot.
    ///
    /// `step` must be positive.
    #[must_use]
    pub fn whisper_slots(self, step: i64) -> Self {
        let from = next_boundary(self.from, step);
        let until = next_boundary(self.until, step);
        Self::new(from, if until == from { from.saturating_add(step) } else { until })
    }

    /// How many slots of `step` begin inside, counted from `from`. `step` must be positive.
    #[must_use]
    pub fn slots(self, step: i64) -> usize {
        let seconds = u64::try_from(self.seconds()).unwrap_or(0);
        let step = u64::try_from(step).unwrap_or(1).max(1);
        usize::try_from(seconds.div_ceil(step)).unwrap_or(usize::MAX)
    }
}

/// The last multiple of `step` at or before `timestamp`, also before 1970. `step` must be positive.
#[must_use]
pub fn align_down(timestamp: i64, step: i64) -> i64 {
    timestamp.saturating_sub(timestamp.rem_euclid(step.max(1)))
}

/// The first multiple of `step` at or after `timestamp`. `step` must be positive.
#[must_use]
pub fn align_up(timestamp: i64, step: i64) -> i64 {
    let down = align_down(timestamp, step);
    if down == timestamp { down } else { down.saturating_add(step.max(1)) }
}

/// Whisper's rule, `t - t % step + step`: the first multiple of `step` strictly after `timestamp`.
#[must_use]
pub fn next_boundary(timestamp: i64, step: i64) -> i64 {
    align_down(timestamp, step).saturating_add(step.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_half_open() {
        let window = Window::new(10, 20);
        assert!(window.contains(10) && window.contains(19));
        assert!(!window.contains(9) && !window.contains(20));
        assert_eq!(window.seconds(), 10);
        assert!(Window::new(20, 20).is_empty());
        assert_eq!(Window::new(20, 10).seconds(), 0);
    }

    #[test]
    fn windows_that_only_touch_share_nothing() {
        assert_eq!(Window::new(0, 10).intersect(Window::new(10, 20)), None);
        assert_eq!(Window::new(0, 11).intersect(Window::new(10, 20)), Some(Window::new(10, 11)));
    }

    #[test]
    fn an_empty_window_does_not_stretch_a_span() {
        assert_eq!(Window::new(5, 9).span(Window::new(900, 0)), Window::new(5, 9));
        assert_eq!(Window::new(5, 9).span(Window::new(20, 30)), Window::new(5, 30));
    }

    #[test]
    fn whisper_moves_an_aligned_start_to_the_next_slot() {
        assert_eq!(Window::new(120, 240).whisper_slots(60), Window::new(180, 300));
        assert_eq!(Window::new(121, 239).whisper_slots(60), Window::new(180, 240));
        assert_eq!(Window::new(121, 122).whisper_slots(60), Window::new(180, 240));
    }

    #[test]
    fn alignment_holds_before_1970_and_at_the_ends_of_time() {
        assert_eq!(align_down(-1, 60), -60);
        assert_eq!(align_up(-61, 60), -60);
        assert_eq!(align_up(60, 60), 60);
        assert_eq!(next_boundary(i64::MAX, 60), i64::MAX);
        assert_eq!(align_down(i64::MIN, 60), i64::MIN);
    }

    #[test]
    fn slots_count_the_started_ones() {
        assert_eq!(Window::new(0, 120).slots(60), 2);
        assert_eq!(Window::new(0, 121).slots(60), 3);
        assert_eq!(Window::new(5, 5).slots(60), 0);
    }
}
