//! Merge: every point of one file over another with the same archives.

use crate::archive::Window;
use crate::error::Error;
use crate::now::Now;
use crate::open::Whisper;
use crate::read;
use crate::storage::Storage;
use crate::update::{self, LongRun};

/// Writes all points of `src` between `from` and `until` into the same archives of `dst`, over
/// what is there, and rolls them up as an update would.
pub fn merge<A: Storage, B: Storage>(
    src: &Whisper<A>,
    dst: &mut Whisper<B>,
    from: Option<i64>,
    until: Option<i64>,
    now: impl Into<Now>,
) -> Result<(), Error> {
    let now = now.into();
    if src.header().archives != dst.header().archives {
        return Err(Error::Unlike);
    }
    let (from, until) = (from.unwrap_or(0), until.unwrap_or(now.floor()));
    if until < from {
        return Err(Error::Interval { from, until });
    }
    let runs = {
        let mut overlay = dst.overlay();
        for (index, archive) in dst.header().archives.iter().enumerate() {
            if until < now.ceil().saturating_sub(archive.retention()) {
                continue;
            }
            let oldest = now.floor().saturating_sub(archive.retention());
            let window = Window::new(from.max(oldest), until, archive.seconds_per_point);
            let points: Vec<_> =
                read::window_of(archive, &mut src.overlay(), window)?.points().collect();
            update::into_archive(dst.header(), &mut overlay, index, &points, LongRun::Wrap)?;
        }
        overlay.into_runs()
    };
    dst.commit(runs)
}
