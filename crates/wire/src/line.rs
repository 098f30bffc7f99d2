//! The carbon line `name value timestamp`: parsed in place, printed in a form every peer takes.
//!
//! The name comes back as the bytes that were sent; cleaning it into the canonical name is
//! `metric::name`'s work, because the relay and the storage node do that behind a cache.

use crate::RefusalReason;
use bytes::BufMut;
use std::io::Write as _;

mod decimal;
#[cfg(test)]
mod tests;

/// Timestamps of exactly thirteen digits: 2001 to 2286 counted in milliseconds.
const MILLISECONDS: std::ops::Range<u64> = 1_000_000_000_000..10_000_000_000_000;

/// One accepted line, its name borrowed from the buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line<'a> {
    /// The name as it was sent.
    pub name: &'a [u8],
    /// Finite, unless [`Rules::infinities`] let an infinity through.
    pub value: f64,
    /// Seconds since 1970, always within `0..=u32::MAX`.
    pub timestamp: i64,
}

/// What a listener accepts, and the moment that `-1` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Seconds since 1970: what `-1` and `N` become, and what the window is measured from.
    pub now: i64,
    /// Take `inf` and `-inf`.
    pub infinities: bool,
    /// Take `N` as a timestamp that means now.
    pub letter_now: bool,
    /// Divide a timestamp of thirteen digits by 1000 instead of refusing it.
    pub convert_milliseconds: bool,
    /// Seconds before now that are still accepted.
    pub past_s_max: i64,
    /// Seconds after now that are still accepted.
    pub future_s_max: i64,
}

impl Rules {
    /// The default rules at a moment: finite values, `-1` for now, any time a file can hold.
    #[must_use]
    pub const fn at(now: i64) -> Self {
        Self {
            now,
            infinities: false,
            letter_now: false,
            convert_milliseconds: false,
            past_s_max: i64::MAX,
            future_s_max: i64::MAX,
        }
    }

    /// Checks a moment in whole seconds against the window and the 32 bits of a Whisper slot.
    pub(crate) fn admit_seconds(&self, seconds: u64) -> Result<i64, RefusalReason> {
        let seconds = match seconds {
            s if !MILLISECONDS.contains(&s) => s,
            s if self.convert_milliseconds => s / 1000,
            _ => return Err(RefusalReason::LooksLikeMilliseconds),
        };
        let Ok(timestamp) = u32::try_from(seconds).map(i64::from) else {
            return Err(match i64::try_from(seconds) {
                Ok(_) => RefusalReason::TooFarFuture,
                Err(_) => RefusalReason::BadTimestamp,
            });
        };
        if timestamp > self.now.saturating_add(self.future_s_max) {
            return Err(RefusalReason::TooFarFuture);
        }
        if timestamp < self.now.saturating_sub(self.past_s_max) {
            return Err(RefusalReason::TooOld);
        }
        Ok(timestamp)
    }

    /// As [`Rules::admit_seconds`] for a moment with a fraction, which is floored; -1 is now.
    pub(crate) fn admit_float(&self, seconds: f64) -> Result<i64, RefusalReason> {
        if seconds == -1.0 {
            return Ok(self.now);
        }
        // NaN is in no range.
        if !(0.0..9.2e18).contains(&seconds) {
            return Err(RefusalReason::BadTimestamp);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "flooring is the rule, and the range was checked"
        )]
        self.admit_seconds(seconds as u64)
    }

    /// Refuses the values that no file should hold.
    pub(crate) fn admit_value(&self, value: f64) -> Result<f64, RefusalReason> {
        if value.is_finite() || (self.infinities && value.is_infinite()) {
            Ok(value)
        } else {
            Err(RefusalReason::NotFinite)
        }
    }
}

/// Parses one line, without its newline. A blank line is `None`.
///
/// Fields are separated by any run of spaces and tabs; blanks at either end and a carriage return
/// before the newline are ignored.
///
/// # Errors
/// The reason for which the line is refused; the rest of the stream is unaffected.
pub fn parse<'a>(line: &'a [u8], rules: &Rules) -> Result<Option<Line<'a>>, RefusalReason> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let name_end = memchr::memchr2(b' ', b'\t', line).ok_or(RefusalReason::WrongFieldCount)?;
    let (name, rest) = line.split_at(name_end);
    let (value_text, rest) = field(skip_blanks(rest));
    let (timestamp_text, rest) = field(skip_blanks(rest));
    if timestamp_text.is_empty() || !rest.is_empty() {
        return Err(RefusalReason::WrongFieldCount);
    }
    let value = parse_value(value_text, rules)?;
    let timestamp = parse_timestamp(timestamp_text, rules)?;
    Ok(Some(Line { name, value, timestamp }))
}

/// Parses the text of a value under the rules of a line.
///
/// # Errors
/// [`RefusalReason::BadValue`] or [`RefusalReason::NotFinite`].
pub fn parse_value(text: &[u8], rules: &Rules) -> Result<f64, RefusalReason> {
    if let Some(value) = decimal::exact(text) {
        return Ok(value);
    }
    let value = decimal::any(text).ok_or(RefusalReason::BadValue)?;
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) {
        return Err(RefusalReason::BadValue);
    }
    rules.admit_value(value)
}

/// Parses the text of a timestamp under the rules of a line.
///
/// # Errors
/// One of the reasons about timestamps.
pub fn parse_timestamp(text: &[u8], rules: &Rules) -> Result<i64, RefusalReason> {
    if let Some(seconds) = decimal::unsigned(text) {
        return rules.admit_seconds(seconds);
    }
    match text {
        b"-1" => Ok(rules.now),
        b"N" if rules.letter_now => Ok(rules.now),
        _ => rules.admit_float(decimal::any(text).ok_or(RefusalReason::BadTimestamp)?),
    }
}

/// Appends `name value timestamp\n`.
///
/// The value is printed with the fewest digits that read back to the same double: integers
/// without a fraction, an exponent only outside 1e-5 to 1e16 where plain digits would run long.
///
/// # Errors
/// [`RefusalReason::NotFinite`], with nothing written: carbon peers disagree about such values.
pub fn write_line(
    out: &mut impl BufMut,
    name: &[u8],
    value: f64,
    timestamp: i64,
) -> Result<(), RefusalReason> {
    if !value.is_finite() {
        return Err(RefusalReason::NotFinite);
    }
    out.put_slice(name);
    out.put_u8(b' ');
    write_value(out, value);
    out.put_u8(b' ');
    decimal::put_integer(out, timestamp);
    out.put_u8(b'\n');
    Ok(())
}

/// Appends a finite value as [`write_line`] does.
fn write_value(out: &mut impl BufMut, value: f64) {
    if let Some(integer) = decimal::small_integer(value) {
        return decimal::put_integer(out, integer);
    }
    // The longest shortest form is 24 bytes, as in -2.2250738585072014e-308.
    let mut text = [0_u8; 32];
    let mut cursor = &mut text[..];
    let magnitude = value.abs();
    let plain = value == 0.0 || (1e-5..1e16).contains(&magnitude);
    let written = if plain { write!(cursor, "{value}") } else { write!(cursor, "{value:e}") };
    written.expect("32 bytes hold the shortest form of any double");
    let left = cursor.len();
    out.put_slice(&text[..text.len() - left]);
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&b| !is_blank(b)).unwrap_or(text.len());
    &text[start..]
}

/// The text up to the next blank, and what follows.
fn field(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&b| is_blank(b)).unwrap_or(text.len());
    text.split_at(end)
}
