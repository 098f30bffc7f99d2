//! All four daemons in one process over loopback sockets.
//!
//! `plumbago up` runs this, and so do the end-to-end tests. No shortcuts: every byte between the
//! parts crosses a real socket, on ports that the system chose. Of each daemon this crate knows
//! its settings table and its `start`, nothing else.
#![forbid(unsafe_code)]

mod cluster;
mod nodes;
mod tables;

pub use cluster::{Cluster, Config};
pub use nodes::StorageNode;
pub use tables::SETTINGS;

use daemon::{Context, PanicPolicy, Program, Running, StartError, Values};

/// `plumbago up` as a program: settings, help and signals as every daemon has them.
pub const PROGRAM: Program = Program {
    name: "up",
    about: "Runs the whole pipeline in one process: relay, storage nodes, zipper and api.",
    settings: SETTINGS,
    metrics: &[],
    check: |values| Config::from_values(values).map(drop),
    watched: |_| daemon::Watched::default(),
    actions: &[],
    panics: PanicPolicy::PerRequest,
};

/// Starts the pipeline; `announce` is told when it stands.
///
/// # Errors
/// Settings that do not fit together, or what one of the daemons could not do.
pub async fn start(
    values: Values,
    context: Context,
    announce: impl FnOnce(&Cluster),
) -> Result<Running, StartError> {
    let config = Config::from_values(&values).map_err(StartError::Settings)?;
    let deadline = config.stop_deadline;
    let cluster = Cluster::start(config, &context).await?;
    announce(&cluster);
    context.ready.set();
    let mut running = Running::new(context);
    running.add_stage("pipeline", async move {
        // Each daemon has logged what it could not end in time.
        drop(cluster.stop(deadline).await);
    });
    Ok(running)
}
