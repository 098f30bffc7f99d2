//! Protocol 2, the newest that every Python since 2.3 reads.

use crate::tree::Writer;

/// Writes one pickle. Text is unicode (BINUNICODE), which Python 3 reads as `str`.
#[derive(Debug)]
pub struct Pickler<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Pickler<'o> {
    /// Begins a pickle at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.extend_from_slice(b"\x80\x02");
        Self { out }
    }

    /// Goes on with a pickle that was begun earlier on the same bytes.
    pub(crate) const fn resume(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Ends the pickle.
    pub fn finish(self) {
        self.out.push(b'.');
    }
}

impl Writer for Pickler<'_> {
    fn null(&mut self) {
        self.out.push(b'N');
    }

    fn bool(&mut self, value: bool) {
        self.out.push(if value { 0x88 } else { 0x89 });
    }

    fn int(&mut self, value: i64) {
        if let Ok(value) = i32::try_from(value) {
            self.out.push(b'J');
            self.out.extend_from_slice(&value.to_le_bytes());
        } else {
            self.out.extend_from_slice(&[0x8a, 8]);
            self.out.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn float(&mut self, value: f64) {
        self.out.push(b'G');
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn text(&mut self, value: &str) {
        let length = u32::try_from(value.len()).expect("names and labels are far below 4 GiB");
        self.out.push(b'X');
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(value.as_bytes());
    }

    fn begin_list(&mut self, _: usize) {
        self.out.extend_from_slice(b"](");
    }

    fn end_list(&mut self) {
        self.out.push(b'e');
    }

    fn begin_tuple(&mut self, _: usize) {
        self.out.push(b'(');
    }

    fn end_tuple(&mut self) {
        self.out.push(b't');
    }

    fn begin_map(&mut self, _: usize) {
        self.out.extend_from_slice(b"}(");
    }

    fn end_map(&mut self) {
        self.out.push(b'u');
    }
}
