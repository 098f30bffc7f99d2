//! Every function, one family a file. A family's file is the only place that knows its functions.

use crate::function::Function;

mod alias;
mod arithmetic;
mod calendar;
mod fill;
mod generate;
mod rate;
mod summarize;

/// The families.
pub(crate) const FAMILIES: &[&[Function]] = &[
    alias::FAMILY,
    arithmetic::FAMILY,
    fill::FAMILY,
    generate::FAMILY,
    rate::FAMILY,
    summarize::FAMILY,
];
