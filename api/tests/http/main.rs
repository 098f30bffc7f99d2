//! The API over HTTP, against a small backend in this process.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod caches;
mod events;
mod explain;
mod fake;
mod find;
mod formats;
mod limits;
mod other;
mod readers;
mod render;
mod server;
mod serving;
mod tags;
