//! What a render request asks for, and may cost.

use jiff::tz::TimeZone;

use crate::error::EvalError;
use crate::fetch::Fetch;
use crate::fold::FoldSpec;
use crate::limits::Limits;
use crate::window::Window;

/// What a render request asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Targets as they were sent; empty ones are skipped.
    pub targets: Vec<String>,
    /// Start of the window, seconds.
    pub from: i64,
    /// End of the window, seconds.
    pub until: i64,
    /// What `now` means, seconds.
    pub now: i64,
    /// Zone of wall-clock times and of days.
    pub tz: TimeZone,
    /// At most so many points a series (JSON only).
    pub max_data_points: Option<usize>,
    /// Share of points that a merged point needs.
    pub x_files_factor: f64,
    /// Leaves nulls out, and series of nothing but nulls.
    pub no_null_points: bool,
    /// `template[name]=value`.
    pub template: Vec<(String, String)>,
    /// Coarsest step that some functions may choose, seconds.
    pub max_step: Option<i64>,
    /// What it may cost.
    pub limits: Limits,
    /// Whether the store is asked to fold series where it can.
    pub push_down: bool,
    /// What the store may make of the series of every target; see [`Request::in_bands`].
    pub bands: Option<FoldSpec>,
}

impl Request {
    /// A request with Graphite's defaults: UTC, no limits on points, nothing special. A reversed
    /// window is turned round.
    pub fn new(targets: Vec<String>, from: i64, until: i64, now: i64) -> Self {
        Self {
            targets,
            from: from.min(until),
            until: from.max(until),
            now,
            tz: TimeZone::UTC,
            max_data_points: None,
            x_files_factor: 0.0,
            no_null_points: false,
            template: Vec::new(),
            max_step: None,
            limits: Limits::default(),
            push_down: false,
            bands: None,
        }
    }

    /// A read of series as they are, or as the store is to merge them.
    pub(crate) fn fetch(&self, pattern: String, window: Window) -> Fetch {
        Fetch { pattern, window, fold: self.bands.clone() }
    }

    /// The targets that say anything, which have to be parsed, within their limits.
    pub fn targets_to_parse(&self) -> Result<Vec<&str>, EvalError> {
        if self.from >= self.until {
            return Err(EvalError::Request("the time range is empty".to_owned()));
        }
        within("targets_max", self.targets.len() as u64, self.limits.targets_max)?;
        let targets = self.targets.iter().map(String::as_str);
        let targets: Vec<&str> = targets.filter(|target| !target.trim().is_empty()).collect();
        for target in &targets {
            within("target_bytes_max", target.len() as u64, self.limits.target_bytes_max)?;
        }
        Ok(targets)
    }
}

/// An error if more is asked than a limit allows.
pub(crate) fn within(limit: &'static str, asked: u64, allowed: u64) -> Result<(), EvalError> {
    if asked > allowed { Err(EvalError::Limit { limit, asked, allowed }) } else { Ok(()) }
}
