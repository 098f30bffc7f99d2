//! Resize: the points of a file in other archives, as `whisper-resize.py` moves them.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use crate::aggregation::{Method, aggregate};
use crate::archive::Archive;
use crate::create::{self, Spec};
use crate::error::Error;
use crate::header::Header;
use crate::open::Whisper;
use crate::overlay::Overlay;
use crate::place::{self, Temporary};
use crate::read::{self, Request};
use crate::retention::Retention;
use crate::storage::Storage;
use crate::update::{self, LongRun};

/// What a file is to become.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// The new archives, in any order.
    pub archives: Vec<Retention>,
    /// A new factor; the old one stays if `None`.
    pub x_files_factor: Option<f64>,
    /// A new method; the old one stays if `None`.
    pub method: Option<Method>,
    /// Aggregate old points to the new steps, instead of copying each to its slot.
    pub aggregate: bool,
    /// Keep the old file under the name with `.bak` behind it.
    pub backup: bool,
}

/// Rebuilds `path` beside itself and swaps the two; a failure leaves it as it was.
pub fn resize(path: &Path, options: &Resize, now: i64) -> Result<(), Error> {
    let old = Whisper::open(File::open(path)?)?;
    let method = options.method.unwrap_or(old.header().method);
    let factor = options.x_files_factor.unwrap_or(f64::from(old.header().x_files_factor));
    let spec = Spec { x_files_factor: factor, method, ..Spec::new(options.archives.clone()) };
    let header = spec.header()?;
    let (temporary, mut file) = Temporary::create(path)?;
    create::build(&mut file, &header)?;
    file.set_permissions(old.storage().metadata()?.permissions())?;
    let mut new = Whisper::with_header(file, header)?;
    let runs = {
        let mut staged = new.overlay();
        let retained = retained(&old, now)?;
        if options.aggregate {
            migrate_aggregated(new.header(), &mut staged, &retained, factor, now)?;
        } else {
            for points in retained {
                let known = points.iter().filter_map(|&(t, value)| Some((t, value?))).collect();
                update::many(
                    new.header(),
                    &mut staged,
                    Cow::Owned(known),
                    now.into(),
                    LongRun::Spill,
                )?;
            }
        }
        staged.into_runs()
    };
    new.commit(runs)?;
    if options.backup {
        place::swap(temporary, path, &place::with_suffix(path, ".bak"))?;
    } else {
        temporary.replace(path)?;
    }
    Ok(())
}

/// Intervals with their values, oldest first.
type Series = Vec<(i64, Option<f64>)>;

/// What each archive holds, the coarsest first. A fetch chooses its archive by age, so a coarse
/// archive that reaches hardly further than the finer one is answered from that.
fn retained<S: Storage>(old: &Whisper<S>, now: i64) -> Result<Vec<Series>, Error> {
    let mut all = Vec::new();
    for archive in old.header().archives.iter().rev() {
        let step = i64::from(archive.seconds_per_point);
        let from = now.saturating_sub(archive.retention()).saturating_add(step);
        let request = Request { from, until: now, now: now.into(), archive: None };
        let fetched = read::fetch(old.header(), &mut old.overlay(), request)?;
        all.push(fetched.map_or_else(Vec::new, |fetched| {
            let window = fetched.window();
            let intervals = (0..).map(|index| window.interval(index));
            intervals.zip(fetched.values()).collect()
        }));
    }
    Ok(all)
}

/// Aggregates the old points of every new interval and writes the results by age.
fn migrate_aggregated<S: Storage>(
    header: &Header,
    staged: &mut Overlay<'_, S>,
    retained: &[Series],
    factor: f64,
    now: i64,
) -> Result<(), Error> {
    let points = finest_of(retained);
    for archive in &header.archives {
        let aggregated = aggregated(archive, header.method, &points, factor, now);
        update::many(header, staged, Cow::Owned(aggregated), now.into(), LongRun::Spill)?;
    }
    Ok(())
}

/// One series of all archives: the finest, and what each coarser one has from before it.
fn finest_of(retained: &[Series]) -> Series {
    let mut newest_first: Series = Vec::new();
    for series in retained.iter().rev() {
        let oldest = newest_first.last().map_or(i64::MAX, |point| point.0);
        // Where nothing is older, the program takes the whole series again.
        let skip = series.iter().rev().position(|point| point.0 < oldest).unwrap_or(0);
        newest_first.extend(series.iter().rev().skip(skip));
    }
    newest_first.reverse();
    newest_first
}

fn aggregated(
    archive: &Archive,
    method: Method,
    points: &Series,
    factor: f64,
    now: i64,
) -> Vec<(i64, f64)> {
    let step = i64::from(archive.seconds_per_point);
    let into_step = now.rem_euclid(step);
    let mut start = now.saturating_sub(archive.retention()).saturating_add(into_step);
    let end = now.saturating_add(into_step).saturating_add(step);
    let mut found = Vec::new();
    while start + step < end {
        let left = bisect_left(points, start, 0);
        let right = bisect_left(points, start + step, left);
        let within = &points[left..right];
        let known: Vec<f64> = within.iter().filter_map(|point| point.1).collect();
        if !known.is_empty() && known.len() as f64 / within.len() as f64 >= factor {
            found.push((start, aggregate(method, &known, within.len())));
        }
        start += step;
    }
    found
}

/// Python's `bisect_left`, probe by probe: the series may be out of order (see [`finest_of`]), and
/// then the probes decide what is found.
fn bisect_left(points: &Series, interval: i64, from: usize) -> usize {
    let (mut low, mut high) = (from, points.len());
    while low < high {
        let middle = low.midpoint(high);
        if points[middle].0 < interval {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::OnExisting;

    fn options(points: u32) -> Resize {
        Resize {
            archives: vec![Retention { seconds_per_point: 60, points }],
            x_files_factor: None,
            method: None,
            aggregate: false,
            backup: true,
        }
    }

    #[test]
    fn the_old_file_stays_as_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wsp");
        let spec = Spec { x_files_factor: 0.25, ..Spec::new(options(5).archives) };
        create::create(&path, &spec, OnExisting::Refuse).unwrap();
        let old = fs::read(&path).unwrap();
        resize(&path, &options(7), 1_700_000_000).unwrap();
        assert_eq!(fs::read(folder.path().join("a.wsp.bak")).unwrap(), old);
        let new = Whisper::open(File::open(&path).unwrap()).unwrap();
        assert_eq!(new.header().archives[0].points, 7);
        assert_eq!(new.header().x_files_factor.to_bits(), 0.25_f32.to_bits());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_failure_leaves_the_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wsp");
        create::create(&path, &Spec::new(options(5).archives), OnExisting::Refuse).unwrap();
        let old = fs::read(&path).unwrap();
        resize(&path, &options(0), 1_700_000_000).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // A folder in the backup's place fails the very last step.
        let backup = folder.path().join("a.wsp.bak");
        fs::create_dir(&backup).unwrap();
        resize(&path, &options(7), 1_700_000_000).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), old);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
