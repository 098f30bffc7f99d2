//! Retention definitions as carbon's configuration writes them: `60s:1d`, `1m:1440`.

use std::fmt;

/// The units; any beginning of a name will do, so `m`, `min` and `minutes` are the same.
const UNITS: [(&str, u64); 6] = [
    ("seconds", 1),
    ("minutes", 60),
    ("hours", 3_600),
    ("days", 86_400),
    ("weeks", 604_800),
    ("years", 31_536_000),
];

/// An archive as asked for: a step and a number of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Seconds a point covers.
    pub seconds_per_point: u32,
    /// Number of points.
    pub points: u32,
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seconds_per_point, self.points)
    }
}

/// Why a retention definition is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// Not `precision:points`.
    #[error("invalid retention definition {text:?}, expected precision:points")]
    Definition {
        /// The definition.
        text: String,
    },
    /// A side that is neither a number nor a number with a unit.
    #[error("invalid number {text:?} in a retention definition")]
    Number {
        /// That side.
        text: String,
    },
    /// A unit that is no beginning of seconds, minutes, hours, days, weeks or years.
    #[error("invalid unit {unit:?} in a retention definition")]
    Unit {
        /// The unit.
        unit: String,
    },
    /// A step of zero, or a retention shorter than one step.
    #[error("retention definition {text:?} has no step or no points")]
    Zero {
        /// The definition.
        text: String,
    },
    /// A number beyond the format's 32 bits.
    #[error("{text:?} in a retention definition does not fit 32 bits")]
    TooLarge {
        /// The number or the definition.
        text: String,
    },
}

/// Reads `precision:points`. A bare precision is in seconds, bare points are a count, points with a
/// unit are a time span that is divided by the precision, rounding down.
impl std::str::FromStr for Retention {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, RetentionError> {
        let definition = || text.to_owned();
        let (precision, points) = text
            .trim()
            .split_once(':')
            .ok_or_else(|| RetentionError::Definition { text: definition() })?;
        let (number, unit) = number_and_unit(precision)?;
        let seconds_per_point = number.checked_mul(unit.unwrap_or(1));
        let seconds_per_point =
            seconds_per_point
                .and_then(|seconds| u32::try_from(seconds).ok())
                .ok_or_else(|| RetentionError::TooLarge { text: precision.to_owned() })?;
        let (number, unit) = number_and_unit(points)?;
        let points = match unit {
            None => Some(number),
            Some(_) if seconds_per_point == 0 => Some(0),
            Some(unit) => number.checked_mul(unit).map(|span| span / u64::from(seconds_per_point)),
        };
        if seconds_per_point == 0 || points == Some(0) {
            return Err(RetentionError::Zero { text: definition() });
        }
        let points = points
            .and_then(|points| u32::try_from(points).ok())
            .ok_or_else(|| RetentionError::TooLarge { text: definition() })?;
        Ok(Self { seconds_per_point, points })
    }
}

/// Reads a comma list of definitions.
pub fn parse_retentions(text: &str) -> Result<Vec<Retention>, RetentionError> {
    text.split(',').map(str::parse).collect()
}

/// Reads a step on its own, `60` or `60s` or `1min`.
pub fn parse_step(text: &str) -> Result<u32, RetentionError> {
    let (number, unit) = number_and_unit(text.trim())?;
    number
        .checked_mul(unit.unwrap_or(1))
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| RetentionError::TooLarge { text: text.to_owned() })
}

/// Splits digits and an optional unit. Only ASCII digits: other scripts' digits pass Python's
/// test, but no one means them.
fn number_and_unit(text: &str) -> Result<(u64, Option<u64>), RetentionError> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() || !unit.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(RetentionError::Number { text: text.to_owned() });
    }
    let number =
        digits.parse().map_err(|_overflow| RetentionError::TooLarge { text: text.to_owned() })?;
    if unit.is_empty() {
        return Ok((number, None));
    }
    let seconds = UNITS.iter().find(|(name, _)| name.starts_with(unit)).map(|row| row.1);
    seconds
        .map(|seconds| (number, Some(seconds)))
        .ok_or_else(|| RetentionError::Unit { unit: unit.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(u32, u32)> {
        text.parse().ok().map(|r: Retention| (r.seconds_per_point, r.points))
    }

    #[test]
    fn bare_points_are_a_count_and_units_a_span() {
        assert_eq!(parsed("1m:1440"), Some((60, 1440)));
        assert_eq!(parsed("60:1d"), Some((60, 1440)));
        assert_eq!(parsed("10sec:6hour"), Some((10, 2160)));
        assert_eq!(parsed(" 007:010 "), Some((7, 10)));
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in ["60", ":60", "a:b", "1x:1d", "60:1D", "60:1440:3", "1mo:1y", "60:1 d", "-1:5"]
        {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn zero_and_foreign_digits_are_refused() {
        for text in ["0s:1d", "60:0", "60:59s", "\u{663}:10", "4294967296:1", "1s:99999999999y"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn lists_split_at_commas() {
        assert_eq!(parse_retentions("1m:1h,1h:1d").map(|list| list.len()), Ok(2));
        assert!(parse_retentions("1m:1h,").is_err());
    }

    #[test]
    fn a_step_may_stand_alone() {
        assert_eq!(parse_step("60s"), Ok(60));
        assert_eq!(parse_step("5m"), Ok(300));
        assert!(parse_step("x").is_err());
    }
}
