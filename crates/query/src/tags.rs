//! The tags of a series.

use std::collections::BTreeMap;

use metric::TaggedName;

/// Tags of a series; every series has at least `name`.
pub type Tags = BTreeMap<String, String>;

/// The tags that a name carries: `name;tag=value;...`, or only `name`.
pub fn tags_of(name: &str) -> Tags {
    let plain = || Tags::from([("name".to_owned(), name.to_owned())]);
    if looks_like_a_call(name) {
        return plain();
    }
    parse_tags(name).unwrap_or_else(plain)
}

/// Letters, then everything in parentheses.
fn looks_like_a_call(name: &str) -> bool {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
    let rest = &name[letters..];
    letters > 0 && rest.len() > 2 && rest.starts_with('(') && rest.ends_with(')')
}

/// `None` if any part of the name is not a proper tag.
fn parse_tags(name: &str) -> Option<Tags> {
    let parsed = TaggedName::parse(name).ok()?;
    let metric = parsed.name().trim_start_matches('~');
    if metric.is_empty() {
        return None;
    }
    let tags = parsed.tags().iter().copied().chain([("name", metric)]);
    Some(tags.map(|(tag, value)| (tag.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_from_the_name_unless_it_is_a_call() {
        let tags = tags_of("disk.used;dc=a;rack=b");
        assert_eq!(tags["name"], "disk.used");
        assert_eq!(tags["rack"], "b");
        assert_eq!(tags_of("sum(a;b=c)")["name"], "sum(a;b=c)");
        assert_eq!(tags_of("a;b")["name"], "a;b");
    }
}
