//! What can be read of a file that is no sound Whisper file: one that was cut, or whose header is damaged.
//!
//! A ring has one shape: which interval may stand in which slot follows from any one of its points. So points are told
//! from other bytes by the company they keep.

use std::collections::HashMap;
use std::io;

use whisper::{Allocation, Archive, Header, POINT_BYTES, Point, Retention, Spec, Storage, Whisper};

/// Slots of an archive that are looked at; none is nearly as long.
const SLOTS_MAX: u64 = 20 << 20;

/// How far in the future a point may lie.
const FUTURE_MAX_S: i64 = 86_400;

/// Slots at the beginning of each archive by which a header is judged that nothing else speaks against.
const SAMPLE_SLOTS: u64 = 341;

/// No header is longer.
const HEAD_BYTES: u64 = 1 << 10;

/// The points of a damaged file, and the header that they were found by.
#[derive(Debug)]
pub(super) struct Salvaged {
    header: Header,
    /// By archive, ascending.
    archives: Vec<Vec<Point>>,
}

impl Salvaged {
    /// How many points there are.
    pub(super) fn points(&self) -> usize {
        self.archives.iter().map(Vec::len).sum()
    }

    /// What a file for them must be.
    pub(super) fn spec(&self) -> Spec {
        spec_of(&self.header)
    }

    /// Writes them to a file without points.
    pub(super) fn write_to<S: Storage>(&self, file: &mut Whisper<S>) -> Result<(), whisper::Error> {
        for (index, points) in self.archives.iter().enumerate() {
            file.write_points(index, 0, points)?;
        }
        Ok(())
    }
}

/// What makes a file with this header.
pub(super) fn spec_of(header: &Header) -> Spec {
    let archives = header.archives.iter();
    let archives = archives.map(|archive| Retention {
        seconds_per_point: archive.seconds_per_point,
        points: archive.points,
    });
    Spec {
        archives: archives.collect(),
        x_files_factor: header.x_files_factor.into(),
        method: header.method,
        allocation: Allocation::Sparse,
    }
}

/// Whether the points of a file tell against its header: most do not lie where it has them, of some at the beginning of
/// each archive, or one of `others` that a file of this size may have finds no fewer of all. A file without points is
/// believed.
pub(super) fn is_misfit<S: Storage>(
    file: &Whisper<S>,
    others: &[Header],
    now: i64,
) -> io::Result<bool> {
    let (header, storage) = (file.header(), file.storage());
    let in_place = |header, slots_max| {
        points_by(storage, header, slots_max, now).map(|found| (found.in_place(), found.fresh))
    };
    for other in others.iter().filter(|other| other.file_bytes() == header.file_bytes()) {
        let by_other = in_place(other, SLOTS_MAX)?.0;
        if by_other > 0 && by_other >= in_place(header, SLOTS_MAX)?.0 {
            return Ok(true);
        }
    }
    let (own, fresh) = in_place(header, SAMPLE_SLOTS)?;
    Ok(own < fresh.div_ceil(2))
}

/// Reads what there is, by the header that finds most: the file's own if it makes sense and `own` says that it may, one
/// of `others`, or one that a single flipped bit makes of the file's own. `None` if nothing is found.
pub(super) fn salvage<S: Storage>(
    file: &S,
    own: bool,
    others: &[Header],
    now: i64,
) -> io::Result<Option<Salvaged>> {
    let size = file.size()?;
    let mut head = vec![0; usize::try_from(size.min(HEAD_BYTES)).map_err(io::Error::other)?];
    file.read_at(&mut head, 0)?;
    // As if the file were as long as the header says.
    let own = Header::parse(&head, u64::MAX).ok().filter(|_| own);
    let mut best: Option<Salvaged> = None;
    let repaired = repaired(&mut head, size);
    for header in own.into_iter().chain(others.iter().cloned()).chain(repaired) {
        let found = points_by(file, &header, SLOTS_MAX, now)?;
        let most = best.as_ref().map_or(0, Salvaged::points);
        if found.in_place() > most {
            best = Some(Salvaged { archives: found.archives, header });
        }
    }
    Ok(best)
}

/// Headers of a file of `size` bytes that differ from `head` in one bit, one for each layout of archives.
fn repaired(head: &mut [u8], size: u64) -> Vec<Header> {
    let as_it_is = Header::parse(head, u64::MAX).ok();
    let mut found: Vec<Header> = Vec::new();
    for bit in 0..head.len() * 8 {
        let mask = 1 << (bit % 8);
        head[bit / 8] ^= mask;
        let header = Header::parse(head, size).ok().filter(|header| header.file_bytes() == size);
        head[bit / 8] ^= mask;
        let Some(header) = header else { continue };
        let known = found.iter().chain(&as_it_is);
        if !known.into_iter().any(|other| other.archives == header.archives) {
            found.push(header);
        }
    }
    found
}

/// What a header finds in a file.
struct Found {
    /// Slots that hold a time of which the file would have points.
    fresh: usize,
    /// Points in their places, by archive, ascending.
    archives: Vec<Vec<Point>>,
}

impl Found {
    fn in_place(&self) -> usize {
        self.archives.iter().map(Vec::len).sum()
    }
}

/// The points that a header finds in the first `slots_max` slots of each archive, as far as the file reaches.
fn points_by<S: Storage>(file: &S, header: &Header, slots_max: u64, now: i64) -> io::Result<Found> {
    let mut found = Found { fresh: 0, archives: Vec::new() };
    for archive in &header.archives {
        let points = fresh_points(file, archive, slots_max, now)?;
        found.fresh += points.len();
        found.archives.push(of_one_ring(archive, &points));
    }
    Ok(found)
}

/// Those of the first `slots_max` slots of an archive that hold a time between its retention and a day ahead.
fn fresh_points<S: Storage>(
    file: &S,
    archive: &Archive,
    slots_max: u64,
    now: i64,
) -> io::Result<Vec<(u64, Point)>> {
    let start = u64::from(archive.offset);
    let bytes = file.size()?.saturating_sub(start);
    let there = (bytes / POINT_BYTES as u64).min(archive.points.into()).min(slots_max);
    let mut slots = vec![0; usize::try_from(there).map_err(io::Error::other)? * POINT_BYTES];
    if !slots.is_empty() {
        file.read_at(&mut slots, start)?;
    }
    let is_fresh = |point: &Point| {
        let age = now.saturating_sub(point.interval.into());
        age < archive.retention() && age > -FUTURE_MAX_S
    };
    let chunks = slots.chunks_exact(POINT_BYTES).filter_map(|chunk| chunk.first_chunk());
    let points = (0..u64::from(archive.points)).zip(chunks.map(Point::from_bytes));
    Ok(points.filter(|(_, point)| is_fresh(point)).collect())
}

/// Those points that lie on the ring of most of them, ascending.
fn of_one_ring(archive: &Archive, points: &[(u64, Point)]) -> Vec<Point> {
    let step = archive.seconds_per_point;
    let count = u64::from(archive.points);
    // Where the ring begins, by each of the points.
    let begins =
        |slot: u64, point: &Point| (u64::from(point.interval / step) + count - slot) % count;
    let aligned = points.iter().filter(|(_, point)| point.interval.is_multiple_of(step));
    let points: Vec<(u64, &Point)> =
        aligned.map(|(slot, point)| (begins(*slot, point), point)).collect();
    let mut votes: HashMap<u64, usize> = HashMap::new();
    for (begin, _) in &points {
        *votes.entry(*begin).or_default() += 1;
    }
    let winner = votes.into_iter().max_by_key(|&(begin, votes)| (votes, begin));
    let on_ring =
        points.into_iter().filter(|(begin, _)| winner.is_some_and(|(of, _)| of == *begin));
    let mut points: Vec<Point> = on_ring.map(|(_, point)| *point).collect();
    points.sort_by_key(|point| point.interval);
    points
}
