//! The canonical name of a series: every spelling a client may use leads to one name or to a reason.
//!
//! Canonical means: no empty component (so no leading, trailing or doubled dot), tags valid and in
//! carbon's order, nothing in it that a carbon line, a file path or a glob could mistake. A canonical
//! name is borrowed as it is; only a name that needs cleaning costs an allocation.

use std::borrow::Cow;

use crate::error::NameError;
use crate::path::TAGGED_FOLDER;
use crate::tags;

/// What a name may hold. The defaults suit every file system and query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest name in bytes, tags included.
    pub name_bytes_max: usize,
    /// Longest component between two dots, in bytes; file systems stop at 255.
    pub component_bytes_max: usize,
    /// Most components; every one is a folder.
    pub components_max: usize,
    /// Most tags.
    pub tags_max: usize,
    /// Whether `*?[]{}` may stand in the part before the tags, where a query cannot name them.
    pub glob_chars_allowed: bool,
    /// Whether the last of two equal tag keys wins, as in Python carbon, or the name is refused.
    pub duplicate_tag_last_wins: bool,
}

impl Limits {
    /// The limits of a server that nobody has configured.
    pub const DEFAULT: Self = Self {
        name_bytes_max: 16 * 1024,
        component_bytes_max: 255,
        components_max: 64,
        tags_max: 128,
        glob_chars_allowed: false,
        duplicate_tag_last_wins: false,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The canonical form of `raw`, borrowed when it already is canonical.
///
/// ```
/// use plumbago_metric::{Limits, canonicalise};
/// let limits = Limits::default();
/// assert_eq!(canonicalise(b".web1..cpu.", &limits).unwrap(), "web1.cpu");
/// assert_eq!(canonicalise(b"disk;rack=b;dc=a", &limits).unwrap(), "disk;dc=a;rack=b");
/// assert_eq!(canonicalise(br#"disk{rack="b",dc="a"}"#, &limits).unwrap(), "disk;dc=a;rack=b");
/// ```
///
/// # Errors
/// Why the name cannot be a series.
pub fn canonicalise<'a>(raw: &'a [u8], limits: &Limits) -> Result<Cow<'a, str>, NameError> {
    if raw.len() > limits.name_bytes_max {
        return Err(NameError::NameTooLong);
    }
    let Ok(text) = str::from_utf8(raw) else {
        return Err(NameError::InvalidUtf8);
    };
    canonicalise_text(text, limits)
}

/// [`canonicalise`] for a name that is known to be UTF-8: whoever has many of them in one buffer looks at all bytes at
/// once.
///
/// # Errors
/// Why the name cannot be a series.
pub fn canonicalise_text<'a>(text: &'a str, limits: &Limits) -> Result<Cow<'a, str>, NameError> {
    if text.len() > limits.name_bytes_max {
        return Err(NameError::NameTooLong);
    }
    if is_plainly_canonical(text.as_bytes(), limits) {
        return Ok(Cow::Borrowed(text));
    }
    judge(text, limits)
}

/// Looks at every rule.
fn judge<'a>(text: &'a str, limits: &Limits) -> Result<Cow<'a, str>, NameError> {
    if let Some(name) = tags::of_open_metrics(text) {
        return judge(&name?, limits).map(|canonical| Cow::Owned(canonical.into_owned()));
    }
    let path = check_path(text, limits)?;
    let tags_canonical = path.end == text.len() || check_tags(&text[path.end + 1..], limits)?;
    // Python splits lines at Unicode's spaces too, so such a name would not survive the next hop.
    let strange = |c: char| !c.is_ascii() && (c.is_control() || c.is_whitespace());
    if path.ascii_end < text.len() && text[path.ascii_end..].contains(strange) {
        return Err(NameError::InvalidChar);
    }
    if path.canonical && tags_canonical {
        Ok(Cow::Borrowed(text))
    } else {
        rebuild(text, path.end, limits).map(Cow::Owned)
    }
}

/// Whether a look without branches is enough: nearly all names are a few short components and no tags.
fn is_plainly_canonical(bytes: &[u8], limits: &Limits) -> bool {
    let (mut dots, mut odd, mut empty_component, mut after_dot) = (0, false, false, true);
    for &byte in bytes {
        let is_dot = byte == b'.';
        dots += usize::from(is_dot);
        odd |= !matches!(BYTES[usize::from(byte)], Byte::Plain | Byte::Dot);
        empty_component |= is_dot & after_dot;
        after_dot = is_dot;
    }
    !odd && !empty_component
        && !after_dot
        && bytes.len() <= limits.component_bytes_max
        && dots < limits.components_max
        && !bytes.starts_with(TAGGED_FOLDER.as_bytes())
}

/// What a look at the part before the tags has shown.
struct PathCheck {
    /// Where the tags' first `;` stands, or the length of the text.
    end: usize,
    /// Up to where the text is known to be ASCII: `end`, unless other characters came first.
    ascii_end: usize,
    /// Whether nothing in this part needs cleaning.
    canonical: bool,
}

/// What a byte means to a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    Plain,
    Dot,
    Semicolon,
    Glob,
    Slash,
    /// A space or control byte: never allowed anywhere.
    Refused,
    /// Part of a character beyond ASCII.
    Wide,
}

/// The meaning of every byte, so that the scan of a name is one table look-up per byte.
const BYTES: [Byte; 256] = {
    let mut table = [Byte::Plain; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = match index as u8 {
            0..=b' ' | 0x7f => Byte::Refused,
            b'.' => Byte::Dot,
            b';' => Byte::Semicolon,
            b'*' | b'?' | b'[' | b']' | b'{' | b'}' => Byte::Glob,
            b'/' => Byte::Slash,
            0x80..=0xff => Byte::Wide,
            _ => Byte::Plain,
        };
        index += 1;
    }
    table
};

fn check_path(text: &str, limits: &Limits) -> Result<PathCheck, NameError> {
    let bytes = text.as_bytes();
    let (mut start, mut components, mut canonical) = (0, 0, true);
    let (mut end, mut ascii_end) = (bytes.len(), None);
    for (index, &byte) in bytes.iter().enumerate() {
        match BYTES[usize::from(byte)] {
            Byte::Plain => {}
            Byte::Dot if index == start => {
                canonical = false;
                start = index + 1;
            }
            Byte::Dot => {
                check_component(index - start, &mut components, limits)?;
                start = index + 1;
            }
            Byte::Semicolon => {
                end = index;
                break;
            }
            Byte::Glob if limits.glob_chars_allowed => {}
            Byte::Wide => ascii_end = ascii_end.or(Some(index)),
            Byte::Glob | Byte::Slash | Byte::Refused => return Err(NameError::InvalidChar),
        }
    }
    if start == end {
        canonical = false;
    } else {
        check_component(end - start, &mut components, limits)?;
    }
    if components == 0 {
        return Err(NameError::EmptyName);
    }
    let tagged = end < bytes.len();
    // Carbon uses the name as a tag value too, and such a value cannot begin with `~`.
    canonical &= !(tagged && bytes[0] == b'~');
    if !tagged && is_reserved(text) {
        return Err(NameError::Reserved);
    }
    Ok(PathCheck { end, ascii_end: ascii_end.unwrap_or(end), canonical })
}

fn check_component(bytes: usize, components: &mut usize, limits: &Limits) -> Result<(), NameError> {
    *components += 1;
    if bytes > limits.component_bytes_max {
        return Err(NameError::NameTooLong);
    }
    if *components > limits.components_max {
        return Err(NameError::TooManyNodes);
    }
    Ok(())
}

fn is_reserved(untagged: &str) -> bool {
    untagged
        .trim_start_matches('.')
        .strip_prefix(TAGGED_FOLDER)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether the tags (without the first `;`) are canonical; an error when they are malformed.
fn check_tags(text: &str, limits: &Limits) -> Result<bool, NameError> {
    if text.bytes().any(|byte| BYTES[usize::from(byte)] == Byte::Refused) {
        return Err(NameError::InvalidChar);
    }
    let (mut previous, mut count, mut canonical) = (None, 0, true);
    for segment in text.split(';') {
        let (key, _) = tags::split_tag(segment)?;
        count += 1;
        if count > limits.tags_max {
            return Err(NameError::BadTags);
        }
        canonical &= previous.is_none_or(|before| tags::key_order(before).lt(tags::key_order(key)));
        previous = Some(key);
    }
    Ok(canonical)
}

/// Builds the canonical form of a name whose parts have been checked.
fn rebuild(text: &str, path_end: usize, limits: &Limits) -> Result<String, NameError> {
    let (path, tail) = text.split_at(path_end);
    let tagged = !tail.is_empty();
    let path = if tagged { path.trim_start_matches(['~', '.']) } else { path };
    let mut name = String::with_capacity(text.len());
    for component in path.split('.').filter(|component| !component.is_empty()) {
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(component);
    }
    if name.is_empty() {
        return Err(NameError::EmptyName);
    }
    if tagged {
        let mut tags = tail[1..].split(';').map(tags::split_tag).collect::<Result<Vec<_>, _>>()?;
        tags::order(&mut tags, limits.duplicate_tag_last_wins)?;
        for (key, value) in tags {
            name.extend([";", key, "=", value]);
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
