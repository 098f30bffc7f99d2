//! What can be computed of a window: one table entry a method, with the names that the peers use.

use std::str::FromStr;

use super::figures::Figures;
use super::layout::Field;

/// How a method gets its result.
#[derive(Debug, Clone, Copy)]
pub enum MethodKind {
    /// From the figures, of which it needs these.
    Figures(&'static [Field], fn(&Figures) -> f64),
    /// From all values, at a percentile.
    Percentile(f64),
}

/// One entry of the table.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Our name of it, in rules and in the names of series.
    pub name: &'static str,
    /// The names that carbon-c-relay, carbon-relay-ng and Python carbon know it by.
    pub aliases: &'static [&'static str],
    /// How it is computed.
    pub kind: MethodKind,
    /// One line for the docs.
    pub help: &'static str,
}

const fn of_figures(
    name: &'static str,
    aliases: &'static [&'static str],
    needs: &'static [Field],
    compute: fn(&Figures) -> f64,
    help: &'static str,
) -> Method {
    Method { name, aliases, kind: MethodKind::Figures(needs, compute), help }
}

/// Every method but the percentiles, which are as many as there are numbers.
pub const METHODS: &[Method] = &[
    of_figures("count", &["cnt"], &[], |all| all.count as f64, "How many points."),
    of_figures("sum", &[], &[Field::Sum], |all| all.sum, "Their sum."),
    of_figures(
        "sumsq",
        &[],
        &[Field::SumOfSquares],
        |all| all.sum_of_squares,
        "The sum of their squares.",
    ),
    of_figures("min", &[], &[Field::Min], |all| all.min, "The smallest."),
    of_figures("max", &[], &[Field::Max], |all| all.max, "The largest."),
    of_figures("avg", &["average", "mean"], &[Field::Sum], Figures::mean, "Their mean."),
    of_figures(
        "stddev",
        &["stdev"],
        &[Field::Sum, Field::Deviation],
        |all| all.variance().sqrt(),
        "The standard deviation, over n and not n - 1.",
    ),
    of_figures(
        "variance",
        &["var"],
        &[Field::Sum, Field::Deviation],
        Figures::variance,
        "The square of the standard deviation.",
    ),
    of_figures(
        "first",
        &[],
        &[Field::First],
        |all| all.first.value,
        "The value with the earliest timestamp.",
    ),
    of_figures(
        "last",
        &[],
        &[Field::Last],
        |all| all.last.value,
        "The value with the latest timestamp.",
    ),
    of_figures(
        "range",
        &["delta"],
        &[Field::Min, Field::Max],
        |all| all.max - all.min,
        "The largest less the smallest.",
    ),
    of_figures(
        "derive",
        &[],
        &[Field::First, Field::Last],
        rate,
        "The last less the first, for each second between them; nothing if they are one second.",
    ),
    Method {
        name: "median",
        aliases: &[],
        kind: MethodKind::Percentile(50.0),
        help: "The 50th percentile.",
    },
];

/// Change over time; no number when no time passed.
fn rate(all: &Figures) -> f64 {
    let seconds = all.last.timestamp - all.first.timestamp;
    if seconds == 0 { f64::NAN } else { (all.last.value - all.first.value) / seconds as f64 }
}

/// A method that a rule asks for, under the name that its series carry.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// What stands for `{method}` in the names of series.
    pub(super) name: String,
    /// How it is computed.
    pub(super) kind: MethodKind,
}

/// A method that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("method `{method}` is not known: {known}, or a percentile such as p95")]
pub struct UnknownMethod {
    /// As it was written.
    pub method: String,
    /// All others.
    pub known: String,
}

impl FromStr for Asked {
    type Err = UnknownMethod;

    /// A name of the table, or a percentile: `p95`, `p99.9`, `percentile95`; `p999` is `p99.9`, as
    /// Python carbon has it.
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        let of_table =
            METHODS.iter().find(|method| method.name == text || method.aliases.contains(&text));
        if let Some(method) = of_table {
            return Ok(Self { name: method.name.to_owned(), kind: method.kind });
        }
        let number = text.strip_prefix("percentile").or_else(|| text.strip_prefix('p'));
        let percentile = number.and_then(percentile).ok_or_else(|| unknown(text))?;
        let name = format!("p{}", percentile.to_string().replace('.', ""));
        Ok(Self { name, kind: MethodKind::Percentile(percentile) })
    }
}

fn unknown(text: &str) -> UnknownMethod {
    let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    UnknownMethod { method: text.to_owned(), known: known.join(", ") }
}

fn percentile(number: &str) -> Option<f64> {
    if number == "999" {
        return Some(99.9);
    }
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percentile: f64 = number.parse().ok()?;
    (plain && percentile > 0.0 && percentile <= 100.0).then_some(percentile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_names_find_their_method() {
        for (theirs, ours) in [
            ("average", "avg"),
            ("stdev", "stddev"),
            ("delta", "range"),
            ("percentile95", "p95"),
            ("p999", "p999"),
            ("p99.9", "p999"),
            ("median", "median"),
        ] {
            assert_eq!(theirs.parse::<Asked>().unwrap().name, ours, "{theirs}");
        }
    }

    #[test]
    fn an_unknown_method_is_refused_with_the_known_ones() {
        for text in ["", "avarage", "p", "p0", "p101", "percentile-5", "pinf", "p1e1"] {
            let error = text.parse::<Asked>().unwrap_err().to_string();
            assert!(error.contains("count, sum, sumsq"), "{text}: {error}");
        }
    }

    #[test]
    fn no_two_entries_share_a_name() {
        let mut names: Vec<&str> = METHODS
            .iter()
            .flat_map(|method| method.aliases.iter().copied().chain([method.name]))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
