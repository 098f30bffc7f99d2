//! What a target says, as a tree. Pipes are already turned into nested calls.

use std::fmt::{self, Display, Formatter};

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number without point or exponent.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// The raw text between quotes.
    Text(String),
    /// `True`, `False`.
    Bool(bool),
    /// `None`.
    None,
    /// A pattern for series names, or `$name` in a template.
    Path(String),
    /// `seriesByTag('a=b', ...)`; the store gets the text of the whole call as its pattern.
    Tagged {
        /// The call as it was written.
        raw: String,
    },
    /// A function call.
    Call(Box<CallExpr>),
    /// `template(expression, name=value, ...)`.
    Template(Box<TemplateExpr>),
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallExpr {
    /// The function's name as it was written.
    pub name: String,
    /// Where the name stands in the target, in bytes.
    pub position: usize,
    /// Positional arguments; a piped value is the first.
    pub args: Vec<Expr>,
    /// Arguments by name.
    pub kwargs: Vec<(String, Expr)>,
}

/// `template(body, values...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateExpr {
    /// What is evaluated with its variables replaced.
    pub body: Expr,
    /// Variables in order: names as given, positional ones as `1`, `2`, ...
    pub variables: Vec<(String, Expr)>,
}

/// The target without blanks and with one kind of quotes: equal texts mean the same.
impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(i) => write!(f, "{i}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::None => f.write_str("None"),
            Self::Path(path) => f.write_str(path),
            Self::Tagged { raw } => f.write_str(raw),
            Self::Call(call) => arguments(f, &call.name, call.args.iter(), &call.kwargs),
            Self::Template(template) => {
                arguments(f, "template", [&template.body].into_iter(), &template.variables)
            }
        }
    }
}

fn arguments<'a>(
    f: &mut Formatter<'_>,
    name: &str,
    args: impl Iterator<Item = &'a Expr>,
    named: &[(String, Expr)],
) -> fmt::Result {
    write!(f, "{name}(")?;
    let mut separator = "";
    for arg in args {
        write!(f, "{separator}{arg}")?;
        separator = ",";
    }
    for (name, arg) in named {
        write!(f, "{separator}{name}={arg}")?;
        separator = ",";
    }
    f.write_str(")")
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    #[test]
    fn targets_that_mean_the_same_print_the_same() {
        for (one, other, printed) in [
            ("a.{b,c} | scale(2)", "scale( a.{b,c},2 )", "scale(a.{b,c},2)"),
            ("alias(a,'b')", "alias(a, \"b\")", "alias(a,\"b\")"),
            ("limit(a, n=1)", "limit(a,n = 1)", "limit(a,n=1)"),
            ("template(a.$x, x='1')", "template(a.$x,x=\"1\")", "template(a.$x,x=\"1\")"),
        ] {
            let print = |target: &str| parse(target).unwrap().to_string();
            assert_eq!((print(one), print(other)), (printed.to_owned(), printed.to_owned()));
        }
    }
}
