//! A crate imports only from lower floors, so that no part can grow into another.

use anyhow::Context;
use toml::{Table, Value};

use super::File;
use crate::fault::Fault;

/// The floors, lowest first, by the short names that the root manifest gives the crates.
const FLOORS: &[&[&str]] = &[
    &["metric", "ring", "whisper"],
    &["wire"],
    &["daemon", "schema"],
    &["ingest", "remote", "cluster", "segments", "query", "graph", "testkit"],
    &["relay", "carbon", "zipper", "api"],
    &["local"],
    &["tools", "benches", "xtask"],
];

/// Crates without sockets, clocks and threads, whose floor cannot say so.
const PURE: &[&str] = &["metric", "ring", "whisper", "wire", "schema", "query", "graph"];

/// What a pure crate does without.
const IMPURE_CRATES: &[&str] = &["tokio", "axum", "hyper", "hyper-util", "socket2"];

/// May be a dev-dependency from its own floor upward: it imports nothing that imports it.
const TESTKIT: &str = "testkit";

const DEPENDENCY_KINDS: &[&str] = &["dependencies", "build-dependencies", "dev-dependencies"];

pub(super) fn check(files: &[File], faults: &mut Vec<Fault>) -> anyhow::Result<()> {
    let manifests: Vec<&File> = files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml") && !file.path.starts_with("fuzz/"))
        .collect();
    for file in manifests {
        let table: Table = file.text.parse().with_context(|| format!("reading {}", file.path))?;
        check_manifest(file, &table, faults);
    }
    Ok(())
}

fn check_manifest(file: &File, manifest: &Table, faults: &mut Vec<Fault>) {
    let folder = file.path.rsplit('/').nth(1).unwrap_or_default();
    let own = if folder == "whisper-format" { "whisper" } else { folder };
    let Some(own_floor) = floor(own) else {
        let problem = format!("`{own}` has no floor; give it one in xtask/src/tidy/floors.rs");
        faults.push(Fault::new(&file.path, 1, problem));
        return;
    };
    for (kind, name) in dependencies(manifest) {
        let is_test_help = kind == "dev-dependencies" && name == TESTKIT;
        let floor_max = if is_test_help { own_floor + 1 } else { own_floor };
        if let Some(floor) = floor(&name).filter(|floor| *floor >= floor_max) {
            let problem = format!(
                "`{own}` (floor {own_floor}) imports `{name}` (floor {floor}): only lower floors are \
                 allowed; move what both need down"
            );
            faults.push(Fault::new(&file.path, line_of(file, &name), problem));
        }
        let is_impure = IMPURE_CRATES.contains(&name.as_str()) && kind != "dev-dependencies";
        if is_impure && PURE.contains(&own) {
            let problem = format!("`{own}` is pure: it does without `{name}`; move the I/O up");
            faults.push(Fault::new(&file.path, line_of(file, &name), problem));
        }
    }
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

/// Kind and name of each dependency, those of single targets too.
fn dependencies(manifest: &Table) -> Vec<(&'static str, String)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let target_tables =
        targets.into_iter().flat_map(|table| table.values()).filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in std::iter::once(manifest).chain(target_tables) {
        for kind in DEPENDENCY_KINDS {
            let names = table.get(*kind).and_then(Value::as_table);
            found.extend(names.into_iter().flat_map(Table::keys).map(|name| (*kind, name.clone())));
        }
    }
    found
}

fn line_of(file: &File, name: &str) -> usize {
    let starts =
        |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    file.lines().find(|(_, line)| starts(line)).map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.into(), text: text.into() };
        let mut faults = Vec::new();
        check(&[file], &mut faults).unwrap();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_lower_floors_may_be_imported() {
        let sound = "[dependencies]\nmetric.workspace = true\ntokio = \"1\"\n[dev-dependencies]\ntestkit.workspace = true\n";
        assert_eq!(problems("relay/Cargo.toml", sound), [""; 0]);
        assert_eq!(problems("crates/ingest/Cargo.toml", sound), [""; 0]);
        let same = "[dependencies]\nmetric.workspace = true\ncarbon.workspace = true\n";
        let found = problems("relay/Cargo.toml", same);
        assert!(
            found[0]
                .starts_with("relay/Cargo.toml:3: `relay` (floor 4) imports `carbon` (floor 4)"),
            "{found:?}"
        );
        let higher = "[target.'cfg(unix)'.dependencies]\ndaemon = { workspace = true }\n";
        assert_eq!(problems("crates/wire/Cargo.toml", higher).len(), 1);
        let test_help = "[dev-dependencies]\ntestkit.workspace = true\n";
        assert_eq!(problems("crates/wire/Cargo.toml", test_help).len(), 1);
    }

    #[test]
    fn pure_crates_do_without_a_runtime() {
        let found = problems("crates/query/Cargo.toml", "[dependencies]\ntokio.workspace = true\n");
        assert!(found[0].contains("`query` is pure"), "{found:?}");
        assert_eq!(
            problems("crates/query/Cargo.toml", "[dev-dependencies]\ntokio = \"1\"\n"),
            [""; 0]
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_refused() {
        assert!(problems("crates/helpers/Cargo.toml", "[package]\n")[0].contains("has no floor"));
    }
}
