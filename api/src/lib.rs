//! The Graphite HTTP API.
#![forbid(unsafe_code)]
