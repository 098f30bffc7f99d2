//! Texts with units: sizes, durations, addresses.

use std::time::Duration;

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const TIME_UNITS: &[(&str, u64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
    ("w", 604_800_000_000),
    ("y", 31_536_000_000_000),
];

/// Reads `64MiB`, `10GB`, `0`; none if the unit is missing or unknown.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (amount, unit, rest) = leading_amount(text, SIZE_UNITS)?;
    rest.is_empty().then(|| amount.checked_mul(unit)).flatten()
}

/// Reads `30s`, `250ms`, `1h30m`, `0`; none if the unit is missing or unknown.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut microseconds = 0_u64;
    loop {
        let (amount, unit, after) = leading_amount(rest, TIME_UNITS)?;
        microseconds = microseconds.checked_add(amount.checked_mul(unit)?)?;
        rest = after;
        if rest.is_empty() {
            return Some(Duration::from_micros(microseconds));
        }
    }
}

/// `12 MiB rest` without the spaces: amount, factor of the unit, what follows.
fn leading_amount<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<(u64, u64, &'a str)> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let amount = text[..digits_end].parse().ok()?;
    let after = text[digits_end..].trim_start();
    let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
    let (unit, rest) = after.split_at(unit_end);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    Some((amount, factor, rest.trim_start()))
}

/// Host and port of `HOST:PORT`; an empty host means every IPv4 interface, an IPv6 host stands in
/// brackets. None if it is not an address.
#[must_use]
pub fn parse_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten()?;
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        return inner.parse::<std::net::Ipv6Addr>().ok().map(|_| (inner, port));
    }
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match host {
        "" | "*" => Some(("0.0.0.0", port)),
        _ => host.chars().all(sound).then_some((host, port)),
    }
}
