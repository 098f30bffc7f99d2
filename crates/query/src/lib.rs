//! The Graphite query language: parse, plan, evaluate. Pure: no sockets, no clock.
//!
//! No module imports one that stands above it. From the ground up: series and values; what a call is given ([`param`],
//! [`args`], [`call`]); a function's row ([`function`]); the families with the rows, and the table of them all
//! ([`functions`]); planning and evaluation; [`prepare()`], the way in.
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod args;
pub mod ast;
pub mod brake;
pub mod call;
pub mod consolidate;
pub mod data;
pub mod describe;
pub mod error;
mod eval;
pub mod fetch;
pub mod fold;
pub mod function;
pub mod functions;
pub mod limits;
pub mod names;
pub mod normalize;
pub mod number;
pub mod param;
pub mod parse;
pub mod pattern;
mod plan;
mod prepare;
pub mod request;
mod run;
mod scope;
pub mod series;
pub mod tags;
pub mod time_expr;
pub mod value;
pub mod window;

pub use brake::Brake;
pub use data::{Answer, Data};
pub use error::EvalError;
pub use fetch::Fetch;
pub use fold::{FoldSpec, Folded};
pub use limits::Limits;
pub use prepare::{
    Outcome, Prepared, ROUNDS_MAX, check_pattern, prepare, prepare_parsed, prepared_before,
};
pub use request::Request;
pub use series::{Consolidation, Series};
pub use window::Window;
