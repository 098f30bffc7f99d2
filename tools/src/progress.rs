//! How far a long command is: one line on a terminal, rewritten; nothing where nobody watches.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use daemon::clock::{Clock, System};

/// How often the line is rewritten.
const INTERVAL: Duration = Duration::from_millis(200);

/// The line.
pub(crate) struct Progress {
    clock: System,
    what: &'static str,
    is_shown: bool,
    last: Option<Duration>,
}

impl Progress {
    /// A line about what is `what`; none if the command is `quiet` or its standard error is no terminal.
    pub(crate) fn new(what: &'static str, quiet: bool) -> Self {
        let is_shown = !quiet && std::io::stderr().is_terminal();
        Self { clock: System::new(), what, is_shown, last: None }
    }

    /// Shows that so many are done.
    pub(crate) fn show(&mut self, done: u64, of: u64) {
        let now = self.clock.monotonic();
        let is_early = self.last.is_some_and(|last| now.saturating_sub(last) < INTERVAL);
        if !self.is_shown || (is_early && done < of) {
            return;
        }
        self.last = Some(now);
        let text = line(self.what, done, of, now);
        // A terminal that is gone ends nothing.
        drop(write!(std::io::stderr(), "\r\x1b[K{text}"));
    }

    /// Leaves the line behind.
    pub(crate) fn end(&mut self) {
        if self.last.take().is_some() {
            drop(writeln!(std::io::stderr()));
        }
    }
}

fn line(what: &str, done: u64, of: u64, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
    let left = of.saturating_sub(done) as f64 / rate.max(1e-3);
    let percent = (done * 100).checked_div(of).unwrap_or(100);
    format!("{percent:3} %  {done} of {of} {what}  {rate:.0}/s  {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_rate_and_time_left() {
        let text = line("copied", 250, 1000, Duration::from_secs(5));
        assert_eq!(text, " 25 %  250 of 1000 copied  50/s  15 s left");
        assert!(line("copied", 0, 0, Duration::ZERO).starts_with("100 %"));
    }
}
