//! What a file holds of a part of the time, as a short digest and point by point.

use sha2::{Digest as _, Sha256};
use whisper::{Archive, Error, Storage, Whisper};
use wire::moves::{ArchiveDigest, ComparedSeries, Comparison, SeriesDigest, View};

use crate::engine::Image;

/// Slots that expire within so many seconds are left out: on one of two nodes a newer point may be in them already.
const EXPIRY_MARGIN_S: i64 = 120;

/// Bytes of a digest.
pub(super) const DIGEST_BYTES: usize = 16;

/// The first and the last interval of an archive that a view shows.
fn intervals(archive: &Archive, view: View) -> Option<(i64, i64)> {
    let step = i64::from(archive.seconds_per_point);
    let oldest =
        view.now.saturating_sub(archive.retention()).saturating_add(step + EXPIRY_MARGIN_S);
    let from = view.from.map_or(oldest, |from| from.max(oldest));
    // Up to a whole step.
    let first = archive.align(from.saturating_add(step - 1));
    let last = archive.align(view.until.min(view.now)) - step;
    (first <= last).then_some((first, last))
}

/// The points of an archive that a view shows, ascending.
fn points<S: Storage>(
    file: &Whisper<S>,
    archive: &Archive,
    view: View,
) -> Result<Vec<(i64, f64)>, Error> {
    let Some((first, last)) = intervals(archive, view) else { return Ok(Vec::new()) };
    let step = archive.seconds_per_point;
    let fetched = file.fetch(first - i64::from(step), last, view.now, Some(step))?;
    Ok(fetched.map_or_else(Vec::new, |fetched| fetched.points().collect()))
}

/// Digests of all archives of a file.
pub(super) fn of_archives<S: Storage>(
    file: &Whisper<S>,
    view: View,
) -> Result<Vec<ArchiveDigest>, Error> {
    let digest = |archive: &Archive| {
        let points = points(file, archive, view)?;
        let mut hash = Sha256::new();
        for (interval, value) in &points {
            hash.update(u32::try_from(*interval).unwrap_or(0).to_be_bytes());
            hash.update(value.to_bits().to_be_bytes());
        }
        let (step, points) = (archive.seconds_per_point, points.len() as u64);
        Ok(ArchiveDigest { step, points, digest: hex(&hash.finalize()) })
    };
    file.header().archives.iter().map(digest).collect()
}

/// One digest of those of many series.
pub(super) fn of_all(series: &[SeriesDigest]) -> String {
    let mut hash = Sha256::new();
    for SeriesDigest { name, archives } in series {
        hash.update(name);
        hash.update([0]);
        for archive in archives.iter().flatten() {
            hash.update(&archive.digest);
        }
    }
    hex(&hash.finalize())
}

/// The digest of bytes as they are.
pub(super) fn of_bytes(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&Sha256::digest(bytes)[..DIGEST_BYTES]);
    digest
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// A verdict without numbers.
pub(super) fn verdict(name: String, state: Comparison) -> ComparedSeries {
    ComparedSeries { name, state, lacking: 0, conflicting: 0, rollups: 0 }
}

/// How the own file compares with that of another node.
pub(super) fn compare(name: String, theirs: Vec<u8>, own: Vec<u8>, view: View) -> ComparedSeries {
    let mut verdict = verdict(name, Comparison::Unreadable);
    let files =
        Whisper::open(Image(theirs)).and_then(|theirs| Ok((theirs, Whisper::open(Image(own))?)));
    if let Ok((theirs, own)) = files
        && count(&theirs, &own, view, &mut verdict).is_ok()
    {
        let same = || Some(of_archives(&theirs, view).ok()? == of_archives(&own, view).ok()?);
        verdict.state = match (verdict.lacking, verdict.conflicting) {
            (0, 0) if same() == Some(true) => Comparison::Equal,
            (0, 0) => Comparison::Contained,
            _ => Comparison::Differs,
        };
    }
    verdict
}

fn count<A: Storage, B: Storage>(
    theirs: &Whisper<A>,
    own: &Whisper<B>,
    view: View,
    verdict: &mut ComparedSeries,
) -> Result<(), Error> {
    for (index, archive) in theirs.header().archives.iter().enumerate() {
        let wanted = points(theirs, archive, view)?;
        let held = match own.header().archive_of_step(archive.seconds_per_point) {
            Some(at) => points(own, &own.header().archives[at], view)?,
            None => Vec::new(),
        };
        for (interval, value) in wanted {
            let found = held.binary_search_by_key(&interval, |point| point.0);
            match found.map(|at| held[at].1.to_bits() == value.to_bits()) {
                Err(_absent) => verdict.lacking += 1,
                Ok(false) if index == 0 => verdict.conflicting += 1,
                Ok(false) => verdict.rollups += 1,
                Ok(true) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use whisper::{Spec, parse_retentions};

    use super::*;

    const NOW: i64 = 1_700_000_000;
    const VIEW: View = View { now: NOW, until: NOW - 60, from: None };

    /// The bytes of a file with these points: seconds before now, and values.
    fn file(points: &[(i64, f64)]) -> Vec<u8> {
        let folder = testkit::folder();
        let path = folder.path().join("a.wsp");
        let mut spec = Spec::new(parse_retentions("10s:20m,1m:2h").unwrap());
        spec.x_files_factor = 0.0;
        whisper::create(&path, &spec, whisper::OnExisting::Refuse).unwrap();
        let storage = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut file = Whisper::open(storage).unwrap();
        let points: Vec<(i64, f64)> =
            points.iter().map(|&(age, value)| (NOW - age, value)).collect();
        file.update_many(&points, NOW).unwrap();
        std::fs::read(path).unwrap()
    }

    fn state(theirs: &[(i64, f64)], own: &[(i64, f64)]) -> ComparedSeries {
        compare("a".to_owned(), file(theirs), file(own), VIEW)
    }

    #[test]
    fn a_copy_is_equal_a_fuller_one_contains_and_a_lack_is_counted() {
        let few = [(600, 1.0), (300, 2.0)];
        let more = [(600, 1.0), (300, 2.0), (280, 7.0)];
        assert_eq!(state(&few, &few).state, Comparison::Equal);
        let verdict = state(&few, &more);
        assert_eq!((verdict.state, verdict.rollups), (Comparison::Contained, 1));
        let verdict = state(&more, &few);
        assert_eq!((verdict.state, verdict.lacking), (Comparison::Differs, 1));
        let verdict = state(&few, &[(600, 1.0), (300, 2.5)]);
        assert_eq!((verdict.state, verdict.conflicting), (Comparison::Differs, 1));
        assert_eq!(
            compare("a".to_owned(), vec![1], file(&few), VIEW).state,
            Comparison::Unreadable
        );
    }

    #[test]
    fn what_is_still_coming_and_what_is_about_to_go_is_left_out() {
        let base = [(600, 1.0)];
        assert_eq!(state(&[(600, 1.0), (50, 9.0)], &base).state, Comparison::Equal);
        let archive = Archive { offset: 0, seconds_per_point: 10, points: 120 };
        let (first, last) = intervals(&archive, VIEW).unwrap();
        assert!((NOW - 1070..NOW - 1050).contains(&first), "{}", NOW - first);
        assert!(last + 10 <= NOW - 60);
        let view = View { from: Some(NOW - 333), ..VIEW };
        assert_eq!(intervals(&archive, view).unwrap().0, archive.align(NOW - 333 + 9));
        let view = View { until: NOW - 5_000, ..VIEW };
        assert_eq!(intervals(&archive, view), None);
    }

    #[test]
    fn digests_tell_values_and_times_apart_and_archives_from_each_other() {
        let open = |points: &[(i64, f64)]| Whisper::open(Image(file(points))).unwrap();
        let digests = |points: &[(i64, f64)]| of_archives(&open(points), VIEW).unwrap();
        let one = digests(&[(600, 1.0)]);
        assert_eq!((one[0].points, one[0].digest.len()), (1, 32));
        assert_eq!(one, digests(&[(600, 1.0)]));
        assert_ne!(one[0].digest, digests(&[(600, 1.5)])[0].digest);
        assert_ne!(one[0].digest, digests(&[(610, 1.0)])[0].digest);
        let of = |archives| SeriesDigest { name: "a".to_owned(), archives };
        assert_ne!(of_all(&[of(Some(one))]), of_all(&[of(None)]));
    }
}
