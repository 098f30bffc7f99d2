//! The file that says how far each node has come. The format: docs/formats/relay-log.md.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use segments::Position;

const FIRST_LINE: &str = "plumbago-relay-places 1";

/// How far one node has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SavedPlace {
    /// It needs nothing more up to here.
    pub(crate) done: Position,
    /// Nothing was kept for it behind.
    pub(crate) kept_until: Option<Position>,
}

/// The file of places.
#[derive(Debug)]
pub(super) struct PlacesFile {
    path: PathBuf,
    written: String,
}

impl PlacesFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join("places"), written: String::new() }
    }

    /// The places by the nodes' names; none where the file is missing or does not check.
    pub(super) fn read(&self) -> io::Result<Option<HashMap<String, SavedPlace>>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file if anything has changed.
    pub(super) fn write<'a>(
        &mut self,
        places: impl Iterator<Item = (&'a str, SavedPlace)>,
    ) -> io::Result<()> {
        let text = print(places);
        if text == self.written {
            return Ok(());
        }
        let unfinished = self.path.with_extension("tmp");
        fs::write(&unfinished, &text)?;
        fs::rename(&unfinished, &self.path)?;
        self.written = text;
        Ok(())
    }
}

fn print<'a>(places: impl Iterator<Item = (&'a str, SavedPlace)>) -> String {
    let mut text = format!("{FIRST_LINE}\n");
    for (name, SavedPlace { done, kept_until }) in places {
        let until = kept_until.map_or_else(|| "-".to_owned(), |until| until.0.to_string());
        text += &format!("{} {until} {name}\n", done.0);
    }
    let crc = crc32fast::hash(text.as_bytes());
    text + &format!("crc32 {crc:08x}\n")
}

fn parse(text: &str) -> Option<HashMap<String, SavedPlace>> {
    let (body, crc) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let body = &text[..body.len() + 1];
    let crc = u32::from_str_radix(crc.strip_prefix("crc32 ")?, 16).ok()?;
    let lines = body.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?.lines();
    if crc32fast::hash(body.as_bytes()) != crc {
        return None;
    }
    lines.map(place).collect()
}

fn place(line: &str) -> Option<(String, SavedPlace)> {
    let mut parts = line.splitn(3, ' ');
    let (done, until, name) = (parts.next()?, parts.next()?, parts.next()?);
    let kept_until = if until == "-" { None } else { Some(Position(until.parse().ok()?)) };
    Some((name.to_owned(), SavedPlace { done: Position(done.parse().ok()?), kept_until }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Vec<(&'static str, SavedPlace)> {
        let until = Some(Position(28_521_267_200_000_084));
        vec![
            ("10.0.0.1:2003=a", SavedPlace { done: Position(7), kept_until: None }),
            ("a node with spaces", SavedPlace { done: Position(u64::MAX), kept_until: until }),
        ]
    }

    #[test]
    fn places_come_back_from_the_file() {
        let folder = testkit::folder();
        let mut file = PlacesFile::new(folder.path());
        assert_eq!(file.read().unwrap(), None);
        file.write(saved().into_iter()).unwrap();
        let read = PlacesFile::new(folder.path()).read().unwrap().unwrap();
        let expected: HashMap<String, SavedPlace> =
            saved().into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn no_changed_byte_goes_unseen() {
        let text = print(saved().into_iter());
        assert!(text.starts_with("plumbago-relay-places 1\n7 - 10.0.0.1:2003=a\n"), "{text}");
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            // The crc is read in either case of its letters.
            let same = changed.eq_ignore_ascii_case(&text);
            assert!(same || parse(&changed).is_none(), "{changed}");
            assert!(parse(&text[..at]).is_none(), "{}", &text[..at]);
        }
    }
}
