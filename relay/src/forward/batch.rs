//! Lines for the nodes of one set, as they will be sent.

use ingest::Point;

/// Whole lines in one buffer.
#[derive(Debug, Default)]
pub(crate) struct LineBatch {
    bytes: Vec<u8>,
    lines: u64,
}

impl LineBatch {
    /// A batch of lines that were written before.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Self { bytes, lines }
    }

    /// Makes room for exactly so many bytes more.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        self.bytes.reserve_exact(bytes);
    }

    /// Adds a point: its own line where that may stand as it is, a new one where not.
    pub(crate) fn push(&mut self, point: &Point<'_>) {
        if let Some(line) = point.line {
            self.bytes.extend_from_slice(line);
            self.bytes.push(b'\n');
            self.lines += 1;
            return;
        }
        self.write(point, &point.name);
    }

    /// Adds a point under another name; the text of its value stays as it was sent.
    pub(crate) fn push_renamed(&mut self, point: &Point<'_>, name: &str) {
        let Some(line) = point.line else { return self.write(point, name) };
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(&line[point.name.len()..]);
        self.bytes.push(b'\n');
        self.lines += 1;
    }

    fn write(&mut self, point: &Point<'_>, name: &str) {
        let (name, timestamp) = (name.as_bytes(), i64::from(point.timestamp));
        let written = wire::line::write_line(&mut self.bytes, name, point.value, timestamp);
        // Listeners admit finite values only, so there is always a line for a point.
        self.lines += u64::from(written.is_ok());
    }

    /// Adds whole lines.
    pub(crate) fn add(&mut self, bytes: &[u8], lines: u64) {
        self.bytes.extend_from_slice(bytes);
        self.lines += lines;
    }

    /// The same lines in batches of at most `bytes_max`, unless a line alone is longer.
    pub(crate) fn in_pieces(self, bytes_max: usize) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut rest = self;
        while rest.bytes.len() > bytes_max {
            let newline = memchr::memrchr(b'\n', &rest.bytes[..bytes_max])
                .or_else(|| memchr::memchr(b'\n', &rest.bytes));
            let end = newline.map_or(rest.bytes.len(), |at| at + 1);
            let others = rest.bytes.split_off(end);
            pieces.push(Self::from_bytes(rest.bytes));
            rest = Self::from_bytes(others);
        }
        if !rest.is_empty() {
            pieces.push(rest);
        }
        pieces
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}
