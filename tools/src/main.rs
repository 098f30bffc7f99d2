//! The operator's CLI: everything an operator types.
#![forbid(unsafe_code)]

use std::process::ExitCode;

mod commands;
mod http;
mod invocation;
mod moves;
mod node;
mod nodes;
mod progress;
mod table;

fn main() -> ExitCode {
    commands::main(std::env::args_os().collect())
}
