//! Series folded where they lie: of many series a few numbers a slot leave the node.
//!
//! Where several nodes hold a series, each of them knows by the ring who reads it. What a fold cannot show, as points
//! that may be missing, refuses it: then the series themselves are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crc32fast::Hasher;
use query::fold::Fold;
use query::{FoldSpec, Folded};
use wire::pb_v3::{self, FoldedRange, Meta};

use super::find::{Budget, Cost};
use super::render::{Fetch, PIECE_SERIES, check_points, holes_within};
use super::{Asker, ReadFault, Reader};
use crate::engine::Reading;
use crate::index::Found;
use crate::placement::Placement;
use crate::series::SeriesId;

/// Most points of series by themselves in a reply, which is held whole; more are sent piece by piece.
const BAND_POINTS_MAX: u64 = 1 << 20;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct FoldRequest {
    pub(crate) fold: pb_v3::Fold,
    /// The ring that the places in the fold are of.
    pub(crate) ring_fingerprint: u64,
    pub(crate) fetch: Fetch,
    /// The moment that the window ends before and retention counts from.
    pub(crate) now: i64,
    /// Most points to read.
    pub(crate) points_max: u64,
}

/// Why the series themselves must be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("this fold is not known here")]
    Unknown,
    #[error("points may be missing")]
    Holes,
    #[error("this node does not know its place in the asker's ring")]
    Ring,
    #[error("there are series here that are other nodes' to hold")]
    Stray,
    #[error("series have different steps")]
    Steps,
    #[error("a file cannot be read")]
    Unreadable,
    #[error("there are more series than are sent at once")]
    TooMany,
}

/// What this node reads of what it holds.
#[derive(Debug)]
enum Share {
    Everything,
    /// The series whose first owner among the readers it is.
    Own {
        placement: Arc<Placement>,
        own: u16,
        readers: Vec<u16>,
    },
}

impl Share {
    fn of(reader: &Reader, request: &FoldRequest) -> Result<Self, Refusal> {
        if request.fold.readers.is_empty() {
            return Ok(Self::Everything);
        }
        let placement = reader.placement().ok_or(Refusal::Ring)?;
        let is_same = placement.fingerprint().as_u64() == request.ring_fingerprint;
        let own = placement.own().filter(|_| is_same).ok_or(Refusal::Ring)?;
        let place = |place: &u32| u16::try_from(*place).or(Err(Refusal::Ring));
        let readers = request.fold.readers.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self::Own { placement, own, readers })
    }

    /// A range that a series with these owners is of.
    fn range(&self, owners: &[u16]) -> Result<Range, Refusal> {
        let is_read = match self {
            Self::Everything => true,
            Self::Own { own, .. } if !owners.contains(own) => return Err(Refusal::Stray),
            Self::Own { own, readers, .. } => {
                owners.iter().find(|owner| readers.contains(owner)) == Some(own)
            }
        };
        let owners = owners.iter().copied().map(u32::from).collect();
        let (series, names, folded) = (0, Hasher::new(), Folded::default());
        Ok(Range { owners, is_read, series, names, folded })
    }
}

/// The series with the same owners.
#[derive(Debug)]
struct Range {
    owners: Vec<u32>,
    is_read: bool,
    series: u64,
    names: Hasher,
    folded: Folded,
}

impl Range {
    fn into_message(self) -> FoldedRange {
        let Self { owners, is_read, series, names, folded } = self;
        let (names_crc, groups) = (names.finalize(), folded.into_messages());
        FoldedRange { owners, is_read, series, names_crc, groups }
    }
}

/// A series to read.
#[derive(Debug)]
struct Hit {
    name: String,
    id: SeriesId,
    range: usize,
}

/// A fold under way.
#[derive(Debug)]
struct Work {
    reader: Arc<Reader>,
    request: FoldRequest,
    asker: Asker,
    spec: FoldSpec,
    share: Share,
    ranges: Vec<Range>,
    hits: Vec<Hit>,
    /// Hits that have been read; none before they were looked for.
    done: Option<usize>,
    points: u64,
    cost: Cost,
}

type Gone<T> = Result<Result<T, Refusal>, ReadFault>;

/// Folds what is asked for, or says why not.
pub(crate) async fn fold(
    reader: &Arc<Reader>,
    request: FoldRequest,
    asker: &Asker,
) -> Result<pb_v3::MultiFetchResponse, ReadFault> {
    let holes = holes_within(reader, request.fetch.window, request.now);
    let mut meta = Meta {
        ring_fingerprint: reader.ring_fingerprint(),
        nodes_asked: 1,
        nodes_answered: 1,
        holes,
        ..Meta::default()
    };
    let work = match Work::begin(reader, request, asker) {
        Ok(_) if !meta.holes.is_empty() => Err(Refusal::Holes),
        Ok(work) => work.finish().await?,
        Err(refusal) => Err(refusal),
    };
    let folded = match work {
        Ok(work) => {
            (meta.series_pruned, meta.index_nodes_visited) = (work.cost.pruned, work.cost.visited);
            let ranges = work.ranges.into_iter().map(Range::into_message).collect();
            pb_v3::Folded { ranges, refused: String::new() }
        }
        Err(refusal) => pb_v3::Folded { ranges: Vec::new(), refused: refusal.to_string() },
    };
    Ok(pb_v3::MultiFetchResponse { metrics: Vec::new(), meta: Some(meta), folded: Some(folded) })
}

impl Work {
    fn begin(reader: &Arc<Reader>, request: FoldRequest, asker: &Asker) -> Result<Self, Refusal> {
        let spec = FoldSpec::from_message(&request.fold).ok_or(Refusal::Unknown)?;
        let share = Share::of(reader, &request)?;
        Ok(Self {
            reader: Arc::clone(reader),
            request,
            asker: asker.clone(),
            spec,
            share,
            ranges: Vec::new(),
            hits: Vec::new(),
            done: None,
            points: 0,
            cost: Cost::default(),
        })
    }

    /// Goes on piece by piece, so that a fold that nobody waits for any more ends.
    async fn finish(mut self) -> Gone<Self> {
        loop {
            let (reader, asker) = (Arc::clone(&self.reader), self.asker.clone());
            self = match reader.run(&asker, move || self.go_on()).await?? {
                Ok(work) => work,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if self.done == Some(self.hits.len()) {
                return Ok(Ok(self));
            }
        }
    }

    fn go_on(mut self) -> Gone<Self> {
        if self.done.is_none() {
            let mut budget = Budget::new(&self.reader, &self.asker);
            let Fetch { query, window, .. } = &self.request.fetch;
            let found = budget.find(&self.reader, query, Some(*window))?;
            self.cost = budget.cost;
            if let Err(refusal) = self.sort_out(found) {
                return Ok(Err(refusal));
            }
        }
        let first = self.done.unwrap_or(0);
        let end = self.hits.len().min(first + PIECE_SERIES);
        self.done = Some(end);
        match self.read(first..end)? {
            Ok(readings) => Ok(self.add(first, readings).map(|()| self)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What there is of each range, and which of it is to be read here.
    fn sort_out(&mut self, found: Found) -> Result<(), Refusal> {
        let mut places: BTreeMap<Vec<u16>, usize> = BTreeMap::new();
        for path in found.paths {
            let Some(id) = path.series else { continue };
            let owners = match &self.share {
                Share::Everything => None,
                Share::Own { placement, .. } => Some(placement.owners(&path.path)),
            };
            let owners = owners.as_deref().unwrap_or_default();
            let range = match places.get(owners) {
                Some(&place) => place,
                None => {
                    self.ranges.push(self.share.range(owners)?);
                    places.insert(owners.to_vec(), self.ranges.len() - 1);
                    self.ranges.len() - 1
                }
            };
            let Range { is_read, series, names, .. } = &mut self.ranges[range];
            *series += 1;
            names.update(path.path.as_bytes());
            names.update(b"\n");
            if *is_read {
                self.hits.push(Hit { name: path.path, id, range });
            }
        }
        match self.spec.fold {
            Fold::Bands(points_max)
                if self.hits.len() as u64 * u64::from(points_max) > BAND_POINTS_MAX =>
            {
                Err(Refusal::TooMany)
            }
            _ => Ok(()),
        }
    }

    /// Reads a piece, in the order of its files.
    fn read(&mut self, piece: std::ops::Range<usize>) -> Gone<Vec<Option<Reading>>> {
        let hits = &self.hits[piece];
        let mut order: Vec<usize> = (0..hits.len()).collect();
        order.sort_unstable_by_key(|&at| hits[at].id);
        let window = (self.request.fetch.window.from, self.request.fetch.window.until);
        let points_before = self.points;
        let mut readings: Vec<Option<Reading>> = hits.iter().map(|_| None).collect();
        for at in order {
            let Hit { id, name, .. } = &hits[at];
            match self.reader.engine.read_named(*id, name, window, self.request.now) {
                Ok(reading) => {
                    self.points += reading.as_ref().map_or(0, Reading::slots);
                    check_points(self.points, self.request.points_max)?;
                    readings[at] = reading;
                }
                // Who asks for the series is told more.
                Err(_unreadable) => return Ok(Err(Refusal::Unreadable)),
            }
        }
        let counters = &self.reader.counters;
        counters.series.add(readings.iter().flatten().count() as u64);
        counters.points.add(self.points - points_before);
        Ok(Ok(readings))
    }

    /// Adds a piece in the order of names, so that sums are the same on every node.
    fn add(&mut self, first: usize, readings: Vec<Option<Reading>>) -> Result<(), Refusal> {
        let mut column = Vec::new();
        for (hit, reading) in self.hits[first..].iter().zip(readings) {
            let Some(reading) = reading else { continue };
            let folded = &mut self.ranges[hit.range].folded;
            let added = if let Fold::Bands(points_max) = self.spec.fold {
                folded.add_in_bands(points_max, reading.into_series(hit.name.clone()))
            } else {
                reading.fill(&mut column);
                folded.add(&self.spec, &hit.name, reading.grid(), &column)
            };
            added.or(Err(Refusal::Steps))?;
        }
        Ok(())
    }
}
