//! Files of series in one compressed stream; docs/formats/moves.md has the bytes.

use std::io::{self, Read, Write};

use whisper::Header;

use super::digest::{DIGEST_BYTES, of_bytes};

const MAGIC: &[u8; 8] = b"PLUMSER1";

/// Effort of the compression: the wire is seldom the limit, the processor is.
const LEVEL: i32 = 1;

/// Bytes of files in one answer, after which no further file begins.
const FILES_BYTES_MAX: usize = 64 << 20;

/// Longest file that is taken.
const FILE_BYTES_MAX: u32 = 64 << 20;

/// Longest name that is taken.
const NAME_BYTES_MAX: u32 = 65_535;

/// What is said of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its file follows.
    File,
    /// There is no such series.
    Missing,
    /// Its file cannot be read.
    Unreadable,
    /// The answer was getting too large.
    LeftOut,
}

const STATES: [State; 4] = [State::File, State::Missing, State::Unreadable, State::LeftOut];

/// One series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which series.
    pub name: String,
    /// What is said of it.
    pub state: State,
    /// Empty in every state but the first.
    pub file: Vec<u8>,
}

/// Writes a stream into memory.
pub struct Writer {
    out: zstd::Encoder<'static, Vec<u8>>,
    files_bytes: usize,
    count: u32,
}

impl Writer {
    /// An empty stream.
    ///
    /// # Errors
    /// No memory for the compression.
    pub fn new() -> io::Result<Self> {
        let mut out = zstd::Encoder::new(Vec::new(), LEVEL)?;
        out.write_all(MAGIC)?;
        Ok(Self { out, files_bytes: 0, count: 0 })
    }

    /// Whether no further file fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.files_bytes >= FILES_BYTES_MAX
    }

    /// Adds a file, which is unreadable if it is none.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn add_file(&mut self, name: &str, file: &[u8]) -> io::Result<()> {
        let header = Header::parse(file, file.len() as u64).ok();
        let header = header.filter(|_| file.len() <= FILE_BYTES_MAX as usize);
        let Some(digests) = header.and_then(|header| digests(&header, file)) else {
            return self.add(name, State::Unreadable, &[]);
        };
        self.files_bytes += file.len();
        let mut head = u32::try_from(file.len()).unwrap_or(0).to_le_bytes().to_vec();
        head.push(u8::try_from(digests.len()).unwrap_or(0));
        head.extend(digests.concat());
        self.add(name, State::File, &head)?;
        self.out.write_all(file)
    }

    /// Adds what is said of a series, with the bytes that belong to it.
    pub(super) fn add(&mut self, name: &str, state: State, head: &[u8]) -> io::Result<()> {
        let name_bytes = u32::try_from(name.len()).unwrap_or(u32::MAX);
        self.out.write_all(&name_bytes.to_le_bytes())?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&[state as u8])?;
        self.count += 1;
        self.out.write_all(head)
    }

    /// The whole stream.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.out.write_all(&0_u32.to_le_bytes())?;
        self.out.write_all(&self.count.to_le_bytes())?;
        self.out.finish()
    }
}

/// Digests of the archives as they lie in the file; none if the file is shorter than its header says.
fn digests(header: &Header, file: &[u8]) -> Option<Vec<[u8; DIGEST_BYTES]>> {
    let region = |start: u64, end: u64| {
        file.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?).map(of_bytes)
    };
    let archives = header.archives.iter();
    archives.map(|archive| region(archive.offset.into(), archive.end())).collect()
}

/// Reads a stream entry by entry; ends after the first fault, and without one only at the stream's own end.
pub fn read(packed: &[u8]) -> impl Iterator<Item = io::Result<Entry>> {
    let mut reader =
        Reader { out: zstd::Decoder::with_buffer(packed).ok(), count: 0, begun: false };
    std::iter::from_fn(move || {
        let next = reader.next().transpose();
        if !matches!(next, Some(Ok(_))) {
            reader.out = None;
        }
        next
    })
}

struct Reader<'a> {
    out: Option<zstd::Decoder<'a, &'a [u8]>>,
    count: u32,
    begun: bool,
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("stream of series: {what}"))
}

impl Reader<'_> {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        let Some(out) = self.out.as_mut() else { return Ok(None) };
        if !self.begun {
            if take(out, MAGIC.len() as u32)? != MAGIC {
                return Err(wrong("not one"));
            }
            self.begun = true;
        }
        let name_bytes = number(out)?;
        if name_bytes == 0 {
            let is_whole = number(out)? == self.count;
            return if is_whole { Ok(None) } else { Err(wrong("another number of series")) };
        }
        if name_bytes > NAME_BYTES_MAX {
            return Err(wrong("a name is too long"));
        }
        let name = String::from_utf8(take(out, name_bytes)?);
        let name = name.map_err(|_not_text| wrong("a name is no text"))?;
        let state = STATES.get(usize::from(take(out, 1)?[0])).copied();
        let state = state.ok_or_else(|| wrong("an unknown state"))?;
        let file = if state == State::File { file(out)? } else { Vec::new() };
        self.count += 1;
        Ok(Some(Entry { name, state, file }))
    }
}

fn file(out: &mut impl Read) -> io::Result<Vec<u8>> {
    let file_bytes = number(out)?;
    if file_bytes > FILE_BYTES_MAX {
        return Err(wrong("a file is too long"));
    }
    let count = u32::from(take(out, 1)?[0]);
    let told = take(out, count * DIGEST_BYTES as u32)?;
    let file = take(out, file_bytes)?;
    let header = Header::parse(&file, file.len() as u64);
    let header = header.map_err(|error| wrong(&error.to_string()))?;
    match digests(&header, &file) {
        Some(digests) if digests.concat() == told => Ok(file),
        _ => Err(wrong("a file is not what its digests say")),
    }
}

fn number(out: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    out.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// So many bytes; memory grows with what comes, not with what is announced.
fn take(out: &mut impl Read, count: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    out.take(count.into()).read_to_end(&mut bytes)?;
    if bytes.len() == count as usize { Ok(bytes) } else { Err(wrong("it ends early")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use whisper::{Spec, parse_retentions};

    use super::*;

    fn file_of(fill: u8) -> Vec<u8> {
        let header = Spec::new(parse_retentions("10s:1m,1m:5m").unwrap()).header().unwrap();
        let mut bytes = header.to_bytes();
        bytes.resize(usize::try_from(header.file_bytes()).unwrap(), fill);
        bytes
    }

    fn packed() -> Vec<u8> {
        let mut writer = Writer::new().unwrap();
        writer.add_file("a.b", &file_of(3)).unwrap();
        writer.add("gone", State::Missing, &[]).unwrap();
        writer.add_file("odd", b"no file").unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn what_goes_in_comes_out() {
        let entries: Vec<Entry> = read(&packed()).map(Result::unwrap).collect();
        let entry = |name: &str, state, file| Entry { name: name.to_owned(), state, file };
        assert_eq!(entries[0], entry("a.b", State::File, file_of(3)));
        assert_eq!(entries[1], entry("gone", State::Missing, Vec::new()));
        assert_eq!(entries[2], entry("odd", State::Unreadable, Vec::new()));
        assert_eq!(entries.len(), 3);
    }

    #[test]
    fn a_changed_byte_of_a_file_is_noticed() {
        let plain = zstd::decode_all(&packed()[..]).unwrap();
        let at = plain.windows(8).position(|bytes| bytes == [3; 8]).unwrap();
        let mut changed = plain;
        changed[at + 20] = 4;
        let changed = zstd::encode_all(&changed[..], 1).unwrap();
        let first = read(&changed).next().unwrap().unwrap_err().to_string();
        assert!(first.contains("digests"), "{first}");
        assert_eq!(read(&changed).count(), 1, "nothing after a fault is believed");
    }

    proptest! {
        #[test]
        fn a_cut_stream_says_so(cut in 0.0..1.0f64) {
            let packed = packed();
            let end = (packed.len() as f64 * cut) as usize;
            prop_assert!(read(&packed[..end]).any(|entry| entry.is_err()) || end == 0);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let plain = [&MAGIC[..], &bytes].concat();
            read(&zstd::encode_all(&plain[..], 1).unwrap()).for_each(drop);
            read(&bytes).for_each(drop);
        }
    }
}
