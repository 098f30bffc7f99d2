//! From a request's targets to the series that answer it: parse, plan, then evaluate as often as data are lacking.

use std::collections::BTreeSet;
use std::sync::Arc;

use metric::{Glob, GlobError, TagQuery};

use crate::ast::Expr;
use crate::brake::Brake;
use crate::call::Evaluate as _;
use crate::data::Data;
use crate::error::EvalError;
use crate::fetch::Fetch;
use crate::fold::{Fold, FoldSpec};
use crate::limits::Limits;
use crate::parse::parse;
use crate::plan::Planner;
use crate::request::{Request, within};
use crate::run::Run;
use crate::scope::Scope;
use crate::series::Series;

/// Rounds of fetching and evaluating that a caller should go before it gives up: one, and one for each
/// `moving...` with a number of points within another.
pub const ROUNDS_MAX: usize = 16;

/// Shorter bands hold a point or two of most series, and merging saves little.
const BAND_SECONDS_MIN: i64 = 120;

impl Request {
    /// Has the store merge points where that shows the same as [`limit_points`](crate::consolidate::limit_points)
    /// of all series: where every target is a pattern, and nothing else. Bands of a minute or two are no gain.
    #[must_use]
    pub fn in_bands(mut self, targets: &[Arc<Expr>]) -> Self {
        let scope = Scope::new(&self);
        let is_plain = |target: &Arc<Expr>| {
            let pattern = scope.pattern(target);
            pattern.is_some_and(|pattern| Fetch::new(pattern, scope.window).is_pattern())
        };
        let points_max = self.max_data_points.and_then(|points| u32::try_from(points).ok());
        let points_max = points_max.filter(|&points| points > 0).unwrap_or(u32::MAX);
        let is_gain = (self.until - self.from) / i64::from(points_max) >= BAND_SECONDS_MIN;
        if self.push_down && is_gain && self.x_files_factor == 0.0 && targets.iter().all(is_plain) {
            self.bands = Some(FoldSpec { fold: Fold::Bands(points_max), group_by: Vec::new() });
        }
        self
    }
}

/// A request whose targets are parsed and whose reads are known.
#[derive(Debug)]
pub struct Prepared<'r> {
    request: &'r Request,
    targets: Vec<Arc<Expr>>,
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
    let mut targets = Vec::new();
    for target in request.targets_to_parse()? {
        targets.push(Arc::new(parse(target)?));
    }
    prepare_parsed(request, targets)
}

/// As [`prepare`] for a request whose targets ([`Request::targets_to_parse`]) were parsed before.
pub fn prepare_parsed(
    request: &Request,
    targets: Vec<Arc<Expr>>,
) -> Result<Prepared<'_>, EvalError> {
    let (data, brake) = (Data::default(), Brake::default());
    let run = Run::new(request, &data, &brake);
    let scope = Scope::new(request);
    let mut planner = Planner::new(&run);
    for target in &targets {
        planner.collect(target, &scope)?;
    }
    let fetches = planner.into_fetches();
    check(&fetches, &request.limits)?;
    Ok(Prepared { request, targets, fetches })
}

/// As [`prepare_parsed`] for a request that went through it: nothing is checked again, and what to read first is not told.
pub fn prepared_before(request: &Request, targets: Vec<Arc<Expr>>) -> Prepared<'_> {
    Prepared { request, targets, fetches: Vec::new() }
}

impl Prepared<'_> {
    /// The reads of the first round, each once.
    pub fn fetches(&self) -> &[Fetch] {
        &self.fetches
    }

    /// The targets as they were understood.
    pub fn targets(&self) -> &[Arc<Expr>] {
        &self.targets
    }

    /// Evaluates all targets over what has been fetched so far.
    pub fn evaluate(&self, data: &Data) -> Result<Outcome, EvalError> {
        self.evaluate_until(data, &Brake::default())
    }

    /// As [`Prepared::evaluate`], ended early with an error if `brake` is pulled.
    pub fn evaluate_until(&self, data: &Data, brake: &Brake) -> Result<Outcome, EvalError> {
        let run = Run::new(self.request, data, brake);
        let answer = self.evaluate_targets(&run);
        let missing = run.into_missing();
        if missing.is_empty() || brake.is_pulled() {
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
    let windows: BTreeSet<_> = fetches.iter().map(|f| (f.window.from, f.window.until)).collect();
    within("windows_max", windows.len() as u64, limits.windows_max)?;
    fetches.iter().try_for_each(|fetch| check_pattern(fetch, limits))
}

/// Refuses patterns that no store would take, before any store is asked.
pub fn check_pattern(fetch: &Fetch, limits: &Limits) -> Result<(), EvalError> {
    let refused = |e: String| EvalError::Request(format!("{}: {e}", fetch.pattern));
    if fetch.event_tags().is_some() {
        return Ok(());
    }
    if fetch.is_tag_query() {
        return TagQuery::parse_call(&fetch.pattern).map(drop).map_err(|e| refused(e.to_string()));
    }
    let nodes = fetch.pattern.split('.');
    let globstars = nodes.clone().filter(|node| node.contains("**")).count();
    within("pattern_nodes_max", nodes.count() as u64, limits.pattern_nodes_max)?;
    within("globstars_max", globstars as u64, limits.globstars_max)?;
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

#[cfg(test)]
mod tests;
