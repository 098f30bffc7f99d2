//! MessagePack as graphite-web speaks it: a writer, and a reader bounded by what it is given.

use crate::tree::{NESTING_MAX, Value, Writer};
use std::borrow::Cow;
use thiserror::Error;

/// Why a document could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MsgpackError {
    /// The bytes end within a value.
    #[error("msgpack ends early at byte {at}")]
    Truncated {
        /// Offset in the document.
        at: usize,
    },
    /// An extension type, or the one byte the format reserves.
    #[error("msgpack type 0x{marker:02x} at byte {at} is not supported")]
    Unsupported {
        /// The type byte.
        marker: u8,
        /// Offset in the document.
        at: usize,
    },
    /// Containers within containers beyond the limit.
    #[error("msgpack nested deeper than {NESTING_MAX}")]
    TooDeep,
    /// Bytes follow the document.
    #[error("msgpack goes on after its end at byte {at}")]
    Trailing {
        /// Offset in the document.
        at: usize,
    },
}

/// Reads exactly one document.
///
/// # Errors
/// The first byte that does not belong to a supported document.
pub fn decode(bytes: &[u8]) -> Result<Value<'_>, MsgpackError> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(NESTING_MAX)?;
    if reader.at < bytes.len() {
        return Err(MsgpackError::Trailing { at: reader.at });
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, MsgpackError> {
        let at = self.at;
        let marker = self.array::<1>()?[0];
        Ok(match marker {
            0x00..=0x7f => Value::Int(marker.into()),
            0xe0..=0xff => Value::Int(i8::from_be_bytes([marker]).into()),
            0x80..=0x8f => return self.map(usize::from(marker & 0x0f), depth),
            0x90..=0x9f => return self.list(usize::from(marker & 0x0f), depth),
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            0xc0 => Value::Null,
            0xc2 | 0xc3 => Value::Bool(marker == 0xc3),
            0xc4 | 0xd9 => {
                let length = self.length::<1>()?;
                self.text(length)?
            }
            0xc5 | 0xda => {
                let length = self.length::<2>()?;
                self.text(length)?
            }
            0xc6 | 0xdb => {
                let length = self.length::<4>()?;
                self.text(length)?
            }
            0xdc | 0xdd => {
                let items = if marker == 0xdc { self.length::<2>()? } else { self.length::<4>()? };
                return self.list(items, depth);
            }
            0xde | 0xdf => {
                let pairs = if marker == 0xde { self.length::<2>()? } else { self.length::<4>()? };
                return self.map(pairs, depth);
            }
            0xca..=0xd3 => self.number(marker).map_err(|error| match error {
                MsgpackError::Unsupported { .. } => MsgpackError::Unsupported { marker, at },
                other => other,
            })?,
            _ => return Err(MsgpackError::Unsupported { marker, at }),
        })
    }

    fn number(&mut self, marker: u8) -> Result<Value<'a>, MsgpackError> {
        Ok(match marker {
            0xca => Value::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Int(u8::from_be_bytes(self.array()?).into()),
            0xcd => Value::Int(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Int(u32::from_be_bytes(self.array()?).into()),
            0xcf => {
                let wide = u64::from_be_bytes(self.array()?);
                #[expect(clippy::cast_precision_loss, reason = "beyond i64 it is a double to us")]
                i64::try_from(wide).map_or(Value::Float(wide as f64), Value::Int)
            }
            0xd0 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Int(i64::from_be_bytes(self.array()?)),
            _ => return Err(MsgpackError::Unsupported { marker, at: self.at }),
        })
    }

    fn list(&mut self, items: usize, depth: usize) -> Result<Value<'a>, MsgpackError> {
        let depth = depth.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
        // Collecting through a Result reserves nothing, so an announced length costs nothing.
        let items = (0..items).map(|_| self.value(depth)).collect::<Result<_, _>>()?;
        Ok(Value::List(items))
    }

    fn map(&mut self, pairs: usize, depth: usize) -> Result<Value<'a>, MsgpackError> {
        let depth = depth.checked_sub(1).ok_or(MsgpackError::TooDeep)?;
        let pairs = (0..pairs).map(|_| Ok((self.value(depth)?, self.value(depth)?)));
        Ok(Value::Map(pairs.collect::<Result<_, _>>()?))
    }

    fn text(&mut self, length: usize) -> Result<Value<'a>, MsgpackError> {
        let rest = &self.bytes[self.at..];
        let text = rest.get(..length).ok_or(MsgpackError::Truncated { at: self.at })?;
        self.at += length;
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    /// A big-endian length of N bytes.
    fn length<const N: usize>(&mut self) -> Result<usize, MsgpackError> {
        let bytes = self.array::<N>()?;
        Ok(bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MsgpackError> {
        let (array, _) = self.bytes[self.at..]
            .split_first_chunk()
            .ok_or(MsgpackError::Truncated { at: self.at })?;
        self.at += N;
        Ok(*array)
    }
}

/// Writes one document, every length in its shortest form.
#[derive(Debug)]
pub struct Packer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Packer<'o> {
    /// Writes at the end of `out`.
    pub const fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A length: within the marker's low bits if it is below `short`, else in 2 or 4 bytes.
    fn length(&mut self, length: usize, short: (u8, u8), wide: [u8; 2]) {
        let (marker, limit) = short;
        if let Some(small) = u8::try_from(length).ok().filter(|&small| small < limit) {
            self.out.push(marker | small);
        } else if let Ok(length) = u16::try_from(length) {
            self.out.push(wide[0]);
            self.out.extend_from_slice(&length.to_be_bytes());
        } else {
            let length = u32::try_from(length).expect("replies are capped far below 2^32 items");
            self.out.push(wide[1]);
            self.out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

impl Writer for Packer<'_> {
    fn null(&mut self) {
        self.out.push(0xc0);
    }

    fn bool(&mut self, value: bool) {
        self.out.push(if value { 0xc3 } else { 0xc2 });
    }

    fn int(&mut self, value: i64) {
        if let Ok(small) = i8::try_from(value).map(i8::to_be_bytes)
            && value >= -32
        {
            self.out.push(small[0]);
        } else if let Ok(value) = i32::try_from(value) {
            self.out.push(0xd2);
            self.out.extend_from_slice(&value.to_be_bytes());
        } else {
            self.out.push(0xd3);
            self.out.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn float(&mut self, value: f64) {
        self.out.push(0xcb);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn text(&mut self, value: &str) {
        match u8::try_from(value.len()) {
            Ok(length @ 32..) => self.out.extend_from_slice(&[0xd9, length]),
            _ => self.length(value.len(), (0xa0, 32), [0xda, 0xdb]),
        }
        self.out.extend_from_slice(value.as_bytes());
    }

    fn begin_list(&mut self, items: usize) {
        self.length(items, (0x90, 16), [0xdc, 0xdd]);
    }

    fn end_list(&mut self) {}

    fn begin_tuple(&mut self, items: usize) {
        self.begin_list(items);
    }

    fn end_tuple(&mut self) {}

    fn begin_map(&mut self, pairs: usize) {
        self.length(pairs, (0x80, 16), [0xde, 0xdf]);
    }

    fn end_map(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(value: &Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Packer::new(&mut out).value(value);
        out
    }

    #[test]
    fn documents_have_the_bytes_that_the_format_prescribes() {
        let mut out = Vec::new();
        let mut packer = Packer::new(&mut out);
        packer.begin_map(2);
        packer.text("a");
        packer.gap_or_float(f64::NAN);
        packer.text("b");
        packer.begin_list(3);
        packer.int(-1);
        packer.int(127);
        packer.int(1_700_000_000);
        packer.end_list();
        packer.end_map();
        assert_eq!(out, b"\x82\xa1a\xc0\xa1b\x93\xff\x7f\xd2\x65\x53\xf1\x00");
    }

    #[test]
    fn announced_lengths_cost_nothing_and_depth_is_bounded() {
        assert!(matches!(decode(b"\xdd\xff\xff\xff\xff"), Err(MsgpackError::Truncated { .. })));
        assert!(matches!(decode(b"\xdb\xff\xff\xff\xffa"), Err(MsgpackError::Truncated { .. })));
        assert_eq!(decode(&[0x91; 10_000]), Err(MsgpackError::TooDeep));
        assert!(matches!(decode(b"\xc7\x00\x01"), Err(MsgpackError::Unsupported { .. })));
        assert_eq!(decode(b"\xc0\xc0"), Err(MsgpackError::Trailing { at: 1 }));
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            ".{0,40}".prop_map(|text| Value::Text(text.into_bytes().into())),
        ];
        leaf.prop_recursive(4, 64, 20, |inner| {
            let pair = (inner.clone(), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..20).prop_map(Value::List),
                prop::collection::vec(pair, 0..20).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = decode(&bytes) {
                let again = packed(&value);
                prop_assert!(decode(&again).is_ok());
            }
        }

        #[test]
        fn what_is_written_reads_back(value in any_value()) {
            let bytes = packed(&value);
            prop_assert_eq!(decode(&bytes), Ok(value));
        }
    }
}
