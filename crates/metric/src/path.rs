//! Where a series' file lies: the same path that Python carbon, graphite-web and go-carbon use.
//!
//! An untagged name becomes folders, `a.b.c` -> `a/b/c.wsp`. A tagged name becomes
//! `_tagged/<3 hex digits>/<next 3>/<sha256 of the canonical name>.wsp`, as carbon does with its
//! default `TAG_HASH_FILENAMES`. An untagged name that no file system could hold takes the hashed
//! form too. Hashed paths cannot be read back: the store keeps the names.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::tags::is_tagged;

/// The folder of all hashed names.
pub const TAGGED_FOLDER: &str = "_tagged";

/// What every Whisper file's name ends in.
pub const WHISPER_SUFFIX: &str = ".wsp";

/// Longest file name of the usual file systems.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Longest relative path; Linux takes 4,095 bytes, and the data folder stands before it.
const PATH_BYTES_MAX: usize = 3_072;

/// The file of a canonical name, relative to the data folder, without suffix.
#[must_use]
pub fn relative_path(name: &str) -> String {
    if is_tagged(name) || !fits_file_system(name) {
        hashed_path(name)
    } else {
        name.replace('.', "/")
    }
}

/// The Whisper file of a canonical name, relative to the data folder.
#[must_use]
pub fn whisper_path(name: &str) -> String {
    let mut path = relative_path(name);
    path.push_str(WHISPER_SUFFIX);
    path
}

/// The untagged name whose Whisper file is at `path`, relative to the data folder.
///
/// `None` for hashed files, whose names the path does not tell, and for files that no name leads to.
#[must_use]
pub fn name_of(path: &str) -> Option<String> {
    let stem = path.strip_suffix(WHISPER_SUFFIX)?;
    let foreign = stem.split('/').any(str::is_empty) || stem.contains(['.', ';', '\0']);
    let hashed = stem.split('/').next() == Some(TAGGED_FOLDER);
    (!foreign && !hashed).then(|| stem.replace('/', "."))
}

fn fits_file_system(name: &str) -> bool {
    name.len() + WHISPER_SUFFIX.len() <= PATH_BYTES_MAX
        && name.split('.').all(|component| component.len() <= FILE_NAME_BYTES_MAX)
        && name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.len() + WHISPER_SUFFIX.len() <= FILE_NAME_BYTES_MAX)
}

fn hashed_path(name: &str) -> String {
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(name.as_bytes()) {
        write!(hash, "{byte:02x}").expect("a String takes every write");
    }
    format!("{TAGGED_FOLDER}/{}/{}/{hash}", &hash[..3], &hash[3..6])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dots_become_folders() {
        assert_eq!(whisper_path("servers.web01.cpu"), "servers/web01/cpu.wsp");
        assert_eq!(whisper_path("toplevel"), "toplevel.wsp");
        assert_eq!(whisper_path("a.wsp"), "a/wsp.wsp");
    }

    #[test]
    fn a_tagged_name_is_hashed_as_carbon_hashes_it() {
        // sha256("some.metric;tag1=value2;tag2=value.2") begins with effaae: carbon's own example.
        let path = whisper_path("some.metric;tag1=value2;tag2=value.2");
        assert!(path.starts_with("_tagged/eff/aae/effaae"), "{path}");
        assert_eq!(path.len(), "_tagged/eff/aae/".len() + 64 + ".wsp".len());
    }

    #[test]
    fn a_name_that_no_file_system_holds_is_hashed() {
        assert!(whisper_path(&"x".repeat(251)).starts_with("xxx"));
        assert!(whisper_path(&"x".repeat(252)).starts_with("_tagged/"));
        assert!(whisper_path(&format!("{}.b", "x".repeat(255))).starts_with("xxx"));
        assert!(whisper_path(&vec!["x".repeat(100); 40].join(".")).starts_with("_tagged/"));
    }

    #[test]
    fn foreign_and_hashed_files_have_no_name() {
        for path in [
            "a/b",
            "a/b.txt",
            ".wsp",
            "a/.wsp",
            "/a.wsp",
            "a//b.wsp",
            "a.b/c.wsp",
            "a.wsp.wsp",
            "_tagged/abc/def/x.wsp",
            "_tagged.wsp",
            "x;t=v.wsp",
            "a/../b.wsp",
            "",
        ] {
            assert_eq!(name_of(path), None, "{path}");
        }
        assert_eq!(name_of("a b/c.wsp").as_deref(), Some("a b.c"));
    }

    proptest! {
        #[test]
        fn an_untagged_name_survives_the_way_to_its_path_and_back(
            name in "[a-zA-Z0-9_é:-]{1,20}(\\.[a-zA-Z0-9_é:-]{1,20}){0,6}",
        ) {
            prop_assert_eq!(name_of(&whisper_path(&name)), Some(name));
        }

        #[test]
        fn a_name_read_from_a_path_leads_back_to_it(path in "[ab./;]{0,12}(\\.wsp)?") {
            if let Some(name) = name_of(&path) {
                prop_assert_eq!(whisper_path(&name), path);
            }
        }
    }
}
