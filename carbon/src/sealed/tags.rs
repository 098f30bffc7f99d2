//! The postings of tags: for every key and value the ids of the series that have them.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use metric::TaggedName;

use super::error::SealError;
use super::format::{Section, put_varint, varint, word};
use super::mapped::Mapped;
use super::write::SectionWriter;
use crate::index::tags::pairs;

/// Numbers in an entry of the keys.
const KEY_WORDS: usize = 3;

/// Numbers in an entry of the values.
const VALUE_WORDS: usize = 4;

/// Postings in the making.
#[derive(Debug, Default)]
pub(super) struct Tags {
    keys: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<u32>>>,
}

impl Tags {
    /// Notes the tags of a series. A name that cannot be taken apart has none.
    pub(super) fn push(&mut self, name: &str, id: u32) {
        let Ok(name) = TaggedName::parse(name) else { return };
        for (key, value) in pairs(&name) {
            let values = self.keys.entry(key.into()).or_default();
            values.entry(value.into()).or_default().push(id);
        }
    }

    pub(super) fn write(
        self,
        out: &mut SectionWriter,
        failed: impl Fn(io::Error) -> SealError,
    ) -> Result<(), SealError> {
        let (mut texts, mut keys, mut values) = (String::new(), Vec::new(), Vec::new());
        let mut postings = Vec::new();
        let small = |length: usize| {
            u32::try_from(length).map_err(|_large| SealError::TooLarge { what: "tags" })
        };
        let mut value_count = 0;
        for (key, of_key) in self.keys {
            keys.extend([small(texts.len())?, small(key.len())?, value_count]);
            texts.push_str(&key);
            for (value, mut ids) in of_key {
                let (text, start) = (small(texts.len())?, small(postings.len())?);
                values.extend([text, small(value.len())?, small(ids.len())?, start]);
                texts.push_str(&value);
                ids.sort_unstable();
                let mut before = 0;
                for id in ids {
                    put_varint(&mut postings, id - before);
                    before = id;
                }
                value_count += 1;
            }
        }
        keys.extend([small(texts.len())?, 0, value_count]);
        out.bytes(std::iter::once(texts.as_bytes())).map_err(&failed)?;
        out.words(keys).map_err(&failed)?;
        out.words(values).map_err(&failed)?;
        out.bytes(std::iter::once(&postings[..])).map_err(failed)
    }
}

/// The postings of a seal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedTags<'a>(pub(super) &'a Mapped);

/// One value of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedValue<'a> {
    pub(crate) text: &'a str,
    pub(crate) count: u32,
    postings: &'a [u8],
}

impl<'a> SealedTags<'a> {
    /// All keys that begin with `prefix`, in order.
    pub(crate) fn keys(self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let count = self.key_count();
        let first = partition(count, |key| self.key(key) < prefix);
        (first..count).map(move |key| self.key(key)).take_while(move |key| key.starts_with(prefix))
    }

    /// The values of a key that begin with `prefix`, in order.
    pub(crate) fn values(
        self,
        key: &str,
        prefix: &'a str,
    ) -> impl Iterator<Item = SealedValue<'a>> + use<'a> {
        let values = self.value_range(key);
        let first = values.start
            + partition(values.len(), |at| self.value(values.start + at).text < prefix);
        (first..values.end)
            .map(move |at| self.value(at))
            .take_while(move |value| value.text.starts_with(prefix))
    }

    fn key_count(self) -> usize {
        (self.0.bytes(Section::TagKeys).len() / (4 * KEY_WORDS)).saturating_sub(1)
    }

    fn key_word(self, key: usize, at: usize) -> usize {
        self.0.word(Section::TagKeys, key * KEY_WORDS + at) as usize
    }

    fn key(self, key: usize) -> &'a str {
        let start = self.key_word(key, 0);
        self.0.text(Section::TagTexts, start..start + self.key_word(key, 1))
    }

    fn value_range(self, key: &str) -> Range<usize> {
        let count = self.key_count();
        let at = partition(count, |at| self.key(at) < key);
        if at == count || self.key(at) != key {
            return 0..0;
        }
        self.key_word(at, 2)..self.key_word(at + 1, 2)
    }

    fn value(self, value: usize) -> SealedValue<'a> {
        let number = |at| word(self.0.bytes(Section::TagValues), value * VALUE_WORDS + at);
        let start = number(0) as usize;
        SealedValue {
            text: self.0.text(Section::TagTexts, start..start + number(1) as usize),
            count: number(2),
            postings: &self.0.bytes(Section::Postings)[number(3) as usize..],
        }
    }
}

impl SealedValue<'_> {
    /// The ids, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        let (mut rest, mut id) = (self.postings, 0);
        (0..self.count).map_while(move |_| {
            let (step, after) = varint(rest)?;
            rest = after;
            id += step;
            Some(id)
        })
    }
}

/// How many of `count` sorted things are before the one looked for.
fn partition(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}
