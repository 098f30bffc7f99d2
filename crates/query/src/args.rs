//! Binds what a call was given to what the table says the function takes.

use crate::aggregate::Aggregate;
use crate::error::EvalError;
use crate::names::Node;
use crate::number::python_float;
use crate::param::{Literal, Param, ParamKind};
use crate::time_expr::parse_interval;
use crate::value::Value;

/// Arguments in the order of the function's parameters, coerced to their types.
#[derive(Clone, Debug)]
pub struct BoundArgs {
    params: &'static [Param],
    called: String,
    /// One entry a parameter; more than one value only where the parameter is `multiple`.
    values: Vec<Vec<Value>>,
    /// Which parameters the call itself gave, not the table's defaults.
    given: Vec<bool>,
}

impl BoundArgs {
    /// Binds positional and keyword arguments; `called` is the name that errors will use.
    pub fn bind(
        params: &'static [Param],
        called: &str,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
    ) -> Result<Self, EvalError> {
        let mut bound = Self {
            params,
            called: called.to_owned(),
            values: params.iter().map(|_| Vec::new()).collect(),
            given: vec![false; params.len()],
        };
        let last = params.len().wrapping_sub(1);
        for (i, arg) in args.into_iter().enumerate() {
            let place = match params.get(i) {
                Some(_) => i,
                None if params.last().is_some_and(|p| p.multiple) => last,
                None => return Err(bound.too_many()),
            };
            bound.put(place, arg)?;
        }
        for (name, arg) in kwargs {
            bound.put_named(&name, arg)?;
        }
        bound.fill_defaults()?;
        Ok(bound)
    }

    fn too_many(&self) -> EvalError {
        let message = format!("takes at most {} arguments", self.params.len());
        EvalError::Function { function: self.called.clone(), message }
    }

    fn put_named(&mut self, name: &str, arg: Value) -> Result<(), EvalError> {
        let Some(place) = self.params.iter().position(|p| p.name == name) else {
            return Err(self.argument_error(name, "is not known"));
        };
        if !self.values[place].is_empty() {
            return Err(self.argument_error(name, "is given twice"));
        }
        self.put(place, arg)
    }

    fn put(&mut self, place: usize, arg: Value) -> Result<(), EvalError> {
        let param = &self.params[place];
        if matches!(arg, Value::None) && !param.required {
            return Ok(());
        }
        let described = arg.describe();
        match coerce(param, arg) {
            Some(value) => {
                self.values[place].push(value);
                self.given[place] = true;
                Ok(())
            }
            None => {
                let message = format!("is not a valid {}: {described}", param.kind.name());
                Err(self.argument_error(param.name, &message))
            }
        }
    }

    fn fill_defaults(&mut self) -> Result<(), EvalError> {
        for (place, param) in self.params.iter().enumerate() {
            if !self.values[place].is_empty() {
                continue;
            }
            if param.required {
                return Err(self.argument_error(param.name, "is missing"));
            }
            match param.default {
                Literal::None => {}
                Literal::Bool(b) => self.values[place].push(Value::Bool(b)),
                Literal::Int(i) => self.values[place].push(Value::Int(i)),
                Literal::Float(f) => self.values[place].push(Value::Float(f)),
                Literal::Text(t) => self.values[place].push(Value::Text(t.to_owned())),
            }
        }
        Ok(())
    }

    /// An error about one parameter.
    pub fn argument_error(&self, parameter: &str, message: &str) -> EvalError {
        EvalError::Argument {
            function: self.called.clone(),
            parameter: parameter.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The name the function was called by.
    pub fn called(&self) -> &str {
        &self.called
    }

    /// Whether the call itself gives this parameter; a default does not count.
    pub fn is_given(&self, name: &str) -> bool {
        self.given[self.place(name)]
    }

    /// All values of a parameter.
    ///
    /// # Panics
    /// If the function's table entry has no such parameter.
    pub fn all(&self, name: &str) -> &[Value] {
        &self.values[self.place(name)]
    }

    /// The value of a parameter; `None` if it is absent and has no default.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.all(name).first()
    }

    /// Places in a name, or tags.
    pub fn nodes(&self, name: &str) -> Vec<Node> {
        let node = |value: &Value| match value {
            Value::Int(i) => Node::Index(*i),
            other => Node::Tag(other.to_text()),
        };
        self.all(name).iter().map(node).collect()
    }

    /// Takes all values of a parameter out.
    pub fn take(&mut self, name: &str) -> Vec<Value> {
        let place = self.place(name);
        std::mem::take(&mut self.values[place])
    }

    fn place(&self, name: &str) -> usize {
        let place = self.params.iter().position(|p| p.name == name);
        place.expect("a body asks only for parameters of its own table entry")
    }
}

/// The value as this parameter's type, or `None` if it is not one.
fn coerce(param: &Param, value: Value) -> Option<Value> {
    if matches!(&value, Value::Text(text) if !param.allows(text)) {
        return None;
    }
    match param.kind {
        ParamKind::Any | ParamKind::Date => Some(value),
        ParamKind::Boolean => boolean(&value).map(Value::Bool),
        ParamKind::Colour => Some(Value::Text(text(value).unwrap_or_default())),
        ParamKind::Float => float(&value).map(Value::Float),
        ParamKind::Integer | ParamKind::Node => integer(&value).map(Value::Int),
        ParamKind::IntOrInf => match integer(&value) {
            Some(i) => Some(Value::Int(i)),
            None => float(&value).filter(|f| *f == f64::INFINITY).map(Value::Float),
        },
        ParamKind::Interval => match &value {
            Value::Text(t) => parse_interval(t).is_ok().then_some(value),
            _ => None,
        },
        ParamKind::IntOrInterval => match &value {
            Value::Text(t) => parse_interval(t).is_ok().then_some(value),
            Value::Int(_) => Some(value),
            Value::Float(f) if f.is_finite() => Some(value),
            _ => None,
        },
        ParamKind::NodeOrTag => matches!(value, Value::Int(_) | Value::Text(_)).then_some(value),
        ParamKind::AggFunc => match &value {
            Value::Text(t) => Aggregate::by_name(t).is_some().then_some(value),
            _ => None,
        },
        ParamKind::AggFuncOfRows => match &value {
            Value::Text(t) => Aggregate::of_rows_by_name(t).is_some().then_some(value),
            _ => None,
        },
        ParamKind::AggOrSeriesFunc => matches!(value, Value::Text(_)).then_some(value),
        ParamKind::SeriesList => matches!(value, Value::List(_)).then_some(value),
        ParamKind::SeriesLists => match value {
            Value::Lists(_) => Some(value),
            Value::List(list) if list.is_empty() => Some(Value::Lists(Vec::new())),
            _ => None,
        },
        // A truth value is a text only where the table offers it as one.
        ParamKind::String if suggests_bool(param, &value) => Some(value),
        ParamKind::String | ParamKind::Tag => text(value).map(Value::Text),
    }
}

fn suggests_bool(param: &Param, value: &Value) -> bool {
    matches!(value, Value::Bool(b) if param.suggestions.contains(&Literal::Bool(*b)))
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::Int(i @ (0 | 1)) => Some(*i == 1),
        Value::Float(f) if *f == 0.0 || *f == 1.0 => Some(*f == 1.0),
        Value::Text(t) if t.eq_ignore_ascii_case("true") => Some(true),
        Value::Text(t) if t.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        Value::Text(t) => python_float(t),
        _ => None,
    }
}

/// A number with a point is refused: better an error than a result that is quietly another.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Int(i) => Some(*i),
        Value::Text(t) => t.trim().parse().ok(),
        _ => None,
    }
}

/// Numbers are welcome where a text is wanted; series and truth values are not.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(t) => Some(t),
        Value::Int(_) | Value::Float(_) => Some(value.to_text()),
        _ => None,
    }
}
