//! The link's bytes: round trips, damage, lengths that lie.

use proptest::prelude::*;

use super::*;

fn whole<T>(decoded: Result<Decoded<T>, LinkError>) -> (T, usize) {
    match decoded {
        Ok(Decoded::Whole(item, bytes)) => (item, bytes),
        Ok(Decoded::Incomplete(bytes)) => panic!("{bytes} bytes wanted"),
        Err(error) => panic!("{error}"),
    }
}

fn batch(after: u64, number: u64, lines: &[u8], packing: Packing) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = lines.iter().filter(|byte| **byte == b'\n').count();
    pack(after, number, u32::try_from(count).unwrap(), lines, packing, &mut bytes);
    bytes
}

fn lines_of(bytes: &[u8]) -> Result<Vec<u8>, LinkError> {
    let (Message::Batch(batch), _) = whole(Message::decode(bytes)) else { panic!("no batch") };
    Unpacker::default().lines(&batch).map(<[u8]>::to_vec)
}

fn messages() -> impl Strategy<Value = (u64, u64, u64, u16, String)> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any::<u16>(), "[ -~é]{0,40}")
}

proptest! {
    #[test]
    fn a_hello_comes_back_and_none_of_its_bytes_may_change(
        sender in any::<u64>(), last in any::<u64>(), name in "[ -~é]{0,600}", at in any::<prop::sample::Index>(),
    ) {
        let hello = Hello::new(sender, last, &name);
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        prop_assert_eq!(whole(Hello::decode(&bytes)), (hello, bytes.len()));
        let cut = at.index(bytes.len());
        prop_assert!(matches!(Hello::decode(&bytes[..cut]), Ok(Decoded::Incomplete(more)) if more > cut));
        bytes[cut] ^= 4;
        let damaged = Hello::decode(&bytes);
        prop_assert!(!matches!(damaged, Ok(Decoded::Whole(..))), "{damaged:?}");
    }

    #[test]
    fn messages_come_back_and_none_of_their_bytes_may_change(
        (a, b, c, d, text) in messages(), at in any::<prop::sample::Index>(),
    ) {
        let marks = Marks { written: b, synced: c };
        for message in [
            Message::Welcome { version: d, received: a, marks, name: &text },
            Message::Marks(marks),
            Message::Alive,
            Message::Error { code: Code::of(d), text: &text },
        ] {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            prop_assert_eq!(whole(Message::decode(&bytes)), (message, bytes.len()));
            let cut = at.index(bytes.len());
            let short = Message::decode(&bytes[..cut]);
            prop_assert!(matches!(short, Ok(Decoded::Incomplete(more)) if more > cut));
            bytes[cut] ^= 0x10;
            let damaged = Message::decode(&bytes);
            prop_assert!(!matches!(damaged, Ok(Decoded::Whole(..))), "{damaged:?}");
        }
    }

    #[test]
    fn lines_come_back_however_they_are_packed(
        text in "([a-c.]{1,20} 1 [0-9]{1,3}\n){0,50}", after in 0..u64::MAX, more in 1..1_000_u64,
    ) {
        let number = after.saturating_add(more);
        for packing in [Packing::None, Packing::Lz4, Packing::Zstd] {
            let bytes = batch(after, number, text.as_bytes(), packing);
            let (message, taken) = whole(Message::decode(&bytes));
            let Message::Batch(read) = message else { panic!("no batch") };
            prop_assert_eq!((read.after, read.number, taken), (after, number, bytes.len()));
            prop_assert_eq!(lines_of(&bytes).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Hello::decode(&bytes));
        drop(Message::decode(&bytes));
        for kind in 0..8 {
            for packing in 0..4 {
                let mut framed = head(kind, packing, bytes.len(), crc32fast::hash(&bytes)).to_vec();
                framed.extend_from_slice(&bytes);
                if let Ok(Decoded::Whole(Message::Batch(batch), _)) = Message::decode(&framed) {
                    let mut unpacker = Unpacker::default();
                    let lines = unpacker.lines(&batch).map(<[u8]>::len);
                    prop_assert!(lines.unwrap_or_default() <= LINES_BYTES_MAX);
                }
            }
        }
    }
}

#[test]
fn a_batch_in_pieces_is_the_same_as_one_of_the_whole() {
    let pieces: [&[u8]; 3] = [b"a 1 1\n", b"b 2 2\n", b"c 3 3\n"];
    let mut bytes = plain_head(4, 7, 3, pieces.into_iter()).to_vec();
    pieces.into_iter().for_each(|piece| bytes.extend_from_slice(piece));
    assert_eq!(bytes, batch(4, 7, &pieces.concat(), Packing::None));
}

#[test]
fn packed_lines_take_less_unless_they_cannot() {
    let text = "servers.web-1.cpu.user 1 1700000000\n".repeat(1_000);
    for packing in [Packing::Lz4, Packing::Zstd] {
        assert!(batch(0, 1, text.as_bytes(), packing).len() < text.len() / 10);
        assert_eq!(batch(0, 1, b"a 1 1\n", packing), batch(0, 1, b"a 1 1\n", Packing::None));
    }
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_read() {
    let long = head(BATCH, 0, BODY_BYTES_MAX + 1, 0);
    let error = Message::decode(&long).unwrap_err();
    assert_eq!(error.to_string(), "message of 8454145 bytes, at most 8454144 are taken");
    let mut hello = Vec::new();
    Hello::new(1, 2, "n").encode(&mut hello);
    hello[13] = 0xff;
    assert!(matches!(Hello::decode(&hello), Err(LinkError::TooLong { what: "hello", .. })));
    // 8 MiB are said to be in a block of a few bytes.
    let mut body = batch::batch_fields(0, 1, 0, LINES_BYTES_MAX).to_vec();
    body.extend_from_slice(b"\x11a\x01\x00");
    let mut bytes = head(BATCH, 1, body.len(), crc32fast::hash(&body)).to_vec();
    bytes.extend_from_slice(&body);
    assert_eq!(lines_of(&bytes), Err(LinkError::Packed));
}

#[test]
fn a_version_that_is_not_spoken_is_refused_in_one_line() {
    assert_eq!(choose_version(&(1..=9)), Ok(1));
    let refused = choose_version(&(2..=3)).unwrap_err();
    let mut bytes = Vec::new();
    refused.encode(&mut bytes);
    let (message, _) = whole(Message::decode(&bytes));
    let text = "the sender speaks versions 2 to 3 of the acknowledged link, this program speaks 1";
    assert_eq!(message, Message::Error { code: Code::Version, text });
}

#[test]
fn other_protocols_are_told_by_their_first_byte() {
    for start in [&b"GET / HTTP/1.1\r\n"[..], b"servers.a 1 1\n", b"\x16\x03\x01"] {
        assert_eq!(Hello::decode(start), Err(LinkError::NoHello));
    }
}
