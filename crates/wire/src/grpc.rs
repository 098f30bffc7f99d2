//! gRPC's way of putting messages into a body: each behind a flag and its length. Statuses and
//! timeouts travel as texts.

use std::time::Duration;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use thiserror::Error;

/// The content type of requests and replies.
pub const CONTENT_TYPE: &str = "application/grpc";

/// How long the asker waits.
pub const TIMEOUT_HEADER: &str = "grpc-timeout";

/// How a request ended, a number.
pub const STATUS_HEADER: &str = "grpc-status";

/// One line about it.
pub const MESSAGE_HEADER: &str = "grpc-message";

/// The flag and the length before each message.
const PREFIX_BYTES: usize = 5;

/// More digits are no timeout.
const TIMEOUT_DIGITS_MAX: usize = 8;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Ok = 0,
    /// The request cannot be understood.
    InvalidArgument = 3,
    /// The asker's time is over.
    DeadlineExceeded = 4,
    /// There is no such thing.
    NotFound = 5,
    /// The asker may not.
    PermissionDenied = 7,
    /// It asks for more than is allowed.
    ResourceExhausted = 8,
    /// There is no such method.
    Unimplemented = 12,
    /// A fault of the server's.
    Internal = 13,
    /// Not now.
    Unavailable = 14,
}

/// Why a body is not the one message that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GrpcError {
    /// Nothing that every client must be able to read.
    #[error("the message is compressed, expected it plain")]
    Compressed,
    /// Fewer or more bytes than the prefix says, or no prefix.
    #[error("expected one message of {expected} bytes, found {found}")]
    Length {
        /// What the prefix says; 0 without one.
        expected: u64,
        /// What there is.
        found: usize,
    },
}

/// The one message of a request.
///
/// # Errors
/// A message that is compressed, or a body that is not exactly one message.
pub fn message(body: &[u8]) -> Result<&[u8], GrpcError> {
    let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(GrpcError::Length { expected: 0, found: body.len() });
    };
    if flag != 0 {
        return Err(GrpcError::Compressed);
    }
    let expected = u64::from(u32::from_be_bytes([a, b, c, d]));
    let found = rest.len();
    if expected == found as u64 { Ok(rest) } else { Err(GrpcError::Length { expected, found }) }
}

/// Appends one message to a body. Longer ones than 4 GiB cannot be sent; nobody builds such.
pub fn push(message: &[u8], out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(message);
}

/// The entries of a message that is a list, such as a MultiFetchResponse, each as a message of its
/// own: so a reply that is a list becomes a stream.
///
/// # Errors
/// Bytes that are no message of whole fields.
pub fn stream_of_list(list: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    let mut out = Vec::with_capacity(list.len().saturating_add(list.len() / 16));
    let mut rest = list;
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest)?;
        let field = rest;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        if wire_type == WireType::LengthDelimited {
            let mut message = &field[..field.len() - rest.len()];
            decode_varint(&mut message)?;
            push(message, &mut out);
        }
    }
    Ok(out)
}

/// What [`TIMEOUT_HEADER`] says: digits and one of `H M S m u n`.
#[must_use]
pub fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| are_digits)?;
    if digits.len() > TIMEOUT_DIGITS_MAX {
        return None;
    }
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// A line as [`MESSAGE_HEADER`] carries it: what is not printable ASCII, and `%`, as `%XX`.
#[must_use]
pub fn message_header(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for byte in line.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb_v2::{FetchResponse, MultiFetchResponse};
    use proptest::prelude::*;
    use prost::Message as _;

    #[test]
    fn a_list_becomes_a_stream_of_its_entries() {
        let one = |name: &str| FetchResponse { name: name.to_owned(), ..Default::default() };
        let list = MultiFetchResponse { metrics: vec![one("a"), one("bb")] }.encode_to_vec();
        let mut expected = Vec::new();
        push(&one("a").encode_to_vec(), &mut expected);
        push(&one("bb").encode_to_vec(), &mut expected);
        assert_eq!(stream_of_list(&list).unwrap(), expected);
        assert!(stream_of_list(&list[..list.len() - 1]).is_err());
    }

    #[test]
    fn timeouts_and_messages_are_texts() {
        assert_eq!(timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        for odd in ["", "S", "10", "+1S", "-1S", "999999999S", "1s", "1é"] {
            assert_eq!(timeout(odd), None, "{odd}");
        }
        assert_eq!(message_header("100 % of é\n"), "100 %25 of %C3%A9%0A");
    }

    proptest! {
        #[test]
        fn a_message_comes_out_as_it_went_in(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut body = Vec::new();
            push(&bytes, &mut body);
            prop_assert_eq!(message(&body), Ok(&bytes[..]));
            body.push(0);
            prop_assert!(message(&body).is_err());
            body[0] = 1;
            prop_assert_eq!(message(&body), Err(GrpcError::Compressed));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(message(&bytes).map_or(true, |found| found.len() < bytes.len()));
            prop_assert!(stream_of_list(&bytes).map_or(true, |out| out.len() <= bytes.len() * 5));
        }
    }
}
