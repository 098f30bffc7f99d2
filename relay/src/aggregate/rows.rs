//! The windows of one series in one flat run of words.
//!
//! A row is a header and the figures of [`Layout`]. The header holds the size of window (3 bits),
//! the window's number since 1970, whether it has something to send (1 bit), and the count of
//! points. The number of a window of i seconds needs the fewer bits the larger i is, and the count
//! has what it leaves: 2^28 points for each second of the window.

use metric::Point;

use super::figures::Figures;
use super::layout::Layout;

/// Most sizes of windows in one rule.
pub(super) const LEVELS_MAX: usize = 8;

const LEVEL_SHIFT: u32 = 61;

/// How many bits the count of a window of one second has.
const COUNT_BITS_MIN: u32 = 28;

/// What all series of a rule have in common.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) layout: Layout,
    /// Seconds of each size of window, finest first.
    pub(super) intervals: Vec<u32>,
}

impl Form {
    fn count_bits(&self, level: usize) -> u32 {
        COUNT_BITS_MIN + self.intervals[level].ilog2()
    }

    /// The window of this size that a time lies in.
    pub(super) fn window(&self, level: usize, time: u32) -> Key {
        Key { level, number: time / self.intervals[level] }
    }

    /// When a window begins.
    pub(super) fn start(&self, key: Key) -> i64 {
        i64::from(key.number) * i64::from(self.intervals[key.level])
    }

    /// When a window ends: the first second that is no longer in it.
    pub(super) fn end(&self, key: Key) -> i64 {
        self.start(key) + i64::from(self.intervals[key.level])
    }
}

/// Which window of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) level: usize,
    pub(super) number: u32,
}

/// The first word of a row, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) key: Key,
    /// Whether something changed since the window was last sent.
    pub(super) pending: bool,
    pub(super) count: u64,
}

impl Header {
    fn pack(self, form: &Form) -> u64 {
        let count_bits = form.count_bits(self.key.level);
        let level = (self.key.level as u64) << LEVEL_SHIFT;
        let number = u64::from(self.key.number) << (count_bits + 1);
        level | number | (u64::from(self.pending) << count_bits) | self.count
    }

    fn unpack(form: &Form, word: u64) -> Self {
        let level = (word >> LEVEL_SHIFT) as usize;
        let count_bits = form.count_bits(level);
        let number = (word & ((1 << LEVEL_SHIFT) - 1)) >> (count_bits + 1);
        Self {
            key: Key { level, number: number as u32 },
            pending: word >> count_bits & 1 == 1,
            count: word & ((1 << count_bits) - 1),
        }
    }
}

/// The open windows of one series, ordered by size and time.
#[derive(Debug, Default)]
pub(super) struct Rows {
    words: Vec<u64>,
}

impl Rows {
    /// Whether a window is open.
    pub(super) fn has(&self, form: &Form, key: Key) -> bool {
        self.iter(form).any(|(_, header)| header.key == key)
    }

    /// The bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// The row that begins at word `at`, and where the next begins.
    pub(super) fn row(&self, form: &Form, at: usize) -> Option<(Header, usize)> {
        let header = Header::unpack(form, *self.words.get(at)?);
        Some((header, at + 1 + form.layout.words(header.count)))
    }

    /// Every row's header, with where it begins.
    pub(super) fn iter(&self, form: &Form) -> impl Iterator<Item = (usize, Header)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (header, next) = self.row(form, at)?;
            Some((std::mem::replace(&mut at, next), header))
        })
    }

    /// The figures of the row at `at`, without those of finer rows.
    pub(super) fn figures(&self, form: &Form, at: usize) -> Figures {
        self.row(form, at).map_or(Figures::EMPTY, |(header, next)| {
            form.layout.unpack(header.count, &self.words[at + 1..next])
        })
    }

    /// Adds a point to a window. The answer is whether the window had nothing to send before.
    pub(super) fn add(&mut self, form: &Form, key: Key, point: Point) -> bool {
        let packed = form.layout.pack_point(point);
        let (at, was_idle) = self.mark_at(form, key);
        self.join(form, at, (1, packed.as_words()));
        was_idle
    }

    /// Makes sure that a window is there and will be sent. The answer is whether it had nothing to
    /// send before.
    pub(super) fn mark(&mut self, form: &Form, key: Key) -> bool {
        self.mark_at(form, key).1
    }

    fn mark_at(&mut self, form: &Form, key: Key) -> (usize, bool) {
        let at = self.open(form, key);
        let header = Header::unpack(form, self.words[at]);
        self.words[at] = Header { pending: true, ..header }.pack(form);
        (at, !header.pending)
    }

    /// Where the row of a window is; a new one is empty and has nothing to send.
    fn open(&mut self, form: &Form, key: Key) -> usize {
        let place = self.iter(form).find(|(_, header)| header.key >= key);
        let at = place.map_or(self.words.len(), |(at, _)| at);
        if place.is_none_or(|(_, header)| header.key != key) {
            self.words.reserve_exact(1);
            self.words.insert(at, Header { key, pending: false, count: 0 }.pack(form));
        }
        at
    }

    /// Notes that the row at `at` was sent.
    pub(super) fn sent(&mut self, form: &Form, at: usize) {
        if let Some((header, _)) = self.row(form, at) {
            self.words[at] = Header { pending: false, ..header }.pack(form);
        }
    }

    /// Takes the row at `at` away and gives its points to the window `to`, if there is one.
    pub(super) fn close(&mut self, form: &Form, at: usize, to: Option<Key>) {
        let Some((header, next)) = self.row(form, at) else { return };
        if let Some(to) = to {
            let figures = self.words[at + 1..next].to_vec();
            let target = self.open(form, to);
            self.join(form, target, (header.count, &figures));
        }
        // Coarser rows lie behind finer ones, so the join has not moved this one.
        self.words.drain(at..next);
        if self.words.capacity() > 2 * self.words.len() {
            self.words.shrink_to_fit();
        }
    }

    fn join(&mut self, form: &Form, at: usize, later: (u64, &[u64])) {
        let Some((header, next)) = self.row(form, at) else { return };
        let packed = form.layout.join((header.count, &self.words[at + 1..next]), later);
        let header = Header { count: header.count + later.0, ..header };
        self.words[at] = header.pack(form);
        let words = packed.as_words();
        let old = at + 1..next;
        if words.len() == old.len() {
            self.words[old].copy_from_slice(words);
        } else {
            self.words.reserve_exact(words.len().saturating_sub(old.len()));
            self.words.splice(old, words.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Field;
    use super::*;
    use proptest::prelude::*;

    fn form() -> Form {
        let fields = [Field::Sum, Field::Min, Field::Max];
        Form { layout: Layout::new(fields), intervals: vec![1, 60, 86_400] }
    }

    proptest! {
        #[test]
        fn a_header_comes_back_as_it_went_in(
            level in 0..3_usize, time: u32, pending: bool, count in 0..1_u64 << 28,
        ) {
            let form = form();
            let header = Header { key: form.window(level, time), pending, count };
            let back = Header::unpack(&form, header.pack(&form));
            prop_assert_eq!(back.key, header.key);
            prop_assert_eq!((back.pending, back.count), (pending, count));
        }

        #[test]
        fn rows_hold_what_a_map_of_lists_holds(
            points in prop::collection::vec((0..8_u32, -100..100_i32), 0..80),
        ) {
            let form = form();
            let mut rows = Rows::default();
            let mut model = std::collections::BTreeMap::<u32, Vec<f64>>::new();
            for (second, value) in points {
                let value = f64::from(value);
                let key = form.window(0, second);
                rows.add(&form, key, Point::new(i64::from(second), value));
                model.entry(second).or_default().push(value);
            }
            let found: Vec<_> = rows.iter(&form).map(|(at, header)| {
                let figures = rows.figures(&form, at);
                (header.key.number, figures.count, figures.sum, figures.min, figures.max)
            }).collect();
            let wanted: Vec<_> = model.into_iter().map(|(second, values)| {
                let min = values.iter().copied().fold(f64::INFINITY, f64::min);
                let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                (second, values.len() as u64, values.iter().sum(), min, max)
            }).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_closed_window_gives_its_points_to_the_coarser_one() {
        let form = form();
        let mut rows = Rows::default();
        for second in [0, 1, 59] {
            rows.mark(&form, form.window(1, second));
            rows.add(&form, form.window(0, second), Point::new(i64::from(second), 2.0));
        }
        for _ in 0..3 {
            rows.close(&form, 0, Some(form.window(1, 0)));
        }
        let left: Vec<_> = rows.iter(&form).map(|(at, _)| rows.figures(&form, at).sum).collect();
        assert_eq!(left, [6.0]);
        rows.close(&form, 0, None);
        assert!(rows.row(&form, 0).is_none());
    }
}
