//! What the pickle port must take, refuse and survive.

use super::*;
use crate::RefusalReason;
use crate::line::Rules;
use crate::tree::{NESTING_MAX, Value, Writer};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000;

type Point = Result<(String, i64, f64), RefusalReason>;

fn points(frame: &[u8]) -> Result<Vec<Point>, PickleError> {
    let document = Document::decode(frame)?;
    let owned = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let rules = Rules::at(NOW);
    let points = document.points(&rules);
    Ok(points.map(|p| p.map(|l| (owned(l.name), l.timestamp, l.value))).collect())
}

fn good(name: &str, timestamp: i64, value: f64) -> Point {
    Ok((name.to_owned(), timestamp, value))
}

/// `[('a.b', (1700000000, 1.5)), ('c', (1700000060, 2))]` as CPython 3 dumps it in each protocol.
const DUMPS: [&[u8]; 6] = [
    b"(lp0\n(Va.b\np1\n(I1700000000\nF1.5\ntp2\ntp3\na(Vc\np4\n(I1700000060\nI2\ntp5\ntp6\na.",
    b"]q\x00((X\x03\x00\x00\x00a.bq\x01(J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00tq\x02tq\x03(X\x01\x00\x00\x00cq\x04(J<\xf1SeK\x02tq\x05tq\x06e.",
    b"\x80\x02]q\x00(X\x03\x00\x00\x00a.bq\x01J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00\x86q\x02\x86q\x03X\x01\x00\x00\x00cq\x04J<\xf1SeK\x02\x86q\x05\x86q\x06e.",
    b"\x80\x03]q\x00(X\x03\x00\x00\x00a.bq\x01J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00\x86q\x02\x86q\x03X\x01\x00\x00\x00cq\x04J<\xf1SeK\x02\x86q\x05\x86q\x06e.",
    b"\x80\x04\x95,\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03a.b\x94J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00\x86\x94\x86\x94\x8c\x01c\x94J<\xf1SeK\x02\x86\x94\x86\x94e.",
    b"\x80\x05\x95,\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x03a.b\x94J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00\x86\x94\x86\x94\x8c\x01c\x94J<\xf1SeK\x02\x86\x94\x86\x94e.",
];

#[test]
fn every_protocol_of_python_is_read() {
    for (protocol, frame) in DUMPS.iter().enumerate() {
        let want = vec![good("a.b", 1_700_000_000, 1.5), good("c", 1_700_000_060, 2.0)];
        assert_eq!(points(frame), Ok(want), "protocol {protocol}");
    }
}

#[test]
fn python_two_byte_strings_and_longs_are_read() {
    let frame = b"(lp1\n(S'a\\x2eb'\np2\n(L1700000000L\nS'2.5'\np3\ntp4\ntp5\na.";
    assert_eq!(points(frame), Ok(vec![good("a.b", 1_700_000_000, 2.5)]));
    let frame = b"\x80\x02](U\x01a\x8a\x05\x00\xf1Se\x00U\x0242\x86\x86e.";
    assert_eq!(points(frame), Ok(vec![good("a", 1_700_000_000, 42.0)]));
}

#[test]
fn instructions_that_could_run_code_are_refused() {
    let hostile: [&[u8]; 8] = [
        b"cos\nsystem\n(S'id'\ntR.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\no.",
        b"\x80\x02\x82\x01.",
        b"Pid\n.",
        b"]Q.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"]}b.",
    ];
    for frame in hostile {
        let error = Document::decode(frame).unwrap_err();
        assert!(matches!(error, PickleError::Forbidden { .. }), "{error}");
    }
}

#[test]
fn one_bad_tuple_does_not_void_the_good_ones() {
    let mut frame = Vec::new();
    let mut pickler = Pickler::begin(&mut frame);
    pickler.begin_list(6);
    entry(&mut pickler, "ok1", |p| p.int(1));
    pickler.int(7);
    entry(&mut pickler, "text", |p| p.text("abc"));
    entry(&mut pickler, "none", |p| p.null());
    entry(&mut pickler, "nan", |p| p.float(f64::NAN));
    entry(&mut pickler, "ok2", |p| p.text(" 2.5 "));
    pickler.end_list();
    pickler.finish();
    let want = vec![
        good("ok1", 60, 1.0),
        Err(RefusalReason::BadEntry),
        Err(RefusalReason::BadValue),
        Err(RefusalReason::BadValue),
        Err(RefusalReason::NotFinite),
        good("ok2", 60, 2.5),
    ];
    assert_eq!(points(&frame), Ok(want));
}

fn entry(pickler: &mut Pickler<'_>, name: &str, value: impl FnOnce(&mut Pickler<'_>)) {
    pickler.begin_tuple(2);
    pickler.text(name);
    pickler.begin_tuple(2);
    pickler.int(60);
    value(pickler);
    pickler.end_tuple();
    pickler.end_tuple();
}

#[test]
fn several_pairs_for_one_name_are_read_in_both_shapes() {
    let want = Ok(vec![good("a", 1, 2.0), good("a", 3, 4.0)]);
    assert_eq!(points(b"](U\x01aK\x01K\x02\x86K\x03K\x04\x86\x87e."), want);
    assert_eq!(points(b"](U\x01a](K\x01K\x02\x86K\x03K\x04\x86e\x86e."), want);
    // The list of pairs is filled after the entry that refers to it was built.
    assert_eq!(points(b"]](K\x01K\x02\x86K\x03K\x04\x86eq\x000(U\x01ah\x00\x86e."), want);
}

#[test]
fn timestamps_follow_the_rules_of_a_line() {
    let frame = |timestamp: &[u8]| [b"](U\x01a", timestamp, b"K\x01\x86\x86e."].concat();
    for (timestamp, want) in [
        (&b"J\xff\xff\xff\xff"[..], good("a", NOW, 1.0)),
        (b"J\xfe\xff\xff\xff", Err(RefusalReason::BadTimestamp)),
        (b"F1700000000.7\n", good("a", NOW, 1.0)),
        (b"L1700000000000L\n", Err(RefusalReason::LooksLikeMilliseconds)),
        (b"L4294967296L\n", Err(RefusalReason::TooFarFuture)),
        (b"N", Err(RefusalReason::BadTimestamp)),
    ] {
        assert_eq!(points(&frame(timestamp)), Ok(vec![want]));
    }
}

#[test]
fn lengths_that_lie_are_refused_without_allocating() {
    let lies: [&[u8]; 7] = [
        b"X\xff\xff\xff\xffa.",
        b"T\xff\xff\xff\x7fa.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.",
        b"\x8b\xff\xff\xff\x7f.",
        b"\x8a\xff\x01.",
        b"Nr\xff\xff\xff\x7f.",
        b"Np99999999\n.",
    ];
    for frame in lies {
        assert!(Document::decode(frame).is_err(), "{frame:?}");
    }
}

#[test]
fn deep_nesting_and_cycles_end_in_an_error() {
    let nested = |depth: usize| [b"(".repeat(depth), b"l".repeat(depth), b".".to_vec()].concat();
    assert!(Document::decode(&nested(NESTING_MAX)).unwrap().to_value().is_ok());
    assert_eq!(Document::decode(&nested(NESTING_MAX + 1)).unwrap_err(), PickleError::TooDeep);
    let cycle = Document::decode(b"]q\x00h\x00a.").unwrap();
    assert_eq!(cycle.to_value(), Err(PickleError::TooDeep));
    assert_eq!(cycle.points(&Rules::at(NOW)).next(), Some(Err(RefusalReason::BadEntry)));
}

#[test]
fn shared_objects_cannot_be_multiplied_past_the_frame() {
    let pair = b"K\x01K\x02\x86";
    let mut frame = [b"](".as_slice(), &pair.repeat(1000), b"eq\x00"].concat();
    frame.extend_from_slice(b"0U\x01ah\x00\x86q\x010](");
    frame.extend_from_slice(&b"h\x01".repeat(10_000));
    frame.extend_from_slice(b"e.");
    let points = points(&frame).unwrap();
    assert!(points.len() <= 2 * frame.len());
    assert_eq!(points.last(), Some(&Err(RefusalReason::BadFrame)));
    assert_eq!(Document::decode(&frame).unwrap().to_value(), Err(PickleError::TooLarge));
}

#[test]
fn what_the_encoder_writes_the_decoder_reads() {
    let text = |t: &str| Value::Text(t.to_owned().into_bytes().into());
    let value = Value::Map(vec![
        (text("null"), Value::Null),
        (text("yes"), Value::Bool(true)),
        (text("numbers"), Value::List(vec![Value::Int(-1), Value::Int(i64::MAX)])),
        (text("float"), Value::Float(-0.1)),
        (text("gr\u{fc}n"), text("")),
    ]);
    let mut bytes = Vec::new();
    let mut pickler = Pickler::begin(&mut bytes);
    pickler.value(&value);
    pickler.finish();
    assert_eq!(Document::decode(&bytes).unwrap().to_value(), Ok(value));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(document) = Document::decode(&bytes) {
            let unfolded = document.to_value();
            prop_assert!(unfolded.is_ok() || document.points(&Rules::at(NOW)).count() <= 600);
        }
    }

    #[test]
    fn damaged_pickles_never_panic(
        which in 0_usize..6,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = DUMPS[which].to_vec();
        for (at, byte) in edits {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(points) = points(&frame) {
            prop_assert!(points.len() <= 2 * frame.len());
        }
    }
}
