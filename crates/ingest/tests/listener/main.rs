//! Listeners over real sockets: what is taken, what is refused, and what a stop still reads.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod fixture;
mod http;
mod lines;
mod pickles;
mod ramp;
mod streams;
