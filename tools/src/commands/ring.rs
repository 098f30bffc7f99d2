//! `plumbago ring`: asks the hash ring where series live.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use ::ring::cluster::Cluster;
use ::ring::{Collision, Hash, Node, NodeError, Replicas, RingSpec};
use anyhow::anyhow;

mod lookup;
mod show;

/// Arguments of `plumbago ring`.
#[derive(clap::Args)]
pub(crate) struct Ring {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the nodes that own each name, the primary first.
    Lookup(Lookup),
    /// Print the nodes, their shares of all names, and the ring's fingerprint.
    Show(Show),
}

#[derive(clap::Args)]
struct Lookup {
    #[command(flatten)]
    ring: RingArgs,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Clean names before hashing, as the relay does: dots cleaned, tags sorted.
    #[arg(long)]
    canonical: bool,
    /// Names to look up, hashed as given; without any, the lines of standard input.
    names: Vec<OsString>,
}

#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    ring: RingArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which ring: a cluster file, or nodes on the command line; flags win over the file.
#[derive(clap::Args)]
struct RingArgs {
    /// A node, HOST:PORT or HOST:PORT=INSTANCE; the order of nodes counts.
    #[arg(long = "node", value_name = "NODE", value_parser = GivenNode::parse, required_unless_present = "cluster")]
    nodes: Vec<GivenNode>,
    /// Cluster file with the ring and its nodes.
    #[arg(long, value_name = "FILE", conflicts_with = "nodes")]
    cluster: Option<PathBuf>,
    /// carbon_ch (default), fnv1a_ch or jump_fnv1a_ch.
    #[arg(long = "ring", value_name = "HASH")]
    hash: Option<Hash>,
    /// bump (default, Python carbon), first (carbon-c-relay) or keep (carbon-relay-ng v1, buckytools).
    #[arg(long, value_name = "RULE")]
    collision: Option<Collision>,
    /// next (default, config order), ring or diverse.
    #[arg(long, value_name = "RULE")]
    replicas: Option<Replicas>,
    /// Copies of each series; 1 without a cluster file.
    #[arg(long, value_name = "COPIES")]
    replication: Option<usize>,
}

/// A node and the text it was given as, which is how it is printed.
#[derive(Clone)]
struct GivenNode {
    text: String,
    node: Node,
}

impl GivenNode {
    fn parse(text: &str) -> Result<Self, NodeError> {
        Ok(Self { text: text.to_owned(), node: Node::parse(text)? })
    }
}

/// A ring and what its nodes are called.
struct NamedRing {
    ring: ::ring::Ring,
    names: Vec<String>,
}

impl RingArgs {
    fn build(self) -> anyhow::Result<NamedRing> {
        let (base, nodes, names) = match &self.cluster {
            Some(path) => {
                let read = || Ok(Cluster::parse(&std::fs::read_to_string(path)?)?);
                let cluster = read()
                    .map_err(|cause: anyhow::Error| anyhow!("{}: {cause}", path.display()))?;
                let names = cluster.nodes().iter().map(|node| node.name.clone()).collect();
                (cluster.ring().spec(), cluster.ring().nodes().to_vec(), names)
            }
            None => {
                let (nodes, names) =
                    self.nodes.into_iter().map(|given| (given.node, given.text)).unzip();
                (RingSpec::default(), nodes, names)
            }
        };
        let spec = RingSpec {
            hash: self.hash.unwrap_or(base.hash),
            collision: self.collision.unwrap_or(base.collision),
            replicas: self.replicas.unwrap_or(base.replicas),
            copies: self.replication.unwrap_or(base.copies),
        };
        Ok(NamedRing { ring: ::ring::Ring::new(spec, nodes)?, names })
    }
}

/// Runs the command.
pub(crate) fn run(args: Ring) -> ExitCode {
    let outcome = match args.command {
        Command::Lookup(lookup) => lookup::run(lookup),
        Command::Show(show) => show::run(show),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // `ring lookup | head` ends when it has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Says what went wrong in one line.
fn complain(error: &anyhow::Error) -> ExitCode {
    // Where not even the complaint can be written, the exit code is all that is left.
    drop(writeln!(io::stderr(), "plumbago ring: {error:#}"));
    ExitCode::FAILURE
}
