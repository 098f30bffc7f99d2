//! Every function, one family a file. A family's file is the only place that knows its functions.

use crate::function::Function;

mod alias;
mod generate;

/// The families.
pub(crate) const FAMILIES: &[&[Function]] = &[alias::FAMILY, generate::FAMILY];
