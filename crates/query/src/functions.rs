//! Every function, one family a file. A family's file is the only place that knows its functions.

use crate::function::Function;

mod alias;
mod arithmetic;
mod baseline;
mod bound;
mod calendar;
mod combine;
mod consolidation;
mod correlation;
mod curve;
mod distribution;
mod divide;
mod fill;
mod filter;
mod forecast;
mod generate;
mod group;
mod legend;
mod lists;
mod moving;
mod objective;
mod paint;
mod rate;
mod release;
mod shift;
mod signal;
mod sort;
mod statistics;
mod summarize;

/// The families.
pub(crate) const FAMILIES: &[&[Function]] = &[
    alias::FAMILY,
    arithmetic::FAMILY,
    baseline::FAMILY,
    bound::FAMILY,
    combine::FAMILY,
    consolidation::FAMILY,
    correlation::FAMILY,
    curve::FAMILY,
    distribution::FAMILY,
    divide::FAMILY,
    fill::FAMILY,
    filter::FAMILY,
    forecast::FAMILY,
    generate::FAMILY,
    group::FAMILY,
    legend::FAMILY,
    lists::FAMILY,
    moving::FAMILY,
    objective::FAMILY,
    paint::FAMILY,
    rate::FAMILY,
    release::FAMILY,
    shift::FAMILY,
    signal::FAMILY,
    sort::FAMILY,
    statistics::FAMILY,
    summarize::FAMILY,
];
