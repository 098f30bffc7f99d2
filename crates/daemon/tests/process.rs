//! A whole daemon process: exit codes, signals, reload. The program runs itself again as the
//! daemon, so that no second binary is needed.
#![expect(clippy::unwrap_used, reason = "a test: clippy sees a program, as it brings its own main")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use plumbago_daemon::{
    Context, Kind, PanicPolicy, Program, Running, SETTINGS_FAULTS, Setting, StartError, Values,
    Watched,
};
use rustix::process::{Pid, Signal, kill_process};

const AS_DAEMON: &str = "AS_DAEMON";

const PROGRAM: Program = Program {
    name: "demo",
    about: "Shows what a daemon does.",
    settings: &[
        Setting::new("admin", Kind::Address, "127.0.0.1:0", "Where the admin routes answer."),
        Setting::new("book", Kind::Path, "", "A file that is followed."),
        Setting::new("greeting", Kind::Text, "hello", "What a reload says.").reload(),
        Setting::new(
            "mode",
            Kind::Choice(&["sound", "stuck", "panic", "refuse"]),
            "sound",
            "How to behave.",
        ),
    ],
    metrics: &[SETTINGS_FAULTS],
    check,
    watched: |values| Watched {
        files: values.opt_path("book").into_iter().collect(),
        interval: Duration::from_millis(5),
    },
    actions: &[],
    panics: PanicPolicy::Abort,
};

fn check(values: &Values) -> Result<(), Vec<plumbago_daemon::Fault>> {
    match values.text("greeting") {
        "" | "silence" => Err(vec![values.fault("greeting", "no greeting")]),
        _ => Ok(()),
    }
}

async fn start(values: Values, context: Context) -> Result<Running, StartError> {
    let mut running = Running::new(context);
    plumbago_daemon::admin::start(&mut running, values.address("admin"), axum::Router::new())?;
    match values.text("mode") {
        "stuck" => running.add_stage("journal", std::future::pending()),
        "refuse" => return Err(StartError::other("no disk")),
        "panic" => drop(tokio::spawn(async { panic!("wanted by the test") })),
        _ => {}
    }
    running.on_reload(|values| {
        tracing::info!("greeting is now {}", values.text("greeting"));
        Ok(())
    });
    Ok(running)
}

fn main() -> ExitCode {
    if std::env::var_os(AS_DAEMON).is_some() {
        return plumbago_daemon::main(&PROGRAM, start);
    }
    asking_commands_print_and_succeed();
    faults_exit_64_all_at_once();
    a_failed_start_exits_1_with_its_reason();
    sigterm_stops_in_order();
    a_stuck_stage_is_cut_off_at_the_deadline();
    a_reload_applies_sound_settings_and_keeps_the_old_ones_otherwise();
    a_file_that_is_followed_is_a_reload_when_it_changes();
    a_panic_aborts_where_the_policy_says_so();
    ExitCode::SUCCESS
}

struct Demo {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads the log up to the line that holds `text`.
    fn expect(&mut self, text: &str) {
        let mut seen = String::new();
        while !seen.lines().last().unwrap_or_default().contains(text) {
            let read = self.log.read_line(&mut seen).unwrap();
            assert!(read > 0, "the log ended without {text:?}:\n{seen}");
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).env(AS_DAEMON, "1").stdin(Stdio::null());
    command
}

fn asking_commands_print_and_succeed() {
    for (flag, wanted) in [
        ("--help", "--greeting TEXT"),
        ("--version", "plumbago-demo 0."),
        ("--print-config", "#greeting = \"hello\""),
        ("--check", "the settings are sound"),
    ] {
        let output = command(&[flag]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(wanted), "{flag}: {text}");
    }
}

fn faults_exit_64_all_at_once() {
    let output = command(&["--check", "--mode=odd", "--stop-deadline", "5"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(64), 2), "{text}");
    let output = command(&["--greeting", "silence", "--log-level", "loud"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(64), 2), "{text}");
    assert!(text.contains("flag --greeting: `greeting`: no greeting"), "{text}");
}

fn a_failed_start_exits_1_with_its_reason() {
    let (code, log) = Demo::start(&["--mode", "refuse"]).end();
    assert!(code == Some(1) && log.contains("not started: no disk"), "{code:?} {log}");
}

fn sigterm_stops_in_order() {
    let mut demo = Demo::start(&[]);
    demo.expect("plumbago-demo is up");
    demo.signal(Signal::TERM);
    let (code, log) = demo.end();
    assert!(code == Some(0) && log.contains("stopped"), "{code:?} {log}");
}

fn a_stuck_stage_is_cut_off_at_the_deadline() {
    let mut demo = Demo::start(&["--mode", "stuck", "--stop-deadline", "10ms"]);
    demo.expect("plumbago-demo is up");
    demo.signal(Signal::INT);
    let (code, log) = demo.end();
    assert!(code == Some(1) && log.contains("journal"), "{code:?} {log}");
}

fn a_reload_applies_sound_settings_and_keeps_the_old_ones_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("greeting = 'one'\n");
    let mut demo = Demo::start(&["--config", path.to_str().unwrap()]);
    demo.expect("plumbago-demo is up");
    write("greeting = 'two'\nmode = 'stuck'\n");
    demo.signal(Signal::HUP);
    demo.expect("a restart is needed");
    demo.expect("greeting is now two");
    write("greetings = 'three'\n");
    demo.signal(Signal::HUP);
    demo.expect("did you mean `greeting`?");
    demo.expect("the old ones stay");
    demo.signal(Signal::TERM);
    assert_eq!(demo.end().0, Some(0));
}

fn a_file_that_is_followed_is_a_reload_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let mut demo = Demo::start(&["--book", path.to_str().unwrap()]);
    demo.expect("plumbago-demo is up");
    for text in ["one", "two"] {
        std::fs::write(&path, text).unwrap();
        demo.expect("a followed file has changed");
        demo.expect("greeting is now hello");
    }
    demo.signal(Signal::TERM);
    assert_eq!(demo.end().0, Some(0));
}

fn a_panic_aborts_where_the_policy_says_so() {
    let (code, log) = Demo::start(&["--mode", "panic"]).end();
    // Ended by a signal, so without an exit code.
    assert!(code.is_none() && log.contains("wanted by the test"), "{code:?} {log}");
}
