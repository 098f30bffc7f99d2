//! Records of the relay's log as bytes. The bytes: docs/formats/relay-log.md.

use segments::{Kind, Record};

/// How the segments of a relay's log are told from others.
pub(super) const KIND: Kind = Kind {
    name: "relay log",
    magic: *b"PLUMRLAY",
    suffix: ".relay",
    thread: "relay-log",
    sync_thread: "relay-log-sync",
};

/// The only kind of record so far.
const LINES: u8 = 1;
/// A longer batch is cut.
const PIECE_BYTES_MAX: usize = 256 << 10;
const KEY_BYTES: usize = 8;

/// What stands for a node in the log.
pub(crate) fn key_of(name: &str) -> u64 {
    ring::fnv1a_64(name.as_bytes(), false)
}

/// Lines for a set of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lines<'a> {
    keys: Keys<'a>,
    pub(crate) lines: u32,
    pub(crate) bytes: &'a [u8],
}

/// Keys of nodes, as numbers or as they lie in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys<'a> {
    Numbers(&'a [u64]),
    Bytes(&'a [u8]),
}

impl<'a> Lines<'a> {
    /// Whole lines for the nodes with these keys, at most 255.
    pub(crate) fn new(keys: &'a [u64], lines: u64, bytes: &'a [u8]) -> Self {
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        Self { keys: Keys::Numbers(keys), lines, bytes }
    }

    /// What the fields of a record say; none if they make no sense, or the kind is not known.
    fn decode(kind: u8, fields: &'a [u8]) -> Option<Self> {
        let (&count, rest) = fields.split_first().filter(|_| kind == LINES)?;
        let (keys, rest) = rest.split_at_checked(usize::from(count) * KEY_BYTES)?;
        let (lines, bytes) = rest.split_first_chunk()?;
        Some(Self { keys: Keys::Bytes(keys), lines: u32::from_le_bytes(*lines), bytes })
    }

    /// The nodes that it is for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> {
        let (numbers, bytes): (&[u64], &[u8]) = match self.keys {
            Keys::Numbers(numbers) => (numbers, &[]),
            Keys::Bytes(bytes) => (&[], bytes),
        };
        let (chunks, _) = bytes.as_chunks();
        numbers.iter().copied().chain(chunks.iter().map(|key| u64::from_le_bytes(*key)))
    }

    fn piece(&self, bytes: &'a [u8]) -> Self {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        Self { lines: u32::try_from(lines).unwrap_or(u32::MAX), bytes, ..*self }
    }
}

impl Record for Lines<'_> {
    fn kind(&self) -> u8 {
        LINES
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.push(u8::try_from(self.keys().count()).expect("a set has at most 255 nodes"));
        self.keys().for_each(|key| into.extend_from_slice(&key.to_le_bytes()));
        into.extend_from_slice(&self.lines.to_le_bytes());
        into.extend_from_slice(self.bytes);
    }

    fn items(&self) -> u64 {
        u64::from(self.lines)
    }

    fn in_pieces(self, each: &mut dyn FnMut(Self)) {
        let mut rest = self.bytes;
        while rest.len() > PIECE_BYTES_MAX {
            let newline = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n');
            let end = newline(&rest[..PIECE_BYTES_MAX]).map_or(PIECE_BYTES_MAX, |at| at + 1);
            let (piece, others) = rest.split_at(end);
            each(self.piece(piece));
            rest = others;
        }
        if rest.len() == self.bytes.len() { each(self) } else { each(self.piece(rest)) }
    }
}

/// The lines of a frame; what makes no sense, or is of a newer program, is left out.
pub(crate) fn lines_of(body: &[u8]) -> impl Iterator<Item = Lines<'_>> {
    segments::records(body).filter_map(|record| {
        let (kind, fields) = record.ok()?;
        Lines::decode(kind, fields)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(records: &[Lines<'_>]) -> Vec<u8> {
        let mut body = Vec::new();
        for record in records {
            let mut fields = Vec::new();
            record.encode(&mut fields);
            body.push(LINES);
            body.extend_from_slice(&(fields.len() as u32).to_le_bytes());
            body.extend_from_slice(&fields);
        }
        body
    }

    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let recorded = [
            1, 31, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 128, 1, 0, 0, 0,
            b'a', b'.', b'b', b' ', b'1', b' ', b'6', b'\n', b'x', b'\n',
        ];
        let keys = [1, (1 << 63) + 255];
        let lines = Lines::new(&keys, 1, b"a.b 1 6\nx\n");
        assert_eq!(body(&[lines]), recorded);
        let read: Vec<Lines<'_>> = lines_of(&recorded).collect();
        assert_eq!((read.len(), read[0].bytes, read[0].lines), (1, lines.bytes, 1));
        assert!(read[0].keys().eq(keys));
        assert_eq!(key_of("10.0.0.1:2003=a"), 0xb59c_4a66_a7e3_018c);
    }

    #[test]
    fn a_long_batch_is_cut_between_lines() {
        let text = "some.name 1 1700000000\n".repeat(40_000);
        let mut pieces = Vec::new();
        Lines::new(&[7], 40_000, text.as_bytes()).in_pieces(&mut |piece| {
            assert!(piece.bytes.len() <= PIECE_BYTES_MAX && piece.bytes.ends_with(b"\n"));
            assert!(piece.keys().eq([7]));
            pieces.push((piece.lines, piece.bytes));
        });
        assert!(pieces.len() > 3);
        assert_eq!(pieces.iter().map(|(lines, _)| lines).sum::<u32>(), 40_000);
        let bytes: Vec<&[u8]> = pieces.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes.concat(), text.as_bytes());
    }

    proptest! {
        #[test]
        fn lines_come_back(
            batches in proptest::collection::vec(
                (proptest::collection::vec(any::<u64>(), 0..5), ".{0,50}\n"),
                0..6,
            ),
        ) {
            let records: Vec<Lines<'_>> = batches
                .iter()
                .map(|(keys, text)| Lines::new(keys, 1, text.as_bytes()))
                .collect();
            let body = body(&records);
            let read: Vec<(Vec<u64>, &[u8])> =
                lines_of(&body).map(|lines| (lines.keys().collect(), lines.bytes)).collect();
            let expected: Vec<(Vec<u64>, &[u8])> =
                batches.iter().map(|(keys, text)| (keys.clone(), text.as_bytes())).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_are_read_without_harm(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read: usize = lines_of(&body).map(|lines| lines.bytes.len()).sum();
            prop_assert!(read <= body.len());
        }
    }
}
