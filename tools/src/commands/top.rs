//! `plumbago top`: what the programs of a cluster do at this moment, from their `/metrics`.

use std::collections::HashMap;
use std::io::{IsTerminal, stdout};
use std::thread::park_timeout;
use std::time::Duration;

use daemon::clock::{Clock, System};
use serde_json::{Map, Value, json};

use crate::invocation::{Context, Failure, Run};
use crate::node::Node;
use crate::nodes::{Nodes, NodesArgs};

/// Begins the names of all our metrics.
const PREFIX: &str = "plumbago_";

/// Takes a terminal's cursor home and clears what is below.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Width of a column with a number.
const WIDTH: usize = 14;

#[derive(clap::Args)]
pub(crate) struct Top {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Time between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// Look twice, print once, and end.
    #[arg(long)]
    once: bool,
}

/// How a number is shown.
#[derive(Clone, Copy)]
enum Shown {
    /// As it is.
    Now,
    /// What it grew by in a second.
    Rate,
}

/// One number of a program: its heading, its metric without prefix, and how it is shown.
type Column = (&'static str, &'static str, Shown);

/// The programs and what is shown of them.
const PROGRAMS: &[(&str, &[Column])] = &[
    (
        "relay",
        &[
            ("lines/s", "relay_lines_received_total", Shown::Rate),
            ("sent/s", "relay_lines_sent_total", Shown::Rate),
            ("backlog", "relay_backlog_lines", Shown::Now),
            ("log_bytes", "relay_log_bytes", Shown::Now),
            ("dropped/s", "relay_lines_dropped_total", Shown::Rate),
        ],
    ),
    (
        "carbon",
        &[
            ("points/s", "carbon_points_received_total", Shown::Rate),
            ("written/s", "carbon_points_written_total", Shown::Rate),
            ("waiting", "carbon_points_pending", Shown::Now),
            ("journal_bytes", "carbon_journal_bytes", Shown::Now),
            ("series", "carbon_series", Shown::Now),
            ("dropped/s", "carbon_points_dropped_total", Shown::Rate),
        ],
    ),
    (
        "zipper",
        &[
            ("requests/s", "zipper_requests_total", Shown::Rate),
            ("partial/s", "zipper_partial_answers_total", Shown::Rate),
        ],
    ),
    (
        "api",
        &[
            ("requests/s", "api_requests_total", Shown::Rate),
            ("slow", "api_slow_queries_total", Shown::Now),
        ],
    ),
];

/// The numbers of one program, its labels summed up.
type Numbers = HashMap<String, f64>;

/// One look at all programs; an error is what a program said instead.
struct Look {
    at: Duration,
    programs: Vec<Result<Numbers, String>>,
}

impl Run for Top {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let clock = System::new();
        let clears = !self.once && !context.json && stdout().is_terminal();
        let mut before = look(&nodes, &clock);
        loop {
            let due = clock.monotonic() + Duration::from_secs(self.interval);
            while let Some(rest) = due.checked_sub(clock.monotonic()).filter(|rest| !rest.is_zero())
            {
                park_timeout(rest);
            }
            let now = look(&nodes, &clock);
            if clears {
                write!(context.out, "{CLEAR}")?;
            }
            if context.json {
                for (node, line) in nodes.all.iter().zip(lines(&before, &now)) {
                    writeln!(context.out, "{}", as_json(node, line))?;
                }
            } else {
                write!(context.out, "{}", table(&nodes, &lines(&before, &now)))?;
            }
            context.out.flush()?;
            if self.once {
                name_silent(context, &nodes, &now);
                return Ok(());
            }
            before = now;
        }
    }
}

fn name_silent(context: &mut Context<'_>, nodes: &Nodes, look: &Look) {
    for (node, program) in nodes.all.iter().zip(&look.programs) {
        if let Err(error) = program {
            context.skip(&node.name, error);
        }
    }
}

fn look(nodes: &Nodes, clock: &System) -> Look {
    let programs = nodes.all.iter().map(|node| match nodes.text(node, "/metrics") {
        Ok(text) => Ok(numbers(&text)),
        Err(error) => Err(error.to_string()),
    });
    Look { programs: programs.collect(), at: clock.monotonic() }
}

/// Reads Prometheus' text.
fn numbers(text: &str) -> Numbers {
    let mut numbers = Numbers::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or(series);
        if let (Some(name), Ok(value)) = (name.strip_prefix(PREFIX), value.parse::<f64>()) {
            *numbers.entry(name.to_owned()).or_insert(0.0) += value;
        }
    }
    numbers
}

/// What is shown of one program.
struct Line {
    /// Which program it is; none if it did not answer, or is none of ours.
    program: Option<&'static str>,
    /// In the order of the program's columns.
    values: Vec<f64>,
    error: Option<String>,
}

fn lines(before: &Look, now: &Look) -> Vec<Line> {
    let seconds = now.at.saturating_sub(before.at).as_secs_f64();
    let pairs = before.programs.iter().zip(&now.programs);
    pairs.map(|(before, now)| line(before.as_ref().ok(), now, seconds)).collect()
}

fn line(before: Option<&Numbers>, now: &Result<Numbers, String>, seconds: f64) -> Line {
    let silent =
        |error: &str| Line { program: None, values: Vec::new(), error: Some(error.to_owned()) };
    let now = match now {
        Ok(now) => now,
        Err(error) => return silent(error),
    };
    let is_it = |(name, _): &&(&str, &[Column])| {
        now.keys().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('_')))
    };
    let Some((program, columns)) = PROGRAMS.iter().find(is_it) else {
        return silent("none of our programs");
    };
    let value = |(_, metric, shown): &Column| {
        let now = now.get(*metric).copied().unwrap_or(0.0);
        let before = before.and_then(|before| before.get(*metric)).copied().unwrap_or(now);
        match shown {
            Shown::Now => now,
            // A program that was started anew counts from 0 again.
            Shown::Rate => ((now - before) / seconds).max(0.0),
        }
    };
    let values = columns.iter().map(value).collect();
    Line { program: Some(program), values, error: None }
}

fn columns(program: &str) -> &'static [Column] {
    PROGRAMS.iter().find(|(name, _)| *name == program).map_or(&[], |(_, columns)| columns)
}

fn as_json(node: &Node, line: Line) -> Value {
    let Some(program) = line.program else {
        return json!({"name": node.name, "error": line.error});
    };
    let named = columns(program).iter().zip(line.values);
    let mut numbers: Map<String, Value> =
        named.map(|((heading, ..), value)| ((*heading).to_owned(), json!(value))).collect();
    numbers.insert("name".to_owned(), json!(node.name));
    numbers.insert("program".to_owned(), json!(program));
    Value::Object(numbers)
}

/// All programs in the order of [`PROGRAMS`], each kind below its headings.
fn table(nodes: &Nodes, lines: &[Line]) -> String {
    let width = nodes.all.iter().map(|node| node.name.chars().count()).max().unwrap_or(0).max(6);
    let mut text = String::new();
    for (program, columns) in PROGRAMS {
        let named = nodes.all.iter().zip(lines);
        let mut own = named.filter(|(_, line)| line.program == Some(*program)).peekable();
        if own.peek().is_none() {
            continue;
        }
        let headings = columns.iter().map(|(heading, ..)| format!("{heading:>WIDTH$}"));
        text += &format!("{program:<width$}{}\n", headings.collect::<String>());
        for (node, line) in own {
            let values = line.values.iter().map(|value| format!("{value:>WIDTH$.0}"));
            text += &format!("{:<width$}{}\n", node.name, values.collect::<String>());
        }
    }
    for (node, line) in nodes.all.iter().zip(lines) {
        if let Some(error) = &line.error {
            text += &format!("{:<width$}  {error}\n", node.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_at(texts: &[&str], seconds: u64) -> Look {
        let programs = texts.iter().map(|text| Ok(numbers(text))).collect();
        Look { programs, at: Duration::from_secs(seconds) }
    }

    #[test]
    fn rates_are_by_the_second_and_labels_are_summed_up() {
        let before = "# HELP x\nplumbago_relay_lines_received_total 100\n\
            plumbago_relay_backlog_lines{node=\"a b\"} 5\nplumbago_relay_backlog_lines{node=\"c\"} 6\n";
        let after = before.replace(" 100\n", " 300\n");
        let found = lines(&look_at(&[before], 10), &look_at(&[&after], 14));
        assert_eq!(found[0].program, Some("relay"));
        assert_eq!(found[0].values[0].to_bits(), 50.0_f64.to_bits());
        assert_eq!(found[0].values[2].to_bits(), 11.0_f64.to_bits());
    }

    #[test]
    fn a_program_that_was_started_anew_has_no_negative_rate() {
        let text = |count: u32| format!("plumbago_carbon_points_received_total {count}\n");
        let found = lines(&look_at(&[&text(9)], 0), &look_at(&[&text(2)], 1));
        assert_eq!(found[0].values[0].to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn every_number_that_is_shown_is_one_that_its_program_has() {
        let tables = [relay::METRICS, carbon::METRICS, zipper::METRICS, api::METRICS];
        for ((program, columns), table) in PROGRAMS.iter().zip(tables) {
            for (_, metric, _) in *columns {
                let name = format!("{PREFIX}{metric}");
                assert!(table.iter().any(|known| known.name == name), "{program}: {name}");
            }
        }
    }

    #[test]
    fn who_is_none_of_ours_is_said() {
        let found = lines(&look_at(&["go_gc 1\n"], 0), &look_at(&["go_gc 1\n"], 1));
        assert!(found[0].program.is_none() && found[0].error.is_some());
    }
}
