//! The storage nodes of a cluster, asked at their admin addresses.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use remote::{AdminClient, ClientSettings, Endpoint, RemoteError};
use ring::cluster::Cluster;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::invocation::Failure;

/// How long one answer may take: some requests read thousands of files.
const ANSWER_WAIT: Duration = Duration::from_secs(300);

/// Which nodes.
#[derive(clap::Args)]
pub(crate) struct NodesArgs {
    /// Cluster file; its nodes need admin addresses.
    #[arg(long, value_name = "FILE", required_unless_present = "admin")]
    cluster: Option<PathBuf>,
    /// Admin address of a node, instead of a cluster file; repeats.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "cluster")]
    admin: Vec<Endpoint>,
}

/// One node.
pub(crate) struct Node {
    /// Its name in the cluster file, or else its address.
    pub(crate) name: String,
    client: AdminClient,
}

/// All of them, and what asks them.
pub(crate) struct Nodes {
    pub(crate) all: Vec<Node>,
    runtime: Runtime,
}

impl NodesArgs {
    /// Reads which nodes there are; asks none of them yet.
    pub(crate) fn load(&self) -> Result<Nodes, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("runtime: {error}")))?;
        let node = |name: String, endpoint: Endpoint| Node {
            name,
            client: AdminClient::new(endpoint, ClientSettings::default()),
        };
        let Some(path) = &self.cluster else {
            let all = self.admin.iter().map(|at| node(at.to_string(), at.clone())).collect();
            return Ok(Nodes { all, runtime });
        };
        let fault = |error: &dyn std::fmt::Display| Failure::of(path, error);
        let text = fs::read_to_string(path).map_err(|error| fault(&error))?;
        let cluster = Cluster::parse(&text).map_err(|error| fault(&error))?;
        let mut all = Vec::new();
        for one in cluster.nodes() {
            let admin = one.admin.as_deref();
            let admin = admin.ok_or_else(|| fault(&format!("node {} has no admin", one.name)))?;
            all.push(node(one.name.clone(), admin.parse().map_err(|error| fault(&error))?));
        }
        Ok(Nodes { all, runtime })
    }
}

impl Nodes {
    /// What a node answers to a GET.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        node: &Node,
        path_and_query: &str,
    ) -> Result<T, RemoteError> {
        self.runtime.block_on(node.client.get_json(path_and_query, ANSWER_WAIT))
    }

    /// What a node answers to a POST.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        node: &Node,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        self.runtime.block_on(node.client.post_json(path, body, ANSWER_WAIT))
    }
}
