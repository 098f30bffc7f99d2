//! What comes over sockets: carbon lines, pickle, and the replies of storage nodes.

use wire::framing::{LineFramer, frames};
use wire::line::{self, Rules};
use wire::pickle::Document;
use wire::reply::{Caps, Format, decode_find, decode_info, decode_render};

use crate::grammar::NOW;

const LINE_BYTES_MAX: usize = 64;
const FRAME_BYTES_MAX: usize = 4096;
const CAPS: Caps = Caps { bytes_max: 1 << 20, items_max: 1000 };

/// Lines cut in two reads are those of one read, and what parses can be written and parsed again.
pub(crate) fn lines(bytes: &[u8]) {
    let rules = Rules::at(NOW);
    let mut framer = LineFramer::new(LINE_BYTES_MAX);
    let whole: Vec<_> = framer.lines(bytes).map(|line| line.map(<[u8]>::to_vec)).collect();
    for text in whole.iter().flatten() {
        let Ok(Some(read)) = line::parse(text, &rules) else { continue };
        assert!(!read.name.is_empty() && read.value.is_finite());
        let mut again = Vec::new();
        let written = line::write_line(&mut again, read.name, read.value, read.timestamp);
        assert!(written.is_ok(), "{read:?} cannot be written");
        let again = again.strip_suffix(b"\n").unwrap_or(&again);
        let back = line::parse(again, &rules);
        assert!(matches!(back, Ok(Some(back)) if back.value == read.value), "{back:?}");
    }
    assert_eq!(in_two_reads(bytes), whole);
}

fn in_two_reads(bytes: &[u8]) -> Vec<Result<Vec<u8>, wire::RefusalReason>> {
    let mut framer = LineFramer::new(LINE_BYTES_MAX);
    let mut found = Vec::new();
    let mut buffer = Vec::new();
    for part in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
        buffer.extend_from_slice(part);
        let mut lines = framer.lines(&buffer);
        found.extend(lines.by_ref().map(|line| line.map(<[u8]>::to_vec)));
        let consumed = lines.consumed();
        buffer.drain(..consumed);
    }
    found
}

/// Frames of points, and a document by itself.
pub(crate) fn pickle(bytes: &[u8]) {
    for frame in frames(bytes, FRAME_BYTES_MAX).flatten() {
        points(frame);
    }
    points(bytes);
}

fn points(frame: &[u8]) {
    let Ok(document) = Document::decode(frame) else { return };
    let rules = Rules::at(NOW);
    // Entries may share their pairs, up to twice as many as there are bytes.
    assert!(document.points(&rules).count() <= frame.len() * 3, "more points than bytes allow");
    // Refused or not, it ends.
    drop(document.to_value());
}

/// The first byte chooses format and kind.
pub(crate) fn replies(bytes: &[u8]) {
    const FORMATS: [Format; 5] =
        [Format::Json, Format::Pickle, Format::Msgpack, Format::V2, Format::V3];
    let Some((choice, body)) = bytes.split_first() else { return };
    let format = FORMATS[usize::from(choice % 5)];
    match choice / 5 % 3 {
        0 => {
            let Ok(reply) = decode_render(format, body, CAPS) else { return };
            assert!(reply.series.len() <= CAPS.items_max);
            for one in &reply.series {
                assert!(one.step > 0 && one.values.len() <= body.len() * 8, "{}", one.name);
            }
        }
        1 => drop(decode_find(format, body, CAPS)),
        _ => drop(decode_info(format, body, CAPS)),
    }
}
