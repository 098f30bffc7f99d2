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
        strtime::format(format, &time.to_zoned(TimeZone::system()))
            .map_err(|error| error.to_string())
    }
}
