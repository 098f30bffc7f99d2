//! What of a plan has been done: a file beside it, one line a step, so that a job goes on where it was stopped.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::invocation::Failure;

/// What has been done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Record {
    /// The node has what the source had.
    Copied { step: u32, node: u16 },
    /// The node lacks something that the source has.
    Differs { step: u32, node: u16, source: u16 },
    /// Every owner has all that every holder has.
    Verified { step: u32 },
    /// The node has given it up.
    Trashed { step: u32, node: u16 },
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct First {
    plan: String,
}

/// The state of a job.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Option<File>,
    plan: String,
    copied: HashSet<(u32, u16)>,
    differing: HashMap<(u32, u16), u16>,
    verified: HashSet<u32>,
    trashed: HashSet<(u32, u16)>,
}

impl Journal {
    /// Reads what there is beside a plan. A last line that was cut off did not happen.
    pub(crate) fn open(plan: &Path, id: &str) -> Result<Self, Failure> {
        let path = plan.with_added_extension("journal");
        let mut journal = Self {
            path,
            file: None,
            plan: id.to_owned(),
            copied: HashSet::new(),
            differing: HashMap::new(),
            verified: HashSet::new(),
            trashed: HashSet::new(),
        };
        let failed = |error: &dyn std::fmt::Display| Failure::of(&journal.path, error);
        let file = match File::open(&journal.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(journal),
            file => file.map_err(|error| failed(&error))?,
        };
        let mut lines = BufReader::new(file).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let first: First =
            serde_json::from_str(&first).map_err(|_other| failed(&"not the journal of a plan"))?;
        if first.plan != id {
            return Err(failed(&format!("the journal of another plan, {}", first.plan)));
        }
        let records = lines.map_while(Result::ok);
        let records = records.filter_map(|line| serde_json::from_str::<Record>(&line).ok());
        for record in records.collect::<Vec<_>>() {
            journal.note(&record);
        }
        Ok(journal)
    }

    /// Adds what was done, on the disk when this returns.
    pub(crate) fn add(&mut self, records: &[Record]) -> Result<(), Failure> {
        let mut text = Vec::new();
        for record in records {
            self.note(record);
            let line =
                serde_json::to_vec(record).map_err(|error| Failure::of(&self.path, &error))?;
            text.extend(line);
            text.push(b'\n');
        }
        let written = self.write(&text);
        written.map_err(|error| Failure::of(&self.path, &error))
    }

    fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        if self.file.is_none() {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            if file.metadata()?.len() == 0 {
                let first = serde_json::to_string(&First { plan: self.plan.clone() })?;
                file.write_all(format!("{first}\n").as_bytes())?;
            } else {
                // Ends the line that a death may have cut off.
                file.write_all(b"\n")?;
            }
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(text)?;
        file.sync_data()
    }

    fn note(&mut self, record: &Record) {
        match *record {
            Record::Copied { step, node } => {
                self.differing.remove(&(step, node));
                self.copied.insert((step, node));
            }
            Record::Differs { step, node, source } => {
                self.verified.remove(&step);
                self.differing.insert((step, node), source);
            }
            Record::Verified { step } => {
                self.verified.insert(step);
            }
            Record::Trashed { step, node } => {
                self.trashed.insert((step, node));
            }
        }
    }

    pub(crate) fn is_copied(&self, step: u32, node: u16) -> bool {
        self.copied.contains(&(step, node))
    }

    pub(crate) fn is_verified(&self, step: u32) -> bool {
        self.verified.contains(&step)
    }

    pub(crate) fn is_trashed(&self, step: u32, node: u16) -> bool {
        self.trashed.contains(&(step, node))
    }

    /// Nodes that lack something, and the node that has it.
    pub(crate) fn differing(&self) -> impl Iterator<Item = (u32, u16, u16)> {
        self.differing.iter().map(|(&(step, node), &source)| (step, node, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_goes_on_where_it_was_stopped_even_in_the_middle_of_a_line() {
        let folder = testkit::folder();
        let plan = folder.path().join("plan.jsonl");
        let mut journal = Journal::open(&plan, "7").unwrap();
        journal.add(&[Record::Copied { step: 0, node: 1 }]).unwrap();
        let differs = Record::Differs { step: 1, node: 1, source: 0 };
        journal.add(&[Record::Verified { step: 1 }, differs]).unwrap();
        let path = folder.path().join("plan.jsonl.journal");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"state\":\"trashed\",\"st");
        std::fs::write(&path, text).unwrap();
        let mut journal = Journal::open(&plan, "7").unwrap();
        assert!(journal.is_copied(0, 1) && !journal.is_copied(1, 1) && !journal.is_verified(1));
        assert_eq!(journal.differing().collect::<Vec<_>>(), [(1, 1, 0)]);
        journal.add(&[Record::Copied { step: 1, node: 1 }, Record::Verified { step: 1 }]).unwrap();
        let journal = Journal::open(&plan, "7").unwrap();
        assert!(journal.is_verified(1) && !journal.is_trashed(1, 0));
        assert_eq!(journal.differing().count(), 0);
        let other = Journal::open(&plan, "8").err().and_then(|failure| failure.message).unwrap();
        assert!(other.contains("the journal of another plan, 7"), "{other}");
    }
}
