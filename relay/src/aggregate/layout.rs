//! How the figures of a window lie in memory: only what the rule's methods need, eight bytes each.
//!
//! A window of few points keeps their values instead, which takes no more room than the figures
//! would: most windows of a minute hold one point.

use metric::Point;

use super::figures::Figures;

/// One figure that may be kept. First and last take a word more for their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The sum.
    Sum,
    /// The sum of squares.
    SumOfSquares,
    /// The sum of squared distances from the mean.
    Deviation,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The earliest point.
    First,
    /// The latest point.
    Last,
}

impl Field {
    const fn is_point(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }
}

/// Most words that one window's figures take: five values and two points.
pub(super) const WORDS_MAX: usize = 9;

/// The words of one window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    words: [u64; WORDS_MAX],
    len: usize,
}

impl Packed {
    fn new() -> Self {
        Self { words: [0; WORDS_MAX], len: 0 }
    }

    fn push(&mut self, word: u64) {
        self.words[self.len] = word;
        self.len += 1;
    }

    pub(super) fn as_words(&self) -> &[u64] {
        &self.words[..self.len]
    }
}

/// Which figures the windows of a rule keep.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    fields: Vec<Field>,
    words: usize,
    /// Up to so many points a window keeps values.
    values_max: u64,
}

impl Layout {
    /// A layout of these fields, in any order and number.
    pub(super) fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut fields: Vec<Field> = fields.into_iter().collect();
        fields.sort_unstable();
        fields.dedup();
        let has_points = fields.iter().any(|field| field.is_point());
        let words = fields.iter().map(|field| 1 + usize::from(field.is_point())).sum();
        // A lone value does not know when it was.
        let values_max = if has_points { 0 } else { words as u64 };
        Self { fields, words, values_max }
    }

    /// How many words a window of `count` points has.
    pub(super) fn words(&self, count: u64) -> usize {
        match usize::try_from(count) {
            Ok(values) if count <= self.values_max => values,
            _ => self.words,
        }
    }

    /// The words of one point.
    pub(super) fn pack_point(&self, point: Point) -> Packed {
        if self.values_max == 0 {
            return self.pack(&Figures::of(point));
        }
        let mut packed = Packed::new();
        packed.push(point.value.to_bits());
        packed
    }

    fn pack(&self, figures: &Figures) -> Packed {
        let mut packed = Packed::new();
        for field in &self.fields {
            let (value, time) = match field {
                Field::Sum => (figures.sum, None),
                Field::SumOfSquares => (figures.sum_of_squares, None),
                Field::Deviation => (figures.deviation, None),
                Field::Min => (figures.min, None),
                Field::Max => (figures.max, None),
                Field::First => (figures.first.value, Some(figures.first.timestamp)),
                Field::Last => (figures.last.value, Some(figures.last.timestamp)),
            };
            packed.push(value.to_bits());
            if let Some(time) = time {
                packed.push(time.cast_unsigned());
            }
        }
        packed
    }

    /// The figures of `count` points; those that are not kept are as in [`Figures::EMPTY`].
    pub(super) fn unpack(&self, count: u64, words: &[u64]) -> Figures {
        let mut figures = Figures::EMPTY;
        if count <= self.values_max {
            for word in words {
                figures.merge(&Figures::of(Point::new(0, f64::from_bits(*word))));
            }
            return figures;
        }
        figures.count = count;
        let mut words = words.iter().copied();
        let mut next = || words.next().unwrap_or_default();
        for field in &self.fields {
            let value = f64::from_bits(next());
            match field {
                Field::Sum => figures.sum = value,
                Field::SumOfSquares => figures.sum_of_squares = value,
                Field::Deviation => figures.deviation = value,
                Field::Min => figures.min = value,
                Field::Max => figures.max = value,
                Field::First => figures.first = Point::new(next().cast_signed(), value),
                Field::Last => figures.last = Point::new(next().cast_signed(), value),
            }
        }
        figures
    }

    /// The words of two sets of points together, of which `later` came after.
    pub(super) fn join(&self, earlier: (u64, &[u64]), later: (u64, &[u64])) -> Packed {
        if earlier.0 + later.0 <= self.values_max {
            let mut packed = Packed::new();
            for word in earlier.1.iter().chain(later.1) {
                packed.push(*word);
            }
            return packed;
        }
        let mut figures = self.unpack(earlier.0, earlier.1);
        figures.merge(&self.unpack(later.0, later.1));
        self.pack(&figures)
    }
}
