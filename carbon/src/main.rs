//! The program `plumbago-carbon`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    daemon::main(&plumbago_carbon::PROGRAM, plumbago_carbon::start)
}
