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

/// The tag expressions of a `seriesByTag(...)` pattern, or `None` if the pattern is a path.
pub fn tag_expressions(pattern: &str) -> Option<Vec<String>> {
    let inner = pattern.trim().strip_prefix("seriesByTag")?.trim_start();
    let inner = inner.strip_prefix('(')?.strip_suffix(')')?;
    let mut expressions = Vec::new();
    let mut rest = inner.trim_start();
    while let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let (text, after) = rest[1..].split_once(quote)?;
        expressions.push(text.to_owned());
        rest = after.trim_start().strip_prefix(',').unwrap_or(after).trim_start();
    }
    rest.is_empty().then_some(expressions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_expressions_are_the_quoted_texts() {
        let found = tag_expressions("seriesByTag( \"name=reqs\" , 'host=b,c' )");
        assert_eq!(found, Some(vec!["name=reqs".to_owned(), "host=b,c".to_owned()]));
        assert_eq!(tag_expressions("a.b"), None);
        assert_eq!(tag_expressions("seriesByTag(a.b)"), None);
    }
}
