//! `plumbago whisper`: reads and edits Whisper files.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::whisper::{Error, Now};
use daemon::clock::{Clock, System};

mod edit;
mod join;
mod show;
mod text;

/// Sets the time for every command, as `--now` does; the flag wins.
const NOW_VARIABLE: &str = "PLUMBAGO_NOW";

/// Exit code of a command that failed.
const EXIT_FAILED: u8 = 1;
/// Exit code of `diff` for files that differ.
const EXIT_DIFFERENT: u8 = 1;
/// Exit code of `diff` and `check` that failed: 1 means "they differ" to the one, and the other
/// goes on with the next file.
const EXIT_TROUBLE: u8 = 2;

/// Arguments of `plumbago whisper`.
#[derive(clap::Args)]
pub(crate) struct Whisper {
    #[command(subcommand)]
    command: Command,
    /// The time to work at, seconds since 1970 (default: PLUMBAGO_NOW, else the clock).
    #[arg(long, global = true, value_name = "EPOCH", allow_hyphen_values = true)]
    now: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Create a file.
    Create(edit::Create),
    /// Write points; with negative times behind `--`.
    Update(edit::Update),
    /// Print the values of a window.
    Fetch(show::Fetch),
    /// Print the header.
    Info(show::Info),
    /// Print the header and every slot.
    Dump(show::Dump),
    /// Look for damage.
    Check(show::Check),
    /// Write all points of one file over another with the same archives.
    Merge(join::Merge),
    /// Compare two files; exits 0 if equal, 1 if different, 2 on error.
    Diff(show::Diff),
    /// Fill the holes of one file from another.
    Fill(join::Fill),
    /// Fill a file from its replica, or copy that if the file is missing or corrupt.
    Heal(join::Heal),
    /// Move a file's points to other archives.
    Resize(edit::Resize),
    /// Change aggregation method or xFilesFactor.
    Set(edit::Set),
}

/// Why a command ends without success.
struct Failure {
    exit: u8,
    /// One line, file named; none where everything has been said.
    message: Option<String>,
}

impl Failure {
    /// Something is wrong with one file.
    fn of(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self { exit: EXIT_FAILED, message: Some(format!("{}: {error}", text::name(path))) }
    }

    /// Two files do not go together, or one of them failed in the middle.
    fn of_both(src: &Path, dst: &Path, error: &Error) -> Self {
        let message = format!("{} and {}: {error}", text::name(src), text::name(dst));
        Self { exit: EXIT_FAILED, message: Some(message) }
    }

    /// The command line is wrong.
    fn usage(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self { exit: crate::EXIT_USAGE, ..Self::of(path, error) }
    }

    /// Not an error, or one that has been told.
    fn silent(exit: u8) -> Self {
        Self { exit, message: None }
    }
}

impl From<io::Error> for Failure {
    /// The only I/O without a file of its own is standard output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(0);
        }
        Self { exit: EXIT_FAILED, message: Some(format!("standard output: {error}")) }
    }
}

/// What every command is given.
struct Context<'a> {
    now: Now,
    json: bool,
    out: &'a mut dyn Write,
}

/// Runs the command.
pub(crate) fn run(args: Whisper) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = dispatch(args, &mut out);
    // What was found is printed even where it ends in a failure.
    let flushed = out.flush().map_err(Failure::from);
    match outcome.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message {
                complain(&message);
            }
            ExitCode::from(failure.exit)
        }
    }
}

fn dispatch(args: Whisper, out: &mut dyn Write) -> Result<(), Failure> {
    let now = now(args.now.as_deref())
        .map_err(|text| Failure::usage(args.command.path(), &format!("{text:?} is not a time")))?;
    let mut context = Context { now, json: args.json, out };
    let context = &mut context;
    match args.command {
        Command::Create(args) => args.run(context),
        Command::Update(args) => args.run(context),
        Command::Fetch(args) => args.run(context),
        Command::Info(args) => args.run(context),
        Command::Dump(args) => args.run(context),
        Command::Check(args) => args.run(context),
        Command::Merge(args) => args.run(context),
        Command::Diff(args) => args.run(context).map_err(|failure| match failure {
            Failure { exit: EXIT_FAILED, message: message @ Some(_) } => {
                Failure { exit: EXIT_TROUBLE, message }
            }
            other => other,
        }),
        Command::Fill(args) => args.run(context),
        Command::Heal(args) => args.run(context),
        Command::Resize(args) => args.run(context),
        Command::Set(args) => args.run(context),
    }
}

impl Command {
    /// The file that a complaint about the command line names.
    fn path(&self) -> &Path {
        match self {
            Self::Create(args) => &args.path,
            Self::Update(args) => &args.path,
            Self::Fetch(args) => &args.path,
            Self::Info(args) => &args.path,
            Self::Dump(args) => &args.path,
            Self::Check(args) => args.paths.first().map_or(Path::new(""), PathBuf::as_path),
            Self::Merge(args) => &args.dst,
            Self::Diff(args) => &args.a,
            Self::Fill(args) => &args.dst,
            Self::Heal(args) => &args.dst,
            Self::Resize(args) => &args.path,
            Self::Set(args) => &args.path,
        }
    }
}

/// The flag, else the environment, else the clock; an error is the text that is no time.
fn now(flag: Option<&str>) -> Result<Now, String> {
    let variable =
        || std::env::var_os(NOW_VARIABLE).map(|text| text.to_string_lossy().into_owned());
    let Some(given) = flag.map(str::to_owned).or_else(variable) else {
        return Ok(System::new().now_unix_seconds().into());
    };
    let whole = given.trim().parse::<i64>().ok().map(|seconds| seconds as f64);
    let seconds = whole.or_else(|| given.trim().parse::<f64>().ok());
    seconds.and_then(Now::from_seconds).ok_or(given)
}

/// Opens a file to read.
fn open(path: &Path) -> Result<::whisper::Whisper<File>, Failure> {
    let file = File::open(path).map_err(Error::from);
    file.and_then(::whisper::Whisper::open).map_err(|error| Failure::of(path, &error))
}

/// Opens a file to change.
fn open_to_write(path: &Path) -> Result<::whisper::Whisper<File>, Failure> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(Error::from);
    file.and_then(::whisper::Whisper::open).map_err(|error| Failure::of(path, &error))
}

/// Says what went wrong in one line.
fn complain(message: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr(), "plumbago: {message}"));
}
