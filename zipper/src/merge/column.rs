//! One copy of a series with what its node says of each slot, and how two copies become one.

use metric::SeriesData;
use wire::pb_v3::Hole;

use super::consolidate::consolidate;

/// Most slots that a merged series may span beyond what its first copy holds: two copies far apart
/// in time would otherwise make a series of gaps without bound.
const SLOTS_MAX: usize = 1 << 24;

/// What a copy's word for one slot is worth, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    /// Its node took points all the time.
    Sure,
    /// Its node may have missed points.
    Doubtful,
    /// The slot lies outside of the copy.
    None,
}

/// Values at equal distances, each with the worth of its word.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) series: SeriesData,
    /// One a slot; empty where all are sure, as nearly always.
    words: Vec<Word>,
}

impl Column {
    /// The copy of a node that may have missed points in `holes`.
    pub(super) fn new(mut series: SeriesData, holes: &[Hole]) -> Self {
        series.step = series.step.max(1);
        let mut words = Vec::new();
        for hole in holes {
            let slots = slots_of(&series, hole);
            if slots.is_empty() {
                continue;
            }
            words.resize(series.values.len(), Word::Sure);
            words[slots].fill(Word::Doubtful);
        }
        Self { series, words }
    }

    /// Seconds between two values, positive.
    pub(super) const fn step(&self) -> i64 {
        self.series.step
    }

    /// Empty slots whose points may have been missed.
    pub(super) fn unfilled(&self) -> usize {
        let slots = self.series.values.iter().zip(&self.words);
        slots.filter(|(value, word)| value.is_nan() && **word == Word::Doubtful).count()
    }

    /// Adds a copy that is trusted less: known goes before unknown, then the surer word, then what
    /// was here before.
    pub(super) fn lay(&mut self, copy: Self) {
        if copy.series.values.is_empty() {
            return;
        }
        if self.series.values.is_empty() {
            // Nothing of the first but how it wants to be treated.
            let Self { series, words } = copy;
            (self.series.start, self.series.stop) = (series.start, series.stop);
            (self.series.values, self.words) = (series.values, words);
            return;
        }
        let Some(at) = self.make_room(&copy.series) else { return };
        if self.words.is_empty() && copy.words.is_empty() {
            for (slot, &value) in self.series.values[at..].iter_mut().zip(&copy.series.values) {
                if slot.is_nan() {
                    *slot = value;
                }
            }
            return;
        }
        self.words.resize(self.series.values.len(), Word::Sure);
        let slots = self.series.values[at..].iter_mut().zip(&mut self.words[at..]);
        for (index, (slot, word)) in slots.enumerate().take(copy.series.values.len()) {
            let other = (copy.series.values[index], copy.word(index));
            if (other.0.is_nan(), other.1) < (slot.is_nan(), *word) {
                (*slot, *word) = other;
            }
        }
    }

    /// The slots that both know for sure and differently: their times and the two values.
    pub(super) fn differing<'c>(
        &'c self,
        other: &'c Self,
    ) -> impl Iterator<Item = (i64, f64, f64)> + 'c {
        let step = self.step();
        let offset = other.series.start.saturating_sub(self.series.start).div_euclid(step);
        let values = self.series.values.iter().enumerate();
        values.filter_map(move |(index, &mine)| {
            let place = i64::try_from(index).ok()?;
            let theirs = usize::try_from(place.checked_sub(offset)?).ok()?;
            let value = *other.series.values.get(theirs)?;
            let is_known = !mine.is_nan() && !value.is_nan();
            let is_sure = self.word(index) == Word::Sure && other.word(theirs) == Word::Sure;
            (is_known && is_sure && mine != value)
                .then(|| (self.series.start + step * place, mine, value))
        })
    }

    /// The same at a coarser step whose slots begin at `phase` plus multiples of it.
    pub(super) fn coarser(&self, step: i64, phase: i64) -> Self {
        let series = consolidate(&self.series, step, phase);
        if self.words.is_empty() {
            return Self { series, words: Vec::new() };
        }
        let mut words = vec![Word::Sure; series.values.len()];
        for (index, word) in self.words.iter().enumerate() {
            let time = self.series.start + self.step() * index as i64;
            let slot = usize::try_from((time - series.start).div_euclid(step)).unwrap_or(0);
            if *word == Word::Doubtful {
                words[slot] = Word::Doubtful;
            }
        }
        Self { series, words }
    }

    fn word(&self, slot: usize) -> Word {
        self.words.get(slot).copied().unwrap_or(Word::Sure)
    }

    /// Widens the column to hold the slots of `copy` too; gives the index of the copy's first
    /// slot, or none if the two lie too far apart.
    fn make_room(&mut self, copy: &SeriesData) -> Option<usize> {
        let base = &mut self.series;
        let held = base.values.len();
        let offset = copy.start.checked_sub(base.start)?.div_euclid(base.step);
        let before = usize::try_from(offset.min(0).unsigned_abs()).ok()?;
        let at = usize::try_from(offset.max(0)).ok()?;
        let slots = held.checked_add(before)?.max(at.checked_add(copy.values.len())?);
        if slots > SLOTS_MAX.max(held) {
            return None;
        }
        if slots == held {
            return Some(at);
        }
        self.words.resize(held, Word::Sure);
        if before > 0 {
            base.values.splice(0..0, std::iter::repeat_n(f64::NAN, before));
            self.words.splice(0..0, std::iter::repeat_n(Word::None, before));
            base.start -= base.step * i64::try_from(before).ok()?;
        }
        base.values.resize(slots, f64::NAN);
        self.words.resize(slots, Word::None);
        let seconds = i64::try_from(slots).ok()?.saturating_mul(base.step);
        base.stop = base.start.saturating_add(seconds);
        Some(at)
    }
}

/// The slots that have a second of the hole.
fn slots_of(series: &SeriesData, hole: &Hole) -> std::ops::Range<usize> {
    let slot = |time: i64| {
        let slot = time.saturating_sub(series.start).div_euclid(series.step);
        usize::try_from(slot.max(0)).unwrap_or(usize::MAX).min(series.values.len())
    };
    if hole.until_s <= hole.from_s.max(series.start) {
        return 0..0;
    }
    slot(hole.from_s)..slot(hole.until_s.saturating_sub(1).saturating_add(series.step))
}
