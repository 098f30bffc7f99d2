//! `plumbago sieve`, `carbon-sieve`.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use serde_json::json;

use super::cluster::{ClusterArgs, RoutingArgs};
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
        let meant: Vec<bool> = cluster.nodes.iter().map(|node| node.is_called(&wanted)).collect();
        self.names.for_each(|name| {
            let owners = cluster.owners(name);
            let owned = owners.iter().any(|&node| meant[usize::from(node)]);
            if owned == self.invert {
                return Ok(());
            }
            if !context.json {
                return Ok(self.names.separator().print(context.out, name)?);
            }
            let nodes: Vec<&str> =
                owners.iter().map(|&node| cluster.nodes[usize::from(node)].long.as_str()).collect();
            writeln!(context.out, "{}", json!({"metric": lossy(name), "nodes": nodes}))?;
            Ok(())
        })
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
