//! Walks a target's tree and answers its series.
//!
//! Evaluation is pure and can be repeated: where data are missing it goes on with nothing, notes what
//! it lacks, and the caller fetches that and evaluates again.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use metric::SeriesData;

use crate::args::BoundArgs;
use crate::ast::{CallExpr, Expr, TemplateExpr};
use crate::brake::Brake;
use crate::call::Call;
use crate::error::EvalError;
use crate::fold::{Folded, FoldedGroup};
use crate::function::{Body, WindowRule, find};
use crate::parse::{DEPTH_MAX, parse, parse_prefix};
use crate::plan::{Fetch, Folds, Window, folds};
use crate::request::Request;
use crate::series::{Consolidation, Grid, SERIES_BYTES, Series, Values};
use crate::value::Value;

/// A fetched series with its column shared, so that evaluating again copies no values.
#[derive(Clone, Debug)]
struct Fetched {
    name: String,
    start: i64,
    step: i64,
    values: Values,
    consolidation: Consolidation,
}

/// What one fetch answered. Clones share it.
#[derive(Clone, Debug)]
pub struct Answer(Found);

#[derive(Clone, Debug)]
enum Found {
    /// In byte order of names.
    Series(Arc<[Fetched]>),
    Folded(Arc<Folded>),
}

impl Answer {
    /// Of series in any order; none say that nothing matches.
    pub fn new(series: Vec<SeriesData>) -> Self {
        let mut answer: Vec<_> = series
            .into_iter()
            .map(|s| Fetched {
                name: s.name,
                start: s.start,
                step: s.step,
                values: s.values.into(),
                consolidation: s.consolidation,
            })
            .collect();
        answer.sort_by(|a, b| a.name.cmp(&b.name));
        Self(Found::Series(answer.into()))
    }

    /// Of series that the store has folded.
    pub fn folded(folded: Folded) -> Self {
        Self(Found::Folded(Arc::new(folded)))
    }

    /// One answer of two, if each series goes on where it ends in the earlier one.
    fn after(&self, earlier: &Self) -> Option<Self> {
        let (Found::Series(late), Found::Series(early)) = (&self.0, &earlier.0) else {
            return None;
        };
        let goes_on = |(first, then): (&Fetched, &Fetched)| {
            let length = i64::try_from(first.values.len()).unwrap_or(i64::MAX);
            first.name == then.name
                && (first.step, first.consolidation) == (then.step, then.consolidation)
                && first.start.saturating_add(first.step.saturating_mul(length)) == then.start
        };
        let pairs = || early.iter().zip(late.iter());
        let joined = |(first, then): (&Fetched, &Fetched)| {
            let values = [&first.values[..], &then.values[..]].concat().into();
            Fetched { values, ..first.clone() }
        };
        let is_one = early.len() == late.len() && pairs().all(goes_on);
        is_one.then(|| Self(Found::Series(pairs().map(joined).collect())))
    }

    /// How many series there are.
    pub fn series(&self) -> u64 {
        match &self.0 {
            Found::Series(series) => series.len() as u64,
            Found::Folded(folded) => folded.series(),
        }
    }

    /// How many points they have.
    pub fn points(&self) -> u64 {
        match &self.0 {
            Found::Series(series) => series.iter().map(|s| s.values.len() as u64).sum(),
            Found::Folded(folded) => folded.points(),
        }
    }

    /// Where the points of its series lay before the store merged them, if it has.
    fn unmerged(&self) -> Option<Grid> {
        match &self.0 {
            Found::Series(_) => None,
            Found::Folded(folded) => folded.unmerged(),
        }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> u64 {
        let bytes = |s: &Fetched| SERIES_BYTES + (s.name.len() + s.values.len() * 8) as u64;
        match &self.0 {
            Found::Series(series) => series.iter().map(bytes).sum(),
            Found::Folded(folded) => folded.bytes(),
        }
    }
}

/// Everything fetched for a request.
#[derive(Clone, Debug, Default)]
pub struct Data {
    answers: HashMap<Fetch, Answer>,
    bytes: u64,
}

impl Data {
    /// Keeps the answer to a fetch; an empty one says that nothing matches.
    pub fn insert(&mut self, fetch: Fetch, series: Vec<SeriesData>) {
        self.insert_answer(fetch, Answer::new(series));
    }

    /// As [`Data::insert`] with an answer that others may hold as well.
    pub fn insert_answer(&mut self, fetch: Fetch, answer: Answer) {
        self.bytes += answer.bytes();
        self.answers.insert(fetch, answer);
    }

    /// What has to be read for a fetch: all of it, or the time before something read already that has its end.
    pub fn lacking(&self, fetch: &Fetch) -> Fetch {
        let read = self.end_of(fetch).map_or(fetch.window.until, |(end, _)| end.window.from);
        Fetch { window: Window::new(fetch.window.from, read), ..fetch.clone() }
    }

    /// Puts the answer to what was [`Data::lacking`] before what was read already. False where they are not one:
    /// other series, or other steps that far back. Then all has to be read.
    pub fn complete(&mut self, fetch: &Fetch, earlier: &Answer) -> bool {
        let whole = self.end_of(fetch).and_then(|(_, end)| end.after(earlier));
        whole.map(|whole| self.insert_answer(fetch.clone(), whole)).is_some()
    }

    /// What was read of the same pattern up to the same moment, from the earliest on.
    fn end_of(&self, fetch: &Fetch) -> Option<(&Fetch, &Answer)> {
        let ends = self.answers.iter().filter(|(known, _)| {
            known.pattern == fetch.pattern
                && (&known.fold, &fetch.fold) == (&None, &None)
                && known.window.until == fetch.window.until
                && known.window.from > fetch.window.from
        });
        ends.min_by_key(|(known, _)| known.window.from)
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Data {
    /// Whether all that was fetched was merged by the store, from points on one grid.
    fn is_on_one_grid(&self) -> bool {
        let mut grids =
            self.answers.values().filter(|answer| answer.series() > 0).map(Answer::unmerged);
        let first = grids.next();
        first.is_none_or(|first| first.is_some() && grids.all(|grid| grid == first))
    }
}

/// What holds for the evaluation of one expression.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) window: Window,
    pub(crate) x_files_factor: f64,
    variables: Arc<[(String, Value)]>,
    /// Nothing is fetched for this expression: it sees what others have read.
    fetched_only: bool,
}

impl Scope {
    pub(crate) fn new(request: &Request) -> Self {
        Self {
            window: Window::new(request.from, request.until),
            x_files_factor: request.x_files_factor,
            variables: Arc::new([]),
            fetched_only: false,
        }
    }

    /// For keyword arguments: graphite-web fetches no series for these, so that `total=a.b` is an empty
    /// list unless something else in the request reads `a.b` as well.
    fn of_keyword(&self) -> Self {
        Self { fetched_only: true, ..self.clone() }
    }

    pub(crate) fn with_window(&self, window: Window) -> Self {
        Self { window, ..self.clone() }
    }

    /// Inside a template: its own variables, those of the request winning.
    pub(crate) fn with_variables(&self, run: &Run<'_>, template: &TemplateExpr) -> Self {
        let mut variables: Vec<(String, Value)> = Vec::new();
        for (name, expr) in &template.variables {
            variables.push((name.clone(), self.literal(expr).unwrap_or(Value::None)));
        }
        for (name, text) in &run.request.template {
            let value = Value::Text(text.clone());
            match variables.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = value,
                None => variables.push((name.clone(), value)),
            }
        }
        Self { variables: variables.into(), ..self.clone() }
    }

    /// A path with its `$variables` replaced; a path that is one variable becomes that value.
    /// Texts that are no numbers are patterns only if they were part of a longer path.
    pub(crate) fn replace(&self, path: &str) -> Value {
        let mut path = path.to_owned();
        for (name, value) in self.variables.iter() {
            let variable = format!("${name}");
            if path != variable {
                path = path.replace(&variable, &value.to_text());
                continue;
            }
            return match value {
                Value::Text(text) => template_text(text),
                other => other.clone(),
            };
        }
        Value::Text(path)
    }

    /// The pattern that an expression is, if it is one and nothing else.
    pub(crate) fn pattern(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Path(path) if self.literal(expr).is_none() => match self.replace(path) {
                Value::Text(pattern) => Some(pattern),
                _ => None,
            },
            Expr::Tagged { raw } => Some(raw.clone()),
            _ => None,
        }
    }

    /// Whether a path is nothing but a variable.
    fn is_variable(&self, path: &str) -> bool {
        let name = path.strip_prefix('$');
        name.is_some_and(|name| self.variables.iter().any(|(known, _)| known == name))
    }

    /// A scalar's value without evaluating anything.
    pub(crate) fn literal(&self, expr: &Expr) -> Option<Value> {
        Some(match expr {
            Expr::Int(i) => Value::Int(*i),
            Expr::Float(f) => Value::Float(*f),
            Expr::Text(t) => Value::Text(t.clone()),
            Expr::Bool(b) => Value::Bool(*b),
            Expr::None => Value::None,
            Expr::Path(path) if self.is_variable(path) => self.replace(path),
            _ => return None,
        })
    }
}

/// Numbers in a template's texts count as numbers.
fn template_text(text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match text.parse() {
        Ok(number) if numeric => Value::Float(number),
        _ => Value::Text(text.to_owned()),
    }
}

/// One evaluation of a request.
///
/// Counters are cells, so that the calls of one evaluation can share it.
pub(crate) struct Run<'a> {
    pub(crate) request: &'a Request,
    data: &'a Data,
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
            held: Cell::new(data.bytes),
            stacks: RefCell::default(),
        }
    }

    /// What evaluation lacked, in the order it was asked for.
    pub(crate) fn into_missing(self) -> Vec<Fetch> {
        self.missing.into_inner()
    }

    /// Evaluates to series; a scalar is an error, except that a number is a flat line.
    pub(crate) fn evaluate_series(
        &self,
        expr: &Expr,
        scope: &mut Scope,
    ) -> Result<Vec<Series>, EvalError> {
        match self.evaluate(expr, scope)? {
            Value::List(list) => Ok(list),
            Value::Lists(lists) => Ok(lists.into_iter().flatten().collect()),
            value @ (Value::Int(_) | Value::Float(_)) => {
                let line = self.apply("constantLine", vec![value], Vec::new(), &[], scope)?;
                Ok(crate::call::list_of(line))
            }
            other => {
                let message = format!("{} is no series", other.describe());
                Err(EvalError::Request(message))
            }
        }
    }

    /// Evaluates a target that a function made up, out of names that need not be whole targets.
    pub(crate) fn evaluate_text(
        &self,
        target: &str,
        scope: &Scope,
    ) -> Result<Vec<Series>, EvalError> {
        let expr = match parse_prefix(target) {
            Some(expr) => expr,
            None => parse(target)?,
        };
        self.evaluate_series(&expr, &mut scope.clone())
    }

    fn evaluate(&self, expr: &Expr, scope: &mut Scope) -> Result<Value, EvalError> {
        if let Some(literal) = scope.literal(expr) {
            return Ok(literal);
        }
        match expr {
            Expr::Path(path) => match scope.replace(path) {
                Value::Text(pattern) => self.fetch(pattern, scope),
                other => Ok(other),
            },
            Expr::Tagged { raw } => self.fetch(raw.clone(), scope),
            Expr::Template(template) => {
                let mut inner = scope.with_variables(self, template);
                let value = self.evaluate(&template.body, &mut inner);
                scope.x_files_factor = inner.x_files_factor;
                value
            }
            Expr::Call(call) => self.evaluate_call(call, scope),
            _ => Ok(Value::None),
        }
    }

    /// Counts the depth, which targets made up by functions add to: the stack has to last.
    fn evaluate_call(&self, call: &CallExpr, scope: &mut Scope) -> Result<Value, EvalError> {
        self.charge_call()?;
        charge(&self.depth, 1, "depth_max", DEPTH_MAX as u64)?;
        let held = self.held.get();
        let value = self.evaluate_call_within(call, scope);
        self.depth.set(self.depth.get() - 1);
        let value = value?;
        let bytes = value.bytes();
        self.hold(bytes)?;
        // The arguments are gone, the answer stays.
        self.held.set(held.saturating_add(bytes));
        Ok(value)
    }

    /// The greatest step of an expression's series where it can be told without evaluating: there are some, and what is
    /// done to them leaves their points at their times.
    pub(crate) fn greatest_step(&self, expr: &Expr, scope: &Scope) -> Option<i64> {
        if let Expr::Call(call) = expr {
            find(&call.name).filter(|function| function.keeps_grids)?;
            return self.greatest_step(call.args.first()?, scope);
        }
        let pattern = scope.pattern(expr)?;
        match &self.data.answers.get(&Fetch::new(pattern, scope.window))?.0 {
            Found::Series(answer) => answer.iter().map(|series| series.step).max(),
            Found::Folded(_) => None,
        }
    }

    fn hold(&self, bytes: u64) -> Result<(), EvalError> {
        charge(&self.held, bytes, "memory_bytes_max", self.request.limits.memory_bytes_max)
    }

    fn evaluate_call_within(&self, call: &CallExpr, scope: &mut Scope) -> Result<Value, EvalError> {
        if let Some(value) = self.finish_folded(call, scope)? {
            return Ok(value);
        }
        let looks_at_steps = find(&call.name)
            .is_some_and(|function| matches!(function.window, WindowRule::EarlierPoints(_)));
        let mut args = Vec::with_capacity(call.args.len());
        for (place, arg) in call.args.iter().enumerate() {
            args.push(match place {
                0 if looks_at_steps && self.greatest_step(arg, scope).is_some() => {
                    Value::List(Vec::new())
                }
                _ => self.evaluate(arg, scope)?,
            });
        }
        let mut kwargs = Vec::with_capacity(call.kwargs.len());
        for (name, arg) in &call.kwargs {
            let mut inner = scope.of_keyword();
            kwargs.push((name.clone(), self.evaluate(arg, &mut inner)?));
            scope.x_files_factor = inner.x_files_factor;
        }
        self.apply(&call.name, args, kwargs, &call.args, scope)
    }

    /// The call's value, if its series have come folded.
    fn finish_folded(
        &self,
        call: &CallExpr,
        scope: &mut Scope,
    ) -> Result<Option<Value>, EvalError> {
        let Some(function) = find(&call.name) else { return Ok(None) };
        let Some(folds) = folds(function, call, scope, self.request) else { return Ok(None) };
        let Folds { fetch, folding, args } = folds;
        let Some(answer) = self.data.answers.get(&fetch) else { return Ok(None) };
        let Found::Folded(folded) = &answer.0 else { return Ok(None) };
        self.brake.check()?;
        self.charge_read(answer)?;
        let mut call = Call { function, args, exprs: &[], run: self, scope };
        let list = (folding.finish)(&mut call, &fetch.pattern, &folded.groups())?;
        Ok(Some(Value::List(list)))
    }

    /// Calls a function of the table.
    pub(crate) fn apply(
        &self,
        name: &str,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
        exprs: &[Expr],
        scope: &mut Scope,
    ) -> Result<Value, EvalError> {
        self.brake.check()?;
        let unknown = || EvalError::UnknownFunction { name: name.to_owned() };
        let function = find(name).ok_or_else(unknown)?;
        let (asked, allowed) = (args.len() as u64, self.request.limits.arguments_max);
        if asked > allowed {
            return Err(EvalError::Limit { limit: "arguments_max", asked, allowed });
        }
        let args = BoundArgs::bind(function, name, args, kwargs)?;
        let mut call = Call { function, args, exprs, run: self, scope };
        match function.eval {
            Body::List(body) => body(&mut call).map(Value::List),
            Body::Lists(body) => body(&mut call).map(Value::Lists),
        }
    }

    pub(crate) fn fetch(&self, pattern: String, scope: &Scope) -> Result<Value, EvalError> {
        let fetch = self.request.fetch(pattern, scope.window);
        if let Some(list) = self.merged(&fetch, scope)? {
            return Ok(list);
        }
        let fetch = fetch.unfolded();
        let found = self.data.answers.get(&fetch);
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
        let found = self.data.answers.get(fetch).map(|found| (found, &found.0));
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
    fn charge_read(&self, answer: &Answer) -> Result<(), EvalError> {
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
        tags: crate::tags::tags_of(&fetched.name),
        start: fetched.start,
        end: fetched.start.saturating_add(fetched.step.saturating_mul(length)),
        step: fetched.step,
        values: fetched.values.clone(),
        consolidation: fetched.consolidation,
        x_files_factor: scope.x_files_factor,
        values_per_point: 1,
        style: crate::series::Style::default(),
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
