//! The storage node through its own doors: lines in, files and answers out.
#![expect(clippy::unwrap_used, reason = "a test says by its panic what it did not find")]

mod deaths;
mod doors;
mod formats;
mod grpc;
mod harness;
mod life;
mod limits;
mod link;
mod moves;
mod readers;
mod reshape;
mod tags;
mod usage;
mod versions;
