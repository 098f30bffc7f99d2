//! Every listener that takes points in, for relay and storage node alike.
//!
//! A listener ([`Listeners`]) accepts connections, datagrams or requests; what it reads becomes
//! canonical [`Point`]s, and a [`Sink`] takes one batch per read or request. A line that is refused
//! is counted by its reason, kept for `/admin/rejected`, and loses nothing else.
//!
//! What this crate is not: it knows no routing, no files and no protocol between our own parts.
#![forbid(unsafe_code)]

mod admin;
mod bucket;
mod connection;
mod door;
mod frames;
mod http;
mod intake;
mod listeners;
pub mod metrics;
mod point;
mod protocol;
mod ramp;
mod refusals;
pub mod self_metrics;
mod service;
pub mod settings;
mod skew;
mod socket;
mod source;
mod stream;
mod udp;
mod unpack;

pub use intake::LineJudge;
pub use listeners::Listeners;
pub use point::{Point, Sink};
pub use refusals::{Counters, REJECTED_KEPT, Refusals, Rejected};
pub use self_metrics::SelfMetrics;
pub use service::Service;
pub use settings::Settings;
