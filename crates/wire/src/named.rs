//! Names that are put together from parts, by senders that keep tags apart from the name.

use crate::RefusalReason;

/// One point under a name that was built for it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPoint {
    /// `name;key=value;…`, not yet canonical.
    pub name: String,
    /// Finite.
    pub value: f64,
    /// Seconds since 1970, always within `0..=u32::MAX`.
    pub timestamp: i64,
}

/// Puts a name and its tags together. The parts may not hold what would end them early; all else
/// is judged where names become canonical.
///
/// # Errors
/// [`RefusalReason::EmptyName`], [`RefusalReason::InvalidChar`] or [`RefusalReason::BadTags`].
pub fn tagged_name<'t>(
    name: &str,
    tags: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<String, RefusalReason> {
    if name.is_empty() {
        return Err(RefusalReason::EmptyName);
    }
    let mut out = name.to_owned();
    let mut has_tags = false;
    for (key, value) in tags {
        if key.contains([';', '=']) || value.contains(';') {
            return Err(RefusalReason::BadTags);
        }
        has_tags = true;
        out.reserve(key.len() + value.len() + 2);
        out.push(';');
        out.push_str(key);
        out.push('=');
        out.push_str(value);
    }
    // A plain name may carry its tags within itself, as a carbon line does; not both.
    if has_tags && name.contains(';') {
        return Err(RefusalReason::InvalidChar);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_can_reach_into_the_next() {
        let name =
            |name, tags: &[(&'static str, &'static str)]| tagged_name(name, tags.iter().copied());
        assert_eq!(name("a.b", &[("k", "v"), ("l", "w=x")]), Ok("a.b;k=v;l=w=x".to_owned()));
        assert_eq!(name("a;k=v", &[]), Ok("a;k=v".to_owned()));
        assert_eq!(name("", &[]), Err(RefusalReason::EmptyName));
        assert_eq!(name("a;k=v", &[("l", "w")]), Err(RefusalReason::InvalidChar));
        assert_eq!(name("a", &[("k", "v;l=w")]), Err(RefusalReason::BadTags));
        assert_eq!(name("a", &[("k=v;l", "w")]), Err(RefusalReason::BadTags));
    }
}
