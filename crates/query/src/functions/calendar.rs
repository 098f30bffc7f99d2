//! Where units of the calendar begin, and how a wall clock reads.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::call::Call;
use crate::error::EvalError;
use crate::time_expr::parse_time;

/// A unit that windows can be aligned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// From the first of January.
    Year,
    /// From the first day.
    Month,
    /// From a day of the week; Monday is 1.
    Week(i64),
    /// From midnight.
    Day,
    /// From the full hour.
    Hour,
    /// From the full minute.
    Minute,
    /// As fine as time is here.
    Second,
}

/// Units by the prefix that names them, in the order in which they are tried.
const UNITS: [(&str, Unit); 7] = [
    ("s", Unit::Second),
    ("min", Unit::Minute),
    ("h", Unit::Hour),
    ("d", Unit::Day),
    ("w", Unit::Week(1)),
    ("mon", Unit::Month),
    ("y", Unit::Year),
];

impl Unit {
    /// By anything that begins as its name does; a digit at the end of a week is its first day.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        let (_, unit) = UNITS.iter().find(|(prefix, _)| name.starts_with(prefix))?;
        match (unit, name.chars().next_back()?) {
            (Self::Week(_), last) if !last.is_alphabetic() => {
                last.to_digit(10).map(|day| Self::Week(day.into()))
            }
            _ => Some(*unit),
        }
    }
}

/// Start of the unit that holds this time, seconds. The zone's offset at that time counts for the
/// start as well, as in graphite-web, even if the clocks have changed in between.
pub(super) fn start_of(unit: Unit, seconds: i64, tz: &TimeZone) -> i64 {
    let Ok(timestamp) = Timestamp::from_second(seconds) else { return seconds };
    let offset = tz.to_offset(timestamp);
    let start = civil_start(unit, offset.to_datetime(timestamp));
    start.and_then(|start| to_seconds(start, offset)).unwrap_or(seconds)
}

fn civil_start(unit: Unit, local: DateTime) -> Option<DateTime> {
    let midnight = |date: Date| date.to_datetime(Time::midnight());
    let date = local.date();
    let time = local.time();
    Some(match unit {
        Unit::Year => midnight(date.first_of_year()),
        Unit::Month => midnight(date.first_of_month()),
        Unit::Week(first) => {
            let days = i64::from(date.weekday().to_monday_one_offset()) - first;
            let days = if days < 0 { days + 7 } else { days };
            midnight(date.checked_sub(days.days()).ok()?)
        }
        Unit::Day => midnight(date),
        Unit::Hour => date.at(time.hour(), 0, 0, 0),
        Unit::Minute => date.at(time.hour(), time.minute(), 0, 0),
        Unit::Second => local,
    })
}

fn to_seconds(local: DateTime, offset: Offset) -> Option<i64> {
    Some(offset.to_timestamp(local).ok()?.as_second())
}

/// The wall clock of the request's zone read as if it were UTC, an hour back in summer time: what
/// graphite-web's use of `mktime` comes to on a server that runs in UTC.
pub(super) fn wall_clock(call: &Call<'_>, seconds: i64) -> i64 {
    let Ok(timestamp) = Timestamp::from_second(seconds) else { return seconds };
    let info = call.tz().to_offset_info(timestamp);
    let summer = if info.dst().is_dst() { 3600 } else { 0 };
    seconds + i64::from(info.offset().seconds()) - summer
}

/// Some functions read times in their arguments in the zone of the server, not of the request.
pub(super) const SERVER_ZONE: TimeZone = TimeZone::UTC;

/// A time given as an argument, in the server's zone.
pub(super) fn server_time(call: &Call<'_>, parameter: &str) -> Result<i64, EvalError> {
    Ok(parse_time(&call.string(parameter), call.now(), &SERVER_ZONE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-09-21 16:12:34 UTC, a Monday.
    const NOW: i64 = 1_790_006_400 + 754;

    #[test]
    fn units_begin_where_the_zone_s_calendar_says() {
        let utc = |name: &str| start_of(Unit::by_name(name).unwrap(), NOW, &TimeZone::UTC);
        assert_eq!(utc("seconds"), NOW);
        assert_eq!(utc("min"), NOW - 34);
        assert_eq!(utc("hours"), NOW - 754);
        assert_eq!(utc("days"), NOW - 754 - 16 * 3600);
        assert_eq!(utc("weeks"), utc("days"));
        assert_eq!(utc("weeks7"), utc("days") - 86_400);
        assert_eq!(utc("months"), utc("days") - 20 * 86_400);
        assert_eq!(utc("years"), 1_767_225_600);
        let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
        assert_eq!(start_of(Unit::Day, NOW, &kolkata), 1_790_006_400 - 16 * 3600 - 19_800);
    }

    #[test]
    fn names_that_begin_like_no_unit_are_refused() {
        for name in ["", "m", "1d", "nonsense", "weeks!"] {
            assert_eq!(Unit::by_name(name), None, "{name}");
        }
    }
}
