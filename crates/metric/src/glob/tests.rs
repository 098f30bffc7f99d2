//! What patterns find, and that none of them can hurt.

use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, name: &str) -> bool {
    Glob::compile(pattern).unwrap().matches(name)
}

/// The names of a list that a pattern finds, joined by spaces.
fn found(pattern: &str, names: &str) -> String {
    names.split(' ').filter(|name| matches(pattern, name)).collect::<Vec<_>>().join(" ")
}

#[test]
fn wildcards_stay_within_their_node() {
    let names = "a a.b a.b.c a.bb.c ab.c";
    assert_eq!(found("*", names), "a");
    assert_eq!(found("a.*", names), "a.b");
    assert_eq!(found("a.*.c", names), "a.b.c a.bb.c");
    assert_eq!(found("a?.c", names), "ab.c");
    assert_eq!(found("a.b**.c", names), "a.b.c a.bb.c");
}

#[test]
fn stars_question_marks_and_literals_mix() {
    let names = "web01 web02 web10 db1 web web01x";
    assert_eq!(found("web*", names), "web01 web02 web10 web web01x");
    assert_eq!(found("web0?", names), "web01 web02");
    assert_eq!(found("*1", names), "web01 db1");
    assert_eq!(found("w*0*", names), "web01 web02 web10 web01x");
    assert_eq!(found("?e*b0[12]*", names), "web01 web02 web01x");
    assert!(matches("é?é", "éüé"), "a question mark is one character, not one byte");
    assert!(!matches("aba*aba", "aba"), "prefix and suffix do not share characters");
}

#[test]
fn classes_follow_fnmatch() {
    let names = "a b c d - ] ! ^";
    assert_eq!(found("[ab]", names), "a b");
    assert_eq!(found("[a-c]", names), "a b c");
    assert_eq!(found("[!a-c]", names), "d - ] ! ^");
    assert_eq!(found("[a-]", names), "a -");
    assert_eq!(found("[-a]", names), "a -");
    assert_eq!(found("[]a]", names), "a ]");
    assert_eq!(found("[!]a]", names), "b c d - ! ^");
    assert_eq!(found("[^a]", names), "a ^");
    assert_eq!(found("[c-a]", names), "", "a reversed range is empty");
    assert_eq!(found("[a-c-d]", names), "a b c d -");
}

#[test]
fn what_is_never_closed_is_an_ordinary_character() {
    assert!(matches("web0[", "web0[") && !matches("web0[", "web0"));
    assert!(matches("{web01", "{web01") && !matches("{web01", "web01"));
    assert!(matches("web}*", "web}1"));
    assert!(matches("{{a,b}", "{a"));
    assert!(matches("[!]", "[!]"));
    assert!(Glob::compile("servers.{web01").unwrap().is_exact());
}

#[test]
fn braces_hold_alternatives() {
    let names = "web01.cpu db1.cpu web02.mem cpu";
    assert_eq!(found("{web01,db1}.cpu", names), "web01.cpu db1.cpu");
    assert_eq!(found("{web,db}*.{cpu,mem}", names), "web01.cpu db1.cpu web02.mem");
    assert_eq!(found("web0{1,2}.*", names), "web01.cpu web02.mem");
    assert_eq!(found("{web0{1,2},db1}.cpu", names), "web01.cpu db1.cpu");
    assert_eq!(found("web0{1,}{2,}.mem", names), "web02.mem");
    assert_eq!(found("{web01}.cpu", names), "web01.cpu");
    assert!(!matches("{,a}", "b"));
}

#[test]
fn braces_may_hold_dots() {
    let names = "a.b.c a.d a.b a.c a.d.c";
    assert_eq!(found("a.{b.c,d}", names), "a.b.c a.d");
    assert_eq!(found("{a.b,a.d}.c", names), "a.b.c a.d.c");
    let glob = Glob::compile("a.{b.c,d}").unwrap();
    assert_eq!(glob.alternatives().len(), 2);
    assert!(!glob.is_exact());
    assert_eq!(Glob::compile("{a.b}.c").unwrap().exact(), Some("a.b.c"));
}

#[test]
fn a_globstar_spans_nodes() {
    let names = "a a.b a.b.c a.x.b.c b.c";
    assert_eq!(found("**", names), names);
    assert_eq!(found("a.**", names), "a.b a.b.c a.x.b.c");
    assert_eq!(found("a.**.c", names), "a.b.c a.x.b.c");
    assert_eq!(found("**.c", names), "a.b.c a.x.b.c b.c");
    assert_eq!(found("a.**.b.**.c", names), "a.b.c a.x.b.c");
    assert_eq!(found("a.**.**.b", names), "a.b");
}

#[test]
fn a_backslash_takes_the_meaning_away() {
    assert!(matches(r"a\*b", "a*b") && !matches(r"a\*b", "axb"));
    assert!(matches(r"a\{b,c\}", "a{b,c}") && !matches(r"a\{b,c\}", "ab"));
    assert!(matches(r"{a\,b,c}", "a,b"));
    assert_eq!(Glob::compile(r"x\?").unwrap().exact(), Some("x?"));
    assert_eq!(Glob::compile(r"x\").unwrap().exact(), Some("x"));
}

#[test]
fn an_escaped_dot_is_a_dot() {
    assert_eq!(Glob::compile(r"a\.b").unwrap().exact(), Some("a.b"));
    assert!(matches(r"a\.*", "a.b") && matches(r"{a\.b,c}", "a.b") && matches(r"{a\.b,c}", "c"));
    assert!(!matches(r"a\.b", "a"));
}

#[test]
fn matching_is_case_sensitive_and_knows_no_empty_nodes() {
    assert!(!matches("A*", "ab"));
    assert!(!matches("a.*", "a."));
    assert!(!matches("", "") || !matches("", "a"));
}

#[test]
fn a_tagged_name_matches_only_itself() {
    let name = "disk.used;dc=a*;path=/x.{y}";
    let glob = Glob::compile(name).unwrap();
    assert_eq!(glob.exact(), Some(name));
    assert!(glob.matches(name));
    assert_eq!(glob.nodes().len(), 1);
    assert!(!matches("disk.*", name) && !matches("**", name) && !matches("*", "a;b=c"));
}

#[test]
fn a_trie_walker_learns_what_it_can_look_up() {
    let glob = Glob::compile("servers.{web02,web01,web02}.cpu*.{user,us*}.[x]").unwrap();
    let nodes = glob.nodes();
    assert_eq!(nodes[0].exact(), Some("servers"));
    assert_eq!(nodes[1].literals().unwrap(), ["web01", "web02"]);
    assert_eq!(nodes[1].prefix(), "web0");
    assert_eq!((nodes[2].literals(), nodes[2].prefix()), (None, "cpu"));
    assert_eq!(nodes[3].prefix(), "us");
    assert!(nodes[3].matches("usage") && !nodes[3].matches("system"));
    assert_eq!(nodes[4].prefix(), "");
    assert!(Glob::compile("a.b").unwrap().is_exact());
    assert!(!glob.is_exact());
}

#[test]
fn expansion_stops_at_the_limit_with_a_position() {
    let eight = "{a,b,c,d,e,f,g,h}";
    for separator in ["", "."] {
        let error = Glob::compile(&[eight; 12].join(separator)).unwrap_err();
        assert!(matches!(error, GlobError::TooManyExpansions { limit: 10_000, .. }));
        assert!(error.to_string().starts_with("too many expansions"));
        assert!(error.position() > 0);
    }
    let hosts = (0..EXPANSIONS_MAX).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert!(matches(&format!("web{{{hosts}}}.cpu"), "web9999.cpu"));
    assert!(Glob::compile(&format!("web{{{hosts},x}}")).is_err());
    assert!(Glob::compile_with("{a,b}{c,d}", 4).is_ok());
    assert!(Glob::compile_with("{a,b}.{c,d}", 3).is_err());
}

#[test]
fn hostile_patterns_are_refused_or_cheap() {
    assert!(matches(&format!("t.{}", "*".repeat(5_000)), "t.x"));
    assert!(!matches(&"*a".repeat(5_000), &"a".repeat(255)));
    assert!(!matches(&format!("{}b", "*a".repeat(100)), &"a".repeat(255)));
    assert!(!matches(&format!("{}b", "**.a.".repeat(100)), &["a"; 255].join(".")));
    assert!(Glob::compile(&"[".repeat(PATTERN_BYTES_MAX)).is_ok());
    assert!(Glob::compile(&"{".repeat(PATTERN_BYTES_MAX)).is_ok());
    // Ten thousand paths, each with a copy of everything after the braces, would fill the memory.
    let dotted = (0..EXPANSIONS_MAX).map(|n| format!("{n:x}.b")).collect::<Vec<_>>().join(",");
    assert!(Glob::compile(&format!("{{{dotted}}}.c")).is_err_and(|e| e == GlobError::TooLong));
    let dotted = (0..5_000).map(|n| format!("{n:x}.b")).collect::<Vec<_>>().join(",");
    assert!(Glob::compile(&format!("{{{dotted}}}")).is_ok());
    assert!(Glob::compile(&format!("{{{dotted}}}.{}", "c.".repeat(200))).is_err());
    let deep = "{".repeat(20) + &"}".repeat(20);
    assert_eq!(Glob::compile(&deep).unwrap_err(), GlobError::TooDeep { position: 16 });
    let long = "a.".repeat(300);
    assert_eq!(Glob::compile(&long).unwrap_err(), GlobError::TooManyNodes { position: 512 });
    assert_eq!(Glob::compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).unwrap_err(), GlobError::TooLong);
}

/// The model: tries every split, so it is slow and obviously right. No braces, no escapes.
fn model(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
        ['?', rest @ ..] => !text.is_empty() && model(rest, &text[1..]),
        ['[', rest @ ..] if rest.iter().skip(1).any(|&c| c == ']') => {
            let end = rest.iter().skip(1).position(|&c| c == ']').unwrap() + 1;
            !text.is_empty()
                && rest[..end].contains(&text[0])
                && model(&rest[end + 1..], &text[1..])
        }
        [c, rest @ ..] => text.first() == Some(c) && model(rest, &text[1..]),
    }
}

fn model_path(pattern: &[&str], nodes: &[&str]) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    match pattern {
        [] => nodes.is_empty(),
        ["**"] => !nodes.is_empty(),
        ["**", rest @ ..] => (0..=nodes.len()).any(|taken| model_path(rest, &nodes[taken..])),
        [node, rest @ ..] => {
            !nodes.is_empty()
                && model(&chars(node), &chars(nodes[0]))
                && model_path(rest, &nodes[1..])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_matcher_equals_the_model(
        pattern in "([ab*?]|\\[[ab]{1,2}\\]|\\[){1,6}(\\.(\\*\\*|[ab*?]{1,3})){0,3}",
        name in "[ab\\[]{1,5}(\\.[ab]{1,3}){0,4}",
    ) {
        let pattern_nodes: Vec<_> = pattern.split('.').collect();
        let nodes: Vec<_> = name.split('.').collect();
        prop_assert_eq!(matches(&pattern, &name), model_path(&pattern_nodes, &nodes));
    }

    #[test]
    fn braces_equal_the_union_of_their_alternatives(
        head in "[a*]{0,2}", alternatives in proptest::collection::vec("[ab*.]{0,3}", 1..4),
        tail in "[b?.]{0,2}", name in "[ab]{1,3}(\\.[ab]{1,3}){0,3}",
    ) {
        let braces = format!("{head}{{{}}}{tail}", alternatives.join(","));
        let union = alternatives.iter().any(|text| matches(&format!("{head}{text}{tail}"), &name));
        prop_assert_eq!(matches(&braces, &name), union, "{}", braces);
    }

    #[test]
    fn compiling_never_panics(pattern in "[ab.*?{},\\[\\]!\\\\é;-]{0,40}", name in "[ab.é]{0,12}") {
        if let Ok(glob) = Glob::compile_with(&pattern, 100) {
            let hit = glob.matches(&name);
            prop_assert!(!glob.is_exact() || hit == (glob.exact() == Some(name.as_str())));
        }
    }
}
