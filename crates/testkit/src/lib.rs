//! Waits, loopback fakes and folders for tests; a dev-dependency only.
//!
//! A test never sleeps and never counts on a port: it waits here for a condition, with a deadline
//! and a message, and lets the system choose ports by binding `127.0.0.1:0`.
//!
//! Everything in this crate panics where a test should fail.
#![forbid(unsafe_code)]

mod batches;
mod http;
mod lines;
mod process;
mod tls;
mod wait;

pub use batches::Batches;
pub use http::{Answer, ask};
pub use lines::{LineSink, send_lines, send_lines_and_wait_for_close};
pub use process::{Process, role, this_program_as};
pub use tls::{tls_connector, tls_file};
pub use wait::{PATIENCE, wait_until, wait_until_async};

/// The address that lets the system choose a loopback port.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// A loopback address at which nobody listens: for the tests of a dead node. It was free a moment
/// ago, so use it only where someone else taking it cannot make the test pass.
#[must_use]
pub fn closed_address() -> String {
    let listener = std::net::TcpListener::bind(ANY_PORT).expect("a loopback port");
    listener.local_addr().expect("a bound address").to_string()
}

/// An empty folder that goes when the value is dropped.
#[must_use]
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("plumbago-test-").tempdir().expect("a temporary folder")
}
