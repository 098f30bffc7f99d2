//! One sender of points.

use std::borrow::Cow;
use std::sync::Arc;

use daemon::Counter;
use metric::{Limits, NameError, canonicalise, canonicalise_text};
use wire::RefusalReason;
use wire::line::{self, Rules};
use wire::named::NamedPoint;

use crate::point::Point;
use crate::refusals::Refusals;

/// One sender: where its points go and how they are judged.
#[derive(Debug)]
pub(crate) struct Source<S> {
    /// Takes the points over.
    pub(crate) sink: Arc<S>,
    /// Counts what is read and keeps what is refused.
    pub(crate) refusals: Arc<Refusals>,
    /// What a name may hold.
    pub(crate) limits: Limits,
    /// The sender's address, for the list of refused lines.
    pub(crate) peer: String,
    /// Points read at this sender's listener.
    pub(crate) points: Counter,
}

impl<S> Source<S> {
    /// Reads one line; none if it is blank. `text` is the same line where that is known to be UTF-8.
    pub(crate) fn line<'b>(
        &self,
        bytes: &'b [u8],
        text: Option<&'b str>,
        rules: &Rules,
    ) -> Result<Option<Point<'b>>, RefusalReason> {
        let Some(parsed) = line::parse(bytes, rules)? else { return Ok(None) };
        let bytes = bytes.trim_ascii();
        let verbatim = is_plain(&bytes[parsed.name.len()..]).then_some(bytes);
        let name = match text.and_then(|text| text.trim_ascii().get(..parsed.name.len())) {
            Some(name) => canonicalise_text(name, &self.limits),
            None => canonicalise(parsed.name, &self.limits),
        };
        let point = named(name, &parsed)?;
        let unchanged = matches!(point.name, Cow::Borrowed(_));
        Ok(Some(Point { line: verbatim.filter(|_| unchanged), ..point }))
    }

    /// Makes a point under its canonical name of one under its raw name.
    pub(crate) fn point<'b>(&self, raw: &line::Line<'b>) -> Result<Point<'b>, RefusalReason> {
        named(canonicalise(raw.name, &self.limits), raw)
    }

    /// The same for a name that was built for the point.
    pub(crate) fn named_point(&self, raw: NamedPoint) -> Result<Point<'static>, RefusalReason> {
        let NamedPoint { name, value, timestamp } = raw;
        let line = line::Line { name: name.as_bytes(), value, timestamp };
        let Point { name: canonical, timestamp, .. } = self.point(&line)?;
        let canonical = match canonical {
            Cow::Borrowed(_) => None,
            Cow::Owned(cleaned) => Some(cleaned),
        };
        let name = Cow::Owned(canonical.unwrap_or(name));
        Ok(Point { name, value, timestamp, line: None })
    }
}

/// A point under the name that became of its raw one.
fn named<'b>(
    name: Result<Cow<'b, str>, NameError>,
    raw: &line::Line<'_>,
) -> Result<Point<'b>, RefusalReason> {
    let timestamp = u32::try_from(raw.timestamp).or(Err(RefusalReason::TooFarFuture))?;
    Ok(Point { name: name?, value: raw.value, timestamp, line: None })
}

/// Whether what follows the name of a line that was parsed is one space, the value, one space and a
/// whole absolute time: a line that every carbon takes, and means the same at any moment.
fn is_plain(rest: &[u8]) -> bool {
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, _time) = rest.split_at(rest.len() - digits);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    match before {
        [b' ', value @ .., b' '] => digits > 0 && !value.iter().any(is_blank),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_mean_the_same_everywhere_are_plain() {
        for rest in [" 1 2", " -1e5 1700000000", " 0.5 0"] {
            assert!(is_plain(rest.as_bytes()), "{rest:?}");
        }
        for rest in ["  1 2", " 1  2", "\t1 2", " 1\t2", " 1 -1", " 1 2.5", " 1 N", " 1 1e9"] {
            assert!(!is_plain(rest.as_bytes()), "{rest:?}");
        }
    }
}
