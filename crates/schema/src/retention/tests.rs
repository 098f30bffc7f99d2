//! storage-schemas.conf, rule by rule.

use super::*;

fn parse(text: &str) -> Schemas {
    Schemas::parse(text, "storage-schemas.conf").unwrap()
}

fn faults(text: &str) -> Vec<String> {
    let faults = Schemas::parse(text, "storage-schemas.conf").unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

/// The archives as `step x points`.
fn archives(schema: &Schema) -> Vec<(u32, u32)> {
    schema.archives.iter().map(|archive| (archive.seconds_per_point, archive.points)).collect()
}

#[test]
fn the_first_match_wins_anywhere_in_the_name() {
    let schemas = parse(
        "[carbon]\npattern = ^carbon\\.\nretentions = 60:90d\n\
         [cpu]\npattern = cpu\nretentions = 10s:6h, 1min:7d,10m:5y\n",
    );
    assert_eq!(schemas.for_name("carbon.agents.cpu").name, "carbon");
    assert_eq!(archives(schemas.for_name("carbon.x")), [(60, 129_600)]);
    let cpu = schemas.for_name("servers.web1.cpu.load");
    assert_eq!(archives(cpu), [(10, 2_160), (60, 10_080), (600, 262_800)]);
    assert_eq!(schemas.for_name("m;host=cpu1").name, "cpu", "tags take part");
}

#[test]
fn where_nothing_matches_carbons_default_holds() {
    let schemas = parse("[a]\npattern = ^a\nretentions = 1s:1d");
    let default = schemas.for_name("b");
    assert_eq!((default.name.as_str(), archives(default)), ("default", vec![(60, 10_080)]));
    assert_eq!(archives(Schemas::default().for_name("x")), [(60, 10_080)]);
    assert_eq!(schemas.all().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "default"]);
}

#[test]
fn archives_are_ordered_finest_first() {
    let schemas = parse("[a]\npattern = .\nretentions = 1h:1y,60s:1d");
    assert_eq!(archives(schemas.for_name("x")), [(60, 1_440), (3_600, 8_760)]);
}

#[test]
fn retentions_may_go_over_several_lines() {
    let schemas = parse("[a]\npattern = .\nretentions = 60s:1d,\n    1h:1y\n");
    assert_eq!(archives(schemas.for_name("x")).len(), 2);
}

#[test]
fn a_section_without_pattern_or_retentions_is_skipped_with_a_warning() {
    let schemas =
        parse("[a]\nretentions = 1s:1d\n[b]\npattern = .\n[c]\npattern =\nretentions = 1s:1d");
    assert_eq!(schemas.for_name("x").name, "default");
    let warnings: Vec<_> = schemas.warnings().iter().map(|w| (w.line, w.key.as_str())).collect();
    assert_eq!(warnings, [(1, "pattern"), (3, "retentions"), (5, "pattern")]);
}

#[test]
fn archives_that_do_not_fit_together_are_skipped_with_a_warning() {
    for retentions in ["60s:1d,60s:2d", "60s:1d,90s:7d", "60s:1d,5m:1d", "60s:2,10m:1d"] {
        let schemas = parse(&format!("[a]\npattern = .\nretentions = {retentions}"));
        assert_eq!(schemas.for_name("x").name, "default", "{retentions}");
        assert_eq!(schemas.warnings().last().unwrap().line, 3, "{retentions}");
    }
}

#[test]
fn a_broken_retention_is_a_fault_with_its_line() {
    for retentions in
        ["60s", "1.5d:1y", "60s:1mo", "0s:1d", "60s:30s", "1D:1y", "60s:1d,", "60s :1d"]
    {
        let faults = faults(&format!("[a]\npattern = .\nretentions = {retentions}"));
        assert_eq!(faults.len(), 1, "{retentions}");
        assert!(
            faults[0].starts_with("storage-schemas.conf:3: retentions: expected"),
            "{faults:?}"
        );
    }
}

#[test]
fn python_patterns_that_need_backtracking_are_faults() {
    for pattern in ["^(?!carbon)", "(?<=a)b", r"(a)\1", "(", "a{99999}{9}"] {
        let faults = faults(&format!("[a]\npattern = {pattern}\nretentions = 1s:1d"));
        assert!(faults[0].starts_with("storage-schemas.conf:2: pattern: expected a regular"));
    }
    assert!(faults("[a]\npattern = a(?=b)\nretentions = 1s:1d")[0].contains("look-around"));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let faults = faults("[a]\npattern = .\nretention = 1s:1d\ncolour = red");
    assert!(faults[0].contains(":3: retention: ") && faults[0].contains("mean retentions?"));
    assert!(faults[1].contains(":4: colour: ") && faults[1].contains("(pattern, retentions)"));
}

#[test]
fn faults_of_all_sections_are_reported() {
    let text = "[a]\npattern = (\nretentions = 1s:1d\n[b]\npattern = .\nretentions = x";
    assert_eq!(faults(text).len(), 2);
}

#[test]
fn go_carbons_keys_and_quotes_are_accepted() {
    let text = "[a]\npattern = \"^a\"\nretentions = \"1s:1d\"\npriority = 10\ncompressed = false\n\
                migration = 1\n[b]\npattern = b\nretentions = 1s:2d\npriority = 5";
    let schemas = parse(text);
    assert_eq!(schemas.for_name("a").name, "a");
    assert_eq!(schemas.warnings(), []);
}

#[test]
fn what_go_carbon_would_do_otherwise_is_a_warning() {
    let text = "[a]\npattern = a\nretentions = 1m:1440\n[b]\npattern = b\nretentions = 1s:2d\n\
                priority = 5\ncompressed = true";
    let schemas = parse(text);
    assert_eq!(archives(schemas.for_name("a")), [(60, 1_440)]);
    let warnings: Vec<_> = schemas.warnings().iter().map(|w| (w.line, w.key.as_str())).collect();
    assert_eq!(warnings, [(3, "retentions"), (7, "priority"), (8, "compressed")]);
}

#[test]
fn files_are_loaded_and_missing_or_foreign_ones_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("storage-schemas.conf");
    assert!(matches!(Schemas::load(&path), Err(LoadError::Read { .. })));
    std::fs::write(&path, "\u{feff}[a]\r\npattern = .\r\nretentions = 1s:1d\r\n").unwrap();
    assert_eq!(Schemas::load(&path).unwrap().for_name("x").name, "a");
    std::fs::write(&path, b"[a]\npattern = \xff").unwrap();
    let error = Schemas::load(&path).unwrap_err().to_string();
    assert!(error.contains("storage-schemas.conf:2: encoding"), "{error}");
    std::fs::write(&path, "\n".repeat(crate::FILE_BYTES_MAX + 10)).unwrap();
    assert!(matches!(Schemas::load(&path), Err(LoadError::Faults { .. })));
}
