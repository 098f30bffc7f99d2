//! `plumbago query`: asks the api by hand, for values or for names.

use std::time::Duration;

use remote::Endpoint;
use serde::Deserialize;
use serde_json::Value;

use crate::http::Http;
use crate::invocation::{Context, Failure, Run, printable};

/// Where the api listens unless told.
const API: &str = "127.0.0.1:8080";

/// Characters of a sparkline.
const SPARK_COLUMNS: usize = 40;

/// How high a value stands among its neighbours.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(clap::Args)]
pub(crate) struct Query {
    /// Where the api is.
    #[arg(long, value_name = "HOST:PORT", default_value = API)]
    api: Endpoint,
    /// Start of the window, as /render takes it.
    #[arg(long, value_name = "TIME", default_value = "-1h", allow_hyphen_values = true)]
    from: String,
    /// End of the window, as /render takes it.
    #[arg(long, value_name = "TIME", default_value = "now", allow_hyphen_values = true)]
    until: String,
    /// Print every point, as NAME, TIME and VALUE with tabs between them.
    #[arg(long)]
    points: bool,
    /// Print the names below each pattern, branches with a dot behind them.
    #[arg(long, conflicts_with = "points")]
    find: bool,
    /// How long to wait for the answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    wait: u64,
    /// Target of a render, or pattern of a find.
    #[arg(required = true)]
    targets: Vec<String>,
}

/// One series of an answer.
#[derive(Deserialize)]
struct Series {
    target: String,
    datapoints: Vec<(Option<f64>, i64)>,
}

/// One node of the tree of names.
#[derive(Deserialize)]
struct Found {
    path: String,
    is_leaf: String,
}

/// What a find answers as `completer`.
#[derive(Deserialize)]
struct FoundAll {
    metrics: Vec<Found>,
}

impl Run for Query {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let http = Http::new(Duration::from_secs(self.wait))?;
        if self.find { self.find(&http, context) } else { self.render(&http, context) }
    }
}

impl Query {
    fn find(&self, http: &Http, context: &mut Context<'_>) -> Result<(), Failure> {
        for pattern in &self.targets {
            let form = [("query", pattern.as_str()), ("format", "completer")];
            let answer = http.post(&self.api, "/metrics/find", &form)?;
            if context.json {
                writeln!(context.out, "{answer}")?;
                continue;
            }
            let found: FoundAll = self.understood(answer)?;
            for one in found.metrics {
                let path = printable(one.path.trim_end_matches('.'));
                writeln!(context.out, "{path}{}", if one.is_leaf == "0" { "." } else { "" })?;
            }
        }
        Ok(())
    }

    fn render(&self, http: &Http, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut form = vec![("from", self.from.as_str()), ("until", self.until.as_str())];
        form.push(("format", "json"));
        form.extend(self.targets.iter().map(|target| ("target", target.as_str())));
        let answer = http.post(&self.api, "/render", &form)?;
        if context.json {
            writeln!(context.out, "{answer}")?;
            return Ok(());
        }
        let series: Vec<Series> = self.understood(answer)?;
        if series.is_empty() {
            context.say("no series");
        }
        if self.points {
            return print_points(&series, context);
        }
        let width = series.iter().map(|one| one.target.chars().count()).max().unwrap_or(0);
        for one in &series {
            writeln!(context.out, "{}", summary(one, width))?;
        }
        Ok(())
    }

    fn understood<T: serde::de::DeserializeOwned>(&self, answer: Value) -> Result<T, Failure> {
        let read = serde_json::from_value(answer);
        read.map_err(|error| Failure::new(format!("{}: unexpected answer: {error}", self.api)))
    }
}

fn print_points(series: &[Series], context: &mut Context<'_>) -> Result<(), Failure> {
    for one in series {
        let name = printable(&one.target);
        for (value, time) in &one.datapoints {
            if let Some(value) = value {
                writeln!(context.out, "{name}\t{time}\t{value}")?;
            }
        }
    }
    Ok(())
}

/// A series on one line: its name, its course, and what stands out.
fn summary(series: &Series, width: usize) -> String {
    let values: Vec<Option<f64>> = series.datapoints.iter().map(|point| point.0).collect();
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let (name, spark) = (printable(&series.target), sparkline(&values));
    let Some(last) = known.last() else { return format!("{name:<width$}  no points") };
    let (min, max) = (least(&known), most(&known));
    let count = known.len();
    format!("{name:<width$}  {spark}  last {last}  min {min}  max {max}  points {count}")
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The course of the values in few characters, each the mean of its share; a blank for no value.
fn sparkline(values: &[Option<f64>]) -> String {
    let share = values.len().div_ceil(SPARK_COLUMNS).max(1);
    let means: Vec<Option<f64>> = values
        .chunks(share)
        .map(|chunk| {
            let known: Vec<f64> = chunk.iter().copied().flatten().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        })
        .collect();
    let known: Vec<f64> = means.iter().copied().flatten().collect();
    let (low, high) = (least(&known), most(&known));
    let top = (BARS.len() - 1) as f64;
    let bar = |mean: f64| {
        let height = if high > low { (mean - low) / (high - low) * top } else { 0.0 };
        // A float cast saturates, so that no value is without a bar.
        BARS[(height.round() as usize).min(BARS.len() - 1)]
    };
    means.iter().map(|mean| mean.map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_spans_from_the_least_to_the_most_and_leaves_holes() {
        assert_eq!(sparkline(&[Some(0.0), None, Some(3.5), Some(7.0)]), "▁ ▅█");
        assert_eq!(sparkline(&[Some(5.0), Some(5.0)]), "▁▁");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[Some(f64::INFINITY), Some(0.0)]).chars().count(), 2);
    }

    #[test]
    fn many_points_share_columns() {
        let values: Vec<Option<f64>> = (0..400).map(|n| Some(f64::from(n))).collect();
        let line = sparkline(&values);
        assert_eq!(line.chars().count(), SPARK_COLUMNS);
        assert!(line.starts_with('▁') && line.ends_with('█'));
    }

    #[test]
    fn a_series_without_points_says_so() {
        let series = Series { target: "a".to_owned(), datapoints: vec![(None, 60)] };
        assert_eq!(summary(&series, 3), "a    no points");
    }
}
