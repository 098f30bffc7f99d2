//! Rules on the text of single files.

use super::File;
use crate::fault::Fault;

const FILE_LINES_MAX: usize = 800;

/// Crates that may hold `unsafe`, each step argued where it stands; libFuzzer calls `fuzz` as C does.
const UNSAFE_ALLOWED: &[&str] = &["whisper-format", "carbon", "fuzz"];

/// Words of unfinished work; written in halves, so that this file passes its own check.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("#[ign", "ore"),
];

/// First parts of paths that exist on one machine only.
const MACHINE_FOLDERS: &[&str] = &["work", "farm", "root", "home"];

/// Hosts of package registries: a build takes its registry from the machine it runs on.
const REGISTRIES: &[&str] = &[
    concat!("static.", "crates"),
    concat!("index.", "crates"),
    concat!("files.", "pythonhosted"),
    concat!("deb.", "debian"),
];

pub(super) fn check(file: &File, faults: &mut Vec<Fault>) {
    if file.path == "Cargo.lock" {
        return;
    }
    check_lines(file, faults);
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        let last = file.text.lines().count();
        faults.push(Fault::new(&file.path, last, "no newline at the end of the file; add one"));
    }
    if file.has_extension("rs") {
        check_rust(file, faults);
    }
}

fn check_lines(file: &File, faults: &mut Vec<Fault>) {
    for (number, line) in file.lines() {
        let mut fault = |problem: String| faults.push(Fault::new(&file.path, number, problem));
        if line.trim_end() != line {
            fault("white space at the end of the line; delete it".into());
        }
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            fault(format!("`{word}`: finish it, or leave it out and say so in the docs"));
        }
        for folder in MACHINE_FOLDERS.iter().filter(|folder| has_machine_path(line, folder)) {
            fault(format!("a path under /{folder} exists on one machine only; use a relative one"));
        }
        for host in REGISTRIES.iter().filter(|host| line.contains(**host)) {
            fault(format!("a registry's address ({host}); leave it to the machine's settings"));
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        let goes_on = word.ends_with(is_part) && after.starts_with(is_part);
        !goes_on && !before.ends_with(is_part)
    })
}

fn has_machine_path(line: &str, folder: &str) -> bool {
    line.match_indices(&format!("/{folder}/")).any(|(start, _)| {
        let is_part =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '}' | '*');
        !line[..start].ends_with(is_part)
    })
}

fn check_rust(file: &File, faults: &mut Vec<Fault>) {
    let path = &file.path;
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        let problem = format!("{lines} lines, {FILE_LINES_MAX} allowed; split it by concern");
        faults.push(Fault::new(path, FILE_LINES_MAX + 1, problem));
    }
    if !file.text.starts_with("//!") {
        faults.push(Fault::new(
            path,
            1,
            "no `//!` module doc in the first line; say what it is for",
        ));
    }
    if path.ends_with("/mod.rs") {
        faults.push(Fault::new(path, 1, "move it to `name.rs` beside the folder `name/`"));
    }
    if let Some(package) = crate_root(path)
        && !UNSAFE_ALLOWED.contains(&package)
        && !file.text.contains("#![forbid(unsafe_code)]")
    {
        faults.push(Fault::new(path, 1, "a crate root without `#![forbid(unsafe_code)]`; add it"));
    }
}

/// The package folder of which `path` is a crate root.
fn crate_root(path: &str) -> Option<&str> {
    let folder = ["/src/lib.rs", "/src/main.rs"].iter().find_map(|end| path.strip_suffix(end))?;
    Some(folder.rsplit('/').next().unwrap_or(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut faults = Vec::new();
        check(&File { path: path.into(), text: text.into() }, &mut faults);
        faults.into_iter().map(|fault| (fault.line, fault.problem)).collect()
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        problems(path, text).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_tidy_file_passes() {
        assert_eq!(lines("relay/src/log.rs", "//! The log.\nfn f() {}\n"), [0; 0]);
    }

    #[test]
    fn unfinished_work_is_found_and_parts_of_words_are_not() {
        for word in UNFINISHED {
            assert_eq!(lines("a.sh", &format!("a\nb {word}\n")), [2], "{word}");
        }
        assert_eq!(lines("a.sh", concat!("mktemp -d /tmp/a.XX", "XXXX\n")), [0; 0]);
    }

    #[test]
    fn machine_paths_and_registries_are_found_anywhere() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(lines("a.md", &format!("in `/{folder}/main`\n")), [1], "{folder}");
            assert_eq!(lines("a.md", &format!("in a/{folder}/main\n")), [0; 0], "{folder}");
        }
        for host in REGISTRIES {
            assert_eq!(lines("a.toml", &format!("x = 'https://{host}.org'\n")), [1], "{host}");
        }
    }

    #[test]
    fn white_space_at_a_line_end_and_a_missing_newline_are_found() {
        assert_eq!(lines("a.md", "a \nb\t\nc"), [1, 2, 3]);
    }

    #[test]
    fn rust_files_need_a_doc_a_size_and_a_place() {
        assert_eq!(lines("a/src/b.rs", "fn f() {}\n"), [1]);
        assert_eq!(lines("a/src/b/mod.rs", "//! B.\n"), [1]);
        let long = "//! A.\n".to_owned() + &"\n".repeat(FILE_LINES_MAX);
        assert_eq!(lines("a/src/b.rs", &long), [FILE_LINES_MAX + 1]);
    }

    #[test]
    fn crate_roots_forbid_unsafe_unless_listed() {
        assert_eq!(lines("crates/metric/src/lib.rs", "//! A.\n"), [1]);
        assert_eq!(lines("relay/src/main.rs", "//! A.\n#![forbid(unsafe_code)]\n"), [0; 0]);
        assert_eq!(lines("whisper-format/src/lib.rs", "//! A.\n"), [0; 0]);
    }
}
