//! Times as people read them.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// C's `ctime`.
const CTIME: &str = "%a %b %e %H:%M:%S %Y";

/// How times are printed.
#[derive(clap::Args)]
pub(super) struct TimeFormat {
    /// Print local time instead of seconds since 1970.
    #[arg(long)]
    pretty: bool,
    /// How --pretty prints a time, in the words of strftime.
    #[arg(short, long, value_name = "FORMAT")]
    time_format: Option<String>,
}

impl TimeFormat {
    /// The text of a time.
    pub(super) fn text(&self, seconds: i64) -> Result<String, String> {
        if !self.pretty {
            return Ok(seconds.to_string());
        }
        let time = Timestamp::from_second(seconds).map_err(|error| error.to_string())?;
        let format = self.time_format.as_deref().unwrap_or(CTIME);
        // As C does it: %c, %x and %X in C's locale, and what is no conversion stays as it is.
        let config = strtime::Config::new().custom(strtime::PosixCustom::new()).lenient(true);
        strtime::BrokenDownTime::from(&time.to_zoned(TimeZone::system()))
            .to_string_with_config(&config, format)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_as_c_reads_them() {
        let text = |format: &str| {
            let format = TimeFormat { pretty: true, time_format: Some(format.to_owned()) };
            format.text(1_699_963_200).unwrap()
        };
        // The day is the time zone's.
        assert_eq!(text("%x"), text("%m/%d/%y"));
        assert_eq!(text("%c"), text(CTIME));
        assert_eq!(text("%Y %% %! 7%"), "2023 % %! 7%");
    }
}
