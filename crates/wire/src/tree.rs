//! The value model that pickle and msgpack share: one reader's result, one writer's interface, so
//! that every reply is described once and printed in both.

use std::borrow::Cow;

/// Containers within containers that a decoder follows.
pub const NESTING_MAX: usize = 8;

/// A decoded document. Text is bytes: Python 2 peers send byte strings where others send UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Python's None, msgpack's nil.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that fits 64 signed bits; larger ones arrive as [`Value::Float`].
    Int(i64),
    /// A double.
    Float(f64),
    /// A byte or character string.
    Text(Cow<'a, [u8]>),
    /// A list or tuple.
    List(Vec<Value<'a>>),
    /// Key and value pairs in the order sent.
    Map(Vec<(Value<'a>, Value<'a>)>),
}

impl Value<'_> {
    /// The value stored under a text key of a map; the last one if a key is repeated.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        let wanted = |(k, _): &&(Self, Self)| matches!(k, Self::Text(t) if **t == *key.as_bytes());
        pairs.iter().rev().find(wanted).map(|(_, value)| value)
    }

    /// The items of a list or tuple.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// Text that is valid UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { std::str::from_utf8(text).ok() } else { None }
    }

    /// An integer, or a float without a fraction.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Self::Int(value) => Some(value),
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(value as i64),
            _ => None,
        }
    }

    /// Any number as a double.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            #[expect(clippy::cast_precision_loss, reason = "a double is what peers compute with")]
            Self::Int(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            _ => None,
        }
    }

    /// A boolean, or a number that is not zero.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => self.as_int().map(|value| value != 0),
        }
    }
}

/// Prints a document piece by piece. Every `begin` names how many items or pairs follow and is
/// matched by its `end`; a pair is a key, then its value.
pub trait Writer {
    /// None or nil.
    fn null(&mut self);
    /// A boolean.
    fn bool(&mut self, value: bool);
    /// An integer.
    fn int(&mut self, value: i64);
    /// A double, NaN and infinities included.
    fn float(&mut self, value: f64);
    /// A character string.
    fn text(&mut self, value: &str);
    /// Opens a list of `items` items.
    fn begin_list(&mut self, items: usize);
    /// Closes a list.
    fn end_list(&mut self);
    /// Opens a tuple; msgpack has none and prints a list.
    fn begin_tuple(&mut self, items: usize);
    /// Closes a tuple.
    fn end_tuple(&mut self);
    /// Opens a map of `pairs` pairs.
    fn begin_map(&mut self, pairs: usize);
    /// Closes a map.
    fn end_map(&mut self);

    /// A double, or null for NaN, which is how gaps travel.
    fn gap_or_float(&mut self, value: f64) {
        if value.is_nan() { self.null() } else { self.float(value) }
    }

    /// A decoded document, lists as lists.
    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Int(value) => self.int(*value),
            Value::Float(value) => self.float(*value),
            Value::Text(text) => self.text(&String::from_utf8_lossy(text)),
            Value::List(items) => {
                self.begin_list(items.len());
                items.iter().for_each(|item| self.value(item));
                self.end_list();
            }
            Value::Map(pairs) => {
                self.begin_map(pairs.len());
                for (key, value) in pairs {
                    self.value(key);
                    self.value(value);
                }
                self.end_map();
            }
        }
    }
}
