//! The main function of every daemon: settings, log, runtime, start, signals, ordered stop.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::clock::System;
use crate::context::Context;
use crate::lifecycle::{Request, Running, Signals, StartError};
use crate::log;
use crate::metrics::Metric;
use crate::settings::{self, Command, Fault, Setting, Sources, Values};
use crate::threads::{PanicPolicy, set_panic_policy};
use crate::watch::{Watch, Watched};

/// Exit code for settings and flags that are not sound (EX_USAGE of sysexits).
pub const EXIT_USAGE: u8 = 64;

/// Whether the settings that lie in the file are in force; every daemon's table has it.
pub const SETTINGS_FAULTS: Metric = Metric::gauge(
    "plumbago_settings_faults",
    "Faults that the last reload found; 0: the settings in the file are in force.",
);

/// The runtime refuses absurd counts with a panic; beyond this the setting is not heeded.
const WORKER_THREADS_MAX: usize = 1024;

/// What tells one daemon from another.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The short name, `relay`; the program is `plumbago-relay`.
    pub name: &'static str,
    /// One sentence, the first line of the help.
    pub about: &'static str,
    /// The daemon's own settings; [`settings::COMMON`] is added.
    pub settings: &'static [Setting],
    /// The daemon's numbers.
    pub metrics: &'static [Metric],
    /// What `--check` and every start check beyond single values.
    pub check: fn(&Values) -> Result<(), Vec<Fault>>,
    /// Files whose change has everything read again.
    pub watched: fn(&Values) -> Watched,
    /// What the program does besides running as a daemon.
    pub actions: &'static [Action],
    /// What a panic does.
    pub panics: PanicPolicy,
}

/// Something a program does once and ends, asked for by its first argument.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// The first argument, `explain`.
    pub name: &'static str,
    /// What follows it, for the help.
    pub operands: &'static str,
    /// What it does, for the help.
    pub about: &'static str,
    /// Does it with the arguments that follow; the faults are printed as those of settings are.
    pub run: fn(&[String], &mut dyn Write) -> ActionResult,
}

/// How an action ended, or why it could not begin.
pub type ActionResult = Result<ExitCode, Vec<Fault>>;

/// Runs a daemon from the process's own arguments and environment to its end.
///
/// Exit codes: 0 stopped in order, 1 failed or not stopped in time, 64 settings not sound.
pub fn main(
    program: &Program,
    start: impl AsyncFnOnce(Values, Context) -> Result<Running, StartError>,
) -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned());
    main_with(program, &arguments.collect::<Vec<_>>(), start)
}

/// As [`main`] for a program that has taken the first of its arguments itself.
pub fn main_with(
    program: &Program,
    arguments: &[String],
    start: impl AsyncFnOnce(Values, Context) -> Result<Running, StartError>,
) -> ExitCode {
    if let Some((first, rest)) = arguments.split_first()
        && let Some(action) = program.actions.iter().find(|action| action.name == first)
    {
        return act(action, rest);
    }
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment: Vec<(String, String)> =
        std::env::vars_os().map(|(name, text)| (lossy(name), lossy(text))).collect();
    let inputs = Inputs { program, arguments, environment: &environment };
    let values = match inputs.values() {
        Outcome::Run(values) => values,
        Outcome::Print(text) => return print(text.as_bytes()),
        Outcome::Faults(faults) => return refuse(&faults),
    };
    let level = values.text("log_level");
    if let Err(error) = log::init(level, values.text("log_format") == "json") {
        return refuse(&[values.fault("log_level", error.to_string())]);
    }
    set_panic_policy(program.panics);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name(program.name);
    // Zero is the runtime's own choice: one per CPU.
    if let Ok(threads @ 1..=WORKER_THREADS_MAX) = usize::try_from(values.count("worker_threads")) {
        builder.worker_threads(threads);
    }
    let outcome = builder
        .build()
        .map_err(|error| StartError::io("starting the runtime", error))
        .and_then(|runtime| runtime.block_on(run(&inputs, values, start)));
    match outcome {
        Ok(code) => code,
        Err(StartError::Settings(faults)) => refuse(&faults),
        Err(error) => {
            error!("not started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Collects what the action says, so that a reader who closes early ends nothing half-way.
fn act(action: &Action, arguments: &[String]) -> ExitCode {
    let mut out = Vec::new();
    match (action.run)(arguments, &mut out) {
        Ok(code) => match print(&out) {
            ExitCode::SUCCESS => code,
            failure => failure,
        },
        Err(faults) => refuse(&faults),
    }
}

async fn run(
    inputs: &Inputs<'_>,
    values: Values,
    start: impl AsyncFnOnce(Values, Context) -> Result<Running, StartError>,
) -> Result<ExitCode, StartError> {
    let program = inputs.program;
    // Before the start, so that a signal during a long start is not lost.
    let mut signals =
        Signals::listen().map_err(|error| StartError::io("listening to signals", error))?;
    for warning in &values.warnings {
        warn!("{warning}");
    }
    let clock = inputs.now_unix_ms().map_or_else(System::new, System::set_to);
    let context = Context::new(program.name, program.metrics).with_clock(Arc::new(clock));
    let mut watch = Watch::new((program.watched)(&values));
    let running = tokio::select! {
        running = start(values.clone(), context.clone()) => running?,
        _ = signals.stop_again() => {
            info!("stopped during the start");
            return Ok(ExitCode::SUCCESS);
        }
    };
    for (setting, address) in running.addresses() {
        info!(setting, %address, "listening");
    }
    info!(version = context.version, "plumbago-{} is up", program.name);
    let mut values = values;
    loop {
        let request = tokio::select! {
            request = signals.next(&context) => request,
            () = watch.changed() => {
                info!("a followed file has changed");
                Request::Reload
            }
        };
        if request == Request::Stop {
            break;
        }
        watch.reading();
        inputs.reload(&running, &mut values);
        watch.follow((program.watched)(&values));
    }
    let deadline = values.duration("stop_deadline");
    let stopped = tokio::select! {
        stopped = running.stop(deadline) => stopped.is_ok(),
        () = signals.stop_again() => false,
    };
    info!(in_order = stopped, "stopped");
    Ok(if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Inputs<'a> {
    program: &'a Program,
    arguments: &'a [String],
    environment: &'a [(String, String)],
}

#[derive(Debug)]
enum Outcome {
    Run(Values),
    Print(String),
    Faults(Vec<Fault>),
}

impl Inputs<'_> {
    fn values(&self) -> Outcome {
        let Program { name, about, settings: table, check, .. } = *self.program;
        let sources = Sources {
            daemon: name,
            table,
            arguments: self.arguments,
            environment: self.environment,
        };
        let command = match settings::load(sources) {
            Ok(command) => command,
            Err(faults) => return Outcome::Faults(faults),
        };
        let checked = |values: &Values| {
            let mut faults = check(values).err().unwrap_or_default();
            if let Err(error) = log::parse_level(values.text("log_level")) {
                faults.push(values.fault("log_level", error.to_string()));
            }
            faults
        };
        match command {
            Command::Help => Outcome::Print(settings::help(name, about, table) + &self.actions()),
            Command::PrintConfig => Outcome::Print(settings::config_text(name, about, table)),
            Command::Version => {
                Outcome::Print(format!("plumbago-{name} {}\n", env!("CARGO_PKG_VERSION")))
            }
            Command::Run(values) | Command::Check(values) if !checked(&values).is_empty() => {
                Outcome::Faults(checked(&values))
            }
            Command::Check(values) => {
                let lines = values.warnings.iter().map(|warning| format!("warning: {warning}\n"));
                Outcome::Print(lines.collect::<String>() + "the settings are sound\n")
            }
            Command::Run(values) => Outcome::Run(values),
        }
    }

    /// The part of the help about the actions.
    fn actions(&self) -> String {
        let Program { name, actions, .. } = *self.program;
        let line = |action: &Action| {
            format!(
                "  plumbago-{name} {} {}\n      {}\n",
                action.name, action.operands, action.about
            )
        };
        let lines: String = actions.iter().map(line).collect();
        if lines.is_empty() { lines } else { format!("\nInstead of running:\n{lines}") }
    }

    /// Reads everything again; a fault keeps the old settings as a whole.
    fn reload(&self, running: &Running, values: &mut Values) {
        let fresh = match self.values() {
            Outcome::Run(fresh) => fresh,
            Outcome::Faults(faults) => return tell_faults(&faults, running),
            // The command line asked to run, and it has not changed.
            Outcome::Print(_) => return,
        };
        let changed = fresh.changed(values);
        for setting in changed.iter().filter(|setting| !setting.reload) {
            warn!(setting = setting.key, "changed in the file; a restart is needed to apply it");
        }
        if changed.iter().any(|setting| setting.key == "log_level")
            && let Err(error) = log::set_level(fresh.text("log_level"))
        {
            warn!(%error, "log level not changed");
        }
        match running.reload(&fresh) {
            Ok(()) => {
                info!("settings read again");
                running.context.metrics.gauge(SETTINGS_FAULTS.name).set(0.0);
                *values = fresh;
            }
            Err(faults) => tell_faults(&faults, running),
        }
    }

    /// `PLUMBAGO_NOW`, seconds since 1970: the daemon's clock starts there, for data of a fixed
    /// date.
    fn now_unix_ms(&self) -> Option<i64> {
        let (_, text) = self.environment.iter().find(|(name, _)| name == "PLUMBAGO_NOW")?;
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())?;
        Some((seconds * 1000.0) as i64)
    }
}

fn tell_faults(faults: &[Fault], running: &Running) {
    running.context.metrics.gauge(SETTINGS_FAULTS.name).set(faults.len() as f64);
    for fault in faults {
        error!("{fault}");
    }
    error!(faults = faults.len(), "settings not sound: the old ones stay");
}

fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        // `--help | head` closes early; that is the reader's choice.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The log may not exist yet, so faults go to stderr as plain lines.
fn refuse(faults: &[Fault]) -> ExitCode {
    let text: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
    // Without a stderr the exit code still says it.
    drop(std::io::stderr().write_all(text.as_bytes()));
    ExitCode::from(EXIT_USAGE)
}
