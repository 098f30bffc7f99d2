//! Storage nodes: their folders, their identity in the ring, their life.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use daemon::{Context, Running, StartError, StopError, Values};
use ring::cluster::ClusterNode;

/// Host of every node in the cluster file.
const HOST: &str = "127.0.0.1";

/// The settings of a node that are addresses; the system chooses their ports at the first start.
const ADDRESSES: [&str; 5] = ["line", "link", "read", "admin", "carbonlink"];

/// One storage node of a local cluster.
#[derive(Debug)]
pub struct StorageNode {
    name: String,
    folder: PathBuf,
    settings: Values,
    running: Option<Running>,
}

impl StorageNode {
    /// A node that keeps its data in `folder`. Its name is its instance in the ring: it stays the
    /// same wherever the system puts the ports.
    pub(crate) fn new(name: String, folder: PathBuf, settings: Values) -> Self {
        let data = folder.to_string_lossy().into_owned();
        // A stray `carbon.*` branch would only confuse whoever tries the pipeline.
        let settings = settings.with("data", &data).with("self_metrics_interval", "0s");
        let settings =
            ADDRESSES.iter().fold(settings, |settings, key| settings.with(key, "127.0.0.1:0"));
        Self { name, folder, settings, running: None }
    }

    /// Starts the node. One that ran before comes back at its old addresses.
    ///
    /// # Errors
    /// What the node could not do.
    pub async fn start(&mut self, context: &Context) -> Result<(), StartError> {
        let own = Context::new("carbon", carbon::METRICS).with_clock(context.clock.clone());
        let running = carbon::start(self.settings.clone(), own).await?;
        for key in ADDRESSES {
            if let Some(address) = running.address(key) {
                self.settings = self.settings.clone().with(key, &address.to_string());
            }
        }
        self.running = Some(running);
        Ok(())
    }

    /// Stops the node in order; a node that does not run is stopped already.
    ///
    /// # Errors
    /// When it takes longer than `deadline`.
    pub async fn stop(&mut self, deadline: Duration) -> Result<(), StopError> {
        match self.running.take() {
            Some(running) => running.stop(deadline).await,
            None => Ok(()),
        }
    }

    /// Its name, also its instance in the ring.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its data lies.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The running daemon, with its metrics; `None` while it is stopped.
    #[must_use]
    pub fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// The address bound for a setting, while it runs.
    #[must_use]
    pub fn address(&self, setting: &str) -> Option<SocketAddr> {
        self.running.as_ref()?.address(setting)
    }

    /// What the cluster file says of it.
    pub(crate) fn entry(&self) -> ClusterNode {
        let address = |setting| self.address(setting).map(|address| address.to_string());
        ClusterNode {
            name: self.name.clone(),
            host: HOST.to_owned(),
            instance: Some(self.name.clone()),
            line: address("line"),
            link: address("link"),
            read: address("read"),
            admin: address("admin"),
            ..ClusterNode::default()
        }
    }
}
