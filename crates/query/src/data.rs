//! What has been fetched for a request, kept between the rounds of its evaluation.

use std::collections::HashMap;
use std::sync::Arc;

use metric::SeriesData;

use crate::fetch::Fetch;
use crate::fold::Folded;
use crate::series::{Consolidation, Grid, SERIES_BYTES, Values};
use crate::window::Window;

/// A fetched series with its column shared, so that evaluating again copies no values.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) name: String,
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) values: Values,
    pub(crate) consolidation: Consolidation,
}

/// What one fetch answered. Clones share it.
#[derive(Clone, Debug)]
pub struct Answer(pub(crate) Found);

#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// In byte order of names.
    Series(Arc<[Fetched]>),
    Folded(Arc<Folded>),
}

impl Answer {
    /// Of series in any order; none say that nothing matches.
    pub fn new(series: Vec<SeriesData>) -> Self {
        let mut answer: Vec<_> = series
            .into_iter()
            .map(|s| Fetched {
                name: s.name,
                start: s.start,
                step: s.step,
                values: s.values.into(),
                consolidation: s.consolidation,
            })
            .collect();
        answer.sort_by(|a, b| a.name.cmp(&b.name));
        Self(Found::Series(answer.into()))
    }

    /// Of series that the store has folded.
    pub fn folded(folded: Folded) -> Self {
        Self(Found::Folded(Arc::new(folded)))
    }

    /// One answer of two, if each series goes on where it ends in the earlier one.
    fn after(&self, earlier: &Self) -> Option<Self> {
        let (Found::Series(late), Found::Series(early)) = (&self.0, &earlier.0) else {
            return None;
        };
        let goes_on = |(first, then): (&Fetched, &Fetched)| {
            let length = i64::try_from(first.values.len()).unwrap_or(i64::MAX);
            first.name == then.name
                && (first.step, first.consolidation) == (then.step, then.consolidation)
                && first.start.saturating_add(first.step.saturating_mul(length)) == then.start
        };
        let pairs = || early.iter().zip(late.iter());
        let joined = |(first, then): (&Fetched, &Fetched)| {
            let values = [&first.values[..], &then.values[..]].concat().into();
            Fetched { values, ..first.clone() }
        };
        let is_one = early.len() == late.len() && pairs().all(goes_on);
        is_one.then(|| Self(Found::Series(pairs().map(joined).collect())))
    }

    /// How many series there are.
    pub fn series(&self) -> u64 {
        match &self.0 {
            Found::Series(series) => series.len() as u64,
            Found::Folded(folded) => folded.series(),
        }
    }

    /// How many points they have.
    pub fn points(&self) -> u64 {
        match &self.0 {
            Found::Series(series) => series.iter().map(|s| s.values.len() as u64).sum(),
            Found::Folded(folded) => folded.points(),
        }
    }

    /// Where the points of its series lay before the store merged them, if it has.
    fn unmerged(&self) -> Option<Grid> {
        match &self.0 {
            Found::Series(_) => None,
            Found::Folded(folded) => folded.unmerged(),
        }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> u64 {
        let bytes = |s: &Fetched| SERIES_BYTES + (s.name.len() + s.values.len() * 8) as u64;
        match &self.0 {
            Found::Series(series) => series.iter().map(bytes).sum(),
            Found::Folded(folded) => folded.bytes(),
        }
    }
}

/// Everything fetched for a request.
#[derive(Clone, Debug, Default)]
pub struct Data {
    answers: HashMap<Fetch, Answer>,
    bytes: u64,
}

impl Data {
    /// Keeps the answer to a fetch; an empty one says that nothing matches.
    pub fn insert(&mut self, fetch: Fetch, series: Vec<SeriesData>) {
        self.insert_answer(fetch, Answer::new(series));
    }

    /// As [`Data::insert`] with an answer that others may hold as well.
    pub fn insert_answer(&mut self, fetch: Fetch, answer: Answer) {
        self.bytes += answer.bytes();
        self.answers.insert(fetch, answer);
    }

    /// What has to be read for a fetch: all of it, or the time before something read already that has its end.
    pub fn lacking(&self, fetch: &Fetch) -> Fetch {
        let read = self.end_of(fetch).map_or(fetch.window.until, |(end, _)| end.window.from);
        Fetch { window: Window::new(fetch.window.from, read), ..fetch.clone() }
    }

    /// Puts the answer to what was [`Data::lacking`] before what was read already. False where they are not one:
    /// other series, or other steps that far back. Then all has to be read.
    pub fn complete(&mut self, fetch: &Fetch, earlier: &Answer) -> bool {
        let whole = self.end_of(fetch).and_then(|(_, end)| end.after(earlier));
        whole.map(|whole| self.insert_answer(fetch.clone(), whole)).is_some()
    }

    /// What was read of the same pattern up to the same moment, from the earliest on.
    fn end_of(&self, fetch: &Fetch) -> Option<(&Fetch, &Answer)> {
        let ends = self.answers.iter().filter(|(known, _)| {
            known.pattern == fetch.pattern
                && (&known.fold, &fetch.fold) == (&None, &None)
                && known.window.until == fetch.window.until
                && known.window.from > fetch.window.from
        });
        ends.min_by_key(|(known, _)| known.window.from)
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was fetched, if it was.
    pub(crate) fn answer(&self, fetch: &Fetch) -> Option<&Answer> {
        self.answers.get(fetch)
    }

    /// Whether all that was fetched was merged by the store, from points on one grid.
    pub(crate) fn is_on_one_grid(&self) -> bool {
        let mut grids =
            self.answers.values().filter(|answer| answer.series() > 0).map(Answer::unmerged);
        let first = grids.next();
        first.is_none_or(|first| first.is_some() && grids.all(|grid| grid == first))
    }
}
