//! The Graphite query language: parse, plan, evaluate. Pure: no sockets, no clock.
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod args;
pub mod ast;
pub mod brake;
pub mod call;
pub mod consolidate;
pub mod describe;
pub mod error;
pub mod eval;
pub mod fold;
pub mod function;
mod functions;
pub mod limits;
pub mod names;
pub mod normalize;
pub mod number;
pub mod parse;
pub mod pattern;
pub mod plan;
pub mod request;
pub mod series;
pub mod tags;
pub mod time_expr;
pub mod value;

pub use brake::Brake;
pub use error::EvalError;
pub use eval::{Answer, Data};
pub use fold::{FoldSpec, Folded};
pub use limits::Limits;
pub use plan::{Fetch, Window};
pub use request::{
    Outcome, Prepared, ROUNDS_MAX, Request, check_pattern, prepare, prepare_parsed, prepared_before,
};
pub use series::{Consolidation, Series};
