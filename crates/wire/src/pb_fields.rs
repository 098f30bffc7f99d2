//! A protobuf message read field by field in place: nothing is allocated, whatever it claims.

use prost::encoding::decode_varint;

/// One field's value, borrowed from the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValue<'b> {
    /// An integer, as its 64 bits.
    Varint(u64),
    /// Eight bytes, little-endian: a double, among others.
    Fixed64([u8; 8]),
    /// Four bytes, little-endian.
    Fixed32([u8; 4]),
    /// A text, bytes, or a message within.
    Bytes(&'b [u8]),
}

/// The bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("protobuf message malformed")]
pub struct Malformed;

/// The fields of one message in the order in which they stand; the first fault is the last item.
#[derive(Debug, Clone)]
pub struct Fields<'b> {
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    /// The fields of `message`.
    #[must_use]
    pub const fn new(message: &'b [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Option<(u32, FieldValue<'b>)> {
        let key = self.varint()?;
        let tag = u32::try_from(key >> 3).ok().filter(|tag| *tag > 0)?;
        let value = match key & 7 {
            0 => FieldValue::Varint(self.varint()?),
            1 => FieldValue::Fixed64(self.array()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                FieldValue::Bytes(bytes)
            }
            5 => FieldValue::Fixed32(self.array()?),
            // Groups are of a time before all senders that we know.
            _ => return None,
        };
        Some((tag, value))
    }

    fn varint(&mut self) -> Option<u64> {
        decode_varint(&mut self.rest).ok()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u32, FieldValue<'b>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_wire_type_is_read_and_a_cut_field_is_the_end() {
        let message = [
            &[0x08, 0x96, 0x01][..],                  // 1: varint 150
            &[0x11, 1, 2, 3, 4, 5, 6, 7, 8],          // 2: eight bytes
            &[0x1a, 0x02, b'h', b'i'],                // 3: two bytes
            &[0x25, 1, 2, 3, 4],                      // 4: four bytes
            &[0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], // 3: announces four gigabytes
        ]
        .concat();
        let fields: Vec<_> = Fields::new(&message).collect();
        let wanted = [
            Ok((1, FieldValue::Varint(150))),
            Ok((2, FieldValue::Fixed64([1, 2, 3, 4, 5, 6, 7, 8]))),
            Ok((3, FieldValue::Bytes(b"hi"))),
            Ok((4, FieldValue::Fixed32([1, 2, 3, 4]))),
            Err(Malformed),
        ];
        assert_eq!(fields, wanted);
    }

    proptest! {
        #[test]
        fn any_bytes_end_after_at_most_as_many_fields(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            prop_assert!(Fields::new(&bytes).count() <= bytes.len());
        }
    }
}
