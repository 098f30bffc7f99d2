//! The api: the Graphite HTTP API for Grafana and everyone else.
//!
//! A request's way: `http` finds its endpoint in one table and reads its `params`; a render is
//! parsed and planned by `query`, all reads of a round go to the backend together (`backend`), and
//! what `query` makes of them is written in one of the formats ([`format`]) while it is sent.
//!
//! What the api is not: it knows no Whisper files and no ring.
#![forbid(unsafe_code)]

mod backend;
mod cache;
mod config;
mod errors;
mod events;
mod format;
mod http;
mod params;
mod patterns;
mod pieces;
mod queries;
mod tables;
mod turns;

use std::sync::Arc;

use daemon::http::Lanes;
use daemon::{Context, PanicPolicy, Program, Running, StartError, Values};
use remote::access::Door;

pub use cache::{CacheProtocol, CacheServer};
pub use config::{Caching, Config, Events, RequestLimits, Serving};
pub use tables::{METRICS, SETTINGS};

/// What tells this daemon from the others.
pub const PROGRAM: Program = Program {
    name: "api",
    about: "Serves the Graphite HTTP API: render, find, tags, functions.",
    settings: SETTINGS,
    metrics: METRICS,
    check: |values| Config::from_values(values).map(drop),
    watched: |_| daemon::Watched::default(),
    actions: &[],
    panics: PanicPolicy::PerRequest,
};

/// Bytes of a request's head besides its query string.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Starts the api from settings.
///
/// # Errors
/// Settings that do not fit together, or an address that cannot be listened on.
pub async fn start(values: Values, context: Context) -> Result<Running, StartError> {
    let config = Config::from_values(&values).map_err(StartError::Settings)?;
    run(config, context)
}

/// Starts the api; [`start`] with the settings already understood.
///
/// # Errors
/// An address that cannot be listened on, or threads that the system refuses.
pub fn run(config: Config, context: Context) -> Result<Running, StartError> {
    let mut running = Running::new(context.clone());
    let door = Door::new(config.access.clone(), &mut running)?;
    let lanes = Lanes::beside_this_runtime("api-lane", 0)?;
    let listener = door.listen("listen", &config.listen)?.on(lanes);
    let bound = listener.tcp.local_addr().map_err(|e| StartError::io("binding `listen`", e))?;
    running.add_address("listen", bound);
    context.facts.set("backend", config.backend.clone());
    let limits = daemon::http::Limits {
        header_bytes_max: config.query_bytes_max.saturating_add(HEADER_BYTES_MAX),
        header_timeout: config.serving.header_timeout,
        connections_max: config.serving.connections_max,
        stop_timeout: config.request_timeout,
    };
    let admin = config.admin.clone();
    let credentials = config.credentials.clone();
    running.on_reload(move |values| credentials.renew(values).map_err(|fault| vec![fault]));
    let api = Arc::new(http::Api::new(config, &context)?);
    let router = door.guard(http::router(Arc::clone(&api)));
    let server = daemon::http::serve(listener, router, context.shutdown.clone(), limits);
    let server = tokio::spawn(server);
    running.add_stage("requests", async move {
        // It ends by itself after the signal; a panic in it was logged where it happened.
        drop(server.await);
    });
    daemon::admin::start(&mut running, &admin, http::admin_router(api))?;
    context.ready.set();
    Ok(running)
}
