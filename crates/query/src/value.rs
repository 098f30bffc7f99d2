//! What an argument can be once it is evaluated.

use crate::series::Series;

/// The value of one argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent, or `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// A number without point or exponent.
    Int(i64),
    /// Any other number, infinity included.
    Float(f64),
    /// A quoted string, as it was written between its quotes.
    Text(String),
    /// A list of series.
    List(Vec<Series>),
    /// A list of lists of series (what `map` answers).
    Lists(Vec<Vec<Series>>),
}

impl Value {
    /// As Python's `str()` writes it: what `$name` is replaced by in a template.
    pub fn to_text(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(i) => i.to_string(),
            Self::Float(f) => crate::number::python_repr(*f),
            Self::Text(t) => t.clone(),
            Self::List(_) | Self::Lists(_) => "[series]".to_owned(),
        }
    }

    /// About how much memory it takes that nothing else holds.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::List(list) => list.iter().map(Series::bytes).sum(),
            Self::Lists(lists) => lists.iter().flatten().map(Series::bytes).sum(),
            _ => 0,
        }
    }

    /// What an error message calls it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(t) => format!("{t:?}"),
            Self::List(_) => "a list of series".to_owned(),
            Self::Lists(_) => "a list of lists of series".to_owned(),
            other => other.to_text(),
        }
    }
}
