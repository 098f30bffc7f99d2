//! `plumbago schemas`: files that are not as the rules of their node have them, and what to do
//! about it.

use std::collections::BTreeMap;
use std::thread::park_timeout;
use std::time::Duration;

use daemon::clock::{Clock, System};
use serde::{Deserialize, Serialize};
use serde_json::json;
use whisper::{Header, Method, parse_retentions};

use crate::invocation::{Context, EXIT_FAILED, Failure, Run};
use crate::node::Node;
use crate::nodes::{Nodes, NodesArgs};

/// Most series in one request: others of the node wait meanwhile.
const BATCH_MAX: u32 = 100;

#[derive(clap::Args)]
pub(crate) struct CheckSchemas {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Print every series, not only how many are of which kind.
    #[arg(long)]
    series: bool,
}

#[derive(clap::Args)]
pub(crate) struct ApplySchemas {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Change the files; without it, only what would change is printed.
    #[arg(long)]
    yes: bool,
    /// Most files that each node makes anew in a second.
    #[arg(long, value_name = "FILES", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
}

/// What a file is, or should be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    retentions: String,
    aggregation_method: String,
    #[serde(deserialize_with = "as_text")]
    x_files_factor: String,
}

/// A series whose file differs.
#[derive(Deserialize)]
struct Drifted {
    name: String,
    file: Kind,
    rules: Kind,
}

/// A part of a node's series.
#[derive(Deserialize)]
struct Page {
    series: Vec<Drifted>,
    unreadable: u64,
    next: Option<u32>,
}

#[derive(Serialize)]
struct Order<'a> {
    names: &'a [&'a str],
}

/// What became of a series.
#[derive(Deserialize)]
struct Reshaped {
    name: String,
    outcome: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    series: Vec<Reshaped>,
}

/// Series of one kind that should be of another.
#[derive(Default)]
struct Group {
    series: u64,
    bytes_now: u64,
    bytes_then: u64,
}

type Groups = BTreeMap<(String, Kind, Kind), Group>;

impl Run for CheckSchemas {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        if self.print(context)? { Err(Failure::silent(EXIT_FAILED)) } else { Ok(()) }
    }
}

impl CheckSchemas {
    /// Prints what differs; returns whether anything does.
    pub(super) fn print(&self, context: &mut Context<'_>) -> Result<bool, Failure> {
        let nodes = self.nodes.load()?;
        let mut groups = Groups::new();
        let mut lines = Vec::new();
        each_page(context, &nodes, |_context, node, page| {
            for drifted in &page.series {
                add(&mut groups, node, drifted);
                if self.series {
                    lines.push(line_of(node, drifted));
                }
            }
        });
        for line in lines {
            writeln!(context.out, "{line}")?;
        }
        if !self.series {
            print(context, &groups)?;
        }
        Ok(!groups.is_empty())
    }
}

impl Run for ApplySchemas {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let nodes = self.nodes.load()?;
        let (mut groups, mut done) = (Groups::new(), 0);
        each_page(context, &nodes, |context, node, page| {
            for drifted in &page.series {
                add(&mut groups, node, drifted);
            }
            if self.yes {
                done += self.apply(context, &nodes, node, &page.series);
            }
        });
        print(context, &groups)?;
        let all: u64 = groups.values().map(|group| group.series).sum();
        if self.yes {
            context.say(&format!("{done} of {all} files are as the rules have them now"));
        } else if all > 0 {
            context.say("nothing has been changed; --yes does it");
        }
        Ok(())
    }
}

impl ApplySchemas {
    /// Has a node make files anew, no faster than allowed; returns how many it did.
    fn apply(
        &self,
        context: &mut Context<'_>,
        nodes: &Nodes,
        node: &Node,
        series: &[Drifted],
    ) -> u64 {
        let clock = System::new();
        let mut done = 0;
        for batch in series.chunks(self.rate.min(BATCH_MAX) as usize) {
            let due = clock.monotonic() + Duration::from_secs(batch.len() as u64) / self.rate;
            let names: Vec<&str> = batch.iter().map(|drifted| drifted.name.as_str()).collect();
            // No other job may change the node's series meanwhile.
            let leased = nodes.lease(node);
            let answer = leased.and_then(|_holder| {
                nodes.post(node, "/admin/schema-apply", &Order { names: &names })
            });
            match answer {
                Ok(answer) => done += count(context, node, answer),
                Err(error) => context.skip(&format!("{} series", names.len()), &error),
            }
            while let Some(rest) = due.checked_sub(clock.monotonic()).filter(|rest| !rest.is_zero())
            {
                park_timeout(rest);
            }
        }
        nodes.release(node);
        done
    }
}

/// How many files a node has made anew; those that it could not are named.
fn count(context: &mut Context<'_>, node: &Node, answer: Answer) -> u64 {
    let mut done = 0;
    for one in answer.series {
        match one.error {
            None => done += u64::from(one.outcome == "resized"),
            Some(why) => context.skip(&format!("{} on {}", one.name, node.name), &why),
        }
    }
    done
}

/// Calls `each` with all parts of all nodes' series; a node that does not answer is named.
fn each_page<'n>(
    context: &mut Context<'_>,
    nodes: &'n Nodes,
    mut each: impl FnMut(&mut Context<'_>, &'n Node, Page),
) {
    for node in &nodes.all {
        let mut from = Some(0);
        while let Some(first) = from {
            match nodes.get::<Page>(node, &format!("/admin/schema-drift?from={first}")) {
                Ok(page) => {
                    from = page.next;
                    if page.unreadable > 0 {
                        let what = format!("{} files of {}", page.unreadable, node.name);
                        context.skip(&what, &"cannot be read");
                    }
                    each(context, node, page);
                }
                Err(error) => {
                    from = None;
                    context.skip(&node.name, &error);
                }
            }
        }
    }
}

fn add(groups: &mut Groups, node: &Node, drifted: &Drifted) {
    let key = (node.name.clone(), drifted.file.clone(), drifted.rules.clone());
    let group = groups.entry(key).or_default();
    group.series += 1;
    group.bytes_now += drifted.file.file_bytes();
    group.bytes_then += drifted.rules.file_bytes();
}

fn line_of(node: &Node, drifted: &Drifted) -> String {
    let Drifted { name, file, rules } = drifted;
    let (now, then) = (file.file_bytes(), rules.file_bytes());
    json!({
        "node": node.name, "name": name, "file": file.to_string(), "rules": rules.to_string(),
        "bytes_now": now, "bytes_then": then,
    })
    .to_string()
}

fn print(context: &mut Context<'_>, groups: &Groups) -> Result<(), Failure> {
    for ((node, file, rules), group) in groups {
        let Group { series, bytes_now, bytes_then } = group;
        let (file, rules) = (file.to_string(), rules.to_string());
        if context.json {
            let line = json!({
                "node": node, "file": file, "rules": rules, "series": series,
                "bytes_now": bytes_now, "bytes_then": bytes_then,
            });
            writeln!(context.out, "{line}")?;
        } else {
            let change = i128::from(*bytes_then) - i128::from(*bytes_now);
            writeln!(context.out, "{node}: {series} series, {file} -> {rules}, {change:+} bytes")?;
        }
    }
    Ok(())
}

impl Kind {
    /// Bytes of such a file; 0 for a kind that this program does not know.
    fn file_bytes(&self) -> u64 {
        let header = parse_retentions(&self.retentions)
            .ok()
            .and_then(|archives| Header::new(&archives, 0.0, Method::Average).ok());
        header.map_or(0, |header| header.file_bytes())
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { retentions, aggregation_method, x_files_factor } = self;
        write!(f, "{retentions} {aggregation_method} {x_files_factor}")
    }
}

/// A number as it was written, so that kinds can be compared.
fn as_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    serde_json::Number::deserialize(deserializer).map(|number| number.to_string())
}
