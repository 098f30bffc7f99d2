//! Every row of the bad-input table for plaintext that pure code can show, and round trips.

use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000;

fn parsed(line: &str) -> Result<Option<(String, f64, i64)>, RefusalReason> {
    parsed_with(line, &Rules::at(NOW))
}

fn parsed_with(line: &str, rules: &Rules) -> Result<Option<(String, f64, i64)>, RefusalReason> {
    let line = parse(line.as_bytes(), rules)?;
    Ok(line.map(|l| (String::from_utf8(l.name.to_vec()).unwrap(), l.value, l.timestamp)))
}

fn accepted(line: &str, value: f64, timestamp: i64) {
    assert_eq!(parsed(line), Ok(Some(("a.b".to_owned(), value, timestamp))), "{line:?}");
}

fn refused(line: &str, reason: RefusalReason) {
    assert_eq!(parsed(line), Err(reason), "{line:?}");
}

#[test]
fn blanks_of_every_kind_separate_the_three_fields() {
    for line in [
        "a.b 1.5 1700000001",
        "a.b  1.5   1700000001",
        "a.b\t1.5\t1700000001",
        "a.b \t 1.5\t 1700000001\t ",
        "  a.b 1.5 1700000001",
        "a.b 1.5 1700000001\r",
        "\ta.b 1.5 1700000001 \r \r",
    ] {
        accepted(line, 1.5, 1_700_000_001);
    }
}

#[test]
fn blank_lines_are_ignored() {
    for line in ["", " ", "\t \t", "\r", " \r", "\r "] {
        assert_eq!(parsed(line), Ok(None), "{line:?}");
    }
}

#[test]
fn two_and_four_fields_are_refused() {
    for line in
        ["a.b", "a.b 1", "a.b 1 ", "a.b 1\r", "a.b 1 2 3", "a.b 1 2 \r 3", "a.b\r 1", "\r 1 2"]
    {
        refused(line, RefusalReason::WrongFieldCount);
    }
}

#[test]
fn decimal_and_scientific_values_are_taken_exactly() {
    for (text, value) in [
        ("42", 42.0),
        ("-0.1", -0.1),
        ("0.30000000000000004", 0.1 + 0.2),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("1e5", 1e5),
        ("-2.5E-3", -2.5e-3),
        ("+7", 7.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("000000000000000000000000001.25", 1.25),
        ("1.7976931348623157e308", f64::MAX),
        ("1e-400", 0.0),
    ] {
        accepted(&format!("a.b {text} 10"), value, 10);
    }
    let negative_zero = parse(b"a -0 1", &Rules::at(NOW)).unwrap().unwrap().value;
    assert!(negative_zero == 0.0 && negative_zero.is_sign_negative());
}

#[test]
fn values_that_poison_files_are_refused() {
    for text in ["nan", "NaN", "-nan", "inf", "-inf", "Infinity"] {
        refused(&format!("a.b {text} 10"), RefusalReason::NotFinite);
    }
    for text in ["1e400", "-1e400", "0x10", "1_000", ".", "-", "1.2.3", "abc", "1,5", "\u{ff11}"] {
        refused(&format!("a.b {text} 10"), RefusalReason::BadValue);
    }
}

#[test]
fn infinities_pass_only_when_allowed_and_overflow_never() {
    let rules = Rules { infinities: true, ..Rules::at(NOW) };
    let negative = parsed_with("a -inf 1", &rules).unwrap().unwrap().1;
    assert_eq!(negative, f64::NEG_INFINITY);
    assert_eq!(parsed_with("a nan 1", &rules), Err(RefusalReason::NotFinite));
    assert_eq!(parsed_with("a 1e400 1", &rules), Err(RefusalReason::BadValue));
}

#[test]
fn timestamps_are_whole_seconds_floored_or_now() {
    accepted("a.b 1 1700000000.7", 1.0, 1_700_000_000);
    accepted("a.b 1 1.7e9", 1.0, 1_700_000_000);
    accepted("a.b 1 -1", 1.0, NOW);
    accepted("a.b 1 -1.0", 1.0, NOW);
    accepted("a.b 1 0", 1.0, 0);
    accepted("a.b 1 4294967295", 1.0, 4_294_967_295);
}

#[test]
fn bad_timestamps_are_refused_each_with_its_reason() {
    for text in ["-2", "-1.5", "N", "nan", "inf", "later", "99999999999999999999", "1_0", "0x1"] {
        refused(&format!("a.b 1 {text}"), RefusalReason::BadTimestamp);
    }
    refused("a.b 1 18446744073709551616", RefusalReason::BadTimestamp);
    refused("a.b 1 9999999999999999999", RefusalReason::BadTimestamp);
    refused("a.b 1 1700000000000", RefusalReason::LooksLikeMilliseconds);
    refused("a.b 1 1700000000000.5", RefusalReason::LooksLikeMilliseconds);
    refused("a.b 1 4294967296", RefusalReason::TooFarFuture);
    refused("a.b 1 1700000000000000000", RefusalReason::TooFarFuture);
}

#[test]
fn settings_widen_and_narrow_what_is_taken() {
    let base = Rules::at(NOW);
    let letter = Rules { letter_now: true, ..base };
    assert_eq!(parsed_with("a 1 N", &letter).unwrap().unwrap().2, NOW);
    let convert = Rules { convert_milliseconds: true, ..base };
    assert_eq!(parsed_with("a 1 1700000000999", &convert).unwrap().unwrap().2, 1_700_000_000);
    let window = Rules { past_s_max: 60, future_s_max: 600, ..base };
    assert!(parsed_with("a 1 1699999940", &window).is_ok());
    assert_eq!(parsed_with("a 1 1699999939", &window), Err(RefusalReason::TooOld));
    assert!(parsed_with("a 1 1700000600", &window).is_ok());
    assert_eq!(parsed_with("a 1 1700000601", &window), Err(RefusalReason::TooFarFuture));
}

#[test]
fn the_name_is_returned_byte_for_byte() {
    let line = parse(b"a\0\xff..b;t=v 1 2", &Rules::at(NOW)).unwrap().unwrap();
    assert_eq!(line.name, b"a\0\xff..b;t=v");
}

#[test]
fn lines_are_printed_short_and_in_forms_every_parser_takes() {
    for (value, text) in [
        (3.0, "3"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (1e15, "1000000000000000"),
        (1e300, "1e300"),
        (1.5e-9, "1.5e-9"),
        (9_007_199_254_740_993.0, "9007199254740992"),
    ] {
        let mut out = Vec::new();
        write_line(&mut out, b"a.b", value, 60).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("a.b {text} 60\n"));
    }
    let mut out = Vec::new();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(write_line(&mut out, b"a", value, 1), Err(RefusalReason::NotFinite));
    }
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let accepted = parse(&bytes, &Rules::at(NOW));
        if let Ok(Some(line)) = accepted {
            prop_assert!(line.value.is_finite());
            prop_assert!(u32::try_from(line.timestamp).is_ok());
        }
    }

    #[test]
    fn number_like_text_agrees_with_the_full_parser(text in "-?[0-9]{0,20}\\.?[0-9]{0,20}") {
        if let Some(value) = decimal::exact(text.as_bytes()) {
            prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
    }

    #[test]
    fn printed_lines_read_back_to_the_same_bits(bits in any::<u64>(), ts in 0..=u32::MAX) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let mut out = Vec::new();
        write_line(&mut out, b"a.b", value, i64::from(ts)).unwrap();
        let line = parse(out.strip_suffix(b"\n").unwrap(), &Rules::at(NOW)).unwrap().unwrap();
        prop_assert_eq!(line.value.to_bits(), bits);
        prop_assert_eq!(line.timestamp, i64::from(ts));
        prop_assert_eq!(line.name, b"a.b");
    }
}
