//! The right to change the series of the nodes of a job, kept as long as the job runs.

use std::sync::Arc;
use std::time::Duration;

use remote::{RemoteError, RemoteErrorKind};
use tokio::task::JoinHandle;

use super::fleet::Fleet;
use crate::invocation::Failure;

/// How long a node keeps the lease of a job that has died.
const SECONDS: u32 = 10;

/// How often it is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);

/// How long a job waits for the one before: one that died has lost its lease by then.
const PATIENCE: Duration = Duration::from_secs(15);

/// Rest between two attempts.
const ATTEMPT_REST: Duration = Duration::from_millis(500);

/// The leases of all nodes of a job.
pub(crate) struct Leases {
    fleet: Arc<Fleet>,
    pub(crate) holder: String,
    renewing: JoinHandle<()>,
    nodes: Vec<u16>,
}

impl Leases {
    /// Takes the leases of these nodes; waits a little where another job has one.
    pub(crate) async fn take(
        fleet: &Arc<Fleet>,
        plan: &str,
        nodes: Vec<u16>,
    ) -> Result<Self, Failure> {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let holder = format!("{plan}/{}@{}", std::process::id(), machine.trim());
        for &node in &nodes {
            let take = take_one(fleet, node, &holder);
            match tokio::time::timeout(PATIENCE, take).await {
                Ok(taken) => taken?,
                Err(_elapsed) => fleet.node(node).lease(&holder, SECONDS).await?,
            }
        }
        let renewing = tokio::spawn(renew(Arc::clone(fleet), holder.clone(), nodes.clone()));
        Ok(Self { fleet: Arc::clone(fleet), holder, renewing, nodes })
    }

    /// Gives them back.
    pub(crate) async fn end(self) {
        self.renewing.abort();
        for &node in &self.nodes {
            // It ends by itself soon.
            drop(self.fleet.node(node).lease(&self.holder, 0).await);
        }
    }
}

/// Renews the leases until it is aborted.
async fn renew(fleet: Arc<Fleet>, holder: String, nodes: Vec<u16>) {
    loop {
        tokio::time::sleep(RENEW_INTERVAL).await;
        for &node in &nodes {
            // A node that refuses refuses the next request of the job too, which tells why.
            drop(fleet.node(node).lease(&holder, SECONDS).await);
        }
    }
}

async fn take_one(fleet: &Fleet, node: u16, holder: &str) -> Result<(), RemoteError> {
    loop {
        match fleet.node(node).lease(holder, SECONDS).await {
            Err(error) if matches!(error.kind, RemoteErrorKind::Status { code: 409, .. }) => {
                tokio::time::sleep(ATTEMPT_REST).await;
            }
            taken => return taken,
        }
    }
}
