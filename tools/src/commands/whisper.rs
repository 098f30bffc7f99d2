//! `plumbago whisper`.

use std::process::ExitCode;

/// Arguments of `plumbago whisper`.
#[derive(clap::Args)]
pub(crate) struct Whisper {}

/// Runs the command.
pub(crate) fn run(_args: Whisper) -> ExitCode {
    ExitCode::SUCCESS
}
