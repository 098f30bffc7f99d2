//! `plumbago list`, `carbon-list`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use metric::path::WHISPER_SUFFIX;
use serde_json::json;

use super::files::{self, Tree};
use super::names::{Separator, lossy};
use crate::invocation::{Context, Failure, Run, printable};

#[derive(clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    tree: Tree,
    /// Go into folders that are symbolic links, each once.
    #[arg(short = 's', long)]
    follow_sym_links: bool,
    #[command(flatten)]
    separator: Separator,
    #[command(flatten)]
    _cluster: super::cluster::ClusterArgs,
}

impl Run for List {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut walk = Walk::new(&self.tree.dir, self.follow_sym_links)
            .map_err(|error| Failure::of(&self.tree.dir, &error))?;
        while let Some(folder) = walk.next_folder() {
            match folder.found {
                Ok(paths) => self.print(context, &paths)?,
                Err(error) => context.skip(&printable(&folder.path.to_string_lossy()), &error),
            }
        }
        Ok(())
    }
}

impl List {
    fn print(&self, context: &mut Context<'_>, paths: &[PathBuf]) -> Result<(), Failure> {
        for path in paths {
            let relative = path.strip_prefix(&self.tree.dir).unwrap_or(path);
            let name = name_of(relative);
            if context.json {
                let path = path.to_string_lossy();
                writeln!(context.out, "{}", json!({"metric": lossy(&name), "path": path}))?;
            } else {
                self.separator.print(context.out, &name)?;
            }
        }
        Ok(())
    }
}

/// The name of a file. One that is called `.wsp` has nothing in front of its suffix, and keeps it.
fn name_of(relative: &Path) -> Vec<u8> {
    let name = files::bytes(relative);
    if relative.file_name() != Some(OsStr::new(WHISPER_SUFFIX)) {
        return files::dotted(name);
    }
    let folder = files::dotted(&name[..name.len() - WHISPER_SUFFIX.len()]);
    [folder.as_slice(), WHISPER_SUFFIX.as_bytes()].concat()
}

/// A walk through a tree, one folder at a time, in the order of the names.
pub(crate) struct Walk {
    follow_links: bool,
    folders: Vec<PathBuf>,
    /// Device and inode of every folder that was entered: links may lead in circles.
    entered: HashSet<(u64, u64)>,
}

/// A folder of the tree and its Whisper files.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) found: io::Result<Vec<PathBuf>>,
}

impl Walk {
    /// Begins at `root`, which must be a folder.
    pub(crate) fn new(root: &Path, follow_links: bool) -> io::Result<Self> {
        if !fs::metadata(root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { follow_links, folders: vec![root.to_owned()], entered: HashSet::new() })
    }

    /// The next folder; folders that were entered before are left out.
    pub(crate) fn next_folder(&mut self) -> Option<Folder> {
        loop {
            let path = self.folders.pop()?;
            if self.follow_links {
                let entered =
                    fs::metadata(&path).map(|of| self.entered.insert((of.dev(), of.ino())));
                if matches!(entered, Ok(false)) {
                    continue;
                }
            }
            let found = self.read(&path);
            return Some(Folder { path, found });
        }
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let path = entry.path();
            let link_to_folder = kind.is_symlink() && path.is_dir();
            if kind.is_dir() || link_to_folder {
                if kind.is_dir() || self.follow_links {
                    folders.push(path);
                }
            } else if entry.file_name().as_bytes().ends_with(WHISPER_SUFFIX.as_bytes()) {
                files.push(path);
            }
        }
        files.sort_unstable();
        folders.sort_unstable();
        self.folders.extend(folders.into_iter().rev());
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(root: &Path, follow: bool) -> Vec<String> {
        let mut walk = Walk::new(root, follow).unwrap();
        let mut all = Vec::new();
        while let Some(folder) = walk.next_folder() {
            all.extend(
                folder
                    .found
                    .unwrap()
                    .iter()
                    .map(|path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned()),
            );
        }
        all
    }

    #[test]
    fn links_are_followed_on_demand_and_circles_end() {
        let root = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        for file in ["a/x.wsp", "b.wsp", "c.txt"] {
            fs::write(root.path().join(file), b"").unwrap();
        }
        fs::write(other.path().join("y.wsp"), b"").unwrap();
        std::os::unix::fs::symlink(other.path(), root.path().join("l")).unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("a/circle")).unwrap();
        assert_eq!(walked(root.path(), false), ["b.wsp", "a/x.wsp"]);
        assert_eq!(walked(root.path(), true), ["b.wsp", "a/x.wsp", "l/y.wsp"]);
    }
}
