//! What the files of a cluster have to hold once a drill is over, and what may have gone from them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use daemon::clock::{Clock, System};
use serde_json::Value;
use whisper::Whisper;

use crate::cluster::Drill;
use crate::load::{STEP_S, value};

impl Drill {
    /// What is wrong with the files, if anything.
    pub(crate) fn fault(&self, but: Option<&str>) -> Option<String> {
        let (ring, node_names) = self.ring();
        let sent = self.load.sent();
        let nodes = self.nodes.iter().filter(|node| Some(node.name.as_str()) != but);
        let mut pairs =
            nodes.flat_map(|node| self.load.names.iter().enumerate().map(move |one| (node, one)));
        pairs.find_map(|(node, (series, name))| {
            let owners = ring.owners(name.as_bytes());
            let is_owner = owners.iter().any(|&owner| node_names[usize::from(owner)] == node.name);
            let path = node.folder.join("whisper").join(metric::path::whisper_path(name));
            let found = match File::open(&path) {
                Ok(file) if is_owner => points(file, *sent.first()?),
                Ok(_) => return Some(format!("{name} is still on {}", node.name)),
                Err(_) if is_owner => return Some(format!("{name} is not on {}", node.name)),
                Err(_) => return None,
            };
            let expected = sent.iter().map(|&interval| (interval, value(series, interval)));
            let missing = expected.clone().find(|point| !found.contains(point));
            let is_same = missing.is_none() && found.len() == sent.len();
            (!is_same).then(|| {
                format!("{name} on {}: {} points, lacks {missing:?}", node.name, found.len())
            })
        })
    }

    /// The journals of all plans say of each series that was put away that it had been verified, and the trash has no
    /// other files.
    pub(crate) fn check_removals(&self) {
        let entries = std::fs::read_dir(self.root()).unwrap().map(|entry| entry.unwrap().path());
        let journals = entries.filter(|path| path.extension().is_some_and(|end| end == "journal"));
        let trashed: usize = journals.map(|path| trashed(&path)).sum();
        let found: usize =
            self.nodes.iter().map(|node| files_below(&node.folder.join("trash"))).sum();
        assert_eq!(found, trashed, "files in the trash, and those that the journals tell of");
    }
}

/// The points of the finest archive since `first`.
fn points(file: File, first: i64) -> Vec<(i64, f64)> {
    let now = System::new().now_unix_seconds();
    let step = u32::try_from(STEP_S).unwrap();
    let fetched = Whisper::open(file).unwrap().fetch(first - STEP_S, now, now, Some(step));
    fetched.unwrap().unwrap().points().collect()
}

/// How many series a journal says were put away, each of them after it was verified.
fn trashed(journal: &Path) -> usize {
    let (mut verified, mut trashed) = (BTreeSet::new(), BTreeSet::new());
    for line in std::fs::read_to_string(journal).unwrap().lines() {
        // A line that a kill has cut off did not happen.
        let Ok(record) = serde_json::from_str::<Value>(line) else { continue };
        let step = record["step"].as_u64();
        match record["state"].as_str() {
            Some("verified") => drop(verified.insert(step)),
            Some("differs") => drop(verified.remove(&step)),
            Some("trashed") => {
                assert!(verified.contains(&step), "{}: {line}", journal.display());
                trashed.insert((step, record["node"].as_u64()));
            }
            _ => {}
        }
    }
    trashed.len()
}

fn files_below(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}
