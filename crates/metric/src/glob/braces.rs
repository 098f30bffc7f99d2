//! Braces: where they stand, and what they multiply to.

use std::ops::Range;

use super::{BRACES_DEPTH_MAX, EXPANDED_BYTES_MAX, GlobError};

/// The nodes of a pattern: what stands between the dots that are outside of braces.
pub(super) fn segments(pattern: &str) -> Vec<Range<usize>> {
    let closes = closes(pattern);
    let (mut segments, mut start, mut inside_until) = (Vec::new(), 0, 0);
    for (index, byte) in unescaped(pattern, 0..pattern.len()) {
        match byte {
            b'.' if index >= inside_until => {
                segments.push(start..index);
                start = index + 1;
            }
            b'{' => inside_until = inside_until.max(closes[index]),
            _ => {}
        }
    }
    segments.push(start..pattern.len());
    segments
}

/// The parts of a text without braces, taken apart at its dots.
pub(super) fn split_dots(text: &str) -> impl Iterator<Item = &str> {
    let dots = unescaped(text, 0..text.len()).filter(|found| found.1 == b'.').map(|found| found.0);
    let mut start = 0;
    dots.chain([text.len()]).map(move |dot| {
        let part = &text[start..dot];
        start = dot + 1;
        part
    })
}

/// The bytes of a part of the text that no backslash precedes, with their positions. Dots always count: no part of a
/// name holds one, so `\.`, as tools write it that escape for regular expressions, can only mean the dot.
fn unescaped(text: &str, range: Range<usize>) -> impl Iterator<Item = (usize, u8)> {
    let mut escaped = false;
    text.as_bytes()[range.clone()].iter().enumerate().filter_map(move |(index, &byte)| {
        let skip = (escaped && byte != b'.') || byte == b'\\';
        escaped = byte == b'\\' && !escaped;
        (!skip).then_some((range.start + index, byte))
    })
}

/// For every `{` the position of its `}`; 0 for a brace that is never closed and all other bytes.
fn closes(pattern: &str) -> Vec<usize> {
    let mut closes = vec![0; pattern.len()];
    let mut open = Vec::new();
    for (index, byte) in unescaped(pattern, 0..pattern.len()) {
        match byte {
            b'{' => open.push(index),
            b'}' => {
                if let Some(start) = open.pop() {
                    closes[start] = index;
                }
            }
            _ => {}
        }
    }
    closes
}

/// Multiplies out the braces of one pattern, never beyond the limit.
pub(super) struct Expander<'a> {
    pattern: &'a str,
    closes: Vec<usize>,
    limit: usize,
}

impl<'a> Expander<'a> {
    pub(super) fn new(pattern: &'a str, limit: usize) -> Self {
        Self { pattern, closes: closes(pattern), limit }
    }

    /// All texts that a part of the pattern stands for, sorted, each once.
    pub(super) fn expand(&self, range: Range<usize>) -> Result<Vec<String>, GlobError> {
        let mut texts = self.expand_nested(range, 0)?;
        texts.sort_unstable();
        texts.dedup();
        Ok(texts)
    }

    fn expand_nested(&self, range: Range<usize>, depth: usize) -> Result<Vec<String>, GlobError> {
        let mut done = vec![String::new()];
        let mut at = range.start;
        while let Some(open) = self.next_group(at..range.end) {
            if depth == BRACES_DEPTH_MAX {
                return Err(GlobError::TooDeep { position: open });
            }
            let close = self.closes[open];
            let mut variants = Vec::new();
            for variant in self.variants(open + 1..close) {
                variants.extend(self.expand_nested(variant, depth + 1)?);
                self.check(&variants, 1, open)?;
            }
            append(&mut done, &self.pattern[at..open]);
            self.check(&done, variants.len(), open)?;
            self.check(&variants, done.len(), open)?;
            done = product(&done, &variants);
            at = close + 1;
        }
        append(&mut done, &self.pattern[at..range.end]);
        self.check(&done, 1, range.start)?;
        Ok(done)
    }

    /// The first closed brace of a part.
    fn next_group(&self, range: Range<usize>) -> Option<usize> {
        range.clone().find(|&index| self.closes[index] != 0)
    }

    /// The parts between the commas of one brace, those of inner braces left alone.
    fn variants(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let (mut variants, mut start, mut inside_until) = (Vec::new(), range.start, 0);
        for (index, byte) in unescaped(self.pattern, range.clone()) {
            match byte {
                b',' if index >= inside_until => {
                    variants.push(start..index);
                    start = index + 1;
                }
                b'{' => inside_until = inside_until.max(self.closes[index]),
                _ => {}
            }
        }
        variants.push(start..range.end);
        variants
    }

    /// Refuses before the memory is taken: `times` copies of every text.
    fn check(&self, texts: &[String], times: usize, position: usize) -> Result<(), GlobError> {
        let count = texts.len().saturating_mul(times);
        let bytes = texts.iter().map(String::len).sum::<usize>().saturating_mul(times);
        if count > self.limit.max(1) || bytes > EXPANDED_BYTES_MAX {
            return Err(GlobError::TooManyExpansions { position, limit: self.limit });
        }
        Ok(())
    }
}

fn append(texts: &mut [String], tail: &str) {
    texts.iter_mut().for_each(|text| text.push_str(tail));
}

fn product(heads: &[String], tails: &[String]) -> Vec<String> {
    heads.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect()
}
