//! Lists of names: how they are read and how they are printed.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::invocation::Failure;

/// How much of a list is read at once.
const INPUT_BUFFER_BYTES: usize = 64 * 1024;

/// A list given to a command, one name a line.
#[derive(clap::Args)]
pub(super) struct NameList {
    /// File with the names, or - for standard input.
    #[arg(short = 'f', long, value_name = "FILE", default_value = "-")]
    metrics_file: PathBuf,
    #[command(flatten)]
    separator: Separator,
}

/// What stands behind each name.
#[derive(Clone, Copy, clap::Args)]
pub(super) struct Separator {
    /// Names end in a NUL byte instead of a newline, where read and where printed.
    #[arg(short = '0', long)]
    null: bool,
}

impl Separator {
    pub(super) fn byte(self) -> u8 {
        if self.null { 0 } else { b'\n' }
    }

    /// Prints a name or path.
    pub(super) fn print(self, out: &mut dyn Write, item: &[u8]) -> io::Result<()> {
        out.write_all(item)?;
        out.write_all(&[self.byte()])
    }
}

impl NameList {
    pub(super) fn separator(&self) -> Separator {
        self.separator
    }

    /// Calls `each` with every name, without the white space around it; empty lines are none.
    pub(super) fn for_each(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut input = self.open()?;
        let mut line = Vec::new();
        loop {
            let read = input.read_until(self.separator.byte(), &mut line);
            if read.map_err(|error| Failure::of(&self.metrics_file, &error))? == 0 {
                return Ok(());
            }
            let name = line.strip_suffix(&[self.separator.byte()]).unwrap_or(&line);
            let name = if self.separator.null { name } else { trimmed(name) };
            if !name.is_empty() {
                each(name)?;
            }
            line.clear();
        }
    }

    fn open(&self) -> Result<Box<dyn BufRead>, Failure> {
        if self.metrics_file == Path::new("-") {
            return Ok(Box::new(BufReader::with_capacity(INPUT_BUFFER_BYTES, io::stdin())));
        }
        let file = File::open(&self.metrics_file)
            .map_err(|error| Failure::of(&self.metrics_file, &error))?;
        Ok(Box::new(BufReader::with_capacity(INPUT_BUFFER_BYTES, file)))
    }
}

/// Without the white space around it, which for text is Unicode's.
fn trimmed(name: &[u8]) -> &[u8] {
    str::from_utf8(name).map_or_else(|_binary| name.trim_ascii(), |text| text.trim().as_bytes())
}

/// A name as JSON and complaints show it.
pub(super) fn lossy(name: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(null: bool, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let list = NameList { metrics_file: file.path().to_owned(), separator: Separator { null } };
        let mut names = Vec::new();
        list.for_each(|name| {
            names.push(name.to_vec());
            Ok(())
        })
        .unwrap();
        names
    }

    #[test]
    fn lines_lose_white_space_and_empty_ones_are_skipped() {
        let names = read(false, b" a.b \r\n\n\xff.c\t\n\xe2\x80\x83d\xe2\x80\x83\nlast");
        assert_eq!(names, [&b"a.b"[..], b"\xff.c", b"d", b"last"]);
    }

    #[test]
    fn names_between_nuls_keep_every_byte() {
        assert_eq!(read(true, b" a\nb\0\0c"), [&b" a\nb"[..], b"c"]);
    }
}
