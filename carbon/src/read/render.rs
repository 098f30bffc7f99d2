//! Series over windows, as the bytes of a reply that is written piece by piece.
//!
//! One search finds all series first, so that what is refused is refused before the first byte. Then pieces of some
//! hundred series are read on the reading threads, in the order of their files, while the asker takes the piece before; the same threads write
//! their bytes. Once the asker has gone, no further piece is begun.

use std::sync::Arc;

use metric::{SeriesData, Window};
use wire::pb_v3::{Hole, Meta};
use wire::reply::{Format, RenderEncoder};

use super::find::{Budget, Cost, Query, series_max};
use super::{Asker, ReadFault, Reader};
use crate::series::SeriesId;

/// Series read in one piece: enough to put their files in order, few enough to be held in memory.
pub(super) const PIECE_SERIES: usize = 256;

/// What a series takes in an answer besides its values, about.
const HEAD_BYTES: usize = 256;

/// Notes that one answer carries about what it lacks.
const NOTES_MAX: usize = 10;

/// One target over one window.
#[derive(Debug, Clone)]
pub(crate) struct Fetch {
    pub(crate) text: String,
    pub(crate) query: Query,
    pub(crate) window: Window,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct RenderRequest {
    pub(crate) format: Format,
    pub(crate) fetches: Vec<Fetch>,
    /// The moment that all windows end before and retention counts from.
    pub(crate) now: i64,
    /// Most points in the answer.
    pub(crate) points_max: u64,
}

/// One series that was found.
#[derive(Debug, Clone)]
struct Hit {
    fetch: usize,
    id: SeriesId,
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Render {
    reader: Arc<Reader>,
    request: Arc<RenderRequest>,
    asker: Asker,
    hits: Vec<Hit>,
    /// Hits that have been read.
    done: usize,
    /// Whether the end of the reply has been given out.
    finished: bool,
    points: u64,
    encoder: Encoder,
    meta: Meta,
}

/// What writes the series of one window.
type Encoder = Option<(Window, RenderEncoder)>;

impl Render {
    /// Finds what is to be read.
    pub(crate) async fn begin(
        reader: Arc<Reader>,
        request: RenderRequest,
        asker: Asker,
    ) -> Result<Self, ReadFault> {
        let request = Arc::new(request);
        let job = {
            let (reader, request) = (Arc::clone(&reader), Arc::clone(&request));
            let asker = asker.clone();
            move || find_hits(&reader, &request, &asker)
        };
        let series_max = series_max(request.fetches.iter().map(|fetch| &fetch.query));
        let (hits, cost) = reader.run_sized(&asker, series_max, job).await??;
        let meta = Meta {
            ring_fingerprint: reader.ring_fingerprint(),
            series_pruned: cost.pruned,
            index_nodes_visited: cost.visited,
            nodes_asked: 1,
            nodes_answered: 1,
            holes: holes(&reader, &request),
            ..Meta::default()
        };
        Ok(Self {
            reader,
            request,
            asker,
            hits,
            done: 0,
            finished: false,
            points: 0,
            encoder: None,
            meta,
        })
    }

    /// Whether something that was found could not be read, so far.
    pub(crate) fn is_partial(&self) -> bool {
        self.meta.partial
    }

    /// Intervals of which points may be missing.
    pub(crate) fn holes(&self) -> &[Hole] {
        &self.meta.holes
    }

    /// The next bytes; none once the reply is whole.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ReadFault> {
        if self.done == self.hits.len() {
            return Ok(self.finish());
        }
        // Msgpack says at its start how many series follow, so it is read in one piece.
        let length = match self.request.format {
            Format::Msgpack => self.hits.len(),
            _ => PIECE_SERIES.min(self.hits.len() - self.done),
        };
        let hits = self.hits[self.done..self.done + length].to_vec();
        self.done += length;
        let job = {
            let (reader, request) = (Arc::clone(&self.reader), Arc::clone(&self.request));
            let (points_before, mut encoder) = (self.points, self.encoder.take());
            move || -> Result<_, ReadFault> {
                let piece = read_piece(&reader, &request, &hits, points_before)?;
                let bytes = encode(&request, &mut encoder, &piece.series);
                Ok((bytes, encoder, piece.points, piece.unreadable))
            }
        };
        let read = self.reader.run_sized(&self.asker, length, job).await?;
        let (bytes, encoder, points, unreadable) = read?;
        (self.encoder, self.points) = (encoder, points);
        self.note(unreadable);
        Ok(Some(bytes))
    }

    fn note(&mut self, unreadable: Vec<String>) {
        self.meta.partial |= !unreadable.is_empty();
        let room = NOTES_MAX.saturating_sub(self.meta.notes.len());
        self.meta.notes.extend(unreadable.into_iter().take(room));
    }

    fn finish(&mut self) -> Option<Vec<u8>> {
        if std::mem::replace(&mut self.finished, true) {
            return None;
        }
        let mut out = Vec::new();
        let encoder = self.encoder.take().map(|(_, encoder)| encoder).unwrap_or_else(|| {
            let window =
                self.request.fetches.first().map_or(Window::new(0, 0), |fetch| fetch.window);
            RenderEncoder::begin(self.request.format, window, 0, &mut out)
        });
        encoder.finish(Some(self.meta.clone()), &mut out);
        Some(out)
    }
}

/// The bytes that these series add to the reply.
fn encode(
    request: &RenderRequest,
    encoder: &mut Encoder,
    series: &[(usize, SeriesData)],
) -> Vec<u8> {
    let bytes = |data: &SeriesData| data.values.len() * size_of::<f64>() + HEAD_BYTES;
    let mut out = Vec::with_capacity(series.iter().map(|(_, data)| bytes(data)).sum());
    for (fetch, data) in series {
        let window = request.fetches[*fetch].window;
        // Only protobuf requests have several windows, and their replies may be written by several
        // encoders: fields of a message may come in any pieces.
        let (_, encoder) = match encoder.take() {
            Some(known) if known.0 == window => encoder.insert(known),
            _ => {
                let next = RenderEncoder::begin(request.format, window, series.len(), &mut out);
                encoder.insert((window, next))
            }
        };
        encoder.push(data, &mut out);
    }
    out
}

/// Those that any of the windows touches, and those that ended lately.
fn holes(reader: &Reader, request: &RenderRequest) -> Vec<Hole> {
    let windows = request.fetches.iter().map(|fetch| fetch.window);
    let whole = windows.reduce(|a, b| Window::new(a.from.min(b.from), a.until.max(b.until)));
    whole.map_or_else(Vec::new, |whole| holes_within(reader, whole, request.now))
}

/// Those that the window touches, and those that ended lately.
pub(super) fn holes_within(reader: &Reader, window: Window, now: i64) -> Vec<Hole> {
    let holes = reader.holes.within(window.from, window.until.min(now), now).into_iter();
    holes.map(|hole| Hole { from_s: hole.from_s, until_s: hole.until_s }).collect()
}

/// What one piece of reading gave.
struct Piece {
    /// Each with the position of its fetch.
    series: Vec<(usize, SeriesData)>,
    /// What could not be read, and why.
    unreadable: Vec<String>,
    /// Points of the answer so far.
    points: u64,
}

fn find_hits(
    reader: &Reader,
    request: &RenderRequest,
    asker: &Asker,
) -> Result<(Vec<Hit>, Cost), ReadFault> {
    let mut budget = Budget::new(reader, asker);
    let mut hits = Vec::new();
    for (fetch, one) in request.fetches.iter().enumerate() {
        let found = budget.find(reader, &one.query, Some(one.window))?;
        let ids = found.paths.into_iter().filter_map(|found| found.series);
        hits.extend(ids.map(|id| Hit { fetch, id }));
    }
    Ok((hits, budget.cost))
}

fn read_piece(
    reader: &Reader,
    request: &RenderRequest,
    hits: &[Hit],
    points_before: u64,
) -> Result<Piece, ReadFault> {
    let mut order: Vec<usize> = (0..hits.len()).collect();
    // Files were created in the order of ids, so this is close to the order of inodes.
    order.sort_unstable_by_key(|&at| hits[at].id);
    let mut piece = Piece { series: Vec::new(), unreadable: Vec::new(), points: points_before };
    let mut slots: Vec<Option<SeriesData>> = vec![None; hits.len()];
    for at in order {
        let Fetch { text, window, .. } = &request.fetches[hits[at].fetch];
        match reader.engine.read(hits[at].id, window.from, window.until, request.now) {
            Ok(data) => {
                piece.points += data.as_ref().map_or(0, |data| data.values.len() as u64);
                check_points(piece.points, request.points_max)?;
                slots[at] = data.map(|data| SeriesData { path_expression: text.clone(), ..data });
            }
            Err(error) => {
                reader.counters.unreadable.inc();
                daemon::warn_limited!(reader.clock, %error, "a series is left out of an answer");
                piece.unreadable.push(error.to_string());
            }
        }
    }
    let named = hits.iter().map(|hit| hit.fetch).zip(slots);
    piece.series.extend(named.filter_map(|(fetch, data)| Some((fetch, data?))));
    reader.counters.series.add(piece.series.len() as u64);
    reader.counters.points.add(piece.points - points_before);
    Ok(piece)
}

pub(super) fn check_points(points: u64, allowed: u64) -> Result<(), ReadFault> {
    if points <= allowed {
        return Ok(());
    }
    let what = format!("the answer has {points} points or more");
    Err(ReadFault::Limit { what, allowed, setting: "render_points_max" })
}
