//! Times as people write them: `-1h`, `noon_yesterday`, `08:30_20261120`, and lengths of time.
//!
//! graphite-web's grammar and a superset: `m` is minutes and `M` months, offsets may have a fraction
//! or `ms`, 13 digits are milliseconds, RFC 3339 is read.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Python's limit on a length of time, in seconds.
const INTERVAL_MAX: i64 = 86_399_999_999_999;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Units by the prefix that names them, in milliseconds. `m`, `M` and `ms` stand apart.
const UNITS: [(&str, i64); 7] = [
    ("s", 1_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
    ("mon", 30 * 86_400_000),
    ("y", 365 * 86_400_000),
];

/// A text that is neither a time nor a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid time {text:?}: {reason}")]
pub struct TimeError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a time; `now` and `tz` give meaning to relative and wall-clock ones. Seconds since 1970.
pub fn parse_time(text: &str, now: i64, tz: &TimeZone) -> Result<i64, TimeError> {
    let seconds =
        time(text, now, tz).map_err(|reason| TimeError { text: text.to_owned(), reason })?;
    match Timestamp::from_second(seconds) {
        Ok(_) => Ok(seconds),
        Err(_) => Err(TimeError { text: text.to_owned(), reason: "out of range".to_owned() }),
    }
}

/// Reads a length of time such as `1h30min` or `-1d`, in seconds; a part of a second counts as one.
pub fn parse_interval(text: &str) -> Result<i64, TimeError> {
    let fail = |reason| TimeError { text: text.to_owned(), reason };
    let ms = offset_ms(text).map_err(fail)?;
    let seconds = ms.unsigned_abs().div_ceil(1000);
    Ok(i64::try_from(seconds).unwrap_or(i64::MAX) * ms.signum())
}

fn time(text: &str, now: i64, tz: &TimeZone) -> Result<i64, String> {
    let trimmed = text.trim();
    let dated = trimmed.contains(['T', 't']) && trimmed.contains(':') && trimmed.len() >= 20;
    if let (true, Ok(timestamp)) = (dated, trimmed.parse::<Timestamp>()) {
        return Ok(timestamp.as_second());
    }
    let packed: String = trimmed.chars().filter(|c| !matches!(c, '_' | ',' | ' ')).collect();
    if !packed.is_empty() && packed.bytes().all(|b| b.is_ascii_digit()) && !is_date(&packed) {
        return epoch(&packed);
    }
    let at = packed.find('+').or_else(|| packed.find('-')).unwrap_or(packed.len());
    let (reference, offset) = packed.split_at(at);
    let reference = reference_time(&reference.to_ascii_lowercase(), now, tz)?;
    let offset = offset_ms(offset)?.div_euclid(1000);
    reference.checked_add(offset).ok_or_else(|| "out of range".to_owned())
}

/// Eight digits that look like a day.
fn is_date(digits: &str) -> bool {
    let part = |range: std::ops::Range<usize>| digits[range].parse::<u32>().unwrap_or(u32::MAX);
    digits.len() == 8 && part(0..4) > 1900 && part(4..6) < 13 && part(6..8) < 32
}

fn epoch(digits: &str) -> Result<i64, String> {
    let number: i64 = digits.parse().map_err(|e| format!("{e}"))?;
    Ok(if digits.len() == 13 { number / 1000 } else { number })
}

fn reference_time(reference: &str, now: i64, tz: &TimeZone) -> Result<i64, String> {
    if reference.is_empty() || reference == "now" {
        return Ok(now);
    }
    let now = Timestamp::from_second(now).map_err(|e| e.to_string())?;
    let today = tz.to_datetime(now).date();
    let (time, rest) = time_of_day(reference)?;
    let date = day(rest, today).ok_or_else(|| format!("unknown day {reference:?}"))?;
    // Of two equal wall-clock times pytz takes the one in standard time, which is the later; a time
    // that the clocks skip is read in standard time as well.
    let zoned = tz.to_ambiguous_zoned(DateTime::from_parts(date, time)).later();
    Ok(zoned.map_err(|e| e.to_string())?.timestamp().as_second())
}

/// The time of day at the start of the text (midnight if there is none), and what follows it.
fn time_of_day(text: &str) -> Result<(Time, &str), String> {
    let (mut hour, mut minute) = (0, 0);
    let mut rest = text;
    if let Some((digits, after)) = before("", ':', rest) {
        hour = number(digits)?;
        let end = after.len().min(2);
        minute = number(after.get(..end).unwrap_or_default())?;
        rest = &after[end..];
        if let Some(after) = rest.strip_prefix("am") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("pm") {
            hour = (hour + 12) % 24;
            rest = after;
        }
    }
    if let Some((digits, after)) = before("a", 'm', rest) {
        hour = number(digits)?;
        rest = after;
    }
    if let Some((digits, after)) = before("p", 'm', rest) {
        hour = (number(digits)? + 12) % 24;
        rest = after;
    }
    for (word, word_hour) in [("noon", 12), ("midnight", 0), ("teatime", 16)] {
        if let Some(after) = rest.strip_prefix(word) {
            (hour, minute) = (word_hour, 0);
            rest = after;
            break;
        }
    }
    let time = Time::new(hour, minute, 0, 0).map_err(|e| format!("no such time of day: {e}"));
    Ok((time?, rest))
}

/// One or two characters, then a mark: what stands before and after it.
fn before<'t>(first: &str, last: char, text: &'t str) -> Option<(&'t str, &'t str)> {
    let mark = format!("{first}{last}");
    let at = text.find(&mark).filter(|at| (1..3).contains(at))?;
    Some((&text[..at], &text[at + mark.len()..]))
}

fn number(digits: &str) -> Result<i8, String> {
    digits.parse().map_err(|e| format!("{digits:?} is no number: {e}"))
}

fn day(text: &str, today: Date) -> Option<Date> {
    match text {
        "" | "today" => return Some(today),
        "yesterday" => return today.yesterday().ok(),
        "tomorrow" => return today.tomorrow().ok(),
        _ => {}
    }
    if text.matches('/').count() == 2 {
        return us_date(text);
    }
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        let (year, month, day) = (&text[..4], &text[4..6], &text[6..]);
        return Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok();
    }
    let word = text.get(..3)?;
    if let Some(month) = MONTHS.iter().position(|m| *m == word) {
        let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let day = text[text.len() - digits.min(2)..].parse().ok()?;
        return Date::new(today.year(), i8::try_from(month + 1).ok()?, day).ok();
    }
    let wanted = WEEKDAYS.iter().position(|d| *d == word)?;
    let current = usize::try_from(today.weekday().to_sunday_zero_offset()).ok()?;
    let days = i64::try_from((current + 7 - wanted) % 7).ok()?;
    today.checked_sub(jiff::Span::new().days(days)).ok()
}

/// Month, day, year; the year may have two digits.
fn us_date(text: &str) -> Option<Date> {
    let mut parts = text.split('/');
    let (month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let mut year: i16 = parts.next()?.parse().ok()?;
    if year < 1900 {
        year += 1900;
    }
    if year < 1970 {
        year += 100;
    }
    Date::new(year, month, day).ok()
}

/// A sign, if any, and one or more of number and unit. Milliseconds.
fn offset_ms(text: &str) -> Result<i64, String> {
    let (sign, mut rest) = match text.as_bytes().first() {
        None => return Ok(0),
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        Some(_) => (1, text),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (count, after) = rest.split_at(rest.len() - digits.len());
        let letters = after.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(after.len() - letters.len());
        let count: f64 = count.parse().map_err(|e| format!("{count:?} before {unit:?}: {e}"))?;
        total += count * unit_ms(unit)? as f64;
        rest = after;
    }
    if total > INTERVAL_MAX as f64 * 1000.0 {
        return Err("out of range".to_owned());
    }
    Ok(sign * total.round() as i64)
}

fn unit_ms(unit: &str) -> Result<i64, String> {
    match unit {
        "ms" => return Ok(1),
        "m" => return unit_ms("min"),
        "M" => return unit_ms("mon"),
        _ => {}
    }
    let lower = unit.to_ascii_lowercase();
    let found = UNITS.iter().find(|(prefix, _)| lower.starts_with(prefix));
    found.map(|(_, ms)| *ms).ok_or_else(|| format!("unknown unit {unit:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-09-21 16:00:00 UTC, a Monday.
    const NOW: i64 = 1_790_006_400;
    const MIDNIGHT: i64 = NOW - 16 * 3600;

    fn utc(text: &str) -> Result<i64, TimeError> {
        parse_time(text, NOW, &TimeZone::UTC)
    }

    #[test]
    fn references_and_offsets() {
        for (text, seconds) in [
            ("", NOW),
            ("now", NOW),
            ("-1h30min", NOW - 5400),
            ("now-1mon", NOW - 30 * 86400),
            ("midnight+3h", MIDNIGHT + 10800),
            ("noon_yesterday", MIDNIGHT - 43200),
            ("08:30_20260920", MIDNIGHT - 86400 + 30600),
            ("12am_today", MIDNIGHT + 43200),
            ("12:30pm", MIDNIGHT + 1800),
            ("6pm_today", MIDNIGHT + 18 * 3600),
            ("monday", MIDNIGHT),
            ("fri", MIDNIGHT - 3 * 86400),
            ("sep20", MIDNIGHT - 86400),
            ("09/20/26", MIDNIGHT - 86400),
            ("tomorrow", MIDNIGHT + 86400),
            ("12345678", 12_345_678),
            ("1790006400123", NOW),
            ("2026-09-21T16:00:00Z", NOW),
            ("2026-09-21T18:00:00+02:00", NOW),
            ("-90m", NOW - 5400),
            ("-1M", NOW - 30 * 86400),
            ("-1.5h", NOW - 5400),
        ] {
            assert_eq!(utc(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "garbage",
            "5min",
            "-5",
            "-5xyz",
            "99:99_20260921",
            "20260231",
            "noon+1h_20260921",
            "ü",
        ] {
            assert!(utc(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wall_clock_times_are_of_the_zone() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        assert_eq!(parse_time("18:00_20260921", 0, &paris), Ok(NOW));
        // 02:30 happens twice on 2026-10-25; pytz takes the second.
        let october = parse_time("02:30_20261025", 0, &paris).unwrap();
        assert_eq!(october, utc("01:30_20261025").unwrap());
        // 02:30 does not happen on 2026-03-29; read in standard time it is 01:30 UTC.
        let march = parse_time("02:30_20260329", 0, &paris).unwrap();
        assert_eq!(march, utc("01:30_20260329").unwrap());
    }

    #[test]
    fn intervals_have_signs_and_round_parts_of_seconds_up() {
        for (text, seconds) in [
            ("1h", 3600),
            ("-1h30min", -5400),
            ("", 0),
            ("+2d", 172_800),
            ("200ms", 1),
            ("1y1s", 31_536_001),
        ] {
            assert_eq!(parse_interval(text), Ok(seconds), "{text}");
        }
        for text in ["bogus", "5", "1h-", "10x", "99999999999999y"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }
}
