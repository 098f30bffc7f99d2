//! One storage node, or another program of the cluster, asked at its admin address.

use std::time::Duration;

use remote::{AdminClient, ClientSettings, Endpoint, RemoteError};
use ring::cluster::ClusterNode;
use wire::moves::{HeldPage, LeaseRequest};

use crate::invocation::Failure;

/// How long a node may take for a part of its list.
const LIST_WAIT: Duration = Duration::from_secs(60);

/// Series in one part of a list.
const LIST_PAGE: usize = 50_000;

/// How long it may take to say who may change its series.
const LEASE_WAIT: Duration = Duration::from_secs(10);

/// Where it is, and what asks it.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name in the cluster file, or else its address.
    pub(crate) name: String,
    /// `HOST:PORT`.
    pub(crate) admin: String,
    pub(crate) client: AdminClient,
}

impl Node {
    /// A program at this address.
    pub(crate) fn at(name: String, admin: String) -> Result<Self, Failure> {
        let endpoint: Endpoint = admin.parse().map_err(|_not_one| {
            Failure::new(format!("`{admin}` is no admin address, expected HOST:PORT"))
        })?;
        let client = AdminClient::new(endpoint, ClientSettings::default());
        Ok(Self { name, admin, client })
    }

    /// A node of a cluster file.
    pub(crate) fn of(node: &ClusterNode) -> Result<Self, Failure> {
        match node.admin.clone() {
            Some(admin) => Self::at(node.name.clone(), admin),
            None => Err(Failure::new(format!("node `{}` has no `admin`", node.name))),
        }
    }

    /// A part of its series, by its index; `next` tells where the next one begins.
    pub(crate) async fn held(&self, from: u32) -> Result<HeldPage, RemoteError> {
        let path = format!("/admin/moves/series?from={from}&limit={LIST_PAGE}");
        self.client.get_json(&path, LIST_WAIT).await
    }

    /// Takes the right to change its series, or renews it; 0 seconds give it back.
    pub(crate) async fn lease(&self, holder: &str, seconds: u32) -> Result<(), RemoteError> {
        let request = LeaseRequest { holder: holder.to_owned(), seconds };
        self.client.post("/admin/moves/lease", &request, LEASE_WAIT).await.map(drop)
    }
}
