//! The dialect, rule by rule.

use super::*;

const REPORT: Reporter<'_> = Reporter { file: "x.conf" };

fn sections(text: &str) -> Vec<Section> {
    parse(text, REPORT).unwrap()
}

fn value(text: &str, key: &str) -> String {
    sections(text)[0].get(key).unwrap().value.clone()
}

/// The line and the key of the only fault.
fn fault(text: &str) -> (usize, String) {
    let faults = parse(text, REPORT).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    (faults[0].line, faults[0].key.clone())
}

#[test]
fn sections_and_keys_keep_order_and_lines() {
    let text = "# first\n[b]\nPattern = x\n\n; note\n[a]\nretentions: 60s:1d\n";
    let sections = sections(text);
    assert_eq!(sections.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!((sections[0].line, sections[1].line), (2, 6));
    assert_eq!(sections[0].entries[0], Entry { key: "pattern".into(), value: "x".into(), line: 3 });
    assert_eq!(sections[1].get("retentions").unwrap().value, "60s:1d");
}

#[test]
fn only_the_first_delimiter_parts() {
    assert_eq!(value("[a]\npattern = a=b:c", "pattern"), "a=b:c");
    assert_eq!(value("[a]\npattern=", "pattern"), "");
}

#[test]
fn a_byte_order_mark_and_crlf_change_nothing() {
    assert_eq!(sections("\u{feff}[a]\r\npattern = x\r\n"), sections("[a]\npattern = x\n"));
}

#[test]
fn deeper_lines_continue_a_value() {
    let text = "[a]\nretentions = 60s:1d,\n  # not part of it\n  5m:7d,\n\n  1h:1y\npattern = x";
    assert_eq!(value(text, "retentions"), "60s:1d,\n5m:7d,\n\n1h:1y");
    assert_eq!(value(text, "pattern"), "x");
    // Keys indented alike are keys of their own.
    assert_eq!(value("  [a]\n  pattern = x\n  retentions = 1", "retentions"), "1");
}

#[test]
fn comments_take_whole_lines_only() {
    assert_eq!(value("[a]\npattern = x # y ; z", "pattern"), "x # y ; z");
}

#[test]
fn a_section_or_key_given_twice_is_a_fault() {
    assert_eq!(fault("[a]\nx = 1\n[b]\n[a]"), (4, "[a]".into()));
    assert_eq!(fault("[a]\nx = 1\nX = 2"), (3, "x".into()));
}

#[test]
fn lines_that_are_neither_section_nor_key_are_faults() {
    assert_eq!(fault("x = 1\n"), (1, "x".into()));
    assert_eq!(fault("[a]\nnonsense"), (2, "line".into()));
    assert_eq!(fault("[a]\n= 1"), (2, "line".into()));
    assert_eq!(fault("[]"), (1, "[]".into()));
    assert_eq!(fault("[a]\nx = 1\n[b"), (3, "line".into()));
}

#[test]
fn all_faults_are_reported_in_order() {
    let faults = parse("x = 1\n[a]\ny\nz = %(a)s\n[a]", REPORT).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 3, 4, 5]);
    let first = faults[0].to_string();
    assert_eq!(first, "x.conf:1: x: expected a [section] first, found `x = 1`");
}

#[test]
fn default_lends_its_values() {
    let sections = sections("[DEFAULT]\nretentions = 1\n[a]\npattern = x\n[b]\nretentions = 2");
    assert_eq!(sections.len(), 2);
    assert_eq!(sections[0].get("retentions").unwrap().value, "1");
    assert_eq!(sections[1].get("retentions").unwrap().value, "2");
}

#[test]
fn quotes_and_percent_signs() {
    assert_eq!(value("[a]\nx = \"^a b$\"", "x"), "^a b$");
    assert_eq!(value("[a]\nx = 'a'", "x"), "a");
    assert_eq!(value("[a]\nx = \"", "x"), "\"");
    assert_eq!(value("[a]\nx = 5% 5%%", "x"), "5% 5%");
    assert_eq!(value("[a]\nx = %%(a)", "x"), "%(a)");
    assert_eq!(fault("[a]\nx = %(a)s"), (2, "x".into()));
}

#[test]
fn size_is_bounded() {
    let text = "#".repeat(10_000_000);
    assert_eq!(fault(&text), (0, "file".into()));
    let many: String = (0..=SECTIONS_MAX).map(|n| format!("[{n}]\n")).collect();
    assert_eq!(fault(&many), (SECTIONS_MAX + 1, format!("[{SECTIONS_MAX}]")));
}

#[test]
fn long_findings_are_shortened() {
    let faults = parse(&"é".repeat(500), REPORT).unwrap_err();
    assert!(faults[0].found.ends_with("`...") && faults[0].found.chars().count() < 130);
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "[\\[\\]ax =:#;%(\"\\n\\t]{0,80}") {
        if let Ok(sections) = parse(&text, REPORT) {
            proptest::prop_assert!(sections.iter().all(|section| !section.name.is_empty()));
        }
    }
}
