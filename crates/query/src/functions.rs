//! Every function, one family a file. A family's file is the only place that knows its functions.

use crate::function::Function;

mod alias;
mod arithmetic;
mod calendar;
mod consolidation;
mod fill;
mod forecast;
mod generate;
mod moving;
mod rate;
mod shift;
mod statistics;
mod summarize;

/// The families.
pub(crate) const FAMILIES: &[&[Function]] = &[
    alias::FAMILY,
    arithmetic::FAMILY,
    consolidation::FAMILY,
    fill::FAMILY,
    forecast::FAMILY,
    generate::FAMILY,
    moving::FAMILY,
    rate::FAMILY,
    shift::FAMILY,
    statistics::FAMILY,
    summarize::FAMILY,
];
