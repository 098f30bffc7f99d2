//! Diff: where two files with the same archives hold different values.

use crate::error::Error;
use crate::now::Now;
use crate::open::Whisper;
use crate::read;
use crate::storage::Storage;

/// One interval with different values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Start of the interval.
    pub interval: i64,
    /// The first file's value.
    pub a: Option<f64>,
    /// The second file's value.
    pub b: Option<f64>,
}

/// The differences in one archive.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveDiff {
    /// Intervals that were compared: with a value on both sides, or on either.
    pub total: usize,
    /// Those that differ.
    pub differences: Vec<Difference>,
}

/// Compares every archive, finest first, each from where the finer one ends. With `ignore_empty`
/// only intervals with a value on both sides count. NaN equals nothing.
pub fn diff<A: Storage, B: Storage>(
    a: &Whisper<A>,
    b: &Whisper<B>,
    ignore_empty: bool,
    now: impl Into<Now>,
) -> Result<Vec<ArchiveDiff>, Error> {
    if a.header().archives != b.header().archives {
        return Err(Error::Unlike);
    }
    let now = now.into().floor();
    let mut until = now;
    let mut found = Vec::new();
    for archive in &a.header().archives {
        let from = now.saturating_sub(archive.retention());
        let window = archive.window(from, until);
        let left = read::window_of(archive, &mut a.overlay(), window)?;
        let right = read::window_of(archive, &mut b.overlay(), window)?;
        let mut total = 0;
        let mut differences = Vec::new();
        for (index, (a, b)) in (0..).zip(left.values().zip(right.values())) {
            let counts =
                if ignore_empty { a.is_some() && b.is_some() } else { a.is_some() || b.is_some() };
            total += usize::from(counts);
            if counts && a != b {
                differences.push(Difference { interval: window.interval(index), a, b });
            }
        }
        found.push(ArchiveDiff { total, differences });
        until = until.min(from);
    }
    Ok(found)
}
