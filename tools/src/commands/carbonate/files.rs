//! Names and files of one Whisper tree.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use metric::path::{WHISPER_SUFFIX, whisper_path};
use metric::{Limits, NameError, canonicalise};

/// Where carbonate looks for files unless told.
pub(super) const STORAGE_DIR: &str = "/opt/graphite/storage/whisper";

/// The Whisper tree a command works on.
#[derive(clap::Args)]
pub(super) struct Tree {
    /// Folder of the Whisper tree.
    #[arg(short = 'd', long = "storage-dir", value_name = "DIR", default_value = STORAGE_DIR)]
    pub(super) dir: PathBuf,
}

/// Why no file of the tree has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    /// Its path would leave the tree, or be that of another name.
    #[error(
        "name has an empty component, a slash or a NUL byte, so no file of the tree is its own"
    )]
    NoFile,
    /// The tags of the name are malformed.
    #[error(transparent)]
    Tagged(#[from] NameError),
}

/// The file of a name, relative to the tree: that of the hashed name for a tagged series, as carbon
/// stores it.
pub(super) fn path_of(name: &[u8]) -> Result<PathBuf, PathError> {
    if !name.contains(&b';') {
        return plain_path_of(name);
    }
    Ok(PathBuf::from(whisper_path(&canonicalise(name, &Limits::default())?)))
}

/// The file of a name, every dot a slash, tags or not.
pub(super) fn plain_path_of(name: &[u8]) -> Result<PathBuf, PathError> {
    let empty = name.split(|&byte| byte == b'.').any(<[u8]>::is_empty);
    if empty || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(PathError::NoFile);
    }
    let mut path = slashed(name, b'.', b'/');
    path.extend_from_slice(WHISPER_SUFFIX.as_bytes());
    Ok(PathBuf::from(OsString::from_vec(path)))
}

/// The name that a path stands for: the tree's folder falls away in front and `.wsp` at the end,
/// nowhere else.
pub(super) fn name_of(path: &[u8], tree: &Path) -> Vec<u8> {
    let tree = tree.as_os_str().as_bytes();
    let end = tree.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let inside = path.strip_prefix(&tree[..end]).and_then(|rest| rest.strip_prefix(b"/"));
    let name = dotted(inside.unwrap_or(path));
    let mut name = name.as_slice();
    while let Some(rest) = name.strip_prefix(b".").or_else(|| name.strip_suffix(b".")) {
        name = rest;
    }
    name.to_vec()
}

/// A path inside the tree as a name, without `.wsp`.
pub(crate) fn dotted(path: &[u8]) -> Vec<u8> {
    let stem = path.strip_suffix(WHISPER_SUFFIX.as_bytes()).unwrap_or(path);
    slashed(stem, b'/', b'.')
}

/// The bytes of a path.
pub(super) fn bytes(path: &Path) -> &[u8] {
    OsStr::as_bytes(path.as_os_str())
}

fn slashed(text: &[u8], from: u8, to: u8) -> Vec<u8> {
    text.iter().map(|&byte| if byte == from { to } else { byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_tree_or_share_a_file_have_none() {
        for name in [&b""[..], b".", b".a", b"a.", b"a..b", b"a/b", b"../../etc/passwd", b"a\0b"] {
            assert_eq!(path_of(name), Err(PathError::NoFile), "{name:?}");
        }
        assert_eq!(path_of(b"a b.wsp"), Ok(PathBuf::from("a b/wsp.wsp")));
    }

    #[test]
    fn tagged_names_have_the_path_of_their_canonical_form() {
        let path = path_of(b"disk;rack=b;dc=a").unwrap();
        assert_eq!(path, Path::new(&whisper_path("disk;dc=a;rack=b")));
        assert!(matches!(path_of(b"disk;rack"), Err(PathError::Tagged(_))));
        assert_eq!(plain_path_of(b"x;t=v.1"), Ok(PathBuf::from("x;t=v/1.wsp")));
    }

    #[test]
    fn folder_and_suffix_fall_away_at_the_ends_only() {
        let name = |path: &[u8], tree| name_of(path, Path::new(tree));
        assert_eq!(name(b"wsp/a/b.wsp", "wsp/"), b"a.b");
        assert_eq!(name(b"x/wsp/y.wsp", "wsp"), b"x.wsp.y");
        assert_eq!(name(b"wspx/y.wsp.wsp", "wsp"), b"wspx.y.wsp");
        assert_eq!(name(b"./a/b", "wsp"), b"a.b");
    }
}
