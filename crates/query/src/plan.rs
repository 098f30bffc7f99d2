//! Which patterns a target reads, over which windows, before anything is evaluated.

use std::collections::HashSet;

use crate::args::BoundArgs;
use crate::ast::{CallExpr, Expr};
use crate::error::EvalError;
use crate::fetch::Fetch;
use crate::function::{Folding, Function, WindowRule};
use crate::functions::find;
use crate::request::Request;
use crate::run::Run;
use crate::scope::Scope;
use crate::time_expr::parse_interval;
use crate::value::Value;
use crate::window::{Window, back_by_default, earlier, shifted};

/// Collects the fetches of expressions, each once, in the order of evaluation.
pub(crate) struct Planner<'a> {
    run: &'a Run<'a>,
    fetches: Vec<Fetch>,
    seen: HashSet<Fetch>,
    /// Whether a keyword argument sees what others read, which then must be read.
    is_looked_at: bool,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(run: &'a Run<'a>) -> Self {
        Self { run, fetches: Vec::new(), seen: HashSet::new(), is_looked_at: false }
    }

    /// What is read as it is anyway need not be folded besides.
    pub(crate) fn into_fetches(self) -> Vec<Fetch> {
        let Self { fetches, seen, is_looked_at, .. } = self;
        let is_needed = |fetch: &Fetch| is_looked_at || seen.contains(&fetch.unfolded());
        let mut listed = HashSet::new();
        let settled = fetches.into_iter().map(|fetch| match fetch.fold {
            Some(_) if is_needed(&fetch) => fetch.unfolded(),
            _ => fetch,
        });
        settled.filter(|fetch| listed.insert(fetch.clone())).collect()
    }

    /// Adds the fetches of an expression.
    pub(crate) fn collect(&mut self, expr: &Expr, scope: &Scope) -> Result<(), EvalError> {
        match expr {
            // A path that is one variable is that variable's value, and no pattern.
            Expr::Path(path) if scope.literal(expr).is_none() => {
                if let Value::Text(pattern) = scope.replace(path) {
                    self.add(self.run.request.fetch(pattern, scope.window));
                }
                Ok(())
            }
            Expr::Tagged { raw } => {
                self.add(self.run.request.fetch(raw.clone(), scope.window));
                Ok(())
            }
            Expr::Template(template) => {
                let inner = scope.with_variables(self.run.request, template);
                self.collect(&template.body, &inner)
            }
            Expr::Call(call) => self.collect_call(call, scope),
            _ => Ok(()),
        }
    }

    fn collect_call(&mut self, call: &CallExpr, scope: &Scope) -> Result<(), EvalError> {
        self.run.charge_call()?;
        let unknown = || EvalError::UnknownFunction { name: call.name.clone() };
        let function = find(&call.name).ok_or_else(unknown)?;
        self.is_looked_at |= call.kwargs.iter().any(|(_, arg)| scope.literal(arg).is_none());
        if let Some(Folds { fetch, .. }) = folds(function, call, scope, self.run.request) {
            self.add(fetch);
            return Ok(());
        }
        for arg in &call.args {
            self.collect(arg, scope)?;
        }
        let Some(first) = call.args.first() else { return Ok(()) };
        for window in windows(function, call, scope, self.run.request) {
            self.collect(first, &scope.with_window(window))?;
        }
        Ok(())
    }

    fn add(&mut self, fetch: Fetch) {
        if self.seen.insert(fetch.clone()) {
            self.fetches.push(fetch);
        }
    }
}

/// A call whose series the store may fold.
pub(crate) struct Folds {
    pub(crate) fetch: Fetch,
    pub(crate) folding: &'static Folding,
    /// Its arguments, with no series in them.
    pub(crate) args: BoundArgs,
}

/// How a call is folded, if it can be: its series are those of one pattern, with nothing in between.
pub(crate) fn folds(
    function: &'static Function,
    call: &CallExpr,
    scope: &Scope,
    request: &Request,
) -> Option<Folds> {
    let folding = function.fold.filter(|_| request.push_down && call.kwargs.is_empty())?;
    let (first, others) = call.args.split_first()?;
    let pattern = scope.pattern(first)?;
    let mut values = vec![Value::List(Vec::new())];
    for arg in others {
        values.push(scope.literal(arg)?);
    }
    let args = BoundArgs::bind(function.params, &call.name, values, Vec::new()).ok()?;
    let fold = Some((folding.spec)(function, &args)?);
    let fetch = Fetch { pattern, window: scope.window, fold };
    fetch.is_pattern().then_some(Folds { fetch, folding, args })
}

/// The further windows over which a call evaluates its first argument.
///
/// Arguments that do not bind make none: evaluation will say what is wrong with them.
fn windows(
    function: &'static Function,
    call: &CallExpr,
    scope: &Scope,
    request: &Request,
) -> Vec<Window> {
    if matches!(function.window, WindowRule::Same) {
        return Vec::new();
    }
    let literal = |arg: &Expr| scope.literal(arg).unwrap_or(Value::List(Vec::new()));
    let args = call.args.iter().map(literal).collect();
    let kwargs = call.kwargs.iter().map(|(name, arg)| (name.clone(), literal(arg))).collect();
    let Ok(args) = BoundArgs::bind(function.params, &call.name, args, kwargs) else {
        return Vec::new();
    };
    let interval = |name: &str| match args.get(name) {
        Some(Value::Text(text)) => Some((text.clone(), parse_interval(text).ok()?)),
        _ => None,
    };
    match function.window {
        WindowRule::Same => Vec::new(),
        WindowRule::Earlier(name) | WindowRule::EarlierPoints(name) => {
            let window = interval(name).map(|(_, s)| earlier(scope.window, s.saturating_abs()));
            window.into_iter().collect()
        }
        WindowRule::Shifted(name) => {
            let shift = interval(name).map(|(text, seconds)| back_by_default(&text, seconds));
            shift.map(|s| shifted(scope.window, s)).into_iter().collect()
        }
        WindowRule::Custom(rule) => rule(&args, scope.window, request),
    }
}
