//! What a rule asks for, checked.

use std::time::Duration;

use daemon::settings::parse_duration;

use super::layout::{Field, Layout};
use super::method::{Asked, MethodKind, UnknownMethod};
use super::rows::{Form, LEVELS_MAX};

/// Most windows of the finest size that may be open at a time in one series.
const OPEN_WINDOWS_MAX: u32 = 400;

/// Without a setting, the windows of a size are sent over this share of their length ...
const SPLAY_SHARE: u32 = 6;
/// ... but over no more than this.
const SPLAY_S_MAX: u32 = 300;

/// What `{method}` and `{window}` in an output's name stand for.
pub(super) const METHOD_PLACE: &str = "{method}";
pub(super) const WINDOW_PLACE: &str = "{window}";

/// Why a rule cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A size of window that is no whole number of seconds, with a unit.
    #[error("window `{0}` is not a length in whole seconds such as 10s, 1m, 5m, 1h or 1d")]
    Window(String),
    /// No size of window, or too many.
    #[error("a rule has 1 to {LEVELS_MAX} sizes of window, not {0}")]
    WindowCount(usize),
    /// A window that the finer ones do not fill.
    #[error("window `{coarse}` is not a larger multiple of `{fine}`, which feeds it")]
    NotNested {
        /// The finer one.
        fine: String,
        /// The coarser one.
        coarse: String,
    },
    /// A method that nobody knows.
    #[error(transparent)]
    UnknownMethod(#[from] UnknownMethod),
    /// Nothing to compute.
    #[error("a rule needs at least one method")]
    NoMethod,
    /// Two methods or windows that would be sent under one name.
    #[error("several {what} need `{place}` in the output `{output}`, or they would share a name")]
    OneName {
        /// Methods or windows.
        what: &'static str,
        /// What the name lacks.
        place: &'static str,
        /// The name.
        output: String,
    },
    /// Windows so small that too many are open until the last late point may come.
    #[error(
        "with points up to {late_s} s late, {open} windows of {window} are open at a time, \
         and at most {OPEN_WINDOWS_MAX} may be"
    )]
    TooManyOpen {
        /// The finest size.
        window: String,
        /// How late points may be.
        late_s: u32,
        /// How many that makes.
        open: u32,
    },
}

/// One size of window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its length.
    pub seconds: u32,
    /// As it was written, for the names of series.
    pub text: String,
}

impl Window {
    /// Reads `10s`, `1m`, `5min`, `1h`, `1d`, `1w`.
    ///
    /// # Errors
    /// No length, nothing, parts of seconds, beyond 68 years, or a space, which no name may hold.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let length = parse_duration(text).filter(|_| !text.contains(char::is_whitespace));
        let whole = length.filter(|length| length.subsec_nanos() == 0);
        match whole.and_then(|length| i32::try_from(length.as_secs()).ok()) {
            Some(seconds) if seconds > 0 => {
                Ok(Self { seconds: seconds.unsigned_abs(), text: text.to_owned() })
            }
            _ => Err(SpecError::Window(text.to_owned())),
        }
    }
}

/// Which moment of a window its points carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// Its first second, as Whisper and Python carbon name a slot.
    #[default]
    Start,
    /// Half-way.
    Middle,
    /// The first second after it, as carbon-c-relay does by default.
    End,
}

/// How much a rule may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most output series with open windows.
    pub series_max: usize,
    /// Most values that one window keeps for its percentiles.
    pub values_max: usize,
    /// Most bytes for all windows.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { series_max: 1_000_000, values_max: 10_000, bytes_max: 1 << 30 }
    }
}

/// A rule's aggregation, as it was asked for.
#[derive(Debug, Clone)]
pub struct Spec {
    pub(super) windows: Vec<Window>,
    pub(super) asked: Vec<Asked>,
    pub(super) wait_s: u32,
    pub(super) late_s: u32,
    pub(super) splay_s: Option<u32>,
    pub(super) stamp: Stamp,
    pub(super) limits: Limits,
}

impl Spec {
    /// A rule that computes `methods` over `windows`, which are sent under `output`.
    ///
    /// # Errors
    /// What does not fit together.
    pub fn new(windows: &[&str], methods: &[&str], output: &str) -> Result<Self, SpecError> {
        let windows: Vec<Window> =
            windows.iter().map(|text| Window::parse(text)).collect::<Result<_, _>>()?;
        let asked: Vec<Asked> =
            methods.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        if windows.is_empty() || windows.len() > LEVELS_MAX {
            return Err(SpecError::WindowCount(windows.len()));
        }
        for pair in windows.windows(2) {
            let (fine, coarse) = (&pair[0], &pair[1]);
            if coarse.seconds <= fine.seconds || coarse.seconds % fine.seconds != 0 {
                let (fine, coarse) = (fine.text.clone(), coarse.text.clone());
                return Err(SpecError::NotNested { fine, coarse });
            }
        }
        if asked.is_empty() {
            return Err(SpecError::NoMethod);
        }
        let places =
            [("methods", asked.len(), METHOD_PLACE), ("windows", windows.len(), WINDOW_PLACE)];
        for (what, count, place) in places {
            if count > 1 && !output.contains(place) {
                return Err(SpecError::OneName { what, place, output: output.to_owned() });
            }
        }
        Self {
            windows,
            asked,
            wait_s: 0,
            late_s: 0,
            splay_s: None,
            stamp: Stamp::default(),
            limits: Limits::default(),
        }
        .late(Duration::from_secs(300))
    }

    /// How long after a window's end it is sent for the first time; at once without this.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait_s = seconds(wait);
        self
    }

    /// How late a point may be; five minutes without this.
    ///
    /// # Errors
    /// So late that too many of the finest windows would be open.
    pub fn late(mut self, late: Duration) -> Result<Self, SpecError> {
        self.late_s = seconds(late);
        let finest = &self.windows[0];
        let open = self.late_s / finest.seconds;
        if open > OPEN_WINDOWS_MAX {
            let window = finest.text.clone();
            return Err(SpecError::TooManyOpen { window, late_s: self.late_s, open });
        }
        Ok(self)
    }

    /// Over how long the series' windows of one end are sent, at most the window's length; without
    /// this a sixth of the window, at most five minutes.
    #[must_use]
    pub fn splay(mut self, splay: Duration) -> Self {
        self.splay_s = Some(seconds(splay));
        self
    }

    /// Which moment of a window its points carry; its start without this.
    #[must_use]
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = stamp;
        self
    }

    /// How much the rule may hold.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How far back points must be replayed so that every window is whole again: the longest window
    /// and the latest point in it.
    #[must_use]
    pub fn horizon(&self) -> Duration {
        let longest = self.windows.last().map_or(0, |window| window.seconds);
        Duration::from_secs(u64::from(longest) + u64::from(self.late_s))
    }

    /// All that its windows depend on, as a text that is the same in every run of every program.
    #[must_use]
    pub fn identity(&self) -> String {
        let texts = |texts: Vec<&str>| texts.join(",");
        let windows = texts(self.windows.iter().map(|window| window.text.as_str()).collect());
        let methods = texts(self.asked.iter().map(|asked| asked.name.as_str()).collect());
        let stamp = match self.stamp {
            Stamp::Start => "start",
            Stamp::Middle => "middle",
            Stamp::End => "end",
        };
        let splay = self.splay_s.map_or_else(|| "default".to_owned(), |splay| splay.to_string());
        let (wait, late) = (self.wait_s, self.late_s);
        format!("{windows} {methods} stamp={stamp} wait={wait} late={late} splay={splay}")
    }

    /// Whether all values must be kept.
    pub(super) fn needs_values(&self) -> bool {
        self.asked.iter().any(|asked| matches!(asked.kind, MethodKind::Percentile(_)))
    }

    pub(super) fn form(&self) -> Form {
        let fields = self.asked.iter().flat_map(|asked| match asked.kind {
            MethodKind::Figures(fields, _) => fields.iter().copied(),
            MethodKind::Percentile(_) => [].iter().copied(),
        });
        let fields: Vec<Field> = fields.collect();
        let intervals = self.windows.iter().map(|window| window.seconds).collect();
        Form { layout: Layout::new(fields), intervals }
    }

    /// How many seconds after its time the window of a series is sent, so that not all come at
    /// once. Series are numbered from nought, and this sequence spreads any count of them evenly.
    pub(super) fn splay_of(&self, level: usize, series: u32) -> i64 {
        let window = self.windows[level].seconds;
        let splay = self.splay_s.unwrap_or((window / SPLAY_SHARE).min(SPLAY_S_MAX)).min(window);
        const GOLDEN_RATIO: u32 = 0x9e37_79b9;
        let share = u64::from(series.wrapping_mul(GOLDEN_RATIO));
        ((share * u64::from(splay)) >> u32::BITS).cast_signed()
    }

    /// The timestamp that a window's points carry.
    pub(super) fn timestamp(&self, level: usize, start: i64) -> i64 {
        let window = i64::from(self.windows[level].seconds);
        match self.stamp {
            Stamp::Start => start,
            Stamp::Middle => start + window / 2,
            Stamp::End => start + window,
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(windows: &[&str], methods: &[&str], output: &str) -> String {
        Spec::new(windows, methods, output).unwrap_err().to_string()
    }

    #[test]
    fn a_rule_that_cannot_be_says_why() {
        assert!(refused(&["1m", "90s"], &["sum"], "{window}").contains("larger multiple of `1m`"));
        assert!(refused(&["5m", "1m"], &["sum"], "{window}").contains("larger multiple"));
        assert!(refused(&["0s"], &["sum"], "a").contains("whole seconds"));
        assert!(refused(&["1500ms"], &["sum"], "a").contains("whole seconds"));
        assert!(refused(&["99999999w"], &["sum"], "a").contains("whole seconds"));
        assert!(refused(&[], &["sum"], "a").contains("not 0"));
        assert!(refused(&["1m"], &[], "a").contains("at least one method"));
        assert!(refused(&["1m"], &["min", "max"], "a").contains("`{method}`"));
        assert!(refused(&["1m", "5m"], &["min"], "a").contains("`{window}`"));
        let spec = Spec::new(&["1s"], &["sum"], "a").unwrap();
        let error = spec.late(Duration::from_secs(3_600)).unwrap_err().to_string();
        assert!(error.contains("3600 windows of 1s"), "{error}");
    }

    #[test]
    fn a_restart_knows_a_rule_by_its_settings() {
        let spec = Spec::new(&["1m", "1h"], &["sum", "p95"], "{window}.{method}").unwrap();
        let plain = "1m,1h sum,p95 stamp=start wait=0 late=300 splay=default";
        assert_eq!(spec.identity(), plain);
        let spec = spec.stamp(Stamp::End).wait(Duration::from_secs(5)).splay(Duration::ZERO);
        assert_eq!(spec.identity(), "1m,1h sum,p95 stamp=end wait=5 late=300 splay=0");
    }

    #[test]
    fn a_splay_spreads_series_evenly_and_stays_in_the_window() {
        let spec = Spec::new(&["1m"], &["sum"], "a").unwrap().splay(Duration::from_secs(600));
        let mut counts = [0; 60];
        for series in 0..6_000 {
            counts[spec.splay_of(0, series) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (90..=110).contains(count)), "{counts:?}");
    }
}
