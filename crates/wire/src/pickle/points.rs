//! Points out of an ingest pickle: `[(name, (timestamp, value)), ...]`.

use super::PickleError;
use super::decode::{Document, Id, Node};
use crate::RefusalReason;
use crate::line::{self, Line, Rules};

impl Document<'_> {
    /// The points of a frame, each judged alone: one bad entry never voids the good ones.
    ///
    /// An entry is a tuple or list of a name and one or more `(timestamp, value)` pairs, also as
    /// one list of pairs. Numbers may be text.
    #[must_use]
    pub fn points<'d>(&'d self, rules: &'d Rules) -> Points<'d> {
        let entries = self.items(self.root());
        Points {
            document: self,
            rules,
            malformed: entries.is_none(),
            entries: entries.unwrap_or_default().iter(),
            name: &[],
            pairs: [].iter(),
            left: self.unfolded_max(),
        }
    }

    fn items(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }
}

impl From<PickleError> for RefusalReason {
    fn from(_: PickleError) -> Self {
        Self::BadFrame
    }
}

/// See [`Document::points`].
#[derive(Debug)]
pub struct Points<'d> {
    document: &'d Document<'d>,
    rules: &'d Rules,
    malformed: bool,
    entries: std::slice::Iter<'d, Id>,
    name: &'d [u8],
    pairs: std::slice::Iter<'d, Id>,
    /// Entries may share their pairs; this many items in all, then the frame is an attack.
    left: usize,
}

impl<'d> Points<'d> {
    /// Moves to the next entry.
    fn open(&mut self, entry: Id) -> Result<(), RefusalReason> {
        let items = self.document.items(entry).ok_or(RefusalReason::BadEntry)?;
        let [name, pairs @ ..] = items else { return Err(RefusalReason::BadEntry) };
        let Node::Text(name) = self.document.node(*name) else {
            return Err(RefusalReason::BadEntry);
        };
        if name.is_empty() {
            return Err(RefusalReason::EmptyName);
        }
        // One list of pairs in the place of the first pair.
        let pairs = match pairs {
            [] => return Err(RefusalReason::BadEntry),
            [only] => match self.document.items(*only) {
                Some(list @ [first, ..]) if self.document.items(*first).is_some() => list,
                _ => pairs,
            },
            _ => pairs,
        };
        self.name = name;
        self.pairs = pairs.iter();
        Ok(())
    }

    fn point(&self, pair: Id) -> Result<Line<'d>, RefusalReason> {
        let Some([timestamp, value]) = self.document.items(pair) else {
            return Err(RefusalReason::BadEntry);
        };
        let value = match self.document.node(*value) {
            Node::Text(text) => line::parse_value(text.trim_ascii(), self.rules)?,
            #[expect(clippy::cast_precision_loss, reason = "files hold doubles")]
            Node::Int(value) => *value as f64,
            Node::Float(value) => self.rules.admit_value(*value)?,
            Node::Bool(value) => f64::from(*value),
            _ => return Err(RefusalReason::BadValue),
        };
        let timestamp = match self.document.node(*timestamp) {
            Node::Text(text) => line::parse_timestamp(text.trim_ascii(), self.rules)?,
            Node::Int(-1) => self.rules.now,
            Node::Int(seconds) => {
                let seconds = u64::try_from(*seconds).ok();
                self.rules.admit_seconds(seconds.ok_or(RefusalReason::BadTimestamp)?)?
            }
            Node::Float(seconds) => self.rules.admit_float(*seconds)?,
            _ => return Err(RefusalReason::BadTimestamp),
        };
        Ok(Line { name: self.name, value, timestamp })
    }
}

impl<'d> Iterator for Points<'d> {
    type Item = Result<Line<'d>, RefusalReason>;

    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.malformed) {
            return Some(Err(RefusalReason::BadFrame));
        }
        loop {
            self.left = self.left.checked_sub(1)?;
            if self.left == 0 {
                return Some(Err(RefusalReason::BadFrame));
            }
            if let Some(&pair) = self.pairs.next() {
                return Some(self.point(pair));
            }
            let &entry = self.entries.next()?;
            if let Err(reason) = self.open(entry) {
                return Some(Err(reason));
            }
        }
    }
}
