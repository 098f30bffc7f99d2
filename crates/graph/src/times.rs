//! The time axis: which distances its grid and labels have at how many seconds a pixel.

use jiff::Timestamp;
use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::{Offset, TimeZone};

const SECOND: i64 = 1;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Times beyond this have no date.
const SECONDS_MAX: i64 = 200_000_000_000;
/// More lines than this cannot be told apart on the widest picture.
const TICKS_MAX: usize = 1024;
/// Nor can more labels.
const LABELS_MAX: usize = 300;

/// Lines or labels this many units apart, counted from the next larger unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Every {
    unit: i64,
    seconds: i64,
}

/// How a time axis looks.
struct Row {
    /// From this many seconds a pixel.
    from: f64,
    minor: Every,
    major: Every,
    label: Every,
    format: &'static str,
    /// For graphs of up to this many seconds.
    range_max: i64,
}

const fn every(count: i64, unit: i64) -> Every {
    Every { unit, seconds: count * unit }
}

const fn row(
    from: f64,
    minor: Every,
    major: Every,
    label: Every,
    (format, range_max): (&'static str, i64),
) -> Row {
    Row { from, minor, major, label, format, range_max }
}

const CLOCK: &str = "%H:%M:%S";
const MINUTES: &str = "%H:%M";
const DATE: &str = "%m/%d";
const YEARS: &str = "%m/%d %Y";
const YEAR: i64 = 365 * DAY;
const ALWAYS: i64 = i64::MAX;
/// Half weeks.
const HALF_WEEK: Every = Every { unit: DAY, seconds: 7 * DAY / 2 };

/// By rising seconds a pixel; the last row that fits is taken.
const ROWS: &[Row] = &[
    row(0.0, every(5, SECOND), every(1, MINUTE), every(5, SECOND), (CLOCK, 10 * MINUTE)),
    row(0.07, every(10, SECOND), every(1, MINUTE), every(10, SECOND), (CLOCK, 20 * MINUTE)),
    row(0.14, every(15, SECOND), every(1, MINUTE), every(15, SECOND), (CLOCK, 30 * MINUTE)),
    row(0.27, every(30, SECOND), every(2, MINUTE), every(1, MINUTE), (MINUTES, 2 * HOUR)),
    row(0.5, every(1, MINUTE), every(2, MINUTE), every(1, MINUTE), (MINUTES, 2 * HOUR)),
    row(1.2, every(1, MINUTE), every(4, MINUTE), every(2, MINUTE), (MINUTES, 3 * HOUR)),
    row(2.0, every(1, MINUTE), every(10, MINUTE), every(5, MINUTE), (MINUTES, 6 * HOUR)),
    row(5.0, every(2, MINUTE), every(10, MINUTE), every(10, MINUTE), (MINUTES, 12 * HOUR)),
    row(10.0, every(5, MINUTE), every(20, MINUTE), every(20, MINUTE), (MINUTES, DAY)),
    row(30.0, every(10, MINUTE), every(1, HOUR), every(1, HOUR), (MINUTES, 2 * DAY)),
    row(60.0, every(30, MINUTE), every(2, HOUR), every(2, HOUR), (MINUTES, 2 * DAY)),
    row(100.0, every(2, HOUR), every(4, HOUR), every(4, HOUR), ("%a %H:%M", 6 * DAY)),
    row(255.0, every(6, HOUR), every(12, HOUR), every(12, HOUR), ("%m/%d %H:%M", 10 * DAY)),
    row(600.0, every(6, HOUR), every(1, DAY), every(1, DAY), (DATE, 14 * DAY)),
    row(1000.0, every(12, HOUR), every(1, DAY), every(1, DAY), (DATE, YEAR)),
    row(2000.0, every(1, DAY), every(2, DAY), every(2, DAY), (DATE, YEAR)),
    row(4000.0, every(2, DAY), every(4, DAY), every(4, DAY), (DATE, YEAR)),
    row(8000.0, HALF_WEEK, every(7, DAY), every(7, DAY), (DATE, YEAR)),
    row(16000.0, every(7, DAY), every(14, DAY), every(14, DAY), (DATE, YEAR)),
    row(32000.0, every(15, DAY), every(30, DAY), every(30, DAY), (DATE, YEAR)),
    row(64000.0, every(30, DAY), every(60, DAY), every(60, DAY), (YEARS, ALWAYS)),
    row(100_000.0, every(60, DAY), every(120, DAY), every(120, DAY), (YEARS, ALWAYS)),
    row(120_000.0, every(120, DAY), every(240, DAY), every(240, DAY), (YEARS, ALWAYS)),
];

/// The time axis of one picture.
pub(crate) struct TimeAxis {
    start: i64,
    end: i64,
    /// Of the zone at the start; like graphite-web's labels, ours do not follow a clock change.
    offset: Offset,
    row: &'static Row,
}

impl TimeAxis {
    /// From `start` to `end` on this many pixels.
    pub(crate) fn new(start: i64, end: i64, pixels: f64, zone: &TimeZone) -> Self {
        let [start, end] = [start, end].map(|at| at.clamp(-SECONDS_MAX, SECONDS_MAX));
        let range = end - start;
        let density = range as f64 / pixels;
        let fits = |row: &&Row| row.from <= density && row.range_max >= range;
        let last = ROWS.last().expect("there are rows");
        let row = ROWS.iter().rev().find(fits).unwrap_or(last);
        let moment = Timestamp::from_second(start).unwrap_or_default();
        Self { start, end, offset: zone.to_offset(moment), row }
    }

    /// Distance of the thin lines.
    pub(crate) fn minor(&self) -> Every {
        self.row.minor
    }

    /// Distance of the thick lines.
    pub(crate) fn major(&self) -> Every {
        self.row.major
    }

    /// Seconds since the start and what stands there.
    pub(crate) fn labels(&self, format: Option<&str>) -> Vec<(i64, String)> {
        let format = format.unwrap_or(self.row.format);
        let label = |after: i64| (after, self.text(self.start + after, format));
        self.ticks(self.row.label).take(LABELS_MAX).map(label).collect()
    }

    /// Seconds since the start at which lines stand.
    pub(crate) fn ticks(&self, every: Every) -> impl Iterator<Item = i64> + use<> {
        let offset = i64::from(self.offset.seconds());
        let local = self.start + offset;
        // Within the next larger unit the lines begin anew: 24 hours in steps of 5 begin at midnight.
        let day = local.div_euclid(DAY) * DAY;
        let begin = match every.unit {
            DAY => day,
            HOUR => day + (local - day).div_euclid(every.seconds) * every.seconds,
            MINUTE => floor_within(local, HOUR, every.seconds),
            _ => floor_within(local, MINUTE, every.seconds),
        };
        let first = if begin < local { begin + every.seconds } else { begin };
        let (first, range) = (first - local, self.end - self.start);
        let ticks = std::iter::successors(Some(first), move |at| at.checked_add(every.seconds));
        ticks.take_while(move |at| *at < range).take(TICKS_MAX)
    }

    fn text(&self, seconds: i64, format: &str) -> String {
        let moment = Timestamp::from_second(seconds).unwrap_or_default();
        let time = BrokenDownTime::from(&moment.to_zoned(self.offset.to_time_zone()));
        // Directives that are none stay as they stand.
        let text = time.to_string_with_config(&Config::new().lenient(true), format);
        text.unwrap_or_else(|_| format.to_owned())
    }
}

fn floor_within(local: i64, unit: i64, step: i64) -> i64 {
    let base = local.div_euclid(unit) * unit;
    base + (local - base).div_euclid(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_round_local_times() {
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let axis = TimeAxis::new(1_700_000_000, 1_700_007_200, 300.0, &zone);
        let labels = axis.labels(None);
        assert_eq!(labels[0], (1000, "04:00".to_owned()));
        assert_eq!(labels.len(), 6);
    }

    #[test]
    fn any_range_has_few_ticks_and_any_format_a_text() {
        for (start, end) in [(0, i64::MAX), (i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (5, 0)] {
            let axis = TimeAxis::new(start, end, 1.0, &TimeZone::UTC);
            assert!(axis.ticks(axis.minor()).count() <= TICKS_MAX);
            assert!(axis.labels(Some("%Q%!%")).len() <= LABELS_MAX);
        }
    }
}
