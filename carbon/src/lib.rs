//! Storage node: takes points in, writes Whisper files, answers reads.
//!
//! A point's way: `ingest` reads and judges it, `keeper` turns its name into a number and puts it into the [`journal`]
//! and into the [`engine`], which holds it until it is in a file. A question's way: `serve` understands it, `read` finds through [`index`] and reads through [`engine`].
//!
//! What the node is not: it serves what it has, whoever else has it. The ring says only which of several nodes reads a series that they fold.
#![deny(unsafe_code)]

mod accept;
mod config;
pub mod engine;
pub mod index;
pub mod journal;
mod keeper;
mod link;
mod lock;
mod moves;
mod placement;
mod prefixes;
pub mod queue;
mod read;
mod scan;
mod sealed;
mod sealer;
mod self_metrics;
pub mod series;
mod serve;
mod specs;
mod tables;
pub mod tail;

use std::sync::Arc;

use axum::Router;
use daemon::http::{HttpListener, Lanes, Version};
use daemon::tls::{Seal, TlsFiles};
use daemon::{Context, PanicPolicy, Program, Registry, Running, StartError, Values};
use ingest::{Counters, Listeners, Refusals, SelfMetrics, Service};
use remote::access::Door;
use segments::{LogConfig, LogCounters};

pub use config::{Config, ReadLimits};
pub use engine::Image;
pub use keeper::KeeperConfig;
pub use lock::{FolderLock, LockError};
pub use moves::stream;
pub use specs::Rules;
pub use tables::{METRICS, SETTINGS};

use accept::Accept;
use engine::{Engine, EngineConfig, EngineCounters, OpenFiles, Surroundings};
use journal::{Journal, JournalCounters, Replay};
use keeper::birth::Born;
use keeper::holes::Holes;
use keeper::{Keeper, KeeperCounters};
use link::Link;
use placement::Placement;
use prefixes::Busy;
use read::Reader;
use scan::Scanner;
use serve::carbonlink::Carbonlink;
use specs::Specs;
use tokio::net::TcpListener;

/// What tells this daemon from the others.
pub const PROGRAM: Program = Program {
    name: "carbon",
    about: "Keeps points in Whisper files, and answers finds and renders about them.",
    settings: SETTINGS,
    metrics: METRICS,
    check: |values| Config::from_values(values).map(drop),
    watched: cluster::watched,
    actions: &[],
    panics: PanicPolicy::Abort,
};

/// Part of the time for a stop that may go into writing files; what is not written by then is in the journal.
const FLUSH_SHARE: f64 = 0.75;

/// Part of it that may go into syncing them.
const SYNC_SHARE: f64 = 0.1;

/// Starts the storage node from settings.
///
/// # Errors
/// Settings that do not fit together, a data folder in use, or an address that cannot be listened on.
pub async fn start(values: Values, context: Context) -> Result<Running, StartError> {
    let config = Config::from_values(&values).map_err(StartError::Settings)?;
    run(config, context).await
}

/// Starts the storage node; [`start`] with the settings already understood.
///
/// # Errors
/// A folder that another process has or that cannot be used, or an address that cannot be listened on.
pub async fn run(config: Config, context: Context) -> Result<Running, StartError> {
    let mut running = Running::new(context.clone());
    let lock = FolderLock::take(&config.data).map_err(StartError::other)?;
    let quotas = config.rules.quotas().clone();
    let specs = Arc::new(Specs::new(config.rules));
    let engine = open_engine(config.engine, &specs, &context).await?;
    engine.set_quotas(&quotas);
    publish(&engine, &context.metrics);
    let journal = open_journal(&config.data, config.journal, &context)?;
    let keeper = start_keeper(&engine, journal, config.keeper, &context)?;
    let host = config.self_name.clone().unwrap_or_else(ingest::self_metrics::host_name);
    tell_facts(config.placement.as_ref(), config.self_name.as_deref(), &context);
    let refusals = refusals(&context);
    let sink = Arc::new(sink(&keeper, &refusals, &context));
    let service = Arc::new(Service {
        sink: Arc::clone(&sink),
        refusals: Arc::clone(&refusals),
        context: context.clone(),
        limits: metric::Limits::default(),
        settings: config.intake,
    });
    serve_link(&mut running, (config.link, config.link_tls), &host, &service)?;
    let listener_routes = Listeners::new(service).open(&mut running)?;
    let reader = Reader::new(
        Arc::clone(&engine),
        (Arc::clone(&context.clock), &context.metrics),
        config.limits,
        (host.clone(), config.placement, Arc::clone(&keeper.holes)),
    );
    let reader = Arc::new(reader.map_err(|error| StartError::io("reading threads", error))?);
    let door = Door::new(config.access, &mut running)?;
    serve_readers(&mut running, (&door, &config.read), Arc::clone(&reader), Arc::clone(&keeper))?;
    serve_grpc(&mut running, &door, config.grpc.as_deref(), Arc::clone(&reader))?;
    serve_carbonlink(&mut running, config.carbonlink, Arc::clone(&reader))?;
    sealer::start(&mut running, Arc::clone(&engine), &context)?;
    let scanner = scanner(&keeper, &context);
    let admin =
        serve::admin::Admin::new(Arc::clone(&keeper), Arc::clone(&scanner), Arc::clone(&sink))
            .map_err(|error| StartError::io("admin thread", error))?;
    let moves = moves::Moves::new(Arc::clone(&keeper), config.data.join("trash"), &context)
        .map_err(|error| StartError::io("threads for moves", error))?;
    add_last_stage(&mut running, keeper, lock, config.stop_deadline);
    let routes = listener_routes.merge(admin.router()).merge(serve::moves::router(moves));
    daemon::admin::start(&mut running, &config.admin, routes)?;
    reload_with(&mut running, specs, engine, reader);
    if !config.scan_interval.is_zero() {
        let started = scanner.start(config.scan_interval);
        started.map_err(|error| StartError::io("scan thread", error))?;
    }
    let own_numbers = SelfMetrics {
        prefix: ingest::self_metrics::prefix("agents", &host),
        interval: config.self_metrics_interval,
        since_start: false,
        complete: self_metrics::add_points_per_update,
    };
    own_numbers.start(Arc::new(accept::OwnNumbers(sink)), refusals, &context);
    Ok(running)
}

/// Takes up rules, quotas and ring as the files then have them.
fn reload_with(running: &mut Running, specs: Arc<Specs>, engine: Arc<Engine>, reader: Arc<Reader>) {
    let context = running.context.clone();
    running.on_reload(move |values| {
        let rules = Rules::from_values(values)?;
        let placement = config::placement(values)?;
        let quotas = rules.quotas().clone();
        specs.replace(rules);
        engine.set_quotas(&quotas);
        tell_ring(placement.as_ref(), &context);
        reader.follow_ring(placement);
        Ok(())
    });
}

/// What `/health` shows besides.
fn tell_facts(placement: Option<&Placement>, name: Option<&str>, context: &Context) {
    tell_ring(placement, context);
    if let Some(name) = name {
        context.facts.set("node", name.to_owned());
    }
}

/// Lets tools see by `/health` whether their ring is the node's.
fn tell_ring(placement: Option<&Placement>, context: &Context) {
    if let Some(placement) = placement {
        context.facts.set("ring_fingerprint", placement.fingerprint().to_string());
    }
}

fn refusals(context: &Context) -> Arc<Refusals> {
    let counters = Counters::new(
        &context.metrics,
        "plumbago_carbon_points_received_total",
        "plumbago_carbon_points_dropped_total",
    );
    Arc::new(Refusals::new(counters, Arc::clone(&context.clock)))
}

/// Where all points come in.
fn sink(keeper: &Arc<Keeper>, refusals: &Arc<Refusals>, context: &Context) -> Accept {
    Accept {
        keeper: Arc::clone(keeper),
        refusals: Arc::clone(refusals),
        over_limit: dropped(&context.metrics, accept::SERIES_LIMIT),
        over_quota: dropped(&context.metrics, accept::QUOTA),
        shutdown: context.shutdown.clone(),
        waited: context.metrics.counter("plumbago_carbon_senders_waited_total"),
        busy: Busy::new(Arc::clone(&context.clock)),
    }
}

/// Reads the names log, which may be long, on a thread of its own.
async fn open_engine(
    config: EngineConfig,
    specs: &Arc<Specs>,
    context: &Context,
) -> Result<Arc<Engine>, StartError> {
    context.ready.unset("reading the names of all series");
    let with = Surroundings {
        disk: Arc::new(OpenFiles::new(Arc::clone(&context.clock))),
        clock: Arc::clone(&context.clock),
        specs: Arc::<Specs>::clone(specs),
        counters: engine_counters(&context.metrics),
    };
    let (sender, opened) = tokio::sync::oneshot::channel();
    let open = move || drop(sender.send(Engine::open(config, with)));
    daemon::threads::spawn("carbon-open", open)
        .map_err(|error| StartError::io("starting a thread", error))?;
    let engine = match opened.await {
        Ok(opened) => opened.map_err(StartError::other)?,
        Err(_gone) => return Err(StartError::other("reading the names of all series failed")),
    };
    let report = engine.load_report();
    tracing::info!(series = engine.table().len(), "names of all series read");
    if report.damaged_stretches > 0 || report.torn_bytes > 0 || report.set_aside.is_some() {
        tracing::warn!(?report, "the names log was damaged; what is sound was kept");
    }
    Ok(Arc::new(engine))
}

/// Opens the journal; what former runs have left in it is yet to be read.
fn open_journal(
    data: &std::path::Path,
    config: LogConfig,
    context: &Context,
) -> Result<(Journal, Replay), StartError> {
    let (clock, counters) = (Arc::clone(&context.clock), journal_counters(&context.metrics));
    Journal::open(&data.join("journal"), config, Arc::new(segments::RealDisk), clock, counters)
        .map_err(StartError::other)
}

/// Joins journal and engine. The node is ready when the journal has been read.
fn start_keeper(
    engine: &Arc<Engine>,
    (journal, replay): (Journal, Replay),
    config: KeeperConfig,
    context: &Context,
) -> Result<Arc<Keeper>, StartError> {
    let counters = keeper_counters(&context.metrics);
    let now_s = context.clock.now_unix_seconds();
    let born = Born::open(engine.whisper_folder(), now_s);
    let born = born.map_err(|error| StartError::io("the note of when the node began", error))?;
    let past = (Holes::open(engine.index_folder(), now_s), born);
    let keeper = Arc::new(Keeper::new(Arc::clone(engine), journal, past, config, counters));
    publish_journal(&keeper, &context.metrics);
    let started = keeper.start(replay, context);
    started.map_err(|error| StartError::io("journal threads", error))?;
    Ok(keeper)
}

fn journal_counters(registry: &Registry) -> JournalCounters {
    let counter = |what: &str| registry.counter(&format!("plumbago_carbon_{what}_total"));
    let gauge = |what: &str| registry.gauge(&format!("plumbago_carbon_{what}"));
    let log = LogCounters {
        items_appended: counter("points_journalled"),
        items_written: counter("points_committed"),
        bytes_written: counter("journal_bytes_written"),
        bytes_released: counter("journal_bytes_released"),
        writes: counter("journal_writes"),
        syncs: counter("journal_syncs"),
        write_errors: counter("journal_write_errors"),
        sync_errors: counter("journal_sync_errors"),
        stalled: gauge("journal_stalled"),
        alarm: gauge("journal_alarm"),
        frames_damaged: counter("journal_frames_damaged"),
        torn_bytes: counter("journal_torn_bytes"),
        files_unusable: counter("journal_files_unusable"),
    };
    JournalCounters { log, records_unknown: counter("journal_records_unknown") }
}

fn keeper_counters(registry: &Registry) -> KeeperCounters {
    let counter = |what: &str| registry.counter(&format!("plumbago_carbon_{what}_total"));
    KeeperCounters {
        replayed: counter("points_replayed"),
        superseded: counter("points_superseded"),
        of_deleted: dropped(registry, "series_deleted"),
        nameless: dropped(registry, "name_lost"),
        sync_errors: counter("file_sync_errors"),
        hurried: counter("updates_hurried"),
        checkpoints: counter("journal_checkpoints"),
    }
}

/// Numbers of the journal. They do not keep it alive either.
fn publish_journal(keeper: &Arc<Keeper>, registry: &Registry) {
    let gauge = |what: &str, read: fn(&Keeper) -> f64| {
        let keeper = Arc::downgrade(keeper);
        let read = move || keeper.upgrade().map_or(0.0, |keeper| read(&keeper));
        registry.callback(&format!("plumbago_carbon_{what}"), &[], read);
    };
    gauge("journal_bytes", |keeper| keeper.journal_bytes() as f64);
    gauge("journal_segments", |keeper| keeper.journal.segments().len() as f64);
    gauge("journal_unsynced_bytes", |keeper| keeper.journal.held_bytes() as f64);
}

fn dropped(registry: &Registry, reason: &str) -> daemon::Counter {
    registry.counter_with("plumbago_carbon_points_dropped_total", &[reason])
}

fn engine_counters(registry: &Registry) -> EngineCounters {
    let counter = |what: &str| registry.counter(&format!("plumbago_carbon_{what}_total"));
    EngineCounters {
        points_written: counter("points_written"),
        points_superseded: counter("points_superseded"),
        points_too_old: dropped(registry, "older_than_retention"),
        points_of_deleted: dropped(registry, "series_deleted"),
        updates: counter("updates"),
        updates_late: counter("updates_late"),
        files_learned: counter("files_learned"),
        creates: counter("creates"),
        creates_delayed: counter("creates_delayed"),
        write_errors: counter("write_errors"),
        files_set_aside: counter("files_set_aside"),
        points_salvaged: counter("points_salvaged"),
        names_errors: counter("names_errors"),
    }
}

/// Numbers that the engine knows anyway. They do not keep it alive: the registry outlives the daemon.
fn publish(engine: &Arc<Engine>, registry: &Registry) {
    let gauge = |what: &str, read: fn(&Engine) -> usize| {
        let engine = Arc::downgrade(engine);
        let read = move || engine.upgrade().map_or(0.0, |engine| read(&engine) as f64);
        registry.callback(&format!("plumbago_carbon_{what}"), &[], read);
    };
    gauge("points_pending", Engine::pending_points);
    gauge("pending_series", Engine::pending_series);
    gauge("pending_bytes", Engine::pending_bytes);
    gauge("rollups_owed", Engine::rollups_owed);
    gauge("series", |engine| engine.table().len());
    gauge("index_bytes", |engine| engine.index().memory_bytes() + engine.table().memory_bytes());
}

/// Opens the port of the read API.
fn serve_readers(
    running: &mut Running,
    (door, address): (&Arc<Door>, &str),
    reader: Arc<Reader>,
    keeper: Arc<Keeper>,
) -> Result<(), StartError> {
    let lanes = lanes("carbon-lane", &reader)?;
    let routes = serve::http::router(reader, keeper, Arc::clone(&running.context.metrics));
    let listener = door.listen("read", address)?.on(lanes);
    serve_routes(running, ("read", "readers"), listener, door.guard(routes))
}

/// Opens the port that answers readers over gRPC, if there is to be one.
fn serve_grpc(
    running: &mut Running,
    door: &Arc<Door>,
    address: Option<&str>,
    reader: Arc<Reader>,
) -> Result<(), StartError> {
    let Some(address) = address else { return Ok(()) };
    let lanes = lanes("carbon-grpc", &reader)?;
    let routes = serve::grpc::router(reader, Arc::clone(&running.context.metrics));
    let listener = door.listen("grpc", address)?.on(lanes);
    let listener = HttpListener { version: Version::Http2, ..listener };
    serve_routes(running, ("grpc", "grpc"), listener, door.guard(routes))
}

/// Small reads are done where their connection is served, so these threads give way as the reading ones do.
fn lanes(name: &str, reader: &Reader) -> Result<Lanes, StartError> {
    Lanes::beside_this_runtime(name, reader.limits.niceness)
}

fn serve_routes(
    running: &mut Running,
    (setting, stage): (&'static str, &'static str),
    listener: HttpListener,
    routes: Router,
) -> Result<(), StartError> {
    let bound = listener.tcp.local_addr();
    let bound = bound.map_err(|error| StartError::io(format!("binding `{setting}`"), error))?;
    running.add_address(setting, bound);
    let (shutdown, limits) = (running.context.shutdown.clone(), daemon::http::Limits::default());
    let server = tokio::spawn(daemon::http::serve(listener, routes, shutdown, limits));
    // A panic in a server was logged where it happened.
    running.add_stage(stage, async move { drop(server.await) });
    Ok(())
}

/// Opens a port that a node need not have. Where nobody asked for it, a taken port is no reason not to start: several nodes on
/// one machine all have the same default.
fn open_port(
    running: &mut Running,
    setting: &'static str,
    port: Option<config::OptionalPort>,
) -> Result<Option<TcpListener>, StartError> {
    let Some(config::OptionalPort { address, is_asked_for }) = port else { return Ok(None) };
    let tcp = match daemon::listen::tcp(setting, &address) {
        Ok(tcp) => tcp,
        Err(error) if is_asked_for => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, setting, "port not opened");
            return Ok(None);
        }
    };
    let bound = tcp.local_addr().map_err(|error| StartError::io("binding a port", error))?;
    running.add_address(setting, bound);
    Ok(Some(tcp))
}

/// Opens the port of the acknowledged link, with TLS if it is to be.
fn serve_link(
    running: &mut Running,
    (port, tls): (Option<config::OptionalPort>, Option<TlsFiles>),
    name: &str,
    service: &Arc<Service<Accept>>,
) -> Result<(), StartError> {
    let seal = tls.as_ref().map(Seal::new).transpose();
    let seal = seal.map_err(|error| StartError::io("TLS of the link", error.into()))?.map(Arc::new);
    let Some(tcp) = open_port(running, "link", port)? else { return Ok(()) };
    if let Some(seal) = seal.clone() {
        running.on_reload(move |values| {
            seal.renew().map_err(|error| vec![values.fault("link_tls_cert", error.to_string())])
        });
    }
    let link = Link::new(Arc::clone(service), (name, seal), &tcp);
    let server = tokio::spawn(link.serve(tcp));
    running.add_stage("link", async move { drop(server.await) });
    Ok(())
}

/// Opens the carbonlink port.
fn serve_carbonlink(
    running: &mut Running,
    port: Option<config::OptionalPort>,
    reader: Arc<Reader>,
) -> Result<(), StartError> {
    let Some(tcp) = open_port(running, "carbonlink", port)? else { return Ok(()) };
    let Context { metrics, shutdown, .. } = running.context.clone();
    let server = tokio::spawn(Carbonlink { reader, registry: metrics, shutdown }.serve(tcp));
    running.add_stage("carbonlink", async move { drop(server.await) });
    Ok(())
}

fn scanner(keeper: &Arc<Keeper>, context: &Context) -> Arc<Scanner> {
    let discovered = context.metrics.counter("plumbago_carbon_files_discovered_total");
    Arc::new(Scanner::new(Arc::clone(keeper), context.shutdown.clone(), discovered))
}

/// Writes all that waits, then lets the data folder go.
fn add_last_stage(
    running: &mut Running,
    keeper: Arc<Keeper>,
    lock: FolderLock,
    deadline: std::time::Duration,
) {
    running.add_stage("files", async move {
        let (sender, stopped) = tokio::sync::oneshot::channel();
        let stop = move || {
            let (flush_time, sync_time) =
                (deadline.mul_f64(FLUSH_SHARE), deadline.mul_f64(SYNC_SHARE));
            let _nobody_waits_any_more = sender.send(keeper.stop(flush_time, sync_time));
        };
        if let Err(error) = daemon::threads::spawn("carbon-stop", stop) {
            tracing::error!(%error, "no thread to write what waits");
        }
        if let Ok(report) = stopped.await {
            let (series, points, left) = (report.series, report.points, report.points_left);
            tracing::info!(series, points, left, "wrote what waited");
        }
        drop(lock);
    });
}
