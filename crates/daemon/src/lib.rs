//! What every daemon needs: settings, logs, metrics, admin endpoint, signals, clock.
//!
//! It knows no domain: nothing here says what a daemon does. A daemon is two tables (its
//! [`Setting`]s and its [`Metric`]s) and a `start` function; [`main`] does the rest. As a library,
//! without `main`, the same `start` runs on values and a context made in code:
//!
//! ```
//! # use plumbago_daemon as daemon; // the workspace imports it by its short name
//! use daemon::{Context, Kind, Running, Setting, StartError, Values};
//!
//! const SETTINGS: &[Setting] =
//!     &[Setting::new("admin", Kind::Address, "127.0.0.1:9000", "Where the admin routes answer.")];
//!
//! async fn start(values: Values, context: Context) -> Result<Running, StartError> {
//!     let mut running = Running::new(context);
//!     daemon::admin::start(&mut running, values.address("admin"), axum::Router::new())?;
//!     running.context.ready.set();
//!     Ok(running)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let values = Values::defaults(SETTINGS).with("admin", "127.0.0.1:0");
//! let running = start(values, Context::new("demo", &[])).await.unwrap();
//! assert_ne!(running.address("admin").unwrap().port(), 0);
//! running.stop(std::time::Duration::from_secs(10)).await.unwrap();
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod admin;
pub mod clock;
mod context;
pub mod http;
mod lifecycle;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod pieces;
mod program;
pub mod settings;
pub mod threads;
pub mod tls;
mod together;
mod watch;

/// For [`warn_limited!`], whose callers need not depend on it.
pub use tracing;

pub use clock::Clock;
pub use context::{Context, Facts, Ready, Shutdown};
pub use lifecycle::{Running, StartError, StopError};
pub use metrics::{Counter, Gauge, GraphiteReporter, Histogram, Metric, MetricKind, Registry};
pub use program::{Action, ActionResult, EXIT_USAGE, Program, SETTINGS_FAULTS, main, main_with};
pub use settings::{Fault, Kind, Setting, Values};
pub use threads::PanicPolicy;
pub use together::together;
pub use watch::Watched;
