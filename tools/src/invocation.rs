//! What every command is given, and how it ends.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;
use daemon::clock::{Clock, System};
use whisper::{Error, Now};

/// Exit code of a command that failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Exit code of a command that did only a part: the rest was named and skipped.
pub(crate) const EXIT_PARTIAL: u8 = 2;
/// Exit code for a wrong command line, as BSD's sysexits has it.
pub(crate) const EXIT_USAGE: u8 = 64;

/// Sets the time for every command, as `--now` does; the flag wins.
const NOW_VARIABLE: &str = "PLUMBAGO_NOW";

/// Room for output, so that many small lines are one write.
const OUTPUT_BUFFER_BYTES: usize = 64 * 1024;

/// The name a command was called by.
pub(crate) struct Caller {
    /// What complaints begin with.
    pub(crate) program: &'static str,
    /// Whether that is a classic name, whose answers are those of the program of that name.
    pub(crate) classic: bool,
}

/// A command: its arguments, and what it does with them.
pub(crate) trait Run: clap::Args {
    /// Does it.
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure>;
}

/// The flags of every command.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// The time to work at, seconds since 1970 (default: PLUMBAGO_NOW, else the clock).
    #[arg(long, value_name = "EPOCH", allow_hyphen_values = true, global = true)]
    now: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// What every command is given.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) json: bool,
    pub(crate) classic: bool,
    pub(crate) out: &'a mut dyn Write,
    program: &'a str,
    partial: bool,
}

impl Context<'_> {
    /// Says something to the operator in one line, behind what has been printed so far.
    pub(crate) fn say(&mut self, message: &str) {
        // An output that is gone is noticed at the end.
        drop(self.out.flush());
        complain(self.program, message);
    }

    /// Says one line of a finding that scripts read on standard error.
    pub(crate) fn say_plainly(&self, line: &str) {
        // Nobody is left to tell when standard error is gone.
        drop(writeln!(io::stderr(), "{line}"));
    }

    /// Names one item of many that cannot be done; the command goes on and exits with
    /// [`EXIT_PARTIAL`].
    pub(crate) fn skip(&mut self, what: &str, why: &dyn std::fmt::Display) {
        self.partial = true;
        self.say(&format!("{what}: {why}"));
    }
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    /// One line, file named; none where everything has been said.
    pub(crate) message: Option<String>,
}

impl Failure {
    /// The command failed.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { exit: EXIT_FAILED, message: Some(message.into()) }
    }

    /// Something is wrong with one file.
    pub(crate) fn of(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::new(format!("{}: {error}", printable(&path.to_string_lossy())))
    }

    /// Two files do not go together, or one of them failed in the middle.
    pub(crate) fn of_both(src: &Path, dst: &Path, error: &Error) -> Self {
        let [src, dst] = [src, dst].map(|path| printable(&path.to_string_lossy()));
        Self::new(format!("{src} and {dst}: {error}"))
    }

    /// The command line is wrong.
    pub(crate) fn usage(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self { exit: EXIT_USAGE, ..Self::of(path, error) }
    }

    /// Not an error, or one that has been told.
    pub(crate) fn silent(exit: u8) -> Self {
        Self { exit, message: None }
    }
}

impl From<io::Error> for Failure {
    /// The only I/O without a file of its own is standard output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(0);
        }
        Self::new(format!("standard output: {error}"))
    }
}

/// A name or path on one line.
pub(crate) fn printable(text: &str) -> String {
    if text.contains(char::is_control) { format!("{text:?}") } else { text.to_owned() }
}

/// Runs a command on its parsed arguments.
pub(crate) fn execute<T: Run>(matches: &ArgMatches, caller: &Caller) -> ExitCode {
    let parsed = <Common as clap::FromArgMatches>::from_arg_matches(matches)
        .and_then(|common| Ok((common, T::from_arg_matches(matches)?)));
    let (common, command) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage_error(&error, caller.program),
    };
    let now = match now(common.now) {
        Ok(now) => now,
        Err(text) => {
            complain(caller.program, &format!("{text:?} is not a time"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut out = BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, io::stdout().lock());
    let mut context = Context {
        now,
        json: common.json,
        classic: caller.classic,
        out: &mut out,
        program: caller.program,
        partial: false,
    };
    let outcome = command.run(&mut context);
    let partial = context.partial;
    // What was found is printed even where it ends in a failure.
    let flushed = out.flush().map_err(Failure::from);
    match outcome.and(flushed) {
        Ok(()) if partial => ExitCode::from(EXIT_PARTIAL),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message {
                complain(caller.program, &message);
            }
            ExitCode::from(failure.exit)
        }
    }
}

/// Help and version go to stdout as clap prints them; anything else is one line on stderr.
pub(crate) fn usage_error(error: &clap::Error, program: &str) -> ExitCode {
    if !error.use_stderr() {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let text = error.to_string();
    let said = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let line = said.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    // Without a stderr the exit code still says it.
    drop(writeln!(io::stderr(), "{line}; see {program} --help"));
    ExitCode::from(EXIT_USAGE)
}

/// The flag, else the environment, else the clock; an error is the text that is no time.
fn now(flag: Option<String>) -> Result<Now, String> {
    let variable =
        || std::env::var_os(NOW_VARIABLE).map(|text: OsString| text.to_string_lossy().into_owned());
    let Some(given) = flag.or_else(variable) else {
        return Ok(System::new().now_unix_seconds().into());
    };
    let whole = given.trim().parse::<i64>().ok().map(|seconds| seconds as f64);
    let seconds = whole.or_else(|| given.trim().parse::<f64>().ok());
    seconds.and_then(Now::from_seconds).ok_or(given)
}

/// Says what went wrong in one line.
fn complain(program: &str, message: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr(), "{program}: {message}"));
}
