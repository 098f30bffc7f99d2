//! Walks a target's tree and answers its series.
//!
//! Evaluation is pure and can be repeated: where data are missing it goes on with nothing, notes what
//! it lacks, and the caller fetches that and evaluates again.

use crate::args::BoundArgs;
use crate::ast::{CallExpr, Expr};
use crate::call::{Call, Evaluate, list_of};
use crate::data::Found;
use crate::error::EvalError;
use crate::fetch::Fetch;
use crate::function::{Body, WindowRule};
use crate::functions::find;
use crate::parse::{parse, parse_prefix};
use crate::plan::{Folds, folds};
use crate::run::Run;
use crate::scope::Scope;
use crate::series::Series;
use crate::value::Value;

impl Evaluate for Run<'_> {
    fn evaluate_series(&self, expr: &Expr, scope: &mut Scope) -> Result<Vec<Series>, EvalError> {
        match self.evaluate(expr, scope)? {
            Value::List(list) => Ok(list),
            Value::Lists(lists) => Ok(lists.into_iter().flatten().collect()),
            value @ (Value::Int(_) | Value::Float(_)) => {
                let line = self.apply("constantLine", vec![value], scope)?;
                Ok(list_of(line))
            }
            other => {
                let message = format!("{} is no series", other.describe());
                Err(EvalError::Request(message))
            }
        }
    }

    fn evaluate_text(&self, target: &str, scope: &Scope) -> Result<Vec<Series>, EvalError> {
        let expr = match parse_prefix(target) {
            Some(expr) => expr,
            None => parse(target)?,
        };
        self.evaluate_series(&expr, &mut scope.clone())
    }

    fn apply(
        &self,
        function: &str,
        args: Vec<Value>,
        scope: &mut Scope,
    ) -> Result<Value, EvalError> {
        self.call(function, args, Vec::new(), &[], scope)
    }

    fn greatest_step(&self, expr: &Expr, scope: &Scope) -> Option<i64> {
        if let Expr::Call(call) = expr {
            find(&call.name).filter(|function| function.keeps_grids)?;
            return self.greatest_step(call.args.first()?, scope);
        }
        let pattern = scope.pattern(expr)?;
        match &self.data.answer(&Fetch::new(pattern, scope.window))?.0 {
            Found::Series(answer) => answer.iter().map(|series| series.step).max(),
            Found::Folded(_) => None,
        }
    }
}

impl Run<'_> {
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
                let mut inner = scope.with_variables(self.request, template);
                let value = self.evaluate(&template.body, &mut inner);
                scope.x_files_factor = inner.x_files_factor;
                value
            }
            Expr::Call(call) => self.within_limits(|| self.evaluate_call(call, scope)),
            _ => Ok(Value::None),
        }
    }

    fn evaluate_call(&self, call: &CallExpr, scope: &mut Scope) -> Result<Value, EvalError> {
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
        self.call(&call.name, args, kwargs, &call.args, scope)
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
        let Some(answer) = self.data.answer(&fetch) else { return Ok(None) };
        let Found::Folded(folded) = &answer.0 else { return Ok(None) };
        self.brake.check()?;
        self.charge_read(answer)?;
        let mut call = Call { name: function.name, args, exprs: &[], run: self, scope };
        let list = (folding.finish)(&mut call, &fetch.pattern, &folded.groups())?;
        Ok(Some(Value::List(list)))
    }

    /// Calls a function of the table; `exprs` are its positional arguments unevaluated, if it has any.
    fn call(
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
        let args = BoundArgs::bind(function.params, name, args, kwargs)?;
        let mut call = Call { name: function.name, args, exprs, run: self, scope };
        match function.eval {
            Body::List(body) => body(&mut call).map(Value::List),
            Body::Lists(body) => body(&mut call).map(Value::Lists),
        }
    }
}
