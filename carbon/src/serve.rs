//! The node's doors for readers and operators.

pub(crate) mod admin;
pub(crate) mod carbonlink;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod moves;
mod params;
mod reply;
mod watch;
