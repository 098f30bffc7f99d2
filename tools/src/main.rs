//! The operator's CLI: everything an operator types.
#![forbid(unsafe_code)]

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
        Command::Whisper(whisper) => commands::whisper::run(whisper),
    }
}

/// Prints clap's answer: help and version succeed, anything else is a usage error.
fn usage_error(error: &clap::Error) -> ExitCode {
    let wanted = !error.use_stderr();
    if error.print().is_err() {
        return ExitCode::FAILURE;
    }
    if wanted { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
}
