//! Functions that write values into the legend.

use crate::aggregate::Aggregate;
use crate::call::Call;
use crate::error::EvalError;
use crate::function::{Body, Example, Function, Group};
use crate::number::python_repr;
use crate::param::{Param, ParamKind, SERIES_LIST};
use crate::series::Series;

/// Below this, what stands behind the point counts as nothing.
const FRACTION_MIN: f64 = 1e-11;

const VALUES: Param = Param::optional("valuesTypes", ParamKind::String).multiple();
const SYSTEM: Param = Param::optional("system", ParamKind::String).options(&["si", "binary"]);

pub(super) const FAMILY: &[Function] = &[
    Function {
        name: "legendValue",
        group: Group::Alias,
        params: &[SERIES_LIST, VALUES],
        summary: "Adds values to the name, by aggregations.",
        detail: "With `si` or `binary` at the end, values have units such as `k` or `Ki`.",
        eval: Body::List(legend_value),
        examples: &[Example {
            target: r#"legendValue(a.b,"avg","max","si")"#,
            shows: "mean and peak of each series",
        }],
        ..Function::DEFAULT
    },
    Function {
        name: "cactiStyle",
        group: Group::Special,
        params: &[SERIES_LIST, SYSTEM, Param::optional("units", ParamKind::String)],
        summary: "Adds the last, the greatest and the least value to the name, in columns.",
        eval: Body::List(cacti_style),
        examples: &[Example { target: r#"cactiStyle(a.*,"si","B")"#, shows: "a table of bytes" }],
        ..Function::DEFAULT
    },
];

/// The prefixes of a unit system, the greatest first.
fn prefixes(system: &str) -> [(&'static str, f64); 5] {
    let powers = |base: f64, names: [&'static str; 5]| {
        let mut power = 6;
        names.map(|name| {
            power -= 1;
            (name, base.powi(power))
        })
    };
    match system {
        "binary" => powers(1024.0, ["Pi", "Ti", "Gi", "Mi", "Ki"]),
        _ => powers(1000.0, ["P", "T", "G", "M", "k"]),
    }
}

/// The value in the greatest unit that it reaches, and that unit's prefix.
fn scaled(value: f64, system: &str) -> (f64, &'static str) {
    let reached = prefixes(system).into_iter().find(|(_, size)| value.abs() >= *size);
    let (prefix, size) = reached.unwrap_or(("", 1.0));
    let in_unit = value / size;
    let fraction = in_unit - in_unit.floor();
    let whole = fraction < FRACTION_MIN && value > 1.0;
    (if whole { in_unit.floor() } else { in_unit }, prefix)
}

fn legend_value(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let mut types = call.strings("valuesTypes");
    let Some(last) = types.last() else {
        return Err(call.argument_error("valuesTypes", "is missing"));
    };
    let system = matches!(last.as_str(), "si" | "binary").then(|| last.clone());
    if system.is_some() {
        types.pop();
    }
    let mut list = call.series("seriesList");
    for series in &mut list {
        let points = series.points().into_owned();
        for kind in &types {
            let value = Aggregate::by_name(kind).map(|aggregate| aggregate.of(&points));
            series.name = match &system {
                None => format!("{} ({kind}: {})", series.name, plain(kind, value)),
                Some(system) => {
                    let text = in_units(value, system);
                    format!("{:<20}{kind:<5}{text:<10}", series.name)
                }
            };
        }
    }
    Ok(list)
}

/// A value as Python's `str()` writes it; `(?)` for an aggregation that there is not.
fn plain(kind: &str, value: Option<f64>) -> String {
    match value {
        None => "(?)".to_owned(),
        Some(nothing) if nothing.is_nan() => "None".to_owned(),
        Some(count) if kind == "count" => count.to_string(),
        Some(value) => python_repr(value),
    }
}

fn in_units(value: Option<f64>, system: &str) -> String {
    match value {
        None => "(?)".to_owned(),
        Some(nothing) if nothing.is_nan() => "None".to_owned(),
        Some(value) => {
            let (value, prefix) = scaled(value, system);
            format!("{value:.2}{prefix}")
        }
    }
}

/// How values are written in a legend.
struct Format {
    system: Option<String>,
    units: Option<String>,
}

impl Format {
    fn write(&self, value: f64) -> String {
        let (value, prefix) = match &self.system {
            Some(system) => scaled(value, system),
            None => (value, ""),
        };
        match &self.units {
            Some(units) => format!("{value:.2} {prefix}{units}"),
            None => format!("{value:.2}{prefix}"),
        }
    }

    /// Columns are as wide as the widest whole number needs, and three more; 3 stands in for nothing.
    fn width(&self, values: &[f64]) -> usize {
        // Adding 0 takes the sign from what is cut down to -0, which is one place too wide.
        let whole = |v: &f64| if v.is_nan() || *v == 0.0 { 3.0 } else { v.trunc() + 0.0 };
        let widths = values.iter().map(|v| self.write(whole(v)).chars().count());
        widths.max().unwrap_or(0) + 3
    }

    fn write_or_nan(&self, value: f64) -> String {
        if value.is_nan() { "nan".to_owned() } else { self.write(value) }
    }
}

fn cacti_style(call: &mut Call<'_>) -> Result<Vec<Series>, EvalError> {
    let text = |name: &str| call.string_opt(name).filter(|text| !text.is_empty());
    let format = Format { system: text("system"), units: text("units") };
    let mut list = call.series("seriesList");
    let values = |aggregate: Aggregate| -> Vec<f64> {
        list.iter().map(|s| aggregate.of(&s.points())).collect()
    };
    let (lasts, maxima, minima) =
        (values(Aggregate::Last), values(Aggregate::Max), values(Aggregate::Min));
    let (last_width, max_width, min_width) =
        (format.width(&lasts), format.width(&maxima), format.width(&minima));
    let name_width = list.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
    for (i, series) in list.iter_mut().enumerate() {
        let write = |values: &[f64]| format.write_or_nan(values[i]);
        let (last, max, min) = (write(&lasts), write(&maxima), write(&minima));
        series.name = format!(
            "{:<name_width$} Current:{last:<last_width$} Max:{max:<max_width$} Min:{min:<min_width$} ",
            series.name
        );
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_greatest_unit_they_reach() {
        assert_eq!(scaled(1500.0, "si"), (1.5, "k"));
        assert_eq!(scaled(-2048.0, "binary"), (-2.0, "Ki"));
        assert_eq!(scaled(999.0, "si"), (999.0, ""));
    }
}
