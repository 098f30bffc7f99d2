//! The zipper: one view over all storage nodes.
//!
//! A request's way: `serve` reads it in any of the field's formats, `view` asks the nodes that
//! `topology` names through `fan_out`, `merge` makes one answer of theirs, and `serve` writes it in
//! the format asked for, marked if a part of the ring is missing from it.
//!
//! What the zipper is not: it evaluates no functions and reads no files, and its answer does not
//! depend on who answered first.
#![forbid(unsafe_code)]

mod budget;
mod config;
mod failure;
mod fan_out;
mod gate;
mod health;
mod merge;
mod node;
mod serve;
mod shadow;
mod tables;
mod topology;
mod view;

use std::sync::Arc;

use daemon::{Context, PanicPolicy, Program, Running, StartError, Values, http};

pub use config::{Config, Destination, Limits, ShadowSettings};
pub use tables::{METRICS, SETTINGS};
pub use topology::{RingView, Topology};

use remote::access::Door;
use view::{View, Views};

/// What tells this daemon from the others.
pub const PROGRAM: Program = Program {
    name: "zipper",
    about: "Asks the storage nodes, merges their answers into one, and marks what is missing.",
    settings: SETTINGS,
    metrics: METRICS,
    check: |values| Config::from_values(values).map(drop),
    watched: cluster::watched,
    actions: &[],
    panics: PanicPolicy::PerRequest,
};

/// Starts the zipper from settings.
///
/// # Errors
/// Settings that do not fit together, or an address that cannot be listened on.
pub async fn start(values: Values, context: Context) -> Result<Running, StartError> {
    let config = Config::from_values(&values).map_err(StartError::Settings)?;
    run(config, context)
}

/// Starts the zipper; [`start`] with the settings already understood.
///
/// # Errors
/// An address that cannot be listened on.
pub fn run(config: Config, context: Context) -> Result<Running, StartError> {
    let mut running = Running::new(context.clone());
    let door = Door::new(config.access.clone(), &mut running)?;
    let lanes = http::Lanes::beside_this_runtime("zipper-lane", 0)?;
    let listener = door.listen("listen", &config.listen)?.on(lanes);
    let bound = listener.tcp.local_addr();
    let bound = bound.map_err(|error| StartError::io("binding `listen`", error))?;
    running.add_address("listen", bound);
    let admin = config.admin.clone();
    let credentials = config.credentials.clone();
    let views = Arc::new(Views::new(View::new(config, &context)));
    views.current().greet();
    let router = door.guard(serve::router(Arc::clone(&views)));
    let shutdown = context.shutdown.clone();
    let server = tokio::spawn(http::serve(listener, router, shutdown, http::Limits::default()));
    running.add_stage("requests", async move {
        // It ends by itself after the signal; a panic in it was logged where it happened.
        drop(server.await);
    });
    running.on_reload({
        let views = Arc::clone(&views);
        move |values| {
            let (nodes, topology) = config::placement(values)?;
            credentials.renew(values).map_err(|fault| vec![fault])?;
            views.replace(&nodes, topology);
            Ok(())
        }
    });
    daemon::admin::start(&mut running, &admin, serve::admin(views))?;
    context.ready.set();
    Ok(running)
}
