//! `plumbago sieve`, `carbon-sieve`.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::num::NonZero;
use std::path::Path;
use std::thread;

use serde_json::json;

use super::cluster::{Cluster, ClusterArgs, RoutingArgs};
use super::names::{NameList, lossy};
use crate::invocation::{Context, Failure, Run};

/// Where Linux shows the machine's name.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

#[derive(clap::Args)]
pub(crate) struct Sieve {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    _routing: RoutingArgs,
    #[command(flatten)]
    names: NameList,
    /// The node, as HOST or HOST:PORT:INSTANCE (default: this machine's first address).
    #[arg(short, long)]
    node: Option<String>,
    /// Print the names that the node does not own.
    #[arg(short = 'I', long)]
    invert: bool,
}

impl Run for Sieve {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let cluster = self.cluster.load_routed()?;
        let wanted = match &self.node {
            Some(node) => node.clone(),
            None => local_address()?,
        };
        let (sieve, wanted) = (&self, &Wanted::new(&cluster, &wanted));
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let json = context.json;
        let mut sifted = vec![Vec::new(); workers];
        self.names.for_each_blocks(workers, |blocks| {
            let outcomes = thread::scope(|scope| {
                let each = blocks.iter().zip(&mut sifted);
                let running: Vec<_> = each
                    .map(|(block, passed)| {
                        scope.spawn(move || sieve.sift(wanted, json, block, passed))
                    })
                    .collect();
                running.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
            });
            for (outcome, passed) in outcomes.into_iter().zip(&sifted) {
                outcome.map_err(|_panic| Failure::new("a worker failed"))??;
                context.out.write_all(passed)?;
            }
            Ok(())
        })
    }
}

impl Sieve {
    /// Leaves the names of a block that pass in `passed`, as they are printed.
    fn sift(
        &self,
        wanted: &Wanted<'_>,
        json: bool,
        block: &[u8],
        passed: &mut Vec<u8>,
    ) -> io::Result<()> {
        let separator = self.names.separator();
        let names: Vec<&[u8]> = separator.names(block).collect();
        let owned = wanted.owned(&names);
        passed.clear();
        for (name, _) in names.iter().zip(owned).filter(|(_, owned)| *owned != self.invert) {
            if json {
                let (metric, nodes) = (lossy(name), wanted.owners(name));
                writeln!(passed, "{}", json!({"metric": metric, "nodes": nodes}))?;
            } else {
                separator.print(passed, name)?;
            }
        }
        Ok(())
    }
}

/// The nodes that are asked about.
struct Wanted<'a> {
    cluster: &'a Cluster,
    nodes: Vec<bool>,
    /// Of every position on the circle, whether one of the nodes owns a name there; a ring without
    /// a circle has none.
    positions: Vec<bool>,
}

impl<'a> Wanted<'a> {
    fn new(cluster: &'a Cluster, called: &str) -> Self {
        let nodes: Vec<bool> = cluster.nodes.iter().map(|node| node.is_called(called)).collect();
        let owned = |position| {
            let owners = cluster.ring.owners_at(position)?;
            Some(owners.iter().any(|&node| nodes[usize::from(node)]))
        };
        let positions = (0..=u16::MAX).map_while(owned).collect();
        Self { cluster, nodes, positions }
    }

    /// Of each name, whether one of the nodes owns it.
    fn owned(&self, names: &[&[u8]]) -> Vec<bool> {
        if let Some(positions) = self.cluster.ring.positions(names) {
            return positions.iter().map(|&at| self.positions[usize::from(at)]).collect();
        }
        let is_wanted = |&node: &u16| self.nodes[usize::from(node)];
        names.iter().map(|name| self.cluster.owners(name).iter().any(is_wanted)).collect()
    }

    fn owners(&self, name: &[u8]) -> Vec<&'a str> {
        let name_of = |&node: &u16| self.cluster.nodes[usize::from(node)].long.as_str();
        self.cluster.owners(name).iter().map(name_of).collect()
    }
}

/// The first IPv4 address of this machine's name that other machines could use.
fn local_address() -> Result<String, Failure> {
    let name = fs::read_to_string(HOST_NAME_FILE)
        .map_err(|error| Failure::of(Path::new(HOST_NAME_FILE), &error))?;
    let name = name.trim();
    let addresses = (name, 0).to_socket_addrs().into_iter().flatten();
    let outward = |ip: &IpAddr| ip.is_ipv4() && !ip.is_loopback();
    addresses.map(|address| address.ip()).find(outward).map(|ip| ip.to_string()).ok_or_else(|| {
        Failure::new(format!("no address of this machine ({name}) is known, give --node"))
    })
}
