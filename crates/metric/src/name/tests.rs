//! What becomes of the spellings that clients use.

use proptest::prelude::*;

use super::*;

fn name(raw: &str) -> Result<String, NameError> {
    canonicalise(raw.as_bytes(), &Limits::default()).map(Cow::into_owned)
}

#[test]
fn a_canonical_name_is_borrowed() {
    for raw in ["a", "servers.web01.cpu", "disk.used;dc=a;rack=b", "métrique.été", "a;p=/x*?"] {
        let canonical = canonicalise(raw.as_bytes(), &Limits::default()).unwrap();
        assert!(matches!(canonical, Cow::Borrowed(_)), "{raw}");
        assert_eq!(canonical, raw);
    }
}

#[test]
fn superfluous_dots_are_cleaned() {
    assert_eq!(name(".lead").unwrap(), "lead");
    assert_eq!(name("a..b").unwrap(), "a.b");
    assert_eq!(name("trail.").unwrap(), "trail");
    assert_eq!(name("...a....b...").unwrap(), "a.b");
    assert_eq!(name(".a..b.;t=..v.").unwrap(), "a.b;t=..v.");
}

#[test]
fn a_name_of_nothing_is_empty() {
    for raw in ["", ".", "....", ";a=b", "..;a=b", "~;a=b", "~.~.;a=b"] {
        assert_eq!(name(raw), Err(NameError::EmptyName), "{raw}");
    }
}

#[test]
fn a_tilde_before_a_tagged_name_is_dropped_as_carbon_drops_it() {
    assert_eq!(name("~~a.~b;t=v").unwrap(), "a.~b;t=v");
    assert_eq!(name("~a.b").unwrap(), "~a.b");
}

#[test]
fn characters_that_break_lines_paths_or_queries_are_refused() {
    for raw in [
        "a\0b",
        "a b",
        "a\tb",
        "a\x7fb",
        "a\u{85}b",
        "a\u{a0}b",
        "a\u{2028}b",
        "a;t=\u{2028}",
        "/abs",
        "a/../b",
        "../../x",
        "a;t=x y",
        "a;t=\x01",
        "a*",
        "a?",
        "a[0]",
        "a{b,c}",
    ] {
        assert_eq!(name(raw), Err(NameError::InvalidChar), "{raw:?}");
    }
    assert_eq!(canonicalise(b"a.\xff", &Limits::default()), Err(NameError::InvalidUtf8));
}

#[test]
fn glob_characters_pass_when_the_policy_allows_them() {
    let limits = Limits { glob_chars_allowed: true, ..Limits::default() };
    assert_eq!(canonicalise(b"x.{a,b}*[c]", &limits).unwrap(), "x.{a,b}*[c]");
    assert_eq!(canonicalise(b"x/{a", &limits), Err(NameError::InvalidChar));
}

#[test]
fn limits_hold_exactly() {
    assert!(name(&"x".repeat(255)).is_ok());
    assert_eq!(name(&"x".repeat(256)), Err(NameError::NameTooLong));
    assert_eq!(name(&format!("a.{}.b", "x".repeat(256))), Err(NameError::NameTooLong));
    assert!(name(&vec!["x"; 64].join(".")).is_ok());
    assert_eq!(name(&vec!["x"; 65].join(".")), Err(NameError::TooManyNodes));
    // Empty components are cleaned away before they count.
    assert!(name(&".".repeat(100).replace('.', "..x")[..64 * 3]).is_ok());
    let limits = Limits { name_bytes_max: 8, ..Limits::default() };
    assert!(canonicalise(b"abcd.efg", &limits).is_ok());
    assert_eq!(canonicalise(b"abcd.efgh", &limits), Err(NameError::NameTooLong));
}

#[test]
fn the_number_of_tags_is_limited() {
    let tagged = |tags: usize| (0..tags).fold("m".to_owned(), |m, tag| format!("{m};t{tag:03}=v"));
    assert!(name(&tagged(128)).is_ok());
    assert_eq!(name(&tagged(129)), Err(NameError::BadTags));
}

#[test]
fn tags_are_sorted_and_a_repeated_key_is_refused_unless_configured() {
    assert_eq!(name("disk;rack=b;dc=a").unwrap(), "disk;dc=a;rack=b");
    assert_eq!(name("disk;a=1;b=2;a=3"), Err(NameError::BadTags));
    assert_eq!(name("disk;a=1;a=1"), Err(NameError::BadTags));
    let limits = Limits { duplicate_tag_last_wins: true, ..Limits::default() };
    assert_eq!(canonicalise(b"disk;a=1;b=2;a=3", &limits).unwrap(), "disk;a=3;b=2");
}

#[test]
fn tags_in_braces_become_our_own() {
    assert_eq!(
        name(r#"http.requests{code="200",method="get"}"#).unwrap(),
        "http.requests;code=200;method=get"
    );
    assert_eq!(name(r#".a..b{z="1",c="x,y={}"}"#).unwrap(), "a.b;c=x,y={};z=1");
    assert_eq!(name(r#"a{q="\"c:\\d\""}"#).unwrap(), r#"a;q="c:\d""#);
    assert_eq!(name(r#"a;b=x{c="1"}"#).unwrap(), r#"a;b=x{c="1"}"#, "a value of a tag");
    for (raw, error) in [
        (r#"a{b="1;c=2"}"#, NameError::BadTags),
        (r#"a{name="b"}"#, NameError::BadTags),
        (r#"a{b=""}"#, NameError::BadTags),
        (r#"{b="1"}"#, NameError::EmptyName),
        (r#"a{b="1"}x"#, NameError::InvalidChar),
        (r#"a{b="1""c="2"}"#, NameError::InvalidChar),
        (r#"a{b="1\"}"#, NameError::InvalidChar),
        ("a{}", NameError::InvalidChar),
    ] {
        assert_eq!(name(raw), Err(error), "{raw}");
    }
}

#[test]
fn no_untagged_name_reaches_the_folder_of_tagged_files() {
    for raw in ["_tagged", "_tagged.abc.def.x", "._tagged.x", "..._tagged"] {
        assert_eq!(name(raw), Err(NameError::Reserved), "{raw}");
    }
    assert!(name("_tagged2.x").is_ok());
    assert!(name("a._tagged.x").is_ok());
    assert!(name("_tagged;a=b").is_ok());
}

#[test]
fn every_reason_is_a_label_of_its_own() {
    let mut reasons = NameError::ALL.map(NameError::reason).to_vec();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), NameError::ALL.len());
    assert!(
        reasons
            .iter()
            .all(|reason| reason.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b == b'8'))
    );
}

proptest! {
    #[test]
    fn canonicalising_twice_changes_nothing(
        raw in "[a-c.~é/*]{0,12}(;[ab12~=]{0,6}){0,4}",
        last_wins: bool,
        globs: bool,
    ) {
        let limits = Limits {
            duplicate_tag_last_wins: last_wins,
            glob_chars_allowed: globs,
            ..Limits::default()
        };
        if let Ok(once) = canonicalise(raw.as_bytes(), &limits) {
            let twice = canonicalise(once.as_bytes(), &limits).unwrap();
            prop_assert!(matches!(twice, Cow::Borrowed(_)));
            prop_assert_eq!(&twice, &once);
        }
    }

    #[test]
    fn a_short_look_says_what_a_long_one_says(raw in "[a-c._]{0,9}(_tagged|é|[*;/~ ]){0,2}[a-c.]{0,9}") {
        let limits = Limits { components_max: 4, component_bytes_max: 12, ..Limits::default() };
        let quick = canonicalise_text(&raw, &limits);
        prop_assert_eq!(&quick, &judge(&raw, &limits));
        prop_assert!(quick.is_err() || !is_plainly_canonical(raw.as_bytes(), &limits) || quick.unwrap() == raw);
    }

    #[test]
    fn arbitrary_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(name) = canonicalise(&raw, &Limits::default()) {
            prop_assert!(!name.starts_with('.') && !name.is_empty());
        }
    }
}
