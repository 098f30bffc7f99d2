//! A render request: from targets and a window to the series that answer it.

use jiff::tz::TimeZone;
use metric::{Glob, GlobError, TagQuery};

use crate::ast::Expr;
use crate::error::EvalError;
use crate::eval::{Data, Run, Scope};
use crate::limits::Limits;
use crate::parse::parse;
use crate::plan::{Fetch, Planner};
use crate::series::Series;

/// Rounds of fetching and evaluating that a caller should go before it gives up: one, and one for each
/// `moving...` with a number of points within another.
pub const ROUNDS_MAX: usize = 16;

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
        }
    }
}

/// A request whose targets are parsed and whose reads are known.
#[derive(Debug)]
pub struct Prepared<'r> {
    request: &'r Request,
    targets: Vec<Expr>,
    fetches: Vec<Fetch>,
}

/// What an evaluation comes to.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// The series of all targets, in order.
    Done(Vec<Series>),
    /// These have to be fetched first; then evaluate again.
    Need(Vec<Fetch>),
}

/// Parses the targets and plans the first round of reads.
pub fn prepare(request: &Request) -> Result<Prepared<'_>, EvalError> {
    if request.from >= request.until {
        return Err(EvalError::Request("the time range is empty".to_owned()));
    }
    let asked = request.targets.len() as u64;
    within("targets_max", asked, request.limits.targets_max)?;
    let mut targets = Vec::new();
    for target in request.targets.iter().filter(|t| !t.trim().is_empty()) {
        targets.push(parse(target)?);
    }
    let data = Data::default();
    let run = Run::new(request, &data);
    let scope = Scope::new(request);
    let mut planner = Planner::new(&run);
    for target in &targets {
        planner.collect(target, &scope)?;
    }
    let fetches = planner.into_fetches();
    check(&fetches, &request.limits)?;
    Ok(Prepared { request, targets, fetches })
}

impl Prepared<'_> {
    /// The reads of the first round, each once.
    pub fn fetches(&self) -> &[Fetch] {
        &self.fetches
    }

    /// Evaluates all targets over what has been fetched so far.
    pub fn evaluate(&self, data: &Data) -> Result<Outcome, EvalError> {
        let run = Run::new(self.request, data);
        let answer = self.evaluate_targets(&run);
        let missing = run.into_missing();
        if missing.is_empty() {
            return answer.map(Outcome::Done);
        }
        // What went wrong over missing data says nothing: with the data it may go well.
        check(&missing, &self.request.limits)?;
        Ok(Outcome::Need(missing))
    }

    fn evaluate_targets(&self, run: &Run<'_>) -> Result<Vec<Series>, EvalError> {
        let mut scope = Scope::new(self.request);
        let mut answer = Vec::new();
        for target in &self.targets {
            answer.extend(run.evaluate_series(target, &mut scope)?);
        }
        Ok(answer)
    }
}

fn check(fetches: &[Fetch], limits: &Limits) -> Result<(), EvalError> {
    within("fetches_max", fetches.len() as u64, limits.fetches_max)?;
    fetches.iter().try_for_each(|fetch| check_pattern(fetch, limits))
}

/// Refuses patterns that no store would take, before any store is asked.
fn check_pattern(fetch: &Fetch, limits: &Limits) -> Result<(), EvalError> {
    let refused = |e: String| EvalError::Request(format!("{}: {e}", fetch.pattern));
    if fetch.is_tag_query() {
        return TagQuery::parse_call(&fetch.pattern).map(drop).map_err(|e| refused(e.to_string()));
    }
    let allowed = limits.brace_expansions_max;
    match Glob::compile_with(&fetch.pattern, allowed) {
        Ok(_) => Ok(()),
        Err(GlobError::TooManyExpansions { .. }) => {
            let allowed = allowed as u64;
            Err(EvalError::Limit { limit: "brace_expansions_max", asked: allowed + 1, allowed })
        }
        Err(e) => Err(refused(e.to_string())),
    }
}

fn within(limit: &'static str, asked: u64, allowed: u64) -> Result<(), EvalError> {
    if asked > allowed { Err(EvalError::Limit { limit, asked, allowed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
