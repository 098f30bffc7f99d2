//! Lists of names: how they are read and how they are printed.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::invocation::Failure;

/// How much of a list is read at once.
const INPUT_BUFFER_BYTES: usize = 64 * 1024;

/// How long the blocks of a list are, up to the end of the name that begins in them.
const BLOCK_BYTES: u64 = 1 << 20;

/// A list given to a command, one name a line.
#[derive(clap::Args)]
pub(crate) struct NameList {
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

    /// The names of a block, without the white space around them; empty lines are none.
    pub(super) fn names(self, block: &[u8]) -> impl Iterator<Item = &[u8]> {
        let lines = Lines { rest: block, separator: self.byte() };
        lines.map(move |line| self.name(line)).filter(|name| !name.is_empty())
    }

    /// The name on a line.
    fn name(self, line: &[u8]) -> &[u8] {
        if self.null { line } else { trimmed(line) }
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
    pub(crate) fn for_each(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut input = self.open()?;
        let mut line = Vec::new();
        while self.read(&mut *input, 0, &mut line)? {
            for name in self.separator.names(&line) {
                each(name)?;
            }
        }
        Ok(())
    }

    /// Calls `each` with as many blocks of whole names as `count`, or with fewer at the end.
    pub(super) fn for_each_blocks(
        &self,
        count: usize,
        mut each: impl FnMut(&[Vec<u8>]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut input = self.open()?;
        let mut blocks = vec![Vec::new(); count];
        loop {
            let mut full = 0;
            while full < count && self.read(&mut *input, BLOCK_BYTES, &mut blocks[full])? {
                full += 1;
            }
            if full == 0 {
                return Ok(());
            }
            each(&blocks[..full])?;
        }
    }

    /// Reads so many bytes and on to the end of a name; `false` at the end of the list.
    fn read(
        &self,
        input: &mut dyn BufRead,
        least: u64,
        block: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        block.clear();
        let read = Read::take(&mut *input, least).read_to_end(block);
        let read = read.and_then(|_bytes| input.read_until(self.separator.byte(), block));
        read.map_err(|error| Failure::of(&self.metrics_file, &error))?;
        Ok(!block.is_empty())
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

/// What stands between the separators of a block.
struct Lines<'a> {
    rest: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(self.separator, self.rest).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}

/// Without the white space around it, which for text is Unicode's.
fn trimmed(name: &[u8]) -> &[u8] {
    let is_bare = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if is_bare(name.first()) && is_bare(name.last()) {
        return name;
    }
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
    fn blocks_end_with_a_name_and_lose_none() {
        let name = |number: usize| format!("name-{number:0100}");
        let all: Vec<String> = (0..30_000).map(name).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(all.join("\n").as_bytes()).unwrap();
        let separator = Separator { null: false };
        let list = NameList { metrics_file: file.path().to_owned(), separator };
        let (mut names, mut calls) = (Vec::new(), 0);
        list.for_each_blocks(2, |blocks| {
            calls += 1;
            let found = blocks.iter().flat_map(|block| separator.names(block));
            names.extend(found.map(|name| String::from_utf8(name.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
        assert_eq!((names, calls), (all, 2));
    }

    #[test]
    fn names_between_nuls_keep_every_byte() {
        assert_eq!(read(true, b" a\nb\0\0c"), [&b" a\nb"[..], b"c"]);
    }
}
