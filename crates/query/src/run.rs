//! The state of one evaluation, which its calls share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::brake::Brake;
use crate::data::{Answer, Data, Fetched, Found};
use crate::error::EvalError;
use crate::fetch::Fetch;
use crate::fold::FoldedGroup;
use crate::parse::DEPTH_MAX;
use crate::request::Request;
use crate::scope::Scope;
use crate::series::{Grid, Series, Style};
use crate::tags::tags_of;
use crate::value::Value;

/// One evaluation of a request: what it reads, what it lacks and what it has cost so far.
///
/// Counters are cells, so that the calls of one evaluation can share it.
pub(crate) struct Run<'a> {
    pub(crate) request: &'a Request,
    pub(crate) data: &'a Data,
    pub(crate) brake: &'a Brake,
    missing: RefCell<Vec<Fetch>>,
    series_read: Cell<u64>,
    points_read: Cell<u64>,
    points_generated: Cell<u64>,
    calls: Cell<u64>,
    depth: Cell<u64>,
    /// Bytes of the data and of all values that calls hold just now.
    held: Cell<u64>,
    pub(crate) stacks: RefCell<BTreeMap<String, Vec<f64>>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(request: &'a Request, data: &'a Data, brake: &'a Brake) -> Self {
        Self {
            request,
            data,
            brake,
            missing: RefCell::default(),
            series_read: Cell::new(0),
            points_read: Cell::new(0),
            points_generated: Cell::new(0),
            calls: Cell::new(0),
            depth: Cell::new(0),
            held: Cell::new(data.bytes()),
            stacks: RefCell::default(),
        }
    }

    /// What evaluation lacked, in the order it was asked for.
    pub(crate) fn into_missing(self) -> Vec<Fetch> {
        self.missing.into_inner()
    }

    /// What a pattern found; nothing, and noted as missing, if it was not read yet.
    pub(crate) fn fetch(&self, pattern: String, scope: &Scope) -> Result<Value, EvalError> {
        let fetch = self.request.fetch(pattern, scope.window);
        if let Some(list) = self.merged(&fetch, scope)? {
            return Ok(list);
        }
        let fetch = fetch.unfolded();
        let found = self.data.answer(&fetch);
        let Some((found, Found::Series(series))) = found.map(|found| (found, &found.0)) else {
            let mut missing = self.missing.borrow_mut();
            if !scope.fetched_only && !missing.contains(&fetch) {
                missing.push(fetch);
            }
            return Ok(Value::List(Vec::new()));
        };
        self.charge_read(found)?;
        let list = series.iter().map(|s| series_of(s, &fetch.pattern, scope)).collect();
        let list = Value::List(list);
        self.hold(list.bytes())?;
        Ok(list)
    }

    /// The series of a fetch, if the store has merged their points, and what all fetches found lies on one grid: else
    /// another band may be due.
    fn merged(&self, fetch: &Fetch, scope: &Scope) -> Result<Option<Value>, EvalError> {
        if fetch.fold.is_none() {
            return Ok(None);
        }
        let found = self.data.answer(fetch).map(|found| (found, &found.0));
        let Some((found, Found::Folded(folded))) = found else { return Ok(None) };
        if !self.data.is_on_one_grid() {
            return Ok(None);
        }
        self.charge_read(found)?;
        let groups = folded.groups().into_iter();
        let list = Value::List(groups.map(|group| band_of(group, &fetch.pattern, scope)).collect());
        self.hold(list.bytes())?;
        Ok(Some(list))
    }

    /// Counts what was read, whoever read it.
    pub(crate) fn charge_read(&self, answer: &Answer) -> Result<(), EvalError> {
        let limits = &self.request.limits;
        let (asked, allowed) = (answer.series(), limits.pattern_series_max);
        if asked > allowed {
            return Err(EvalError::Limit { limit: "pattern_series_max", asked, allowed });
        }
        charge(&self.series_read, asked, "series_max", limits.series_max)?;
        charge(&self.points_read, answer.points(), "points_max", limits.points_max)
    }

    /// Counts a call planned or evaluated.
    pub(crate) fn charge_call(&self) -> Result<(), EvalError> {
        charge(&self.calls, 1, "calls_max", self.request.limits.calls_max)
    }

    /// Evaluates a call, counting it, its depth and what it holds: targets made up by functions add to the depth,
    /// and the stack has to last.
    pub(crate) fn within_limits(
        &self,
        evaluate: impl FnOnce() -> Result<Value, EvalError>,
    ) -> Result<Value, EvalError> {
        self.charge_call()?;
        charge(&self.depth, 1, "depth_max", DEPTH_MAX as u64)?;
        let held = self.held.get();
        let value = evaluate();
        self.depth.set(self.depth.get() - 1);
        let value = value?;
        let bytes = value.bytes();
        self.hold(bytes)?;
        // The arguments are gone, the answer stays.
        self.held.set(held.saturating_add(bytes));
        Ok(value)
    }

    fn hold(&self, bytes: u64) -> Result<(), EvalError> {
        charge(&self.held, bytes, "memory_bytes_max", self.request.limits.memory_bytes_max)
    }

    pub(crate) fn charge_generated(&self, points: u64) -> Result<(), EvalError> {
        let allowed = self.request.limits.generated_points_max;
        charge(&self.points_generated, points, "generated_points_max", allowed)
    }
}

fn charge(
    counter: &Cell<u64>,
    more: u64,
    limit: &'static str,
    allowed: u64,
) -> Result<(), EvalError> {
    let asked = counter.get().saturating_add(more);
    counter.set(asked);
    if asked > allowed {
        return Err(EvalError::Limit { limit, asked, allowed });
    }
    Ok(())
}

fn series_of(fetched: &Fetched, pattern: &str, scope: &Scope) -> Series {
    let length = i64::try_from(fetched.values.len()).unwrap_or(i64::MAX);
    Series {
        name: fetched.name.clone(),
        path_expression: pattern.to_owned(),
        tags: tags_of(&fetched.name),
        start: fetched.start,
        end: fetched.start.saturating_add(fetched.step.saturating_mul(length)),
        step: fetched.step,
        values: fetched.values.clone(),
        consolidation: fetched.consolidation,
        x_files_factor: scope.x_files_factor,
        values_per_point: 1,
        style: Style::default(),
    }
}

/// A series whose points have been merged: a point each band.
fn band_of(group: &FoldedGroup, pattern: &str, scope: &Scope) -> Series {
    let Grid { start, end, step } = group.partial.grid();
    let end = group.unmerged.map_or(end, |grid| grid.end);
    let values = group.partial.finish(0.0);
    let series = Series::new(group.first_name.clone(), start, end, step, values);
    let (path_expression, x_files_factor) = (pattern.to_owned(), scope.x_files_factor);
    Series { path_expression, x_files_factor, ..series }
}
