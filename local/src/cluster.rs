//! The pipeline: started from the files up, stopped from the lines down.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::{Context, Fault, Running, StartError, StopError, Values};
use ring::RingSpec;
use ring::cluster::Cluster as ClusterFile;

use crate::nodes::StorageNode;

/// The cluster file in the data folder; the tools take it as it is.
const CLUSTER_FILE: &str = "cluster.toml";

/// What to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything lies below this folder.
    pub data: PathBuf,
    /// Carbon lines.
    pub line: String,
    /// Pickles.
    pub pickle: String,
    /// The Graphite API.
    pub listen: String,
    /// How many storage nodes.
    pub nodes: usize,
    /// How many of them hold each series.
    pub replication: usize,
    /// storage-schemas.conf.
    pub schemas: Option<PathBuf>,
    /// storage-aggregation.conf.
    pub aggregation: Option<PathBuf>,
    /// How long a stop may take.
    pub stop_deadline: Duration,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let count = |key| usize::try_from(values.count(key)).unwrap_or(usize::MAX);
        let (nodes, replication) = (count("nodes"), count("replication"));
        let mut faults = Vec::new();
        if !(1..=NODES_MAX).contains(&nodes) {
            faults.push(values.fault("nodes", format!("{nodes} is not within 1 to {NODES_MAX}")));
        }
        if !(1..=nodes.max(1)).contains(&replication) {
            let problem = format!("{replication} copies do not fit on {nodes} nodes");
            faults.push(values.fault("replication", problem));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            data: values.path("data"),
            line: values.address("line").to_owned(),
            pickle: values.address("pickle").to_owned(),
            listen: values.address("listen").to_owned(),
            nodes,
            replication,
            schemas: values.opt_path("schemas"),
            aggregation: values.opt_path("aggregation"),
            stop_deadline: values.duration("stop_deadline"),
        })
    }
}

/// One process is not the place for more.
const NODES_MAX: usize = 64;

/// A running pipeline.
#[derive(Debug)]
pub struct Cluster {
    context: Context,
    nodes: Vec<StorageNode>,
    zipper: Running,
    api: Running,
    relay: Running,
}

impl Cluster {
    /// Starts all parts, the storage nodes first. What already runs is stopped again if a later
    /// part cannot start.
    ///
    /// # Errors
    /// What a part could not do, in its words.
    pub async fn start(config: Config, context: &Context) -> Result<Self, StartError> {
        let folder = absolute(&config.data)?;
        let mut nodes = Vec::with_capacity(config.nodes);
        for number in 1..=config.nodes {
            let name = format!("node-{number}");
            let path = folder.join(&name);
            let settings = node_settings(&config).with("self", &name);
            let settings = settings.with("cluster", &folder.join(CLUSTER_FILE).to_string_lossy());
            nodes.push(StorageNode::new(name, path, settings));
        }
        check_same_size(&folder, config.nodes)?;
        match Self::start_parts(&config, &folder, &mut nodes, context).await {
            Ok([zipper, api, relay]) => {
                Ok(Self { context: context.clone(), nodes, zipper, api, relay })
            }
            Err(error) => {
                for node in &mut nodes {
                    // The error that is reported is the one that came first.
                    drop(node.stop(config.stop_deadline).await);
                }
                Err(error)
            }
        }
    }

    /// The daemons in the order of a point's way back: zipper, api, relay.
    async fn start_parts(
        config: &Config,
        folder: &Path,
        nodes: &mut [StorageNode],
        context: &Context,
    ) -> Result<[Running; 3], StartError> {
        // Nodes know their ring by this file; where they listen is known when they do.
        write_cluster_file(folder, config.replication, nodes)?;
        for node in nodes.iter_mut() {
            node.start(context).await?;
        }
        let cluster_file = write_cluster_file(folder, config.replication, nodes)?;
        let cluster = cluster_file.to_string_lossy();
        let part = |name, metrics| Context::new(name, metrics).with_clock(context.clock.clone());

        let settings = Values::defaults(zipper::SETTINGS)
            .with("listen", "127.0.0.1:0")
            .with("admin", "127.0.0.1:0")
            .with("cluster", &cluster);
        let zipper = zipper::start(settings, part("zipper", zipper::METRICS)).await?;

        let backend = zipper
            .address("listen")
            .ok_or_else(|| StartError::other("the zipper has no address `listen`"))?;
        let settings = Values::defaults(api::SETTINGS)
            .with("listen", &config.listen)
            .with("admin", "127.0.0.1:0")
            .with("events_path", &folder.join("events.sqlite").to_string_lossy())
            // It answers on this machine, to whoever tries it out.
            .with("deletes_allowed", "true")
            .with("backend", &format!("http://{backend}"));
        let api = api::start(settings, part("api", api::METRICS)).await?;

        let settings = Values::defaults(relay::SETTINGS)
            .with("line", &config.line)
            .with("pickle", &config.pickle)
            .with("admin", "127.0.0.1:0")
            .with("log", &folder.join("relay").to_string_lossy())
            .with("self_metrics_interval", "0s")
            .with("cluster", &cluster);
        let relay = relay::start(settings, part("relay", relay::METRICS)).await?;
        Ok([zipper, api, relay])
    }

    /// Where lines go.
    #[must_use]
    pub fn line(&self) -> SocketAddr {
        bound(&self.relay, "line")
    }

    /// Where pickles go.
    #[must_use]
    pub fn pickle(&self) -> SocketAddr {
        bound(&self.relay, "pickle")
    }

    /// Where the Graphite API answers.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        bound(&self.api, "listen")
    }

    /// The storage nodes, in the ring's order.
    #[must_use]
    pub fn nodes(&self) -> &[StorageNode] {
        &self.nodes
    }

    /// The relay, with its metrics.
    #[must_use]
    pub fn relay(&self) -> &Running {
        &self.relay
    }

    /// The zipper, with its metrics.
    #[must_use]
    pub fn zipper(&self) -> &Running {
        &self.zipper
    }

    /// Stops one storage node in order; the others go on.
    ///
    /// # Errors
    /// When it takes longer than `deadline`.
    pub async fn stop_node(&mut self, index: usize, deadline: Duration) -> Result<(), StopError> {
        self.nodes[index].stop(deadline).await
    }

    /// Starts a stopped storage node again, at its old addresses.
    ///
    /// # Errors
    /// What the node could not do.
    pub async fn start_node(&mut self, index: usize) -> Result<(), StartError> {
        self.nodes[index].start(&self.context).await
    }

    /// Stops everything, in the order of a point's way: what the relay has goes to the nodes,
    /// what the nodes have goes to the files.
    ///
    /// # Errors
    /// The first part that took longer than `deadline`; the others are stopped all the same.
    pub async fn stop(mut self, deadline: Duration) -> Result<(), StopError> {
        let mut outcome = self.relay.stop(deadline).await;
        for stopped in [self.api.stop(deadline).await, self.zipper.stop(deadline).await] {
            outcome = outcome.and(stopped);
        }
        for node in &mut self.nodes {
            let stopped = node.stop(deadline).await;
            outcome = outcome.and(stopped);
        }
        outcome
    }
}

/// The settings that all storage nodes share.
fn node_settings(config: &Config) -> Values {
    let path = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    };
    Values::defaults(carbon::SETTINGS)
        .with("schemas", &path(&config.schemas))
        .with("aggregation", &path(&config.aggregation))
}

/// The nodes stay what they are when the process changes its working folder.
fn absolute(data: &Path) -> Result<PathBuf, StartError> {
    std::fs::create_dir_all(data)
        .and_then(|()| data.canonicalize())
        .map_err(|error| StartError::io(format!("making `data` {}", data.display()), error))
}

/// Refuses to spread existing data over another number of nodes: most series would then be asked
/// of nodes that do not have them.
fn check_same_size(folder: &Path, nodes: usize) -> Result<(), StartError> {
    let path = folder.join(CLUSTER_FILE);
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(());
    };
    let shown = path.display();
    let before = ClusterFile::parse(&text)
        .map_err(|error| StartError::other(format!("{shown}: {error}")))?;
    let count = before.nodes().len();
    if count == nodes {
        return Ok(());
    }
    Err(StartError::other(format!(
        "{shown} has {count} nodes and `nodes` asks for {nodes}: their data is placed by number"
    )))
}

fn write_cluster_file(
    folder: &Path,
    replication: usize,
    nodes: &[StorageNode],
) -> Result<PathBuf, StartError> {
    let spec = RingSpec { copies: replication, ..RingSpec::default() };
    let cluster = ClusterFile::new(spec, nodes.iter().map(StorageNode::entry).collect())
        .map_err(|fault| StartError::other(fault.to_string()))?;
    let path = folder.join(CLUSTER_FILE);
    std::fs::write(&path, cluster.to_toml())
        .map_err(|error| StartError::io(format!("writing {}", path.display()), error))?;
    Ok(path)
}

fn bound(part: &Running, setting: &str) -> SocketAddr {
    part.address(setting).expect("a started daemon has bound its addresses")
}
