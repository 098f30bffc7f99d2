//! Indents JSON that is already text, piece by piece.

/// Where in the text the indenter stands.
#[derive(Debug, Default)]
pub(crate) struct Pretty {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// An opening bracket was the last thing: an empty list stays on its line.
    opened: bool,
}

impl Pretty {
    /// The next piece, indented.
    pub(crate) fn indent(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() * 2);
        for &byte in piece {
            if self.in_string {
                out.push(byte);
                self.inside_string(byte);
            } else {
                self.between(byte, &mut out);
            }
        }
        out
    }

    fn inside_string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
    }

    fn between(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b' ' | b'\n' => return,
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.opened) {
                    self.break_line(out);
                }
                out.push(byte);
                return;
            }
            _ => {}
        }
        if std::mem::take(&mut self.opened) {
            self.break_line(out);
        }
        out.push(byte);
        match byte {
            b'[' | b'{' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.break_line(out),
            b':' => out.push(b' '),
            b'"' => self.in_string = true,
            _ => {}
        }
    }

    fn break_line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', self.depth * 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_indented_and_strings_are_left_alone() {
        let mut pretty = Pretty::default();
        let text = br#"[{"a": [], "b, {\"": [1, 2]}]"#;
        let out: Vec<u8> = text.chunks(3).flat_map(|piece| pretty.indent(piece)).collect();
        let expected =
            "[\n  {\n    \"a\": [],\n    \"b, {\\\"\": [\n      1,\n      2\n    ]\n  }\n]";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
