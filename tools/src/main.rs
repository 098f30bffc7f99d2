//! The operator's CLI: everything an operator types.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod commands;

/// Exit code for a wrong command line, as BSD's sysexits has it.
const EXIT_USAGE: u8 = 64;

/// Plumbago: a Graphite-compatible relay, storage and query stack.
#[derive(Parser)]
#[command(name = "plumbago", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the hash ring where series live.
    Ring(commands::ring::Ring),
    /// Run the whole pipeline in one process.
    Up(commands::up::Up),
    /// Read and edit Whisper files.
    Whisper(commands::whisper::Whisper),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage_error(&error),
    };
    match cli.command {
        Command::Ring(ring) => commands::ring::run(ring),
        Command::Up(up) => commands::up::run(up),
        Command::Whisper(whisper) => commands::whisper::run(whisper),
    }
}

/// Help and version go to stdout as clap prints them; anything else is one line on stderr.
fn usage_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let text = error.to_string();
    let said = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let line = said.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    // Without a stderr the exit code still says it.
    drop(writeln!(std::io::stderr(), "{line}; see plumbago --help"));
    ExitCode::from(EXIT_USAGE)
}
