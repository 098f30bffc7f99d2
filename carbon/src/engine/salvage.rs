//! What can be read of a file that is no sound Whisper file: one that was cut, or whose header is damaged.
//!
//! A ring has one shape: which interval may stand in which slot follows from any one of its points. So points are told
//! from other bytes by the company they keep.

use std::collections::HashMap;
use std::io;

use whisper::{Allocation, Archive, Header, POINT_BYTES, Point, Retention, Spec, Storage, Whisper};

/// Bytes looked at; no file of a series is nearly as long.
const BYTES_MAX: u64 = 256 << 20;

/// How far in the future a point may lie.
const FUTURE_MAX_S: i64 = 86_400;

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
        let archives = self.header.archives.iter();
        let archives = archives.map(|archive| Retention {
            seconds_per_point: archive.seconds_per_point,
            points: archive.points,
        });
        Spec {
            archives: archives.collect(),
            x_files_factor: self.header.x_files_factor.into(),
            method: self.header.method,
            allocation: Allocation::Sparse,
        }
    }

    /// Writes them to a file without points.
    pub(super) fn write_to<S: Storage>(&self, file: &mut Whisper<S>) -> Result<(), whisper::Error> {
        for (index, points) in self.archives.iter().enumerate() {
            file.write_points(index, 0, points)?;
        }
        Ok(())
    }
}

/// Reads what there is: by the file's own header if it makes sense, or by the one of `others` that finds most.
/// `None` if nothing is found.
pub(super) fn salvage<S: Storage>(
    file: &S,
    others: Vec<Header>,
    now: i64,
) -> io::Result<Option<Salvaged>> {
    let bytes = file.size()?.min(BYTES_MAX);
    let mut head = vec![0; usize::try_from(bytes.min(HEAD_BYTES)).map_err(io::Error::other)?];
    file.read_at(&mut head, 0)?;
    // As if the file were as long as the header says.
    let own = Header::parse(&head, u64::MAX).ok();
    let mut best: Option<Salvaged> = None;
    for header in own.into_iter().chain(others) {
        let archives = header.archives.iter();
        let archives = archives.map(|archive| points_of(file, archive, bytes, now));
        let found = Salvaged { archives: archives.collect::<io::Result<_>>()?, header };
        let most = best.as_ref().map_or(0, Salvaged::points);
        if found.points() > most {
            best = Some(found);
        }
    }
    Ok(best)
}

/// The points of an archive in the first `bytes` of a file, ascending: those that fit into one ring, and were written
/// on its last round.
fn points_of<S: Storage>(
    file: &S,
    archive: &Archive,
    bytes: u64,
    now: i64,
) -> io::Result<Vec<Point>> {
    let start = u64::from(archive.offset);
    let there = bytes.saturating_sub(start).min(archive.size()) / POINT_BYTES as u64;
    let mut slots = vec![0; usize::try_from(there).map_err(io::Error::other)? * POINT_BYTES];
    if !slots.is_empty() {
        file.read_at(&mut slots, start)?;
    }
    let step = archive.seconds_per_point;
    let fits = |point: &Point| {
        let age = now.saturating_sub(point.interval.into());
        point.interval.is_multiple_of(step) && age < archive.retention() && age > -FUTURE_MAX_S
    };
    let chunks = slots.chunks_exact(POINT_BYTES).filter_map(|chunk| chunk.first_chunk());
    let points = (0..u64::from(archive.points)).zip(chunks.map(Point::from_bytes));
    let points = points.filter(|(_, point)| fits(point));
    // Where the ring begins, by each of the points.
    let count = u64::from(archive.points);
    let begins =
        |slot: u64, point: &Point| (u64::from(point.interval / step) + count - slot) % count;
    let points: Vec<(u64, Point)> =
        points.map(|(slot, point)| (begins(slot, &point), point)).collect();
    let mut votes: HashMap<u64, usize> = HashMap::new();
    for (begin, _) in &points {
        *votes.entry(*begin).or_default() += 1;
    }
    let Some((winner, _)) = votes.into_iter().max_by_key(|&(begin, votes)| (votes, begin)) else {
        return Ok(Vec::new());
    };
    let of_winner = points.into_iter().filter(|(begin, _)| *begin == winner);
    let mut points: Vec<Point> = of_winner.map(|(_, point)| point).collect();
    points.sort_by_key(|point| point.interval);
    Ok(points)
}
