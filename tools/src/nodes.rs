//! The storage nodes of a cluster, asked at their admin addresses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use remote::{Endpoint, RemoteError, encode_pairs};
use ring::Ring;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use wire::moves::{FetchReply, Held, SnapshotRequest};

use crate::invocation::Failure;
use crate::node::Node;

/// How long one answer may take: some requests read thousands of files.
const ANSWER_WAIT: Duration = Duration::from_secs(300);

/// How long a look at a program's numbers may take.
const LOOK_WAIT: Duration = Duration::from_secs(5);

/// How long a lease is good for without being renewed: as long as one request may take.
const LEASE_S: u32 = 300;

/// Which nodes.
#[derive(clap::Args)]
pub(crate) struct NodesArgs {
    /// Cluster file; its nodes need admin addresses.
    #[arg(long, value_name = "FILE", required_unless_present = "admin")]
    cluster: Option<PathBuf>,
    /// Admin address of a program, instead of a cluster file or besides its nodes; repeats.
    #[arg(long, value_name = "HOST:PORT")]
    admin: Vec<Endpoint>,
}

/// All of them, and what asks them.
pub(crate) struct Nodes {
    pub(crate) all: Vec<Node>,
    ring: Option<Ring>,
    runtime: Runtime,
}

impl NodesArgs {
    /// The nodes of a cluster file, and further programs.
    pub(crate) fn of(cluster: &Path, admin: Vec<Endpoint>) -> Self {
        Self { cluster: Some(cluster.to_owned()), admin }
    }

    /// Reads which nodes there are; asks none of them yet.
    pub(crate) fn load(&self) -> Result<Nodes, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("runtime: {error}")))?;
        let (mut all, mut ring) = (Vec::new(), None);
        if let Some(path) = &self.cluster {
            let cluster = cluster::read(path).map_err(|fault| Failure::new(fault.to_string()))?;
            all = cluster.nodes().iter().map(Node::of).collect::<Result<_, _>>()?;
            ring = Some(cluster.into_ring());
        }
        for endpoint in &self.admin {
            all.push(Node::at(endpoint.to_string(), endpoint.to_string())?);
        }
        Ok(Nodes { all, ring, runtime })
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

    /// What a program answers to a GET, as text.
    pub(crate) fn text(&self, node: &Node, path: &str) -> Result<String, RemoteError> {
        let bytes = self.runtime.block_on(node.client.get(path, LOOK_WAIT))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether it is known which node owns what.
    pub(crate) fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    /// The nodes that a series belongs to, by their places in `all`: all of them where no ring is
    /// known.
    pub(crate) fn owners(&self, name: &str) -> Vec<usize> {
        match &self.ring {
            Some(ring) => {
                ring.owners(name.as_bytes()).iter().map(|&node| usize::from(node)).collect()
            }
            None => (0..self.all.len()).collect(),
        }
    }

    /// All series of a node, by its index.
    pub(crate) fn held(&self, node: &Node) -> Result<Vec<Held>, RemoteError> {
        let (mut held, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let page = self.runtime.block_on(node.held(from))?;
            held.extend(page.series);
            next = page.next;
        }
        Ok(held)
    }

    /// Takes the right to change series of a node, or renews it: it lasts for a request and the
    /// next.
    pub(crate) fn lease(&self, node: &Node) -> Result<String, RemoteError> {
        let holder = holder();
        self.runtime.block_on(node.lease(&holder, LEASE_S))?;
        Ok(holder)
    }

    /// Gives the right back; a node that is gone has forgotten it.
    pub(crate) fn release(&self, node: &Node) {
        drop(self.runtime.block_on(node.lease(&holder(), 0)));
    }

    /// The files of series as they are once all waiting points are written, in a stream.
    pub(crate) fn snapshot(&self, node: &Node, names: Vec<String>) -> Result<Bytes, RemoteError> {
        let request = SnapshotRequest { names };
        let asked = node.client.post("/admin/moves/snapshot", &request, ANSWER_WAIT);
        self.runtime.block_on(asked)
    }

    /// Has a node take over the series of a stream.
    pub(crate) fn give(&self, node: &Node, packed: Vec<u8>) -> Result<FetchReply, RemoteError> {
        let holder = self.lease(node)?;
        let path = format!("/admin/moves/give?{}", encode_pairs([("holder", holder.as_str())]));
        self.runtime.block_on(node.client.post_bytes(&path, packed.into(), ANSWER_WAIT))
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

/// Who this run is to the nodes.
fn holder() -> String {
    format!("plumbago/{}", std::process::id())
}
