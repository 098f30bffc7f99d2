//! The relay: takes points in, places each series by the ring, forwards to the nodes.
//!
//! A line's way: `ingest` reads and judges it, `route` asks the ring for its owners and puts it
//! into one batch for each set of owners, `forward` keeps it in the `log` until each of them has it.
//! Nothing is dropped silently.
//!
//! What the relay is not: it knows no disk format of the nodes and no schemas.
#![forbid(unsafe_code)]

mod actions;
mod admin;
pub mod aggregate;
mod aggregates;
mod clusters;
mod config;
mod explain;
mod files;
mod forward;
mod import;
mod log;
mod route;
mod routes;
mod rules;
mod self_metrics;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use daemon::{Context, Fault, PanicPolicy, Program, Running, StartError, Values};
use ingest::{Counters, Listeners, Refusals, SelfMetrics, Service};

pub use config::Config;
pub use import::import;
pub use log::{LogFull, LogSettings};
pub use tables::{METRICS, SETTINGS};

use clusters::Clusters;
use forward::Forwarder;
use route::Router;
use routes::Routes;

/// How often aggregates are asked for what is due.
const AGGREGATE_TICK: Duration = Duration::from_secs(1);

/// What tells this daemon from the others.
pub const PROGRAM: Program = Program {
    name: "relay",
    about: "Takes carbon lines and pickles, places each series by the ring, forwards to the nodes.",
    settings: SETTINGS,
    metrics: METRICS,
    check: |values| Config::from_values(values).map(drop),
    watched: clusters::watched,
    actions: actions::ACTIONS,
    panics: PanicPolicy::Abort,
};

/// Starts the relay from settings.
///
/// # Errors
/// Settings that do not fit together, or an address that cannot be listened on.
pub async fn start(values: Values, context: Context) -> Result<Running, StartError> {
    let config = Config::from_values(&values).map_err(StartError::Settings)?;
    run(config, context)
}

/// Starts the relay; [`start`] with the settings already understood.
///
/// # Errors
/// An address that cannot be listened on, or a folder that cannot be used.
pub fn run(config: Config, context: Context) -> Result<Running, StartError> {
    let mut running = Running::new(context.clone());
    publish_rings(rings(&config.routes.clusters), &context);
    let forwarder = Forwarder::open(&config, &context)?;
    let router = Arc::new(Router::new(config.routes, Arc::clone(&forwarder), &context)?);
    forwarder.begin()?;
    let counters = Counters::new(
        &context.metrics,
        "plumbago_relay_lines_received_total",
        "plumbago_relay_lines_dropped_total",
    );
    let refusals = Arc::new(Refusals::new(counters, Arc::clone(&context.clock)));
    let service = Service {
        sink: Arc::clone(&router),
        refusals: Arc::clone(&refusals),
        context: context.clone(),
        limits: metric::Limits::default(),
        settings: config.intake,
    };
    let admin_routes = Listeners::new(Arc::new(service)).open(&mut running)?;
    let ticking = tokio::spawn(tick(Arc::clone(&router), context.clone()));
    running.add_stage("aggregates", {
        let router = Arc::clone(&router);
        async move {
            // It ends by itself after the signal.
            drop(ticking.await);
            router.end_aggregates();
        }
    });
    running.add_stage("queues", {
        let forwarder = Arc::clone(&forwarder);
        async move { forwarder.drain().await }
    });
    running.add_stage("files", {
        let router = Arc::clone(&router);
        async move { router.close_files() }
    });
    running.on_reload({
        let (router, context) = (Arc::clone(&router), context.clone());
        move |values| reload(&router, values, &context)
    });
    running.on_reload({
        let forwarder = Arc::clone(&forwarder);
        move |values| {
            let renewed = forwarder.renew_tls();
            renewed.map_err(|error| vec![values.fault("link_tls_ca", error.to_string())])
        }
    });
    let own_numbers = SelfMetrics {
        prefix: ingest::self_metrics::prefix("relays", &ingest::self_metrics::host_name()),
        interval: config.self_metrics_interval,
        since_start: true,
        complete: self_metrics::add_totals,
    };
    own_numbers.start(router, refusals, &context);
    let routes = admin_routes.merge(admin::routes(Arc::clone(&forwarder)));
    daemon::admin::start(&mut running, &config.admin, routes)?;
    context.ready.set();
    Ok(running)
}

/// Sends what the aggregates have due, once a second.
async fn tick(router: Arc<Router>, context: Context) {
    while !context.shutdown.is_fired() {
        tokio::select! {
            () = tokio::time::sleep(AGGREGATE_TICK) => router.send_aggregates(),
            () = context.shutdown.wait() => {}
        }
    }
}

/// Puts the settings' routes in force; with a fault in them the old ones stay.
fn reload(router: &Router, values: &Values, context: &Context) -> Result<(), Vec<Fault>> {
    let routes = Routes::from_values(values)?;
    let rings = rings(&routes.clusters);
    router.replace(routes).map_err(|error| vec![values.fault("clusters", error.to_string())])?;
    publish_rings(rings, context);
    Ok(())
}

/// The fingerprints of the ring and of the one that is being left.
fn rings(clusters: &Clusters) -> [Option<String>; 2] {
    [clusters.fingerprint(), clusters.leaving()]
}

/// Lets other programs see by `/health` whether their ring is ours, and whether files move.
fn publish_rings([ring, leaving]: [Option<String>; 2], context: &Context) {
    context.facts.set("ring_fingerprint", ring.unwrap_or_default());
    context.facts.set("ring_leaving", leaving.unwrap_or_default());
}
