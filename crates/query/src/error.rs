//! What can go wrong between a target's text and its series, each with the HTTP status it deserves.

use crate::parse::ParseError;
use crate::time_expr::TimeError;

/// Why a target could not be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The text of a target is not in the grammar.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// A time (`from`, or an argument that is a date) cannot be read.
    #[error("{0}")]
    Time(#[from] TimeError),
    /// The target calls a function that no family has.
    #[error("unknown function {name:?}")]
    UnknownFunction {
        /// As it was written.
        name: String,
    },
    /// An argument is missing, of the wrong type or one too many.
    #[error("{function}: parameter {parameter:?} {message}")]
    Argument {
        /// The function's name as it was called.
        function: String,
        /// The parameter's name in the table.
        parameter: String,
        /// What is wrong with it.
        message: String,
    },
    /// A function refuses what it was given.
    #[error("{function}: {message}")]
    Function {
        /// The function's name as it was called.
        function: String,
        /// Why it refuses.
        message: String,
    },
    /// The request itself makes no sense.
    #[error("{0}")]
    Request(String),
    /// The evaluation was ended from outside.
    #[error("the evaluation was stopped")]
    Stopped,
    /// A limit was hit.
    #[error("limit {limit} exceeded: asked {asked}, allowed {allowed}")]
    Limit {
        /// The setting's name.
        limit: &'static str,
        /// What the request needs.
        asked: u64,
        /// What the setting allows.
        allowed: u64,
    },
}

impl EvalError {
    /// The HTTP status: 422 for a limit, 503 for one that was stopped, 400 for everything else.
    pub fn status(&self) -> u16 {
        match self {
            Self::Limit { .. } => 422,
            Self::Stopped => 503,
            _ => 400,
        }
    }

    /// Where in the target the fault lies, in bytes, if that is known.
    pub fn position(&self) -> Option<usize> {
        match self {
            Self::Parse(e) => Some(e.position),
            _ => None,
        }
    }
}
