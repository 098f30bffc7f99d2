//! The grammars that people write by hand: targets and times.

use jiff::tz::TimeZone;
use query::parse::{first_path, parse};
use query::time_expr::{parse_interval, parse_time};

/// 2026-09-21 16:00:00 UTC.
pub(crate) const NOW: i64 = 1_790_006_400;

/// Zones with summer time in either half of the year, and one without.
const ZONES: [&str; 3] = ["Europe/Berlin", "Australia/Lord_Howe", "UTC"];

/// A target is a tree or an error that points into it.
pub(crate) fn target(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(tree) => {
            let blanks = format!("  {text}\t");
            assert!(parse(&blanks).is_ok(), "blanks around {text:?} of {tree:?} change it");
        }
        Err(error) => {
            assert!(text.get(error.position..).is_some(), "{error} points beside {text:?}");
            assert!(!error.message.is_empty());
        }
    }
    if let Some(path) = first_path(text) {
        assert!(!path.is_empty(), "an empty path in {text:?}");
    }
}

/// A time is a time that calendars have, in every zone; a length of time has a sign and an end.
pub(crate) fn time(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for zone in ZONES {
        let zone = TimeZone::get(zone).expect("the zones are bundled");
        if let Ok(seconds) = parse_time(text, NOW, &zone) {
            jiff::Timestamp::from_second(seconds).expect("a time that was read is one");
            let padded = parse_time(&format!(" {text} "), NOW, &zone);
            assert_eq!(padded, Ok(seconds), "blanks around {text:?}");
        }
    }
    if let Ok(seconds) = parse_interval(text) {
        let is_negative = text.starts_with('-');
        assert!(if is_negative { seconds <= 0 } else { seconds >= 0 }, "{text:?}: {seconds}");
    }
}
