//! The program `plumbago-relay`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    daemon::main(&plumbago_relay::PROGRAM, plumbago_relay::start)
}
