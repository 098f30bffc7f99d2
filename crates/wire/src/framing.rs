//! Cutting byte streams into lines and length-prefixed frames, in bounded memory.

use crate::RefusalReason;

/// Longest line a listener accepts by default, without its newline.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// So many over-long lines in a row, and the sender does not speak this protocol.
pub const LONG_LINES_IN_A_ROW_MAX: u32 = 10;

/// Largest length-prefixed frame a listener accepts by default, prefix not counted.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the big-endian length before each frame.
pub const FRAME_PREFIX_BYTES: usize = 4;

/// Finds the lines in a buffer that the caller owns and refills.
///
/// The caller appends what it reads to its buffer, takes [`LineFramer::lines`] to the end, then
/// drops the first [`Lines::consumed`] bytes. What stays is the start of one unfinished line,
/// at most the limit long: a buffer larger than the limit can always be read into again. Lines
/// borrow from the buffer, so a whole read can be parsed and handed on as one batch.
#[derive(Debug, Clone)]
pub struct LineFramer {
    line_bytes_max: usize,
    skipping: bool,
    long_in_a_row: u32,
}

impl LineFramer {
    /// A framer for lines of at most so many bytes, newline not counted.
    #[must_use]
    pub const fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, skipping: false, long_in_a_row: 0 }
    }

    /// The complete lines at the front of `buffer`, each without its newline.
    ///
    /// An over-long line is one `Err`, however many reads it spans.
    pub fn lines<'f, 'b>(&'f mut self, buffer: &'b [u8]) -> Lines<'f, 'b> {
        Lines { framer: self, buffer, consumed: 0 }
    }

    /// What the end of a stream leaves: the unfinished last line, for carriers where a last line
    /// needs no newline (datagrams, HTTP bodies). `None` if nothing, or only a skipped line's
    /// tail, is left.
    pub fn last_line<'b>(&mut self, rest: &'b [u8]) -> Option<&'b [u8]> {
        let skipped = std::mem::take(&mut self.skipping);
        (!skipped && !rest.is_empty()).then_some(rest)
    }

    /// Whether over-long lines came [`LONG_LINES_IN_A_ROW_MAX`] times in a row: time to close.
    #[must_use]
    pub const fn should_close(&self) -> bool {
        self.long_in_a_row >= LONG_LINES_IN_A_ROW_MAX
    }
}

impl Default for LineFramer {
    fn default() -> Self {
        Self::new(LINE_BYTES_MAX)
    }
}

/// The lines of one buffer; see [`LineFramer::lines`].
#[derive(Debug)]
pub struct Lines<'f, 'b> {
    framer: &'f mut LineFramer,
    buffer: &'b [u8],
    consumed: usize,
}

impl Lines<'_, '_> {
    /// Bytes at the front of the buffer that are done with.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.consumed
    }

    fn too_long(&mut self) -> RefusalReason {
        self.framer.long_in_a_row = self.framer.long_in_a_row.saturating_add(1);
        RefusalReason::LineTooLong
    }
}

impl<'b> Iterator for Lines<'_, 'b> {
    type Item = Result<&'b [u8], RefusalReason>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.buffer[self.consumed..];
            let Some(end) = memchr::memchr(b'\n', rest) else {
                let keep = !self.framer.skipping && rest.len() <= self.framer.line_bytes_max;
                if keep {
                    return None;
                }
                self.consumed = self.buffer.len();
                let first_sight = !std::mem::replace(&mut self.framer.skipping, true);
                return first_sight.then(|| Err(self.too_long()));
            };
            self.consumed += end + 1;
            if std::mem::take(&mut self.framer.skipping) {
                continue;
            }
            if end > self.framer.line_bytes_max {
                return Some(Err(self.too_long()));
            }
            self.framer.long_in_a_row = 0;
            return Some(Ok(&rest[..end]));
        }
    }
}

/// The complete frames at the front of a buffer; each is preceded by its length in four bytes,
/// big-endian, as pickle, protobuf ingest and carbonlink send them.
///
/// The caller owns the buffer and grows it as bytes arrive, never by what a prefix announces;
/// after the loop it drops [`Frames::consumed`] bytes. A frame over the limit is one `Err` and
/// the end: the stream has no mark to resume at, so the connection must be closed.
pub fn frames(buffer: &[u8], frame_bytes_max: usize) -> Frames<'_> {
    Frames { buffer, frame_bytes_max, consumed: 0, failed: false }
}

/// See [`frames`].
#[derive(Debug)]
pub struct Frames<'b> {
    buffer: &'b [u8],
    frame_bytes_max: usize,
    consumed: usize,
    failed: bool,
}

impl Frames<'_> {
    /// Bytes at the front of the buffer that are done with.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.consumed
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Result<&'b [u8], RefusalReason>;

    fn next(&mut self) -> Option<Self::Item> {
        let (prefix, rest) = self.buffer[self.consumed..].split_first_chunk()?;
        if self.failed {
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > self.frame_bytes_max {
            self.failed = true;
            return Some(Err(RefusalReason::FrameTooLong));
        }
        let frame = rest.get(..length)?;
        self.consumed += FRAME_PREFIX_BYTES + length;
        Some(Ok(frame))
    }
}

/// Appends a frame whose body is written by `body`, then fills in its length.
///
/// # Errors
/// [`RefusalReason::FrameTooLong`] when the body passes 4 GiB; `out` is then as it was.
pub fn write_frame(
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>),
) -> Result<(), RefusalReason> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_PREFIX_BYTES]);
    body(out);
    let body_start = start + FRAME_PREFIX_BYTES;
    let Ok(length) = u32::try_from(out.len() - body_start) else {
        out.truncate(start);
        return Err(RefusalReason::FrameTooLong);
    };
    out[start..body_start].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds chunks as a listener does; returns lines, and the most bytes it ever held.
    fn run(framer: &mut LineFramer, chunks: &[&[u8]]) -> (Vec<Option<Vec<u8>>>, usize) {
        let (mut held, mut held_max, mut seen) = (Vec::new(), 0, Vec::new());
        for chunk in chunks {
            held.extend_from_slice(chunk);
            let mut lines = framer.lines(&held);
            seen.extend(lines.by_ref().map(|line| line.ok().map(<[u8]>::to_vec)));
            let consumed = lines.consumed();
            held.drain(..consumed);
            held_max = held_max.max(held.len());
        }
        (seen, held_max)
    }

    #[test]
    fn lines_split_over_reads_come_out_whole() {
        let mut framer = LineFramer::default();
        let (seen, _) = run(&mut framer, &[b"a 1", b" 2\nb", b"", b" 3 4\n\nc"]);
        let want = [&b"a 1 2"[..], b"b 3 4", b""].map(|l| Some(l.to_vec()));
        assert_eq!(seen, want);
        assert_eq!(framer.last_line(b"c"), Some(&b"c"[..]));
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_byte_more_is_refused_once() {
        let mut framer = LineFramer::new(4);
        let (seen, held) = run(&mut framer, &[b"1234\n12345\nok\n", b"12345", b"6789", b"0\nok\n"]);
        let ok = Some(b"ok".to_vec());
        assert_eq!(seen, [Some(b"1234".to_vec()), None, ok.clone(), None, ok]);
        assert!(held <= 4);
    }

    #[test]
    fn the_tail_of_a_skipped_line_is_not_a_last_line() {
        let mut framer = LineFramer::new(4);
        let (seen, _) = run(&mut framer, &[b"123456"]);
        assert_eq!(seen, [None]);
        assert_eq!(framer.last_line(b"78"), None);
    }

    #[test]
    fn ten_long_lines_in_a_row_ask_for_the_connection_to_close() {
        let mut framer = LineFramer::new(2);
        run(
            &mut framer,
            &[b"long\n".repeat(9).as_slice(), b"ok\n", b"long\n".repeat(9).as_slice()],
        );
        assert!(!framer.should_close());
        run(&mut framer, &[b"long\n"]);
        assert!(framer.should_close());
    }

    #[test]
    fn frames_come_out_whole_and_a_torn_one_waits() {
        let mut buffer = Vec::new();
        for body in ["one", "", "three"] {
            write_frame(&mut buffer, |out| out.extend_from_slice(body.as_bytes())).unwrap();
        }
        let whole = buffer.len();
        buffer.extend_from_slice(&[0, 0, 0, 9, b'x']);
        let mut found = frames(&buffer, 16);
        let seen: Vec<_> = found.by_ref().map(Result::unwrap).collect();
        assert_eq!(seen, [&b"one"[..], b"", b"three"]);
        assert_eq!(found.consumed(), whole);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_from_its_prefix_alone() {
        let mut found = frames(&[0xff, 0xff, 0xff, 0xff], FRAME_BYTES_MAX);
        assert_eq!(found.next(), Some(Err(RefusalReason::FrameTooLong)));
        assert_eq!(found.next(), None);
        assert_eq!(found.consumed(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_the_frame_cutter(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut found = frames(&bytes, 8);
            prop_assert!(found.by_ref().count() <= bytes.len());
            prop_assert!(found.consumed() <= bytes.len());
        }

        #[test]
        fn any_cut_gives_the_same_lines_in_bounded_memory(
            bytes in prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'\n']), 0..300),
            step in 1_usize..40,
        ) {
            let chunks: Vec<&[u8]> = bytes.chunks(step).collect();
            let (seen, held) = run(&mut LineFramer::new(8), &chunks);
            let (whole, _) = run(&mut LineFramer::new(8), &[&bytes]);
            prop_assert_eq!(seen, whole);
            prop_assert!(held <= 8);
        }
    }
}
