//! `plumbago hosts` and `plumbago lookup`, `carbon-hosts` and `carbon-lookup`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use super::cluster::{ClusterArgs, RoutingArgs};
use super::names::{Separator, lossy};
use crate::invocation::{Context, Failure, Run};

#[derive(clap::Args)]
pub(crate) struct Hosts {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    separator: Separator,
}

impl Run for Hosts {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let cluster = self.cluster.load()?;
        for node in cluster.ring.nodes() {
            if context.json {
                let (host, port, instance) = (&node.host, node.port, &node.instance);
                let line = json!({"host": host, "port": port, "instance": instance});
                writeln!(context.out, "{line}")?;
            } else {
                self.separator.print(context.out, node.host.as_bytes())?;
            }
        }
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct Lookup {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    _routing: RoutingArgs,
    /// Print what stands before the first colon only: the host, unless it is an IPv6 address.
    #[arg(short, long)]
    short: bool,
    #[command(flatten)]
    separator: Separator,
    /// The series.
    metric: OsString,
}

impl Run for Lookup {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let cluster = self.cluster.load_routed()?;
        let name = self.metric.as_bytes();
        let owners = cluster.owners(name);
        let nodes = owners.iter().map(|&node| {
            let long = cluster.nodes[usize::from(node)].long.as_str();
            if self.short { long.split(':').next().unwrap_or(long) } else { long }
        });
        if context.json {
            let nodes: Vec<&str> = nodes.collect();
            writeln!(context.out, "{}", json!({"metric": lossy(name), "nodes": nodes}))?;
            return Ok(());
        }
        for node in nodes {
            self.separator.print(context.out, node.as_bytes())?;
        }
        Ok(())
    }
}
