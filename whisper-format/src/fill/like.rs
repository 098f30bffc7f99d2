//! The two fills in use, reproduced with their quirks: both take 0.0 for a hole and write over the
//! first good point behind every hole, and both choose the archive to write by age.

use std::borrow::Cow;

use crate::error::Error;
use crate::header::Header;
use crate::now::{Now, truncate};
use crate::open::Whisper;
use crate::overlay::Overlay;
use crate::read::{self, Fetched, Request};
use crate::storage::Storage;
use crate::update::{self, LongRun};

/// Whose fill to reproduce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// `carbonate`'s, which also closes holes of one point.
    Carbonate(LikeCarbonate),
    /// `whisper-fill.py`, which leaves holes of one point open.
    WhisperFill,
}

/// What carbonate's fill can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LikeCarbonate {
    /// The oldest time to fill.
    pub from: Option<i64>,
    /// Take every point of the source, also over points that are there.
    pub overwrite: bool,
}

/// Fills `dst` from `src` exactly as the named program does.
pub fn fill_like<A: Storage, B: Storage>(
    src: &Whisper<A>,
    dst: &mut Whisper<B>,
    like: Like,
    now: impl Into<Now>,
) -> Result<(), Error> {
    let now = now.into();
    let runs = {
        let mut filler = Filler { src, header: dst.header(), staged: dst.overlay(), now };
        filler.fill_archives(like)?;
        filler.staged.into_runs()
    };
    dst.commit(runs)
}

struct Filler<'a, A, B> {
    src: &'a Whisper<A>,
    header: &'a Header,
    staged: Overlay<'a, B>,
    now: Now,
}

impl<A: Storage, B: Storage> Filler<'_, A, B> {
    fn fill_archives(&mut self, like: Like) -> Result<(), Error> {
        let end_at = match like {
            Like::Carbonate(options) => options.from.unwrap_or(0) as f64,
            Like::WhisperFill => f64::NEG_INFINITY,
        };
        let mut start_from = self.now.seconds();
        for archive in &self.header.archives {
            let from = (self.now.seconds() - archive.retention() as f64).max(end_at);
            if from >= start_from {
                continue;
            }
            let request = self.request(from, start_from);
            let Some(fetched) = read::fetch(self.header, &mut self.staged, request)? else {
                continue;
            };
            for (gap, end) in gaps(&fetched, archive.seconds_per_point, like) {
                self.fill_gap(gap.saturating_sub(i64::from(fetched.step)), end)?;
            }
            start_from = from;
        }
        Ok(())
    }

    /// Copies what the source has after `start`, up to `stop`, from its finest archives.
    fn fill_gap(&mut self, start: i64, stop: i64) -> Result<(), Error> {
        let oldest = self.now.truncate().saturating_sub(i64::from(self.src.header().max_retention));
        if start < oldest && stop < oldest {
            return Ok(());
        }
        let (start, mut stop) = (start as f64, stop as f64);
        for archive in &self.src.header().archives {
            let reach = self.now.seconds() - archive.retention() as f64;
            if stop <= reach {
                continue;
            }
            let from = reach.max(start);
            let request = self.request(from, stop);
            let mut source = self.src.overlay();
            let Some(fetched) = read::fetch(self.src.header(), &mut source, request)? else {
                return Ok(());
            };
            let points: Vec<_> = fetched.points().collect();
            update::many(
                self.header,
                &mut self.staged,
                Cow::Owned(points),
                request.now,
                LongRun::Spill,
            )?;
            stop = from;
            if start == stop {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Both programs cut every fraction off before they read.
    fn request(&self, from: f64, until: f64) -> Request {
        Request {
            from: truncate(from),
            until: truncate(until),
            now: self.now.truncate().into(),
            archive: None,
        }
    }
}

/// The holes as the program sees them: where each begins, and up to where it is filled. The end is
/// the good point behind the hole, which is filled too.
fn gaps(fetched: &Fetched, archive_step: u32, like: Like) -> Vec<(i64, i64)> {
    let step = i64::from(fetched.step);
    let mut found = Vec::new();
    let mut open: Option<i64> = None;
    for (index, value) in (0..).zip(fetched.values()) {
        let at = fetched.window().interval(index);
        let good = value.is_some_and(|value| value != 0.0);
        let good = good && !matches!(like, Like::Carbonate(options) if options.overwrite);
        match open {
            None if !good => open = Some(at),
            Some(gap) if good => {
                let single = at - gap <= i64::from(archive_step);
                if !(single && like == Like::WhisperFill) {
                    found.push((gap, at));
                }
                open = None;
            }
            Some(gap) if like == Like::WhisperFill && at == fetched.end - step => {
                found.push((gap, at));
            }
            _ => {}
        }
    }
    if let (Some(gap), Like::Carbonate(_)) = (open, like) {
        found.push((gap, fetched.end - step));
    }
    found
}
