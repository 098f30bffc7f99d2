//! Every function, one family a file. A family's file is the only place that knows its functions.

use crate::function::Function;

mod alias;
mod arithmetic;
mod bound;
mod calendar;
mod combine;
mod consolidation;
mod divide;
mod fill;
mod filter;
mod forecast;
mod generate;
mod group;
mod legend;
mod moving;
mod paint;
mod rate;
mod shift;
mod sort;
mod statistics;
mod summarize;

/// The families.
pub(crate) const FAMILIES: &[&[Function]] = &[
    alias::FAMILY,
    arithmetic::FAMILY,
    bound::FAMILY,
    combine::FAMILY,
    consolidation::FAMILY,
    divide::FAMILY,
    fill::FAMILY,
    filter::FAMILY,
    forecast::FAMILY,
    generate::FAMILY,
    group::FAMILY,
    legend::FAMILY,
    moving::FAMILY,
    paint::FAMILY,
    rate::FAMILY,
    shift::FAMILY,
    sort::FAMILY,
    statistics::FAMILY,
    summarize::FAMILY,
];
