//! What a target says, as a tree. Pipes are already turned into nested calls.

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
