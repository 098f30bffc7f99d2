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

/// What to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Only intervals with a value on both sides count.
    pub ignore_empty: bool,
    /// Leave everything after this time alone.
    pub until: Option<i64>,
}

/// Compares every archive, finest first, each from where the finer one ends. NaN equals nothing.
pub fn diff<A: Storage, B: Storage>(
    a: &Whisper<A>,
    b: &Whisper<B>,
    options: Diff,
    now: impl Into<Now>,
) -> Result<Vec<ArchiveDiff>, Error> {
    if a.header().archives != b.header().archives {
        return Err(Error::Unlike);
    }
    let now = now.into().floor();
    let mut until = options.until.map_or(now, |until| until.min(now));
    let mut found = Vec::new();
    for archive in &a.header().archives {
        let from = now.saturating_sub(archive.retention());
        let window = archive.window(from, until);
        let left = read::window_of(archive, &mut a.overlay(), window)?;
        let right = read::window_of(archive, &mut b.overlay(), window)?;
        let mut total = 0;
        let mut differences = Vec::new();
        for (index, (a, b)) in (0..).zip(left.values().zip(right.values())) {
            let sides = [a, b].into_iter().flatten().count();
            let counts = sides >= if options.ignore_empty { 2 } else { 1 };
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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::{OnExisting, Retention, Spec, create};

    const NOW: i64 = 1_700_000_000;

    fn file(points: &[(i64, f64)]) -> Whisper<File> {
        let archive = |seconds_per_point| Retention { seconds_per_point, points: 10 };
        let spec = Spec::new(vec![archive(60), archive(300)]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wsp");
        create(&path, &spec, OnExisting::Refuse).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut file = Whisper::open(file).unwrap();
        file.update_many(points, NOW).unwrap();
        file
    }

    fn intervals(until: Option<i64>) -> Vec<Vec<i64>> {
        let (a, b) = (file(&[(NOW - 20, 1.0), (NOW - 1_900, 1.0)]), file(&[]));
        let options = Diff { ignore_empty: false, until };
        let archives = diff(&a, &b, options, NOW).unwrap();
        let differing = archives.into_iter().map(|archive| archive.differences.into_iter());
        differing.map(|points| points.map(|point| point.interval).collect()).collect()
    }

    #[test]
    fn what_comes_after_until_is_left_alone() {
        let (fine, coarse) = (NOW - 20, NOW - 2_000);
        assert_eq!(intervals(None), [vec![fine], vec![coarse]]);
        assert_eq!(intervals(Some(NOW + 10_000)), [vec![fine], vec![coarse]]);
        assert_eq!(intervals(Some(NOW - 1_000)), [vec![], vec![coarse]]);
        assert_eq!(intervals(Some(NOW - 2_300)), [vec![], vec![]]);
    }
}
