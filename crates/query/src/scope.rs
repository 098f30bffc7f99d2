//! What holds where an expression stands: its window and its variables.

use std::sync::Arc;

use crate::ast::{Expr, TemplateExpr};
use crate::request::Request;
use crate::value::Value;
use crate::window::Window;

/// What holds for the evaluation of one expression.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) window: Window,
    pub(crate) x_files_factor: f64,
    variables: Arc<[(String, Value)]>,
    /// Nothing is fetched for this expression: it sees what others have read.
    pub(crate) fetched_only: bool,
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
    pub(crate) fn of_keyword(&self) -> Self {
        Self { fetched_only: true, ..self.clone() }
    }

    pub(crate) fn with_window(&self, window: Window) -> Self {
        Self { window, ..self.clone() }
    }

    /// Inside a template: its own variables, those of the request winning.
    pub(crate) fn with_variables(&self, request: &Request, template: &TemplateExpr) -> Self {
        let mut variables: Vec<(String, Value)> = Vec::new();
        for (name, expr) in &template.variables {
            variables.push((name.clone(), self.literal(expr).unwrap_or(Value::None)));
        }
        for (name, text) in &request.template {
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
