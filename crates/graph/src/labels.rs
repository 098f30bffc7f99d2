//! The text of a number on an axis: its unit prefix and how many digits it shows.

/// Prefixes for large numbers, largest first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct UnitSystem {
    pub(crate) name: &'static str,
    prefixes: &'static [(&'static str, f64)],
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
const MONTH: f64 = 30.0 * DAY;
const YEAR: f64 = 365.0 * DAY;

pub(crate) const SI: UnitSystem = UnitSystem {
    name: "si",
    prefixes: &[("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)],
};

pub(crate) const BINARY: UnitSystem = UnitSystem {
    name: "binary",
    prefixes: &[
        ("Pi", 1_125_899_906_842_624.0),
        ("Ti", 1_099_511_627_776.0),
        ("Gi", 1_073_741_824.0),
        ("Mi", 1_048_576.0),
        ("Ki", 1024.0),
    ],
};

/// Every system that a request can name.
const SYSTEMS: &[UnitSystem] = &[
    SI,
    BINARY,
    UnitSystem {
        name: "sec",
        prefixes: &[("Y", YEAR), ("M", MONTH), ("D", DAY), ("H", HOUR), ("m", MINUTE)],
    },
    UnitSystem {
        name: "msec",
        prefixes: &[
            ("Y", YEAR * 1e3),
            ("M", MONTH * 1e3),
            ("D", DAY * 1e3),
            ("H", HOUR * 1e3),
            ("m", MINUTE * 1e3),
            ("s", 1e3),
        ],
    },
    UnitSystem { name: "none", prefixes: &[] },
];

impl UnitSystem {
    /// The system of that name; `si` where there is none, as in graphite-web.
    pub(crate) fn named(name: &str) -> Self {
        let lower = name.to_lowercase();
        SYSTEMS.iter().copied().find(|system| system.name == lower).unwrap_or(SI)
    }

    /// A value in its unit; where the distance of the labels is known, no unit is larger than it.
    fn scaled(self, value: f64, step: Option<f64>) -> (f64, &'static str) {
        let fits = |size: f64| value.abs() >= size && step.is_none_or(|step| step >= size);
        let (scaled, prefix) = match self.prefixes.iter().find(|(_, size)| fits(*size)) {
            Some((prefix, size)) => (value / size, *prefix),
            None => (value, ""),
        };
        // What misses a whole number by a rounding error is meant to be that number.
        let is_whole = scaled - scaled.floor() < 1e-11 && value > 1.0;
        (if is_whole { scaled.floor() } else { scaled }, prefix)
    }

    /// What stands beside a tick: number, space, prefix; a prefix has a space of its own behind it.
    pub(crate) fn label(self, value: f64, step: Option<f64>, span: f64) -> String {
        let (value, prefix) = self.scaled(value, step);
        let (span, span_prefix) = self.scaled(span, step);
        let unit = if prefix.is_empty() { String::new() } else { format!("{prefix} ") };
        let number = if value < 0.1 {
            general(value)
        } else if value < 1.0 {
            format!("{value:.2}")
        } else if span > 3.0 || span_prefix != unit {
            format!("{value:.1}")
        } else if span > 0.1 {
            format!("{value:.2}")
        } else {
            general(value)
        };
        format!("{number} {unit}")
    }
}

/// A number with six significant digits, as C's `%g` has it.
fn general(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { value.to_string() };
    }
    let scientific = format!("{value:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        trimmed(&format!("{value:.decimals$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_as_c_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (-150.0, "-150"),
            (0.05, "0.05"),
            (0.000_012, "1.2e-05"),
            (-1_234_567.0, "-1.23457e+06"),
            (-100_000.0, "-100000"),
            (0.1 + 0.2, "0.3"),
        ] {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn digits_follow_the_span_and_units_the_step() {
        assert_eq!(SI.label(2000.0, Some(1000.0), 5000.0), "2.0 k ");
        assert_eq!(SI.label(2000.0, Some(500.0), 5000.0), "2000.0 ");
        assert_eq!(SI.label(0.5, Some(0.5), 3.0), "0.50 ");
        assert_eq!(SI.label(1.5, Some(0.5), 3.0), "1.50 ");
        assert_eq!(UnitSystem::named("SEC").label(90.0, Some(60.0), 300.0), "1.5 m ");
        assert_eq!(UnitSystem::named("nonsense"), SI);
    }
}
