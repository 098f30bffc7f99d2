//! `plumbago ring`.

use std::process::ExitCode;

/// Arguments of `plumbago ring`.
#[derive(clap::Args)]
pub(crate) struct Ring {}

/// Runs the command.
pub(crate) fn run(_args: Ring) -> ExitCode {
    ExitCode::SUCCESS
}
