//! The stack machine: instructions in, an arena of nodes out.

use super::PickleError;
use crate::tree::{NESTING_MAX, Value};
use std::borrow::Cow;

/// Index of a node in the arena.
pub(super) type Id = u32;

/// Memo slots that were never filled.
const UNSET: Id = Id::MAX;

/// One object. Containers hold indexes, so that a list memoised while empty and filled later is
/// seen filled by everything that refers to it, and a cycle costs nothing.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, [u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// Keys and values in turn.
    Map(Vec<Id>),
}

/// A decoded pickle, borrowing its strings from the frame.
#[derive(Debug)]
pub struct Document<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    frame_bytes: usize,
}

impl<'a> Document<'a> {
    /// Runs the pickle up to its STOP; bytes after that are ignored.
    ///
    /// # Errors
    /// The first thing in the frame that is not plain data.
    pub fn decode(frame: &'a [u8]) -> Result<Self, PickleError> {
        let mut machine = Machine::new(frame);
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Self { nodes: machine.nodes, root, frame_bytes: frame.len() })
    }

    /// The whole document as a tree, shared parts unfolded.
    ///
    /// # Errors
    /// [`PickleError::TooDeep`] or [`PickleError::TooLarge`].
    pub fn to_value(&self) -> Result<Value<'_>, PickleError> {
        let mut left = self.unfolded_max();
        self.unfold(self.root, NESTING_MAX, &mut left)
    }

    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id as usize]
    }

    pub(super) const fn root(&self) -> Id {
        self.root
    }

    /// A pair of numbers that many series share unfolds to a few nodes for every two bytes.
    pub(super) const fn unfolded_max(&self) -> usize {
        self.frame_bytes.saturating_mul(2)
    }

    fn unfold(&self, id: Id, depth: usize, left: &mut usize) -> Result<Value<'_>, PickleError> {
        *left = left.checked_sub(1).ok_or(PickleError::TooLarge)?;
        let mut items = |ids: &[Id]| -> Result<Vec<Value<'_>>, PickleError> {
            let depth = depth.checked_sub(1).ok_or(PickleError::TooDeep)?;
            ids.iter().map(|&id| self.unfold(id, depth, left)).collect()
        };
        Ok(match self.node(id) {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Float(value) => Value::Float(*value),
            Node::Text(text) => Value::Text(Cow::Borrowed(text)),
            Node::List(ids) | Node::Tuple(ids) => Value::List(items(ids)?),
            Node::Map(ids) => Value::Map(pairs(items(ids)?)),
        })
    }
}

fn pairs<'a>(flat: Vec<Value<'a>>) -> Vec<(Value<'a>, Value<'a>)> {
    let mut flat = flat.into_iter();
    std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
}

struct Machine<'a> {
    frame: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Stack heights at each open MARK.
    marks: Vec<usize>,
    memo: Vec<Id>,
}

impl<'a> Machine<'a> {
    fn new(frame: &'a [u8]) -> Self {
        Self { frame, at: 0, nodes: vec![], stack: vec![], marks: vec![], memo: vec![] }
    }

    /// Runs one instruction; false at STOP.
    fn step(&mut self) -> Result<bool, PickleError> {
        let at = self.at;
        let opcode = self.array::<1>()?[0];
        match opcode {
            b'.' => return Ok(false),
            0x80 => drop(self.array::<1>()?), // PROTO
            0x95 => drop(self.array::<8>()?), // FRAME
            b'(' | b'0' | b'1' | b'2' => self.arrange(opcode)?,
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.memo(opcode)?,
            b'N' => self.push(Node::Null)?,
            0x88 | 0x89 => self.push(Node::Bool(opcode == 0x88))?,
            b'I' | b'L' | b'F' | b'J' | b'K' | b'M' | b'G' | 0x8a | 0x8b => {
                let node = self.number(opcode)?;
                self.push(node)?;
            }
            b'S' | b'V' | b'T' | b'U' | b'X' | b'B' | b'C' | 0x8c | 0x8d | 0x8e | 0x96 => {
                let text = self.text(opcode)?;
                self.push(Node::Text(text))?;
            }
            b']' | b')' | b'}' | b'l' | b't' | b'd' | 0x85..=0x87 => self.build(opcode)?,
            b'a' | b'e' | b's' | b'u' => self.fill(opcode)?,
            _ => return Err(PickleError::Forbidden { opcode, at }),
        }
        Ok(true)
    }

    /// MARK, POP, POP_MARK, DUP.
    fn arrange(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            b'(' if self.marks.len() >= NESTING_MAX => return Err(PickleError::TooDeep),
            b'(' => self.marks.push(self.stack.len()),
            // POP takes a MARK if that is what lies on top.
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            _ => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
            }
        }
        Ok(())
    }

    /// PUT, BINPUT, LONG_BINPUT, MEMOIZE; GET, BINGET, LONG_BINGET.
    fn memo(&mut self, opcode: u8) -> Result<(), PickleError> {
        let slot = match opcode {
            b'p' | b'g' => self.parsed_line::<usize>()?,
            b'q' | b'h' => usize::from(self.array::<1>()?[0]),
            b'r' | b'j' => self.length_u32()?,
            _ => self.memo.len(),
        };
        if matches!(opcode, b'g' | b'h' | b'j') {
            let id = self.memo.get(slot).copied().filter(|&id| id != UNSET);
            self.stack.push(id.ok_or_else(|| self.bad_operand())?);
            return Ok(());
        }
        // Slots are handed out in turn, so one beyond the frame's size is an attack on memory;
        // some of Python's picklers count from 1.
        if slot > self.frame.len() {
            return Err(self.bad_operand());
        }
        let top = *self.stack.last().ok_or_else(|| self.bad_stack())?;
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, UNSET);
        }
        self.memo[slot] = top;
        Ok(())
    }

    fn number(&mut self, opcode: u8) -> Result<Node<'a>, PickleError> {
        Ok(match opcode {
            b'I' => match self.line()? {
                b"00" => Node::Bool(false),
                b"01" => Node::Bool(true),
                text => self.integer_text(text)?,
            },
            b'L' => {
                let text = self.line()?;
                self.integer_text(text.strip_suffix(b"L").unwrap_or(text))?
            }
            b'F' => Node::Float(self.parsed_line()?),
            b'J' => Node::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Node::Int(self.array::<1>()?[0].into()),
            b'M' => Node::Int(u16::from_le_bytes(self.array()?).into()),
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            0x8a => {
                let length = usize::from(self.array::<1>()?[0]);
                self.long(length)?
            }
            _ => {
                let length = self.length_u32()?;
                self.long(length)?
            }
        })
    }

    /// A little-endian two's complement integer; more than 16 bytes is no metric's value.
    fn long(&mut self, length: usize) -> Result<Node<'a>, PickleError> {
        let bytes = self.take(length)?;
        if bytes.len() > 16 {
            return Err(self.bad_operand());
        }
        let negative = bytes.last().is_some_and(|&top| top >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 16];
        wide[..bytes.len()].copy_from_slice(bytes);
        Ok(integer(i128::from_le_bytes(wide)))
    }

    fn integer_text(&self, text: &[u8]) -> Result<Node<'a>, PickleError> {
        let text = std::str::from_utf8(text).ok().map(str::trim);
        let value = text.and_then(|text| text.parse().ok());
        value.map(integer).ok_or_else(|| self.bad_operand())
    }

    fn text(&mut self, opcode: u8) -> Result<Cow<'a, [u8]>, PickleError> {
        let length = match opcode {
            b'S' => return self.quoted(),
            b'V' => {
                let line = self.line()?;
                return unescape_unicode(line).ok_or_else(|| self.bad_operand());
            }
            b'U' | b'C' | 0x8c => usize::from(self.array::<1>()?[0]),
            b'T' | b'X' | b'B' => self.length_u32()?,
            _ => self.length_u64()?,
        };
        self.take(length).map(Cow::Borrowed)
    }

    /// Protocol 0's STRING: a Python string literal.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, PickleError> {
        let line = self.line()?;
        match line {
            [first @ (b'\'' | b'"'), inner @ .., last] if first == last => {
                unescape_bytes(inner).ok_or_else(|| self.bad_operand())
            }
            _ => Err(self.bad_operand()),
        }
    }

    fn build(&mut self, opcode: u8) -> Result<(), PickleError> {
        let node = match opcode {
            b']' => Node::List(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b'}' => Node::Map(Vec::new()),
            b'l' => Node::List(self.pop_mark()?),
            b't' => Node::Tuple(self.pop_mark()?),
            b'd' => {
                let flat = self.pop_mark()?;
                Node::Map(self.even(flat)?)
            }
            _ => {
                let items = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(items);
                let start = start.filter(|&start| start >= self.floor());
                Node::Tuple(self.stack.split_off(start.ok_or_else(|| self.bad_stack())?))
            }
        };
        self.push(node)
    }

    /// APPEND, APPENDS, SETITEM, SETITEMS.
    fn fill(&mut self, opcode: u8) -> Result<(), PickleError> {
        let added = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        let added = if matches!(opcode, b's' | b'u') { self.even(added)? } else { added };
        let target = *self.stack.last().ok_or_else(|| self.bad_stack())?;
        match (&mut self.nodes[target as usize], opcode) {
            (Node::List(items), b'a' | b'e') => items.extend(added),
            (Node::Map(flat), b's' | b'u') => flat.extend(added),
            _ => return Err(self.bad_stack()),
        }
        Ok(())
    }

    fn even(&self, flat: Vec<Id>) -> Result<Vec<Id>, PickleError> {
        if flat.len().is_multiple_of(2) { Ok(flat) } else { Err(self.bad_stack()) }
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), PickleError> {
        let id = Id::try_from(self.nodes.len()).ok().filter(|&id| id != UNSET);
        self.stack.push(id.ok_or(PickleError::TooLarge)?);
        self.nodes.push(node);
        Ok(())
    }

    /// The stack height below which the innermost MARK protects.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        if self.stack.len() <= self.floor() {
            return Err(self.bad_stack());
        }
        self.stack.pop().ok_or_else(|| self.bad_stack())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.bad_stack())?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let rest = &self.frame[self.at..];
        let taken = rest.get(..length).ok_or(PickleError::Truncated { at: self.at })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let (array, _) = self.frame[self.at..]
            .split_first_chunk()
            .ok_or(PickleError::Truncated { at: self.at })?;
        self.at += N;
        Ok(*array)
    }

    fn length_u32(&mut self) -> Result<usize, PickleError> {
        let length = u32::from_le_bytes(self.array()?);
        usize::try_from(length).ok().ok_or_else(|| self.bad_operand())
    }

    fn length_u64(&mut self) -> Result<usize, PickleError> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).ok().ok_or_else(|| self.bad_operand())
    }

    /// An operand that runs to the end of its line.
    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.frame[self.at..];
        let end = memchr::memchr(b'\n', rest).ok_or(PickleError::Truncated { at: self.at })?;
        self.at += end + 1;
        let line = &rest[..end];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn parsed_line<T: std::str::FromStr>(&mut self) -> Result<T, PickleError> {
        let line = std::str::from_utf8(self.line()?).ok();
        let parsed = line.and_then(|text| text.trim().parse().ok());
        parsed.ok_or_else(|| self.bad_operand())
    }

    const fn bad_operand(&self) -> PickleError {
        PickleError::BadOperand { at: self.at }
    }

    const fn bad_stack(&self) -> PickleError {
        PickleError::BadStack { at: self.at }
    }
}

fn integer<'a>(wide: i128) -> Node<'a> {
    #[expect(clippy::cast_precision_loss, reason = "such a counter is a double in the file anyway")]
    i64::try_from(wide).map_or(Node::Float(wide as f64), Node::Int)
}

/// The escapes of a Python byte-string literal.
fn unescape_bytes(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (escape, tail) = rest.split_first()?;
        rest = tail;
        out.push(match escape {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'\\' | b'\'' | b'"' => *escape,
            b'x' => {
                let (code, tail) = hex(rest, 2)?;
                rest = tail;
                u8::try_from(code).ok()?
            }
            _ => return None,
        });
    }
    Some(Cow::Owned(out))
}

/// Python's raw-unicode-escape: Latin-1 bytes, and `\uXXXX` or `\UXXXXXXXX`; to UTF-8.
fn unescape_unicode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if text.is_ascii() && !text.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        let digits = match (byte, tail.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => 0,
        };
        if digits == 0 {
            out.push(char::from(*byte));
            rest = tail;
            continue;
        }
        let (code, tail) = hex(&tail[1..], digits)?;
        out.push(char::from_u32(code)?);
        rest = tail;
    }
    Some(Cow::Owned(out.into_bytes()))
}

fn hex(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (code, rest) = text.split_at_checked(digits)?;
    let code = std::str::from_utf8(code).ok()?;
    Some((u32::from_str_radix(code, 16).ok()?, rest))
}
