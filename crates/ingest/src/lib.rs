//! Every listener that takes points in, for relay and storage node alike.
//!
//! A listener reads bytes, an intake turns them into canonical [`Point`]s, and a [`Sink`] takes
//! one batch per read. A line that is refused is counted by its reason, kept for
//! `/admin/rejected`, and loses nothing else.
//!
//! What this crate is not: it knows no routing, no files and no protocol between our own parts.
#![forbid(unsafe_code)]

mod admin;
mod connection;
mod intake;
mod listeners;
mod pickle;
mod point;
mod refusals;
pub mod self_metrics;
pub mod settings;
mod udp;

pub use admin::admin_routes;
pub use listeners::{Listeners, Service};
pub use point::{Point, Sink};
pub use refusals::{Counters, REJECTED_KEPT, Refusals, Rejected};
pub use self_metrics::SelfMetrics;
pub use settings::Settings;
