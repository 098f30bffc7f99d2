//! Tagged names: `name;key=value;key=value`, valid and ordered as Python carbon has them.

use std::fmt;

use crate::error::NameError;

/// The key under which a series' own name answers to tag expressions; no tag may use it.
pub const NAME_KEY: &str = "name";

/// Characters that a tag key cannot hold.
const KEY_CHARS_REFUSED: [char; 4] = [';', '!', '^', '='];

/// Whether `name` carries tags.
#[must_use]
pub fn is_tagged(name: &str) -> bool {
    name.contains(';')
}

/// A name taken apart: the part before the first `;` and the tags in canonical order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaggedName<'a> {
    name: &'a str,
    tags: Vec<(&'a str, &'a str)>,
}

impl<'a> TaggedName<'a> {
    /// Takes `text` apart and orders its tags; a name without tags has an empty list.
    ///
    /// # Errors
    /// [`NameError::EmptyName`] or [`NameError::BadTags`], also for a key given twice.
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        let mut segments = text.split(';');
        let name = segments.next().unwrap_or_default();
        if name.is_empty() {
            return Err(NameError::EmptyName);
        }
        let mut tags = segments.map(split_tag).collect::<Result<Vec<_>, _>>()?;
        order(&mut tags, false)?;
        Ok(Self { name, tags })
    }

    /// The part before the tags.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Keys and values in canonical order.
    #[must_use]
    pub fn tags(&self) -> &[(&'a str, &'a str)] {
        &self.tags
    }

    /// The value of a tag; `name` answers with the series' own name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        if key == NAME_KEY {
            return Some(self.name);
        }
        self.tags.iter().find(|tag| tag.0 == key).map(|tag| tag.1)
    }
}

impl fmt::Display for TaggedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.tags.iter().try_for_each(|(key, value)| write!(f, ";{key}={value}"))
    }
}

/// A name with its tags as OpenMetrics writes them and Python carbon takes them, `name{key="value",…}`, in our own form;
/// none if it is no such name. A quote or backslash in a value stands behind a backslash.
pub(crate) fn of_open_metrics(text: &str) -> Option<Result<String, NameError>> {
    let (name, mut rest) = text.strip_suffix('}')?.split_once('{')?;
    if name.contains(';') || !rest.ends_with('"') {
        return None;
    }
    let mut plain = name.to_owned();
    loop {
        let (key, quoted) = rest.split_once("=\"")?;
        plain.extend([";", key, "="]);
        let mut value = quoted.chars();
        loop {
            match value.next()? {
                '"' => break,
                ';' => return Some(Err(NameError::BadTags)),
                '\\' => plain.push(value.next()?),
                other => plain.push(other),
            }
        }
        rest = match value.as_str().strip_prefix(',') {
            Some(rest) => rest,
            None if value.as_str().is_empty() => return Some(Ok(plain)),
            None => return None,
        };
    }
}

/// One `key=value` between two semicolons, checked. The value may hold further `=`.
pub(crate) fn split_tag(segment: &str) -> Result<(&str, &str), NameError> {
    let (key, value) = segment.split_once('=').ok_or(NameError::BadTags)?;
    let valid = !key.is_empty()
        && key != NAME_KEY
        && !key.contains(KEY_CHARS_REFUSED)
        && !value.is_empty()
        && !value.starts_with('~');
    if valid { Ok((key, value)) } else { Err(NameError::BadTags) }
}

/// Sorts tags as carbon's normalised form does and settles duplicates.
pub(crate) fn order(
    tags: &mut Vec<(&str, &str)>,
    duplicate_tag_last_wins: bool,
) -> Result<(), NameError> {
    tags.sort_by(|left, right| key_order(left.0).cmp(key_order(right.0)));
    if !duplicate_tag_last_wins && tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(NameError::BadTags);
    }
    // The sort is stable, so the later of two equal keys still stands behind the earlier one.
    tags.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = later.1;
        }
        same
    });
    Ok(())
}

/// What carbon compares when it sorts: it orders the texts `;key=value`, so `=` takes part, and
/// `host2` stands before `host` because `2` is below `=`. The hash of the file name depends on it.
pub(crate) fn key_order(key: &str) -> impl Iterator<Item = u8> + '_ {
    key.bytes().chain(std::iter::once(b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, NameError> {
        TaggedName::parse(text).map(|name| name.to_string())
    }

    #[test]
    fn tags_are_ordered_as_carbon_orders_them() {
        assert_eq!(canonical("disk;b=2;a=1").unwrap(), "disk;a=1;b=2");
        // Sorting by key alone would put `host` first.
        assert_eq!(canonical("m;host=x;host2=y").unwrap(), "m;host2=y;host=x");
        assert_eq!(canonical("m;a_b=y;a=x").unwrap(), "m;a=x;a_b=y");
    }

    #[test]
    fn a_value_may_hold_equals_signs_dots_and_slashes() {
        let name = TaggedName::parse("http.requests;path=/a?b=c.d").unwrap();
        assert_eq!(name.get("path"), Some("/a?b=c.d"));
        assert_eq!(name.name(), "http.requests");
    }

    #[test]
    fn the_name_answers_as_a_tag() {
        let name = TaggedName::parse("disk.used;rack=a1").unwrap();
        assert_eq!(name.get("name"), Some("disk.used"));
        assert_eq!(name.get("rack"), Some("a1"));
        assert_eq!(name.get("ra"), None);
        assert!(TaggedName::parse("disk.used").unwrap().tags().is_empty());
    }

    #[test]
    fn malformed_tags_are_refused() {
        for text in [
            "m;",
            "m;a",
            "m;a=",
            "m;=v",
            "m;;a=b",
            "m;a=b;",
            "m;a!b=c",
            "m;a^b=c",
            "m;a=~v",
            "m;name=x",
            "m;a=1;a=2",
            "m;a=1;a=1",
        ] {
            assert_eq!(canonical(text), Err(NameError::BadTags), "{text}");
        }
        assert_eq!(canonical(";a=b"), Err(NameError::EmptyName));
    }

    #[test]
    fn the_last_of_two_equal_keys_wins_when_asked_for() {
        let mut tags = vec![("b", "1"), ("a", "1"), ("b", "2"), ("a", "0"), ("b", "0")];
        order(&mut tags, true).unwrap();
        assert_eq!(tags, [("a", "0"), ("b", "0")]);
    }
}
