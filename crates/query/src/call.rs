//! What a function's body is given: its arguments by name, the request's window, and ways to evaluate more.

use jiff::tz::TimeZone;

use crate::aggregate::Aggregate;
use crate::args::BoundArgs;
use crate::ast::Expr;
use crate::brake::Brake;
use crate::error::EvalError;
use crate::fetch::Fetch;
use crate::limits::Limits;
use crate::names::Node;
use crate::run::Run;
use crate::scope::Scope;
use crate::series::{Grid, Series};
use crate::time_expr::{parse_interval, parse_time};
use crate::value::Value;
use crate::window::Window;

/// A length of time as it was written, and in seconds with its sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// As it was written: names show it.
    pub text: String,
    /// Seconds; negative where the text has a minus.
    pub seconds: i64,
}

/// A window given in points or in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrInterval {
    /// So many points.
    Points {
        /// As names show it.
        text: String,
        /// How many.
        count: i64,
    },
    /// So long a time.
    Time(Interval),
}

/// How the body of a function has more evaluated. Bodies know neither the table of functions nor how
/// expressions are walked: both stand above them.
pub(crate) trait Evaluate {
    /// Evaluates to series; a scalar is an error, except that a number is a flat line.
    fn evaluate_series(&self, expr: &Expr, scope: &mut Scope) -> Result<Vec<Series>, EvalError>;

    /// Evaluates a target that a function made up, out of names that need not be whole targets.
    fn evaluate_text(&self, target: &str, scope: &Scope) -> Result<Vec<Series>, EvalError>;

    /// Calls a function of the table with ready values.
    fn apply(
        &self,
        function: &str,
        args: Vec<Value>,
        scope: &mut Scope,
    ) -> Result<Value, EvalError>;

    /// The greatest step of an expression's series where it can be told without evaluating: there are some, and what is
    /// done to them leaves their points at their times.
    fn greatest_step(&self, expr: &Expr, scope: &Scope) -> Option<i64>;
}

/// One call of a function.
///
/// The accessors take a parameter's name from the function's own table entry and panic on any other;
/// types have been checked when the arguments were bound.
pub struct Call<'a> {
    /// The function's name in the table.
    pub(crate) name: &'static str,
    pub(crate) args: BoundArgs,
    /// The positional arguments unevaluated; empty where the call was made by another function.
    pub(crate) exprs: &'a [Expr],
    pub(crate) run: &'a Run<'a>,
    pub(crate) scope: &'a mut Scope,
}

impl Call<'_> {
    /// The function's name in the table (`sumSeries` also when called as `sum`).
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name the function was called by.
    pub fn called(&self) -> &str {
        self.args.called()
    }

    /// An error that names this function.
    pub fn error(&self, message: impl Into<String>) -> EvalError {
        EvalError::Function { function: self.called().to_owned(), message: message.into() }
    }

    /// An error that names this function and one of its parameters.
    pub fn argument_error(&self, parameter: &str, message: impl Into<String>) -> EvalError {
        self.args.argument_error(parameter, &message.into())
    }

    /// Whether the call gives this parameter (or the table a default for it).
    pub fn has(&self, name: &str) -> bool {
        self.args.get(name).is_some()
    }

    /// Whether the call itself gives this parameter; a default does not count.
    pub fn is_given(&self, name: &str) -> bool {
        self.args.is_given(name)
    }

    /// Any value, as it is.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.args.get(name)
    }

    /// A list of series, moved out of the call; empty if absent (or asked for twice).
    pub fn series(&mut self, name: &str) -> Vec<Series> {
        self.args.take(name).into_iter().next().map_or_else(Vec::new, list_of)
    }

    /// The greatest step of a list of series, the first argument; none if there are none. Takes the list, if it was
    /// evaluated at all: often the step is known without that.
    pub fn greatest_step(&mut self, name: &str) -> Option<i64> {
        let known = self.exprs.first().and_then(|expr| self.run.greatest_step(expr, self.scope));
        known.or_else(|| self.series(name).iter().map(|series| series.step).max())
    }

    /// All lists of series of a `multiple` parameter, moved out of the call.
    pub fn series_lists(&mut self, name: &str) -> Vec<Vec<Series>> {
        let values = self.args.take(name).into_iter();
        values
            .flat_map(|value| match value {
                Value::Lists(lists) => lists,
                other => vec![list_of(other)],
            })
            .collect()
    }

    /// A number.
    pub fn float(&self, name: &str) -> f64 {
        self.float_opt(name).expect("a required or defaulted float")
    }

    /// A number that may be left out.
    pub fn float_opt(&self, name: &str) -> Option<f64> {
        match self.args.get(name)? {
            Value::Float(f) => Some(*f),
            Value::Int(i) => Some(*i as f64),
            _ => None,
        }
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> i64 {
        self.int_opt(name).expect("a required or defaulted integer")
    }

    /// A whole number that may be left out.
    pub fn int_opt(&self, name: &str) -> Option<i64> {
        match self.args.get(name)? {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// All whole numbers of a `multiple` parameter.
    pub fn ints(&self, name: &str) -> Vec<i64> {
        let values = self.args.all(name).iter();
        values.filter_map(|v| if let Value::Int(i) = v { Some(*i) } else { None }).collect()
    }

    /// A limit; `None` is no limit.
    pub fn int_or_inf(&self, name: &str) -> Option<i64> {
        self.int_opt(name)
    }

    /// True or false; false if absent without a default.
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.args.get(name), Some(Value::Bool(true)))
    }

    /// A text.
    pub fn string(&self, name: &str) -> String {
        self.string_opt(name).expect("a required or defaulted string")
    }

    /// A text that may be left out.
    pub fn string_opt(&self, name: &str) -> Option<String> {
        self.args.get(name).map(Value::to_text)
    }

    /// All texts of a `multiple` parameter.
    pub fn strings(&self, name: &str) -> Vec<String> {
        self.args.all(name).iter().map(Value::to_text).collect()
    }

    /// An aggregation by name.
    pub fn agg(&self, name: &str) -> Aggregate {
        Aggregate::by_name(&self.string(name)).expect("bound as an aggregation")
    }

    /// Places in a name, or tags.
    pub fn nodes(&self, name: &str) -> Vec<Node> {
        self.args.nodes(name)
    }

    /// A length of time.
    pub fn interval(&self, name: &str) -> Interval {
        let text = self.string(name);
        let seconds = parse_interval(&text).expect("bound as an interval");
        Interval { text, seconds }
    }

    /// A number of points or a length of time.
    pub fn int_or_interval(&self, name: &str) -> IntOrInterval {
        let value = self.args.get(name).expect("a required or defaulted window");
        let text = value.to_text();
        match value {
            Value::Int(count) => IntOrInterval::Points { text, count: *count },
            // Python's int() cuts towards zero, and so does this cast.
            Value::Float(f) => IntOrInterval::Points { text, count: *f as i64 },
            _ => IntOrInterval::Time(self.interval(name)),
        }
    }

    /// A time, read as `from` is.
    pub fn date(&self, name: &str) -> Result<i64, EvalError> {
        Ok(parse_time(&self.string(name), self.now(), self.tz())?)
    }

    /// Start of the window, seconds.
    pub fn from(&self) -> i64 {
        self.scope.window.from
    }

    /// End of the window, seconds.
    pub fn until(&self) -> i64 {
        self.scope.window.until
    }

    /// The window.
    pub fn window(&self) -> Window {
        self.scope.window
    }

    /// The request's now, seconds.
    pub fn now(&self) -> i64 {
        self.run.request.now
    }

    /// The request's time zone.
    pub fn tz(&self) -> &TimeZone {
        &self.run.request.tz
    }

    /// The request's `maxDataPoints`.
    pub fn max_data_points(&self) -> Option<usize> {
        self.run.request.max_data_points
    }

    /// The request's `maxStep`.
    pub fn max_step(&self) -> Option<i64> {
        self.run.request.max_step
    }

    /// The x-files-factor that new series get.
    pub fn x_files_factor(&self) -> f64 {
        self.scope.x_files_factor
    }

    /// Changes the x-files-factor for everything evaluated after this call.
    pub fn set_x_files_factor(&mut self, x_files_factor: f64) {
        self.scope.x_files_factor = x_files_factor;
    }

    /// A new series with the scope's x-files-factor, as functions that combine make them.
    pub fn new_series(&self, name: impl Into<String>, grid: Grid, values: Vec<f64>) -> Series {
        let mut series = Series::new(name, grid.start, grid.end, grid.step, values);
        series.x_files_factor = self.x_files_factor();
        series
    }

    /// What the request may cost.
    pub fn limits(&self) -> &Limits {
        &self.run.request.limits
    }

    /// What may end this evaluation early: to be looked at by functions that take more than a moment
    /// for each point.
    pub fn brake(&self) -> &Brake {
        self.run.brake
    }

    /// Counts points about to be made out of nothing; an error past the limit.
    pub fn generate(&self, points: i64) -> Result<(), EvalError> {
        self.run.charge_generated(u64::try_from(points).unwrap_or(0))
    }

    /// Evaluates the positional argument `index` again over another window.
    ///
    /// The table entry's `window` rule should announce the window, so that its data are fetched in
    /// the first round; otherwise a further round is made.
    pub fn evaluate_argument(
        &mut self,
        index: usize,
        window: Window,
    ) -> Result<Vec<Series>, EvalError> {
        let Some(expr) = self.exprs.get(index) else { return Ok(Vec::new()) };
        let mut scope = self.scope.with_window(window);
        self.run.evaluate_series(expr, &mut scope)
    }

    /// Evaluates the text of a target, made up by a function, over this window.
    pub fn evaluate_text(&mut self, target: &str) -> Result<Vec<Series>, EvalError> {
        self.run.evaluate_text(target, self.scope)
    }

    /// How many events with these tags there are in each second of the window: in the order of
    /// time, those of some seconds may be left out.
    pub fn events(&mut self, tags: &[String]) -> Result<Vec<Series>, EvalError> {
        let pattern = Fetch::events_pattern(tags);
        self.run.fetch(pattern, self.scope).map(list_of)
    }

    /// Calls another function of the table with ready values.
    pub fn apply(&mut self, function: &str, args: Vec<Value>) -> Result<Vec<Series>, EvalError> {
        let value = self.run.apply(function, args, self.scope)?;
        Ok(list_of(value))
    }

    /// A call of another function with ready arguments, in the place of this one.
    pub(crate) fn in_place(&mut self, name: &'static str, args: BoundArgs) -> Call<'_> {
        Call { name, args, exprs: &[], run: self.run, scope: &mut *self.scope }
    }

    /// What has been stacked so far under this name in the request; empty the first time.
    pub fn stacked_so_far(&self, stack: &str) -> Vec<f64> {
        self.run.stacks.borrow().get(stack).cloned().unwrap_or_default()
    }

    /// Keeps what has been stacked under this name for the series that follow.
    pub fn set_stacked(&mut self, stack: &str, total: Vec<f64>) {
        self.run.stacks.borrow_mut().insert(stack.to_owned(), total);
    }
}

pub(crate) fn list_of(value: Value) -> Vec<Series> {
    match value {
        Value::List(list) => list,
        Value::Lists(lists) => lists.into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}
