//! Every function, one family a file. A family's file is the only place that knows its functions.

use std::sync::LazyLock;

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
const FAMILIES: &[&[Function]] = &[
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

/// Every (name or alias, function), sorted by name.
static TABLE: LazyLock<Vec<(&'static str, &'static Function)>> = LazyLock::new(|| {
    let families = FAMILIES.iter().flat_map(|family| family.iter());
    let mut table: Vec<_> = families
        .flat_map(|f| {
            std::iter::once(f.name).chain(f.aliases.iter().copied()).map(move |name| (name, f))
        })
        .collect();
    table.sort_unstable_by_key(|(name, _)| *name);
    table
});

/// The function of that name or alias.
pub fn find(name: &str) -> Option<&'static Function> {
    let at = TABLE.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(TABLE[at].1)
}

/// Every (name or alias, function), sorted by name.
pub fn all() -> &'static [(&'static str, &'static Function)] {
    &TABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_that_aggregates_is_found_as_a_callback() {
        for (name, function) in all().iter().filter(|(_, function)| function.aggregates) {
            let found = group::aggregating(name).map(|found| found.name);
            assert_eq!(found, Some(function.name), "{name}");
        }
    }
}
